/* Rows of `regions`: where data planes can run. */
#ifndef PORTOLAN_STORE_REGIONS_H
#define PORTOLAN_STORE_REGIONS_H

#include <stddef.h>

#include "common/base/cleanup.h"

struct arena;
struct error;
struct pg_conn;

struct region_row {
    const char *name;
    const char *display_name;
    const char *metadata_url;
    const char *blobs_url;
};

/* Adds the region, or brings its row up to date; position is its place in lists. */
MUST_CHECK int region_put(struct pg_conn *conn, struct arena *a, const struct region_row *row,
                          int position, struct error *err);
MUST_CHECK int region_list(struct pg_conn *conn, struct arena *a, struct region_row **ret,
                           size_t *ret_count, struct error *err);

#endif
