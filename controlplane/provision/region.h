/* The installation's regions: name, database, blob store. Loaded once from settings and the regions
 * table; constant afterwards. */
#ifndef PORTOLAN_PROVISION_REGION_H
#define PORTOLAN_PROVISION_REGION_H

#include <stddef.h>

#include "common/base/cleanup.h"

struct arena;
struct control_settings;
struct error;
struct pg_conn;
struct pg_pool;
struct region_row;

struct region {
    const char *name;         /* "eastus"; NULL ends the list */
    const char *display_name; /* "East US" */
    const char *metadata_url; /* libpq URL of the regional database */
    const char *blobs_url;    /* directory or s3 URL, without the registry's part */
    struct pg_pool *db;
};

/* NULL when there is no such region. name may be written "East US" or "eastus". */
const struct region *region_find(const struct region *regions, const char *name);
/* "East US" -> "eastus": lower case without spaces. */
char *region_normalise(struct arena *a, const char *name);

/* The rows that the settings ask for. */
MUST_CHECK int regions_wanted(const struct control_settings *settings, struct arena *a,
                              struct region_row **ret, size_t *ret_count, struct error *err);
/* The stored regions with a pool each; texts live in a, regions_close() ends the pools. */
MUST_CHECK int regions_open(struct pg_conn *conn, struct arena *a, struct region **ret,
                            struct error *err);
void regions_close(struct region *regions); /* NULL is accepted */

#endif
