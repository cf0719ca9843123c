/* Reading what is published of the registry. One question, asked all the time, tells whether anything moved
 * and brings the settings along when it did; only grants or directory keys that moved are read by others. */
#ifndef PORTOLAN_STORE_PROJECTION_H
#define PORTOLAN_STORE_PROJECTION_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/cleanup.h"

struct arena;
struct error;
struct pg_conn;
struct snapshot;
struct snapshot_part;
struct snapshots_config;

struct projection {
    const struct snapshots_config *config;
    const struct snapshot *known; /* what to compare with; NULL: nothing */
    uint64_t serial;              /* of what is made */
    bool is_found;                /* the registry is published */
    struct snapshot *next;        /* one more reference; NULL: nothing moved */
    int64_t account_changes;      /* another number when names that sign in have changed */
};

/* Fills what stands after `serial`, also after a failure. */
MUST_CHECK int projection_look(struct pg_conn *conn, struct arena *a, struct projection *p,
                               struct error *err);
void part_unref(struct snapshot_part *part); /* NULL is accepted */

#endif
