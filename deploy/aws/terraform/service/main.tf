# retrybuild on ECS Fargate, two tasks or more on one ElastiCache, behind a load balancer with TLS.
terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
    random = {
      source  = "hashicorp/random"
      version = ">= 3.5"
    }
  }
}

variable "vpc" {
  type = string
}

variable "public_subnets" {
  description = "Of the load balancer."
  type        = list(string)
}

variable "private_subnets" {
  description = "Of the tasks and Redis; with a way out to AWS."
  type        = list(string)
}

variable "certificate" {
  description = "ARN of the certificate of the public name."
  type        = string
}

variable "image" {
  description = "Made with deploy/docker/Dockerfile and pushed to ECR."
  type        = string
}

variable "tasks" {
  type    = number
  default = 2
}

variable "projects" {
  description = "Glob of the projects whose builds may be retried."
  type        = string
  default     = "*"
}

variable "redis_node" {
  type    = string
  default = "cache.t4g.small"
}

data "aws_caller_identity" "own" {}

data "aws_partition" "own" {}

data "aws_region" "own" {}

locals {
  secrets = {
    OPS_TOKEN       = "Bearer token of the API."
    EVENTBRIDGE_KEY = "Key of the stack of deliveries."
    REDIS_PASSWORD  = "AUTH token of Redis."
  }
  place = "${data.aws_region.own.name}:${data.aws_caller_identity.own.account_id}"
  trust = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Principal = { Service = "ecs-tasks.amazonaws.com" }, Action = "sts:AssumeRole" }]
  })
  configuration = <<-END
    listen: {address: "0.0.0.0:8080"}
    api:
      tokens: [{name: ops, role: operator, secret_env: OPS_TOKEN}]
    store: {url: "rediss://${aws_elasticache_replication_group.redis.primary_endpoint_address}:6379/0", password_env: REDIS_PASSWORD}
    aws: {region: "${data.aws_region.own.name}", account: "${data.aws_caller_identity.own.account_id}"}
    projects: {allow: ["${var.projects}"]}
    sources:
      - {name: eventbridge, type: eventbridge, header: x-retrybuild-key, secrets: [{env: EVENTBRIDGE_KEY}]}
  END
}

resource "random_password" "made" {
  for_each = local.secrets
  length   = 48
  special  = false
}

resource "aws_secretsmanager_secret" "made" {
  for_each    = local.secrets
  name_prefix = "retrybuild-${lower(each.key)}-"
  description = each.value
}

resource "aws_secretsmanager_secret_version" "made" {
  for_each      = local.secrets
  secret_id     = aws_secretsmanager_secret.made[each.key].id
  secret_string = random_password.made[each.key].result
}

resource "aws_security_group" "balancer" {
  name_prefix = "retrybuild-balancer-"
  vpc_id      = var.vpc
  ingress {
    description = "HTTPS"
    from_port   = 443
    to_port     = 443
    protocol    = "tcp"
    cidr_blocks = ["0.0.0.0/0"]
  }
  egress {
    from_port   = 8080
    to_port     = 8080
    protocol    = "tcp"
    cidr_blocks = ["0.0.0.0/0"]
  }
}

resource "aws_security_group" "task" {
  name_prefix = "retrybuild-task-"
  vpc_id      = var.vpc
  ingress {
    description     = "from the load balancer"
    from_port       = 8080
    to_port         = 8080
    protocol        = "tcp"
    security_groups = [aws_security_group.balancer.id]
  }
  egress {
    from_port   = 0
    to_port     = 0
    protocol    = "-1"
    cidr_blocks = ["0.0.0.0/0"]
  }
}

resource "aws_security_group" "redis" {
  name_prefix = "retrybuild-redis-"
  vpc_id      = var.vpc
  ingress {
    description     = "from the tasks"
    from_port       = 6379
    to_port         = 6379
    protocol        = "tcp"
    security_groups = [aws_security_group.task.id]
  }
}

resource "aws_elasticache_subnet_group" "redis" {
  name       = "retrybuild"
  subnet_ids = var.private_subnets
}

# The service refuses a Redis that evicts.
resource "aws_elasticache_parameter_group" "redis" {
  name   = "retrybuild"
  family = "redis7"
  parameter {
    name  = "maxmemory-policy"
    value = "noeviction"
  }
}

resource "aws_elasticache_replication_group" "redis" {
  replication_group_id       = "retrybuild"
  description                = "retrybuild"
  engine                     = "redis"
  engine_version             = "7.1"
  node_type                  = var.redis_node
  num_cache_clusters         = 2
  automatic_failover_enabled = true
  multi_az_enabled           = true
  transit_encryption_enabled = true
  at_rest_encryption_enabled = true
  auth_token                 = random_password.made["REDIS_PASSWORD"].result
  parameter_group_name       = aws_elasticache_parameter_group.redis.name
  subnet_group_name          = aws_elasticache_subnet_group.redis.name
  security_group_ids         = [aws_security_group.redis.id]
  snapshot_retention_limit   = 1
}

resource "aws_iam_role" "execution" {
  name_prefix        = "retrybuild-execution-"
  assume_role_policy = local.trust
}

resource "aws_iam_role_policy_attachment" "execution" {
  role       = aws_iam_role.execution.name
  policy_arn = "arn:${data.aws_partition.own.partition}:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy"
}

resource "aws_iam_role_policy" "execution" {
  role = aws_iam_role.execution.id
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = "secretsmanager:GetSecretValue", Resource = [for s in aws_secretsmanager_secret.made : s.arn] }]
  })
}

resource "aws_iam_role" "task" {
  name_prefix        = "retrybuild-task-"
  assume_role_policy = local.trust
}

# What the program itself may do; `retrybuild doctor` says what is missing. StopBuild is for `cancel`.
resource "aws_iam_role_policy" "task" {
  role = aws_iam_role.task.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect   = "Allow"
        Action   = ["codebuild:RetryBuild", "codebuild:BatchGetBuilds", "codebuild:ListBuildsForProject", "codebuild:StopBuild"]
        Resource = "arn:${data.aws_partition.own.partition}:codebuild:${local.place}:project/${var.projects}"
      },
      {
        Effect   = "Allow"
        Action   = "logs:GetLogEvents"
        Resource = "arn:${data.aws_partition.own.partition}:logs:${local.place}:log-group:/aws/codebuild/${var.projects}:log-stream:*"
      },
    ]
  })
}

resource "aws_cloudwatch_log_group" "service" {
  name_prefix       = "/retrybuild/"
  retention_in_days = 30
}

resource "aws_ecs_cluster" "service" {
  name = "retrybuild"
}

resource "aws_ecs_task_definition" "service" {
  family                   = "retrybuild"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = "256"
  memory                   = "512"
  execution_role_arn       = aws_iam_role.execution.arn
  task_role_arn            = aws_iam_role.task.arn
  volume {
    name = "state"
  }
  container_definitions = jsonencode([{
    name                   = "retrybuild"
    image                  = var.image
    essential              = true
    entryPoint             = ["/bin/sh", "-c"]
    command                = ["printf \"%s\\n\" \"$RETRYBUILD_YAML\" >\"$STATE_DIRECTORY/retrybuild.yaml\" && exec retrybuild serve --config \"$STATE_DIRECTORY/retrybuild.yaml\""]
    user                   = "10001:10001"
    readonlyRootFilesystem = true
    mountPoints            = [{ sourceVolume = "state", containerPath = "/var/lib/retrybuild" }]
    portMappings           = [{ containerPort = 8080, protocol = "tcp" }]
    stopTimeout            = 35
    environment            = [{ name = "RETRYBUILD_YAML", value = local.configuration }]
    secrets                = [for name, s in aws_secretsmanager_secret.made : { name = name, valueFrom = s.arn }]
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = aws_cloudwatch_log_group.service.name
        awslogs-region        = data.aws_region.own.name
        awslogs-stream-prefix = "retrybuild"
      }
    }
  }])
}

resource "aws_lb" "service" {
  name                       = "retrybuild"
  load_balancer_type         = "application"
  subnets                    = var.public_subnets
  security_groups            = [aws_security_group.balancer.id]
  drop_invalid_header_fields = true
}

resource "aws_lb_target_group" "service" {
  name                 = "retrybuild"
  vpc_id               = var.vpc
  target_type          = "ip"
  protocol             = "HTTP"
  port                 = 8080
  deregistration_delay = 15
  health_check {
    path                = "/readyz"
    interval            = 5
    timeout             = 2
    healthy_threshold   = 2
    unhealthy_threshold = 2
  }
}

resource "aws_lb_listener" "service" {
  load_balancer_arn = aws_lb.service.arn
  protocol          = "HTTPS"
  port              = 443
  ssl_policy        = "ELBSecurityPolicy-TLS13-1-2-2021-06"
  certificate_arn   = var.certificate
  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.service.arn
  }
}

resource "aws_ecs_service" "service" {
  name                               = "retrybuild"
  cluster                            = aws_ecs_cluster.service.id
  task_definition                    = aws_ecs_task_definition.service.arn
  launch_type                        = "FARGATE"
  desired_count                      = var.tasks
  health_check_grace_period_seconds  = 60
  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200
  depends_on                         = [aws_lb_listener.service]
  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }
  network_configuration {
    subnets         = var.private_subnets
    security_groups = [aws_security_group.task.id]
  }
  load_balancer {
    container_name   = "retrybuild"
    container_port   = 8080
    target_group_arn = aws_lb_target_group.service.arn
  }
}

output "address" {
  description = "The public name of the certificate points here."
  value       = aws_lb.service.dns_name
}

output "eventbridge_key_arn" {
  description = "Its value is the key of the deliveries."
  value       = aws_secretsmanager_secret.made["EVENTBRIDGE_KEY"].arn
}
