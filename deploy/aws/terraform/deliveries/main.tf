# The ends of CodeBuild builds to retrybuild, by an EventBridge API destination or by an SNS topic. Once in each account and region with builds.
terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

variable "endpoint" {
  description = "Public address of the service, without a path."
  type        = string
  validation {
    condition     = can(regex("^https://[a-zA-Z0-9.-]+(:[0-9]+)?$", var.endpoint))
    error_message = "The endpoint is https://HOST, without a path."
  }
}

variable "channel" {
  description = "eventbridge presents a key, sns signs; one is enough."
  type        = string
  default     = "eventbridge"
  validation {
    condition     = contains(["eventbridge", "sns"], var.channel)
    error_message = "The channel is eventbridge or sns."
  }
}

variable "key" {
  description = "The secret of the source of type eventbridge. Without effect for sns."
  type        = string
  default     = ""
  sensitive   = true
}

variable "calls_per_second" {
  description = "Most deliveries a second of the API destination; what is beyond waits."
  type        = number
  default     = 50
}

locals {
  by_eventbridge = var.channel == "eventbridge" ? 1 : 0
  by_sns         = var.channel == "sns" ? 1 : 0
  # Successes too: they settle running retries at once, and a recovery makes flakiness visible.
  statuses = ["FAILED", "FAULT", "TIMED_OUT", "STOPPED", "SUCCEEDED"]
}

data "aws_caller_identity" "own" {}

# What could not be delivered for six hours. The sweep finds such failures by itself; the queue says that something was wrong.
resource "aws_sqs_queue" "dead_letters" {
  name_prefix               = "retrybuild-dead-letters-"
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = true
}

resource "aws_sqs_queue_policy" "dead_letters" {
  queue_url = aws_sqs_queue.dead_letters.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = ["events.amazonaws.com", "sns.amazonaws.com"] }
      Action    = "sqs:SendMessage"
      Resource  = aws_sqs_queue.dead_letters.arn
      Condition = { StringEquals = { "aws:SourceAccount" = data.aws_caller_identity.own.account_id } }
    }]
  })
}

resource "aws_cloudwatch_metric_alarm" "dead_letters" {
  alarm_name          = "retrybuild-dead-letters"
  alarm_description   = "Ends of builds did not reach retrybuild."
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  dimensions          = { QueueName = aws_sqs_queue.dead_letters.name }
  statistic           = "Maximum"
  period              = 300
  evaluation_periods  = 1
  threshold           = 0
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
}

resource "aws_cloudwatch_event_rule" "builds" {
  name_prefix = "retrybuild-"
  event_pattern = jsonencode({
    source      = ["aws.codebuild"]
    detail-type = ["CodeBuild Build State Change"]
    detail      = { build-status = local.statuses }
  })
}

resource "aws_cloudwatch_event_target" "builds" {
  rule     = aws_cloudwatch_event_rule.builds.name
  arn      = local.by_sns == 1 ? aws_sns_topic.builds[0].arn : aws_cloudwatch_event_api_destination.service[0].arn
  role_arn = local.by_sns == 1 ? null : aws_iam_role.destination[0].arn
  # As long as timing.max_event_age: what is older would be ignored.
  retry_policy {
    maximum_event_age_in_seconds = 21600
    maximum_retry_attempts       = 185
  }
  dead_letter_config {
    arn = aws_sqs_queue.dead_letters.arn
  }
}

resource "aws_cloudwatch_event_connection" "service" {
  count              = local.by_eventbridge
  name               = "retrybuild"
  authorization_type = "API_KEY"
  auth_parameters {
    api_key {
      key   = "x-retrybuild-key"
      value = var.key
    }
  }
  lifecycle {
    precondition {
      condition     = length(var.key) >= 24
      error_message = "The channel eventbridge needs a key of at least 24 characters."
    }
  }
}

resource "aws_cloudwatch_event_api_destination" "service" {
  count                            = local.by_eventbridge
  name                             = "retrybuild"
  connection_arn                   = aws_cloudwatch_event_connection.service[0].arn
  http_method                      = "POST"
  invocation_endpoint              = "${var.endpoint}/v1/hooks/eventbridge"
  invocation_rate_limit_per_second = var.calls_per_second
}

resource "aws_iam_role" "destination" {
  count       = local.by_eventbridge
  name_prefix = "retrybuild-destination-"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "events.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = data.aws_caller_identity.own.account_id } }
    }]
  })
}

resource "aws_iam_role_policy" "destination" {
  count = local.by_eventbridge
  role  = aws_iam_role.destination[0].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = "events:InvokeApiDestination"
      Resource = aws_cloudwatch_event_api_destination.service[0].arn
    }]
  })
}

resource "aws_sns_topic" "builds" {
  count             = local.by_sns
  name_prefix       = "retrybuild-"
  signature_version = 2
}

resource "aws_sns_topic_policy" "builds" {
  count = local.by_sns
  arn   = aws_sns_topic.builds[0].arn
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "events.amazonaws.com" }
      Action    = "sns:Publish"
      Resource  = aws_sns_topic.builds[0].arn
      Condition = { ArnEquals = { "aws:SourceArn" = aws_cloudwatch_event_rule.builds.arn } }
    }]
  })
}

resource "aws_sns_topic_subscription" "service" {
  count               = local.by_sns
  topic_arn           = aws_sns_topic.builds[0].arn
  protocol            = "https"
  endpoint            = "${var.endpoint}/v1/hooks/sns"
  filter_policy_scope = "MessageBody"
  filter_policy       = jsonencode({ detail = { build-status = local.statuses } })
  # Within the hour that SNS allows; then the dead letters.
  delivery_policy = jsonencode({
    healthyRetryPolicy = {
      numRetries         = 50
      numNoDelayRetries  = 2
      numMinDelayRetries = 3
      minDelayTarget     = 1
      maxDelayTarget     = 60
      numMaxDelayRetries = 35
      backoffFunction    = "exponential"
    }
  })
  redrive_policy = jsonencode({ deadLetterTargetArn = aws_sqs_queue.dead_letters.arn })
}

output "dead_letters_url" {
  value = aws_sqs_queue.dead_letters.id
}

output "topic_arn" {
  description = "For topics of the source of type sns."
  value       = one(aws_sns_topic.builds[*].arn)
}
