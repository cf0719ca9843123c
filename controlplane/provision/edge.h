/* Telling the edge which host name leads to which data plane, behind one driver table. The map file
 * is the durable truth (the edge reads it when it starts); the running edge is told as well. */
#ifndef PORTOLAN_PROVISION_EDGE_H
#define PORTOLAN_PROVISION_EDGE_H

#include <stddef.h>

#include "common/base/cleanup.h"

struct arena;
struct control;
struct error;

struct edge_driver {
    const char *name;
    /* host (without port) → address:port. Idempotent; observes before it writes. */
    int (*ensure)(struct control *control, struct arena *a, const char *host, const char *address,
                  int port, struct error *err);
    int (*remove)(struct control *control, struct arena *a, const char *host, struct error *err);
    /* Every host there is an entry for; debris of interrupted writes is cleared on the way. */
    int (*list)(struct control *control, struct arena *a, char ***ret_hosts, size_t *ret_count,
                struct error *err);
};

extern const struct edge_driver haproxy_driver;

/* The map file's text with key set to value, or without key when value is NULL; `text` itself when
 * that changes nothing. Duplicates of the key are dropped. */
const char *edge_map_edit(struct arena *a, const char *text, const char *key, const char *value);

#endif
