/* Answers in the form of the OCI distribution API. */
#ifndef PORTOLAN_OCI_REPLY_H
#define PORTOLAN_OCI_REPLY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/http/server.h"
#include "dataplane/oci/errors.h"

struct json_object;

/* The headers every answer carries, and the one that names the request. */
#define REPLY_ID_HEADER "X-Ms-Correlation-Request-Id"
extern const struct http_field reply_fields[];
/* {"errors":[{code,message,detail}]}; failures of ours are logged here, once. */
void reply_error(struct http_request *req, const struct error *err);
/* A reply of one entry whose detail is any JSON (moved; may be NULL), with its headers set before.
 */
void reply_error_detail(struct http_request *req, const struct error_code *code,
                        const char *message, struct json_object *detail);
/* One that names when to come again (429, 503). */
void reply_later(struct http_request *req, const struct error_code *code, const char *message,
                 int64_t retry_s);
/* value is released. */
void reply_json(struct http_request *req, int status, struct json_object *value);

/* What a listing asks for. */
struct page {
    int64_t count;    /* 0: answer an empty page */
    const char *last; /* exclusive; "" for the first page */
};
#define PAGE_MAX 1000
/* ?n and ?last; replies and returns false when n is no number. n is capped at PAGE_MAX, and
 * fallback without one. */
bool page_read(struct http_request *req, int64_t fallback, struct page *ret);
/* The Link header of the next page: path with last, n and, when not NULL, one more parameter. */
void page_link(struct http_request *req, const struct page *page, const char *last,
               const char *extra_name, const char *extra_value);

/* The repository the path names; replies NAME_INVALID and returns NULL when it is none. */
const char *reply_repository(struct http_request *req);

#endif
