/* What a plane reads of a request: headers, query and form parameters; and what it logs of one. */
#include "common/http/exchange.h"

#include <string.h>
#include <strings.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/text.h"

struct count {
    const char *name;
    unsigned n;
};

void http_log_start(struct log_line *l, const char *event, const struct http_request *req)
{
    log_start(l, LOG_INFO, event);
    log_text(l, "id", req->id);
    log_text(l, "method", req->method);
    log_text(l, "host", req->host && req->host[0] ? req->host : NULL);
    log_text(l, "path", req->path ? req->path : req->target);
    log_int(l, "status", req->status);
    log_int(l, "bytes", (int64_t)req->sent_bytes);
    log_int(l, "us", clock_mono_us() - req->started_us);
    log_text(l, "peer", req->peer_text);
    log_text(l, "link", req->link_id);
}

/* While a piece of the body is at a sink its connection goes on, and may be over: nothing is read of
 * it then. */
static struct MHD_Connection *connection_of(const struct http_request *req)
{
    struct http_exchange *ex = req->exchange;

    return atomic_load(&ex->feed) == HTTP_FEED_NONE ? ex->connection : NULL;
}

int http_socket(const struct http_request *req)
{
    struct MHD_Connection *connection = connection_of(req);
    const union MHD_ConnectionInfo *info = NULL;

    if (connection)
        info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info ? info->connect_fd : -1;
}

const char *http_header(const struct http_request *req, const char *name)
{
    struct MHD_Connection *connection = connection_of(req);
    const char *value;
    size_t len, trimmed;

    if (!connection)
        return NULL;
    value = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
    if (!value)
        return NULL;
    len = trimmed = strlen(value);
    while (trimmed > 0 && (value[trimmed - 1] == ' ' || value[trimmed - 1] == '\t'))
        trimmed--;
    return trimmed == len ? value : arena_strndup(req->arena, value, trimmed);
}

static enum MHD_Result count_one(void *cls, enum MHD_ValueKind kind, const char *name,
                                 const char *value)
{
    struct count *c = cls;

    (void)kind;
    (void)value;
    if (name && strcasecmp(name, c->name) == 0)
        c->n++;
    return MHD_YES;
}

bool http_header_repeats(const struct http_request *req, const char *name)
{
    struct MHD_Connection *connection = connection_of(req);
    struct count c = { .name = name };

    if (connection)
        (void)MHD_get_connection_values(connection, MHD_HEADER_KIND, count_one, &c);
    return c.n > 1;
}

/* Decoded, or NULL when malformed. */
static char *decode(struct arena *a, const char *s, size_t len)
{
    char *out = text_percent_decode(a, s, len, true);

    return out && text_is_utf8(out, strlen(out)) ? out : NULL;
}

static bool is_name(struct arena *a, const char *s, size_t len, const char *name, bool is_nocase)
{
    const char *plain;

    if (!memchr(s, '%', len) && !memchr(s, '+', len)) {
        if (len != strlen(name))
            return false;
        return is_nocase ? strncasecmp(s, name, len) == 0 : memcmp(s, name, len) == 0;
    }
    plain = decode(a, s, len);
    if (!plain)
        return false;
    return is_nocase ? text_eq_nocase(plain, name) : text_eq(plain, name);
}

/* The next pair of "a=b&c=d" whose name fits and whose value decodes; *at moves behind it. */
static const char *next_value(struct arena *a, const char **at, const char *name, bool is_nocase)
{
    const char *p = *at, *value = NULL;

    while (*p && !value) {
        size_t len = strcspn(p, "&");
        const char *equals = memchr(p, '=', len);
        size_t name_len = equals ? (size_t)(equals - p) : len;

        if (is_name(a, p, name_len, name, is_nocase))
            value = equals ? decode(a, equals + 1, len - name_len - 1) : "";
        p += len + (p[len] == '&');
    }
    *at = p;
    return value;
}

static size_t every_value(struct arena *a, const char *text, const char *name, const char ***ret)
{
    const char *at = text, *value;
    size_t n = 0, most = 2; /* pairs, and the end */

    for (const char *p = strchr(text, '&'); p; p = strchr(p + 1, '&'))
        most++;
    *ret = arena_array(a, most, sizeof(const char *));
    while ((value = next_value(a, &at, name, false)))
        (*ret)[n++] = value;
    return n;
}

/* The body when it is a form; "" otherwise. */
static const char *form_text(const struct http_request *req)
{
    static const char type[] = "application/x-www-form-urlencoded";
    const char *told = http_header(req, "Content-Type");

    if (!req->body || !told || strncasecmp(told, type, sizeof type - 1) != 0)
        return "";
    told += sizeof type - 1;
    return *told == '\0' || strchr("; \t", *told) ? req->body : "";
}

const char *http_query(struct http_request *req, const char *name)
{
    const char *at = req->query;

    return next_value(req->arena, &at, name, false);
}

const char *http_query_nocase(struct http_request *req, const char *name)
{
    const char *at = req->query;

    return next_value(req->arena, &at, name, true);
}

size_t http_query_all(struct http_request *req, const char *name, const char ***ret)
{
    return every_value(req->arena, req->query, name, ret);
}

const char *http_form(struct http_request *req, const char *name)
{
    const char *at = form_text(req);

    return next_value(req->arena, &at, name, false);
}

size_t http_form_all(struct http_request *req, const char *name, const char ***ret)
{
    return every_value(req->arena, form_text(req), name, ret);
}
