/* HTTP client on libcurl with an address policy: an address that a client of ours chose is dialled
 * only if the policy allows it. Names are resolved once and that very address is dialled (no DNS
 * rebinding); redirects are not followed unless asked, and then re-checked; credentials never go to
 * another host or scheme. Bodies and headers are capped, every call has a deadline. */
#ifndef PORTOLAN_CLIENT_CLIENT_H
#define PORTOLAN_CLIENT_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"

struct arena;
struct error;

/* Which addresses may be dialled. */
enum client_reach {
    CLIENT_PUBLIC,   /* no loopback, link-local, private, multicast, reserved, v4-mapped of these */
    CLIENT_OWN,      /* our own processes: any address; only for URLs no client chose */
    CLIENT_REACH_MAX
};

struct client_config {
    enum client_reach reach;
    const char *const *allowed_cidrs; /* NULL-terminated; exceptions to CLIENT_PUBLIC */
    const char *ca_file;              /* NULL: the system's */
};

struct client;
MUST_CHECK int client_new(const struct client_config *config, struct client **ret,
                          struct error *err);
void client_free(struct client *c);
/* Closes connections that were idle for 30 seconds; cheap; call it now and then. */
void client_tidy(struct client *c);

/* Where the body of a 2xx answer goes, piece by piece, instead of into the response. */
struct client_sink {
    /* Anything but 0 ends the call, as E_CONFLICT: the sink knows why. */
    int (*data)(void *ctx, const void *bytes, size_t len);
    bool (*goes_on)(void *ctx); /* asked about every second; false ends the call */
    void *ctx;
};

struct client_request {
    const char *method; /* NULL: GET */
    const char *url;    /* http, https */
    const char *unix_socket; /* NULL, or connect here instead */
    const char *const *headers; /* NULL-terminated "Name: value" */
    const void *body;
    size_t body_len;
    int64_t timeout_ms;    /* 0: 10,000 */
    uint64_t max_body_bytes; /* of the answer; 0: 1 MiB; with a sink, of what goes there */
    int64_t stall_s;       /* most seconds in which nothing comes; 0: as long as timeout_ms */
    const struct client_sink *sink; /* or NULL */
    int max_redirects;     /* 0: none; over it E_UNAVAILABLE */
};

struct client_response {
    int status;
    char *body; /* NUL-terminated, in the arena */
    size_t body_len;
    char **headers; /* NULL-terminated "name: value", names in lower case */
};

/* Header lines with line breaks, those that set the framing and, under CLIENT_PUBLIC, Host are
 * E_INVALID, as are URLs that are not http or https or hold a user name. To another origin a
 * redirect takes only harmless headers and no body; from https to http it is E_FORBIDDEN.
 * E_UNAVAILABLE when the peer cannot be reached, E_TIMEOUT, E_FORBIDDEN by the address policy,
 * E_TOO_LARGE. A reply of any status is success. Thread-safe; connections are reused. */
MUST_CHECK int client_send(struct client *c, struct arena *a, const struct client_request *request,
                           struct client_response *ret, struct error *err);
const char *client_header(const struct client_response *r, const char *name);

#endif
