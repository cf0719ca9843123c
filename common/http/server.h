/* HTTP/1.1 server on libmicrohttpd. Event threads move bytes and answer from memory; whatever may
 * block runs on a bounded worker pool while the connection is suspended. The pool owns the deadline
 * of a request; a full queue answers 503 with Retry-After.
 *
 * Life of a request, one `struct http_request`, one arena:
 *   1. event thread: the target is made canonical (percent-decoded once, double slashes collapsed;
 *      dot segments, NUL, encoded slashes and backslashes refused) and a route is looked up.
 *      That one canonical path serves routing and authorisation alike.
 *   2. event thread: app->admit(req), may answer at once (401 before a body is read).
 *   3. event thread: route->fast(req), for answers that need no blocking work (no body routes only).
 *   4. HTTP_BODY_BUFFER: the body is collected up to route->max_body (413 beyond), then route->run
 *      on a worker. HTTP_BODY_STREAM: route->sink->begin on a worker before the body is read, then
 *      ->data per filled buffer on a worker, then ->end. No worker waits for a client.
 *   5. the handler has called exactly one http_reply_*(); the event thread sends it.
 *   6. app->done(req) once, after the last byte or a broken connection.
 * A client that breaks off in the middle of a stream gets ->abort instead of ->end, also on a
 * worker; done then follows on that worker, where http_header() finds nothing any more. So it does
 * when a client leaves while a source is being read. */
#ifndef PORTOLAN_HTTP_SERVER_H
#define PORTOLAN_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "common/base/cleanup.h"

struct arena;
struct error;
struct http_request;
struct http_server;
struct log_line;

enum http_body {
    HTTP_BODY_NONE,   /* a body is read and thrown away, up to 64 KiB, else 413 */
    HTTP_BODY_BUFFER,
    HTTP_BODY_STREAM,
    HTTP_BODY_MAX
};

enum http_verdict { HTTP_ANSWERED, HTTP_NEEDS_WORKER };

struct http_sink {
    /* All run on workers, one at a time for one request. After a reply is given (by begin or data,
     * e.g. an error) the rest of the body is drained without further calls. While data runs more of the
     * body comes in: it sees no headers, nor http_socket(). */
    void (*begin)(struct http_request *req);
    void (*data)(struct http_request *req, const void *bytes, size_t len);
    void (*end)(struct http_request *req); /* body complete; must reply */
    void (*abort)(struct http_request *req); /* client gone or deadline; no reply possible */
};

#define HTTP_PARAMS_MAX 8

/* pattern: "/v2/{name*}/blobs/{digest}". Literal segments; {x} is one non-empty segment; {x*} is
 * one or more segments, as many as possible, at most one such in a pattern. The first row that fits
 * wins; a path that only fits rows of other methods is 405 with Allow. */
struct http_route {
    const char *method; /* NULL ends the table; "*" any */
    const char *pattern;
    enum http_body body;
    size_t max_body; /* bytes, for HTTP_BODY_BUFFER */
    enum http_verdict (*fast)(struct http_request *req); /* may be NULL */
    void (*run)(struct http_request *req);
    const struct http_sink *sink; /* for HTTP_BODY_STREAM */
    int64_t deadline_ms;          /* for the whole work on workers; 0: 60,000; -1: none (streams) */
    const void *plane;            /* for the plane's own use (action names …) */
    bool is_nocase;               /* literals compare without ASCII case */
    bool is_brief; /* its work computes, or waits for little: see workers.h */
    bool answers_head; /* a row for GET that HEAD comes to as well: the body is not sent */
};

struct http_request {
    struct arena *arena;
    const char *method;
    const char *target; /* as received, for logs */
    const char *path;   /* canonical, decoded */
    const char *query;  /* as received, without '?'; never NULL */
    const char *host;   /* Host or :authority, lower case, with port if any; "" when absent */
    struct sockaddr_storage peer; /* the true client, v4-mapped addresses turned into v4 */
    char peer_text[64];           /* its address without port */
    const char *link_id;    /* from the edge's PROXY header after the shared secret; NULL: none */
    bool is_via_edge;
    char id[37];            /* uuid of this request */
    int64_t started_us;     /* monotonic */
    const struct http_route *route; /* NULL when none fitted */
    const char *params[HTTP_PARAMS_MAX]; /* decoded, in the pattern's order */
    const char *body;       /* HTTP_BODY_BUFFER; NUL-terminated */
    size_t body_len;
    int status;             /* of the reply; 0 before */
    uint64_t sent_bytes;
    void *app;              /* app->ctx */
    void *plane;            /* the plane's own state of this request */
    struct http_exchange *exchange; /* the server's own */
};

struct http_field {
    const char *name, *value;
};

struct http_app {
    const struct http_route *routes;
    const struct http_field *headers; /* of every reply; a row without name ends them; or NULL */
    const char *id_header; /* the header that tells the request's id in every reply; or NULL */
    void (*admit)(struct http_request *req);   /* may be NULL */
    void (*missing)(struct http_request *req, bool is_method_wrong); /* no route; must reply;
        Allow is already set */
    /* A failure the server itself found (bad target, body too large, queue full, deadline): the
     * plane renders it in its own error form. Must reply with http_reply_json or _bytes. */
    void (*fault)(struct http_request *req, const struct error *err);
    void (*done)(struct http_request *req);    /* may be NULL; access log; event thread */
    bool has_slow_writes; /* what is not GET or HEAD waits for disks, and is not brief */
    bool takes_encoded_slashes; /* "%2F" in a path is a slash; else it is refused */
    void *ctx;
};

struct http_server_config {
    const char *listen;      /* "127.0.0.1:5000", "[::1]:0", "unix:/path"; plain HTTP; NULL: none */
    const char *edge_listen; /* the same forms; every connection must open with PROXY v2 whose
                                unique-id TLV starts with edge_secret; NULL: none */
    const char *edge_secret;
    unsigned event_threads;  /* 0: 1 */
    unsigned workers_max;    /* threads are started on demand and end after 10 s idle; 0: 16 */
    bool is_brief;           /* the work of all routes */
    unsigned queue_max;      /* waiting jobs before 503; 0: 1024 */
    unsigned connections_max; /* 0: 4096 */
    unsigned idle_timeout_s; /* of a connection without a request, and of a stalled client; 0: 60 */
};

MUST_CHECK int http_server_start(const struct http_server_config *config,
                                 const struct http_app *app, struct http_server **ret,
                                 struct error *err);
/* The bound ports, for ":0"; 0 when there is no such listener. */
int http_server_port(const struct http_server *s);
int http_server_edge_port(const struct http_server *s);
/* Stops accepting, lets running requests end for up to grace_ms, then closes. Frees s. */
void http_server_stop(struct http_server *s, int64_t grace_ms);

/* Begins the access log's line of an answered request: what every plane tells of one. The plane
 * adds who called and which rule decided, and ends the line. */
void http_log_start(struct log_line *l, const char *event, const struct http_request *req);

/* The client's connection while the request is under way, for shutdown(2) and nothing else; the
 * server closes it. -1: the request comes from within the process. */
int http_socket(const struct http_request *req);

/* Header value, or NULL. Name without case. The first one where there are several. */
const char *http_header(const struct http_request *req, const char *name);
/* True when the header occurs more than once. */
bool http_header_repeats(const struct http_request *req, const char *name);
/* Decoded query parameter, or NULL when absent; "" when it has no value. Name with case unless
 * is_nocase. Malformed encodings read as absent. */
const char *http_query(struct http_request *req, const char *name);
const char *http_query_nocase(struct http_request *req, const char *name);
/* Every value of a repeated parameter; the number of them. */
size_t http_query_all(struct http_request *req, const char *name, const char ***ret);
/* The same for an application/x-www-form-urlencoded body in req->body. */
const char *http_form(struct http_request *req, const char *name);
size_t http_form_all(struct http_request *req, const char *name, const char ***ret);

/* Replies. Headers set before the reply call are sent with it. One reply per request; a second one
 * is a bug and aborts in debug builds. Header values with CR or LF are dropped and logged. A
 * Content-Length header counts with http_reply_empty() for HEAD and 304 only, where it tells the
 * length of the body that GET would have; all other lengths are the server's. */
void http_reply_header(struct http_request *req, const char *name, const char *value);
void http_reply_headerf(struct http_request *req, const char *name, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
void http_reply_empty(struct http_request *req, int status);
/* bytes must live in req->arena, or be constant. For HEAD the length is sent, the bytes are not. */
void http_reply_bytes(struct http_request *req, int status, const char *content_type,
                      const void *bytes, size_t len);
/* bytes owned by someone else (a cache): release(owner) is called once when sent. */
void http_reply_shared(struct http_request *req, int status, const char *content_type,
                       const void *bytes, size_t len, void (*release)(void *), void *owner);
/* len bytes of fd from offset; the descriptor is owned by the reply. Uses sendfile. */
void http_reply_fd(struct http_request *req, int status, const char *content_type, int fd,
                   uint64_t offset, uint64_t len);
/* The same where somebody else keeps the bytes: release(owner) is called once when sent. */
void http_reply_fd_held(struct http_request *req, int status, const char *content_type, int fd,
                        uint64_t offset, uint64_t len, void (*release)(void *), void *owner);

/* Replies that are sent again and again. The stock of some content holds a few replies that were
 * sent, with all their headers but the id; whoever has the content has the stock, and drops it when
 * the content changes. Counted by references, thread-safe. */
struct http_stock;
struct http_stock *http_stock_new(void);
struct http_stock *http_stock_ref(struct http_stock *stock);
void http_stock_unref(struct http_stock *stock); /* NULL is accepted */
/* Replies with what is in stock; false when nothing is. */
MUST_CHECK bool http_reply_stocked(struct http_request *req, struct http_stock *stock);
/* Behind http_reply_empty() or _shared(): what was replied goes into the stock once it is sent. No
 * header of it may depend on the request. */
void http_reply_keep(struct http_request *req, struct http_stock *stock);

/* A body made piece by piece: read() fills buf with up to cap bytes at offset and returns how many
 * (0 before the end, or -1, breaks the connection off). It runs on workers, with read-ahead.
 * read_now() may be NULL: the same on the event thread, straight into what is sent, without
 * blocking; HTTP_SOURCE_LATER lets a worker read the piece. Never two calls at once. over() may be
 * NULL: the client's connection is about to be closed or to go on with another request, while read()
 * may still run; on the event thread. */
#define HTTP_SOURCE_LATER (-2)
struct http_source {
    ssize_t (*read)(void *ctx, uint64_t offset, void *buf, size_t cap, struct error *err);
    ssize_t (*read_now)(void *ctx, uint64_t offset, void *buf, size_t cap, struct error *err);
    void (*over)(void *ctx);
    void (*close)(void *ctx);
};
void http_reply_source(struct http_request *req, int status, const char *content_type,
                       uint64_t len, const struct http_source *source, void *ctx);

#endif
