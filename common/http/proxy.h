/* PROXY protocol version 2 headers, read as a pure function on bytes (the protocol is described in
 * HAProxy's doc/proxy-protocol.txt). Only what the edge sends is understood: PROXY and LOCAL, TCP
 * over IPv4, IPv6 and Unix sockets, with TLVs. */
#ifndef PORTOLAN_HTTP_PROXY_H
#define PORTOLAN_HTTP_PROXY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "common/base/cleanup.h"

struct error;

#define HTTP_PROXY_FIXED 16   /* bytes before the part whose length they tell */
#define HTTP_PROXY_MAX 2048   /* longest whole header that is read */
#define HTTP_PROXY_ID_MAX 128 /* longest unique id the protocol allows */

struct http_proxy_header {
    bool is_local; /* made by the proxy itself, e.g. a health check: no client address */
    struct sockaddr_storage peer; /* AF_UNSPEC when not told */
    const uint8_t *unique_id;     /* into the bytes that were read; NULL: none */
    size_t unique_id_len;
};

/* True when the len (<= 12 count) bytes can begin a header. */
bool http_proxy_may_begin(const uint8_t *bytes, size_t len);
/* The length of the whole header, from its fixed part. */
MUST_CHECK int http_proxy_length(const uint8_t fixed[HTTP_PROXY_FIXED], size_t *ret,
                                 struct error *err);
/* Reads one whole header of exactly len bytes. */
MUST_CHECK int http_proxy_parse(const uint8_t *bytes, size_t len, struct http_proxy_header *ret,
                                struct error *err);
/* Compares the start of the unique id with secret in constant time. 1: it fits, and *ret_rest
 * points at what follows (its length is *ret_rest_len); 0: it does not. */
bool http_proxy_has_secret(const struct http_proxy_header *h, const char *secret,
                           const uint8_t **ret_rest, size_t *ret_rest_len);

#endif
