/* Imports that data planes are asked for, in a region's database. */
#ifndef PORTOLAN_STORE_PUBLISHED_IMPORTS_H
#define PORTOLAN_STORE_PUBLISHED_IMPORTS_H

#include <stdbool.h>

#include "common/base/cleanup.h"

struct arena;
struct error;
struct json_object;
struct pg_conn;

struct published_import {
    const char *id; /* of the operation */
    const char *registry_id;
    struct json_object *request;
    const char *wrapped_secret; /* NULL: none */
};
/* Asks for it, and tells the registry's data planes by its generation; in a transaction. 1, or 0 when
 * the registry is not published. */
MUST_CHECK int published_import_add(struct pg_conn *conn, struct arena *a,
                                    const struct published_import *import, struct error *err);

struct import_state {
    bool is_begun, is_over;
    struct json_object *failure; /* {code, message}; NULL: none */
};
/* 1, or 0 when there is no such import. */
MUST_CHECK int published_import_state(struct pg_conn *conn, struct arena *a, const char *id,
                                      struct import_state *ret, struct error *err);

#endif
