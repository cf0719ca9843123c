/* Filling the one error value: message for clients, cause for the log. Text is formatted aside
 * first, so that arguments may point into the error that is being rewritten. What a cut leaves of a
 * character (the text's own end, or a "%.40s" within it) is dropped: a message is always UTF-8. */
#include "common/base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/base/text.h"

const struct error_code E_INTERNAL = { "InternalServerError", 500 };
const struct error_code E_INVALID = { "BadRequest", 400 };
const struct error_code E_UNAUTHENTICATED = { "Unauthorized", 401 };
const struct error_code E_FORBIDDEN = { "Forbidden", 403 };
const struct error_code E_NOT_FOUND = { "NotFound", 404 };
const struct error_code E_CONFLICT = { "Conflict", 409 };
const struct error_code E_PRECONDITION = { "PreconditionFailed", 412 };
const struct error_code E_TOO_LARGE = { "RequestEntityTooLarge", 413 };
const struct error_code E_UNSUPPORTED_MEDIA = { "UnsupportedMediaType", 415 };
const struct error_code E_THROTTLED = { "TooManyRequests", 429 };
const struct error_code E_UNAVAILABLE = { "ServiceUnavailable", 503 };
const struct error_code E_TIMEOUT = { "GatewayTimeout", 504 };
const struct error_code E_NO_SPACE = { "InsufficientStorage", 507 };

/* What a client reads when the reason is private, by HTTP status. */
static const struct {
    int status;
    const char *sentence;
} sentences[] = {
    { 400, "The request is not valid." },
    { 401, "Authentication is required, and what was presented is not valid." },
    { 403, "The caller is not allowed to do this." },
    { 404, "The requested resource does not exist." },
    { 409, "The request conflicts with the current state of the resource." },
    { 412, "A precondition of the request does not hold." },
    { 413, "The request is too large." },
    { 415, "The media type of the request is not supported." },
    { 429, "Too many requests. Try again later." },
    { 503, "The service is not available at the moment. Try again later." },
    { 504, "The operation did not finish in time. Try again later." },
    { 507, "The service has no storage space left. Contact the operator." },
};

static const char *neutral_sentence(int status)
{
    for (size_t i = 0; i < ARRAY_LEN(sentences); i++)
        if (sentences[i].status == status)
            return sentences[i].sentence;
    if (status >= 400 && status < 500)
        return "The request cannot be fulfilled.";
    return "The service met an unexpected condition. Try again; if it persists, contact the "
           "operator.";
}

static void put_text(char *to, size_t size, const char *from)
{
    size_t len = strnlen(from, size - 1);

    memmove(to, from, len);
    to[text_keep_utf8(to, len)] = '\0';
}

static void PRINTF_LIKE(3, 0) put_format(char *to, size_t size, const char *fmt, va_list ap)
{
    char text[1280];

    if (vsnprintf(text, sizeof(text), fmt, ap) < 0)
        text[0] = '\0';
    put_text(to, size, text);
}

static void start(struct error *err, const struct error_code *code)
{
    err->code = code;
    err->target[0] = '\0';
    err->cause[0] = '\0';
    err->details = NULL;
}

int fail(struct error *err, const struct error_code *code, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    put_format(err->message, sizeof(err->message), fmt, ap);
    va_end(ap);
    start(err, code);
    return -1;
}

int fail_at(struct error *err, const struct error_code *code, const char *target, const char *fmt,
            ...)
{
    char where[sizeof(err->target)];
    va_list ap;

    put_text(where, sizeof(where), target ? target : "");
    va_start(ap, fmt);
    put_format(err->message, sizeof(err->message), fmt, ap);
    va_end(ap);
    start(err, code);
    put_text(err->target, sizeof(err->target), where);
    return -1;
}

int fail_cause(struct error *err, const struct error_code *code, const char *fmt, ...)
{
    char cause[sizeof(err->cause)];
    va_list ap;

    va_start(ap, fmt);
    put_format(cause, sizeof(cause), fmt, ap);
    va_end(ap);
    start(err, code);
    put_text(err->message, sizeof(err->message), neutral_sentence(code->status));
    put_text(err->cause, sizeof(err->cause), cause);
    return -1;
}

int fail_errno(struct error *err, const char *fmt, ...)
{
    int number = errno;
    char what[sizeof(err->cause)];
    char reason[128];
    va_list ap;

    va_start(ap, fmt);
    put_format(what, sizeof(what), fmt, ap);
    va_end(ap);
    const char *text = strerror_r(number, reason, sizeof(reason));
    const struct error_code *code = number == ENOSPC || number == EDQUOT ? &E_NO_SPACE
                                    : number == EIO                      ? &E_UNAVAILABLE
                                                                         : &E_INTERNAL;
    return fail_cause(err, code, "%s: %s", what, text);
}

int wrap(struct error *err, const char *fmt, ...)
{
    char context[sizeof(err->cause)];
    char whole[2 * sizeof(err->cause) + 4];
    va_list ap;

    va_start(ap, fmt);
    put_format(context, sizeof(context), fmt, ap);
    va_end(ap);
    (void)snprintf(whole, sizeof(whole), "%s%s%s", context, err->cause[0] ? ": " : "", err->cause);
    put_text(err->cause, sizeof(err->cause), whole);
    return -1;
}
