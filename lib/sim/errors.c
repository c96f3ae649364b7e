/* errors.c - AWS's error names: the HTTP status and the sentence each comes with. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <retrybuild/cleanup.h>

#include "core.h"

/* Source: CodeBuild's modelled errors are all 400; the common ones as other JSON services send
 * them. */
static const struct {
    const char *name;
    int status;
    const char *message; /* when a fault row gives none */
} errors[] = {
    {"AccessDeniedException", 400, "User is not authorized to perform this action"},
    {"AccountLimitExceededException", 400,
     "Cannot have more than 60 builds in queue for the account"},
    {"ExpiredTokenException", 400, "The security token included in the request is expired"},
    {"IncompleteSignatureException", 400, "The Authorization header or X-Amz-Date cannot be read"},
    {"InternalFailure", 500, "The request processing has failed because of an unknown error"},
    {"InternalServerError", 500, "Internal server error"},
    {"InvalidInputException", 400, "The input value that was provided is not valid"},
    {"InvalidSignatureException", 400,
     "The request signature we calculated does not match the signature you provided"},
    {"MissingAuthenticationTokenException", 400, "Missing Authentication Token"},
    {"RequestLimitExceeded", 400, "Request limit exceeded"},
    {"ResourceAlreadyExistsException", 400, "The resource already exists"},
    {"ResourceNotFoundException", 400, "The specified resource cannot be found"},
    {"SerializationException", 400, "The request body cannot be read"},
    {"ServiceUnavailableException", 503, "Service is unavailable"},
    {"ThrottlingException", 400, "Rate exceeded"},
    {"TooManyRequestsException", 429, "Too many requests"},
    {"UnknownOperationException", 400, "There is no such operation"},
    {"UnrecognizedClientException", 400, "The security token included in the request is invalid"},
};

int sim_error_status(const char *error)
{
    for (size_t i = 0; i < RB_ARRAY_LEN(errors); i++) {
        if (strcmp(errors[i].name, error) == 0) {
            return errors[i].status;
        }
    }
    return 400;
}

const char *sim_error_message(const char *error)
{
    for (size_t i = 0; i < RB_ARRAY_LEN(errors); i++) {
        if (strcmp(errors[i].name, error) == 0) {
            return errors[i].message;
        }
    }
    return "The request failed";
}

void sim_fail(struct sim_call *c, const char *error, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    c->error = error;
    vsnprintf(c->message, sizeof c->message, fmt, ap);
    va_end(ap);
}
