/* What the server itself holds about one request: the plane's view (first member), the bodies, the
 * reply, and the state of its dealings with libmicrohttpd. Private to common/http.
 *
 * Threads: an exchange belongs to its connection's event thread. While the connection is suspended
 * for a job it belongs to the worker that runs the job, and MHD_resume_connection() gives it back;
 * whoever resumed does not touch it again. Both sides are active at once in two cases: the read-ahead of
 * a source body, which has a lock of its own (source.c), and a piece of a stream that is fed while the
 * next one comes (work.c), which passes by `feed`. */
#ifndef PORTOLAN_HTTP_EXCHANGE_H
#define PORTOLAN_HTTP_EXCHANGE_H

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>

#include "common/http/server.h"
#include "common/http/workers.h"

#define HTTP_BUFFER_BYTES ((size_t)256 << 10) /* of a stream; most of a source's slot */
#define HTTP_BUFFER_LARGE ((size_t)1 << 20)   /* of a long stream, while there are few */
#define HTTP_SIZE_UNKNOWN UINT64_MAX

struct error_code;
struct http_local;
struct http_source_state;
struct http_stock;
struct http_stocked;
struct http_edge;

struct http_listener {
    int fd; /* -1: none */
    int port;
    char unix_path[108]; /* "" unless a Unix socket */
};

struct http_server {
    struct http_app app;
    struct http_server_config config; /* with the defaults filled in */
    struct MHD_Daemon *daemon;
    struct http_workers *workers;
    struct http_edge *edge;
    struct http_listener plain, proxied;
    pthread_mutex_t lock; /* for what follows */
    pthread_cond_t quiet; /* active reached 0 */
    struct http_exchange *spare;
    unsigned spare_count;
    unsigned active; /* exchanges handed out */
    atomic_uint bodies; /* source bodies under way */
    atomic_uint streams; /* with large buffers */
    atomic_bool is_stopping;
    bool is_layout_known; /* of this libmicrohttpd's request memory: frame.c */
};

enum http_phase {
    HTTP_PHASE_HEAD, /* headers are there; the body is not asked for yet */
    HTTP_PHASE_BODY,
    HTTP_PHASE_SENT, /* the reply is queued */
    HTTP_PHASE_MAX
};

enum http_sink_state { HTTP_SINK_NONE, HTTP_SINK_BEGUN, HTTP_SINK_OVER, HTTP_SINK_MAX };

enum http_work {
    HTTP_WORK_RUN,
    HTTP_WORK_BEGIN,
    HTTP_WORK_FEED,
    HTTP_WORK_END,
    HTTP_WORK_ABORT,
    HTTP_WORK_FILL,
    HTTP_WORK_MAX
};

/* Where the last full piece of a stream is: a worker feeds it to the sink while the connection fills
 * the next one. What the sink changes in the exchange is only looked at in between. */
enum http_feed {
    HTTP_FEED_NONE,
    HTTP_FEED_OUT,
    HTTP_FEED_AWAITED, /* the next piece is full, too: the connection is suspended */
    HTTP_FEED_ORPHAN,  /* the connection is gone: the worker ends the exchange */
    HTTP_FEED_MAX
};

struct http_buffer {
    char *bytes; /* NULL: none */
    size_t cap, len;
};

struct http_header_line {
    const char *name;
    const char *value;
    struct http_header_line *next;
};

struct http_exchange {
    struct http_request req;
    struct http_server *server;
    struct http_exchange *next_spare;
    struct MHD_Connection *connection; /* NULL once it is gone */
    enum http_phase phase;
    bool is_prepared;
    bool is_known; /* the plane has seen it: done is due */

    const char *uri; /* in the connection's memory, while is_prepared is false */
    size_t uri_len;

    bool has_body;
    bool expects_continue;
    bool must_close;     /* what follows on the connection cannot be trusted */
    uint64_t body_size;  /* HTTP_SIZE_UNKNOWN when chunked */
    uint64_t body_seen;
    uint64_t drained;    /* body bytes thrown away */
    char *body;          /* HTTP_BODY_BUFFER */
    size_t body_cap;
    struct http_buffer chunk; /* HTTP_BODY_STREAM: being filled */
    struct http_buffer piece; /* being fed to the sink */
    bool is_long;             /* counts among the server's long streams */
    _Atomic enum http_feed feed;

    struct http_job job;
    enum http_work work;
    int64_t deadline_ms; /* monotonic; 0: not set yet; INT64_MAX: none */
    const struct error_code *refused; /* why the work was not done */
    enum http_sink_state sink;

    struct http_header_line *headers, **headers_tail;
    const char *content_length; /* set by the plane, for HEAD and 304 */
    struct http_local *local; /* of a request from within the process: where the reply goes */
    bool is_replied;
    struct MHD_Response *response; /* until it is queued */
    uint64_t reply_len;            /* of the body that is to be sent */
    uint64_t content_len;          /* of the body that is to be sent or told */
    struct http_stock *stock;      /* where the response goes afterwards */
    struct http_stocked *stocked;  /* what holds it; NULL: it is this exchange's alone */
    void (*release)(void *);
    void *release_arg;
    struct http_source_state *source;
};

/* exchange.c: birth and end. */
struct http_exchange *http_exchange_take(struct http_server *s);
/* Runs done, releases everything, gives the exchange back. */
void http_exchange_finish(struct http_exchange *ex);
void http_exchange_trim(struct http_server *s);
/* Memory that goes back to the system when it is given back. */
void http_buffer_make(struct http_buffer *b, size_t cap); /* in place of what it has */
void http_buffer_free(struct http_buffer *b);

/* frame.c */
/* Checks the raw head of the request and fills has_body, body_size, expects_continue. */
MUST_CHECK int http_frame_check(struct http_exchange *ex, const char *method, const char *version,
                                struct error *err);

/* prepare.c: fills req from the connection and the target. */
MUST_CHECK int http_prepare(struct http_exchange *ex, struct error *err);

/* reply.c */
void http_reply_fault(struct http_exchange *ex, const struct error *err);
/* Queues the reply; MHD_NO when that failed. */
enum MHD_Result http_reply_queue(struct http_exchange *ex);

/* handler.c: libmicrohttpd's callbacks. */
enum MHD_Result http_on_request(void *cls, struct MHD_Connection *connection, const char *url,
                                const char *method, const char *version, const char *data,
                                size_t *size, void **slot);
void *http_on_uri(void *cls, const char *uri, struct MHD_Connection *connection);
void http_on_completed(void *cls, struct MHD_Connection *connection, void **slot,
                       enum MHD_RequestTerminationCode code);

/* listen.c */
MUST_CHECK int http_listener_open(struct http_listener *l, const char *where, struct error *err);
void http_listener_close(struct http_listener *l);

/* edge.c */
/* How an edge connection's address is handed through libmicrohttpd, which copies it blindly: a
 * family that no kernel gives out marks it, so a plain connection can never pass for one. */
#define HTTP_EDGE_FAMILY ((sa_family_t)0xfe9d)
struct http_edge_address {
    sa_family_t family;
    bool has_link_id;
    char link_id[129];
    struct sockaddr_storage peer;
};
MUST_CHECK int http_edge_start(struct http_server *s, struct http_edge **ret, struct error *err);
void http_edge_stop(struct http_edge *e); /* NULL is accepted */

#endif
