/* Rendering of answers and errors. */
#include "dataplane/oci/reply.h"

#include <inttypes.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "dataplane/call.h"
#include "dataplane/oci/reference.h"

#define LAST_MAX 512
#define RETRY_S  1

/* What the neutral codes are called here. */
static const struct neutral {
    const struct error_code *code;
    const char *name;
} neutral_names[] = {
    { &E_INVALID, "INVALID_REQUEST" },   { &E_UNAUTHENTICATED, "UNAUTHORIZED" },
    { &E_FORBIDDEN, "DENIED" },          { &E_NOT_FOUND, "NOT_FOUND" },
    { &E_CONFLICT, "CONFLICT" },         { &E_PRECONDITION, "PRECONDITION_FAILED" },
    { &E_TOO_LARGE, "SIZE_INVALID" },    { &E_UNSUPPORTED_MEDIA, "UNSUPPORTED" },
    { &E_THROTTLED, "TOOMANYREQUESTS" }, { &E_UNAVAILABLE, "UNAVAILABLE" },
    { &E_TIMEOUT, "TIMEOUT" },           { &E_NO_SPACE, "NO_SPACE" },
    { &E_INTERNAL, "UNKNOWN" },
};

static const char *code_name(const struct error_code *code)
{
    for (size_t i = 0; i < ARRAY_LEN(neutral_names); i++) {
        if (neutral_names[i].code == code)
            return neutral_names[i].name;
    }
    return code->name;
}

const struct http_field reply_fields[] = {
    { "Docker-Distribution-Api-Version", "registry/2.0" },
    { "X-Content-Type-Options", "nosniff" },
    { "Strict-Transport-Security", "max-age=31536000; includeSubDomains" },
    { "Access-Control-Expose-Headers",
      "Docker-Content-Digest, WWW-Authenticate, Link, " REPLY_ID_HEADER },
    { 0 },
};

static struct json_object *entry_of(const struct error_code *code, const char *message)
{
    struct json_object *entry = json_new_object();

    json_set_text(entry, "code", code_name(code));
    json_set_text(entry, "message", message);
    return entry;
}

static void send_errors(struct http_request *req, const struct error_code *code,
                        struct json_object *errors, int64_t retry_s)
{
    struct json_object *body = json_new_object();

    if (code->status == 503 || code->status == 429 || code->status == 507)
        http_reply_headerf(req, "Retry-After", "%" PRId64, retry_s);
    json_set(body, "errors", errors);
    reply_json(req, code->status, body);
}

void reply_error(struct http_request *req, const struct error *err)
{
    struct json_object *errors = json_new_array();

    if (err->code->status >= 500)
        log_failure(err->code->status == 503 ? LOG_WARN : LOG_ERROR, "request_failed", err);
    for (const struct error_detail *d = err->details; d; d = d->next) {
        struct json_object *entry = entry_of(d->code, d->message);
        if (d->target)
            json_set_text(entry, "detail", d->target);
        json_add(errors, entry);
    }
    if (!err->details) {
        struct json_object *entry = entry_of(err->code, err->message);
        if (err->target[0])
            json_set_text(entry, "detail", err->target);
        else if (err->code == &E_DISALLOWED)
            json_set(entry, "detail", json_new_object());
        json_add(errors, entry);
    }
    send_errors(req, err->code, errors, RETRY_S);
}

void reply_error_detail(struct http_request *req, const struct error_code *code,
                        const char *message, struct json_object *detail)
{
    struct json_object *errors = json_new_array(), *entry = entry_of(code, message);

    if (detail)
        json_set(entry, "detail", detail);
    json_add(errors, entry);
    send_errors(req, code, errors, RETRY_S);
}

void reply_later(struct http_request *req, const struct error_code *code, const char *message,
                 int64_t retry_s)
{
    struct json_object *errors = json_new_array();

    json_add(errors, entry_of(code, message));
    send_errors(req, code, errors, retry_s);
}

void reply_json(struct http_request *req, int status, struct json_object *value)
{
    size_t len = 0;
    const char *text = json_print_len(req->arena, value, &len);

    json_put(value);
    http_reply_bytes(req, status, "application/json; charset=utf-8", text, len);
}

bool page_read(struct http_request *req, int64_t fallback, struct page *ret)
{
    const char *n = http_query(req, "n"), *last = http_query(req, "last");
    uint64_t count = (uint64_t)fallback;

    if (n && !text_parse_u64(n, &count)) {
        reply_error_detail(req, &E_PAGINATION, "the number of results asked for is not a number",
                           NULL);
        return false;
    }
    ret->count = count > PAGE_MAX ? PAGE_MAX : (int64_t)count;
    ret->last = last && strlen(last) <= LAST_MAX && text_is_utf8(last, strlen(last)) ? last : "";
    return true;
}

void page_link(struct http_request *req, const struct page *page, const char *last,
               const char *extra_name, const char *extra_value)
{
    bool has_extra = extra_name && extra_value;

    /* Every parameter as k=v: az splits at '&' and '='. */
    http_reply_headerf(req, "Link", "<%s?last=%s&n=%" PRId64 "%s%s%s%s>; rel=\"next\"", req->path,
                       text_percent_encode(req->arena, last), page->count, has_extra ? "&" : "",
                       has_extra ? extra_name : "", has_extra ? "=" : "",
                       has_extra ? text_percent_encode(req->arena, extra_value) : "");
}

const char *reply_repository(struct http_request *req)
{
    if (repository_name_is_valid(req->params[0]))
        return req->params[0];
    reply_error_detail(req, &E_NAME_INVALID, "invalid repository name", NULL);
    return NULL;
}
