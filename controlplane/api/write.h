/* What writes and deletes of resources share. */
#ifndef PORTOLAN_API_WRITE_H
#define PORTOLAN_API_WRITE_H

#include <stdbool.h>

#include "common/base/cleanup.h"

#include "controlplane/types/type.h"

struct arena;
struct call;
struct error;
struct json_object;
struct pg_conn;
struct resource;

/* The type's own admit(). */
MUST_CHECK int write_admit(struct pg_conn *conn, struct call *c, enum change change,
                           const struct resource *resource, struct error *err);
/* Of what the service made for itself: refuses. */
int write_fail_system(const char *name, struct error *err);
/* An entry of the activity log: "<type>/<what>". is_open: what was accepted goes on. */
MUST_CHECK int write_event(struct pg_conn *conn, struct call *c, const struct resource *r,
                           const char *what, bool is_open, struct error *err);
/* Nothing is left to do: whoever polls finds the operation over. */
MUST_CHECK int write_close(struct pg_conn *conn, struct call *c, const char *uid,
                           struct error *err);
/* "2026-11-20T22:52:13.1234567+00:00", as systemData writes times. */
char *write_time(struct arena *a);
/* The resource's systemData after this caller changed it; was is NULL on create. */
struct json_object *write_system_data(struct call *c, const struct resource *was,
                                      const char *time);

#endif
