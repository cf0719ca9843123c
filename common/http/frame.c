/* The strict check of a request's head. libmicrohttpd 0.9.75 takes bare LF as a line end, joins
 * folded lines to the header's name, skips surplus spaces in the request line, looks at the first
 * of several Content-Length headers, prefers Transfer-Encoding to Content-Length and reads an
 * unknown coding until the connection ends. Each of these can make it disagree with a proxy about
 * where a request ends (RFC 9112 section 11.2), so all are refused here.
 *
 * It keeps the head in one piece and only overwrites separators with NUL, so walking the pointers
 * it gives out shows what stood between them: every byte of the head must be accounted for. */
#include "common/http/exchange.h"

#include <string.h>
#include <strings.h>

#include "common/base/error.h"
#include "common/base/text.h"

/* The reply's headers are built in what the request's leave of the connection's memory. */
#define HEAD_MAX ((size_t)24 << 10)

struct head {
    struct http_exchange *ex;
    const char *at;  /* next byte that is not accounted for; NULL: layout unknown */
    const char *end;
    unsigned lengths, codings, hosts;
    const char *coding, *length;
    const char *wrong; /* a sentence, once something is */
};

static bool is_token(const char *s, size_t len)
{
    /* A bit for each of the letters, the digits and !#$%&'*+-.^_`|~ (RFC 9110 section 5.6.2). */
    static const uint64_t allowed[4] = { 0x03ff6cfa00000000, 0x57ffffffc7fffffe, 0, 0 };

    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];

        if (!(allowed[c >> 6] >> (c & 63) & 1))
            return false;
    }
    return len > 0;
}

/* Steps over n bytes that must be NUL. */
static bool step_nuls(struct head *h, size_t n)
{
    if ((size_t)(h->end - h->at) < n)
        return false;
    for (size_t i = 0; i < n; i++)
        if (h->at[i] != '\0')
            return false;
    h->at += n;
    return true;
}

static bool step_text(struct head *h, const char *text, size_t len)
{
    if (text != h->at || (size_t)(h->end - h->at) < len)
        return false;
    h->at += len;
    return true;
}

static bool step_line(struct head *h, const char *name, size_t name_len, const char *value,
                      size_t value_len)
{
    if (!step_text(h, name, name_len) || !step_nuls(h, 1))
        return false;
    while (h->at < h->end && (*h->at == ' ' || *h->at == '\t'))
        h->at++;
    return step_text(h, value, value_len) && step_nuls(h, 2);
}

static enum MHD_Result on_line(void *cls, enum MHD_ValueKind kind, const char *name,
                               size_t name_len, const char *value, size_t value_len)
{
    struct head *h = cls;

    (void)kind;
    if (!value) {
        value = "";
        value_len = 0;
    }
    if (!is_token(name, name_len) || !text_is_field_value(value, value_len)) {
        h->wrong = "A header of the request is malformed.";
        return MHD_NO;
    }
    if (h->at && !step_line(h, name, name_len, value, value_len)) {
        h->wrong = "The head of the request is malformed.";
        return MHD_NO;
    }
    if (strcasecmp(name, "Content-Length") == 0) {
        h->lengths++;
        h->length = value;
    } else if (strcasecmp(name, "Transfer-Encoding") == 0) {
        h->codings++;
        h->coding = value;
    } else if (strcasecmp(name, "Host") == 0) {
        h->hosts++;
    } else if (strcasecmp(name, "Expect") == 0) {
        h->ex->expects_continue = strcasecmp(value, "100-continue") == 0;
    }
    return MHD_YES;
}

static bool step_request_line(struct head *h, const char *method, const char *version)
{
    return step_text(h, method, strlen(method)) && step_nuls(h, 1) &&
           step_text(h, h->ex->uri, h->ex->uri_len) && step_nuls(h, 1) &&
           step_text(h, version, strlen(version)) && step_nuls(h, 2);
}

static int check_length(struct head *h, const char *version, struct error *err)
{
    struct http_exchange *ex = h->ex;

    if (h->lengths > 1 || h->codings > 1 || (h->lengths && h->codings))
        return fail(err, &E_INVALID, "The request tells the length of its body more than once.");
    if (h->codings) {
        if (strcasecmp(h->coding, "chunked") != 0 || strcmp(version, "HTTP/1.0") == 0)
            return fail(err, &E_INVALID, "The transfer coding of the request is not supported.");
        ex->has_body = true;
        ex->body_size = HTTP_SIZE_UNKNOWN;
    } else if (h->lengths) {
        if (!text_parse_u64(h->length, &ex->body_size) || ex->body_size == HTTP_SIZE_UNKNOWN)
            return fail(err, &E_INVALID, "The Content-Length of the request is not a number.");
        ex->has_body = ex->body_size > 0;
    }
    return 0;
}

int http_frame_check(struct http_exchange *ex, const char *method, const char *version,
                     struct error *err)
{
    const union MHD_ConnectionInfo *size;
    struct head h = { .ex = ex };

    size = MHD_get_connection_info(ex->connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    if (ex->server->is_layout_known && size) {
        h.at = method;
        h.end = method + size->header_size;
    }
    if (size && size->header_size > HEAD_MAX)
        return fail(err, &E_INVALID, "The head of the request is longer than %zu bytes.",
                    HEAD_MAX);
    if (!is_token(method, strlen(method)) || (h.at && !step_request_line(&h, method, version)))
        return fail(err, &E_INVALID, "The request line is malformed.");
    (void)MHD_get_connection_values_n(ex->connection, MHD_HEADER_KIND, on_line, &h);
    if (!h.wrong && h.at && (!step_nuls(&h, 2) || h.at != h.end))
        h.wrong = "The head of the request is malformed.";
    if (h.wrong)
        return fail(err, &E_INVALID, "%s", h.wrong);
    if (h.hosts > 1)
        return fail(err, &E_INVALID, "The request names more than one host.");
    return check_length(&h, version, err);
}
