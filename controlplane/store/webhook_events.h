/* The events of a webhook: what was sent, and what came back. */
#ifndef PORTOLAN_STORE_WEBHOOK_EVENTS_H
#define PORTOLAN_STORE_WEBHOOK_EVENTS_H

#include <stddef.h>

#include "common/base/cleanup.h"

struct arena;
struct error;
struct json_object;
struct pg_pool;

struct webhook_event {
    const char *id;
    struct json_object *request;  /* as listEvents shows it: no secrets */
    struct json_object *response; /* NULL: none came */
};

/* Adds one and forgets all but the newest 100 of the webhook. A webhook that is gone has none. */
MUST_CHECK int webhook_event_add(struct pg_pool *db, struct arena *a, const char *webhook_uid,
                                 const struct webhook_event *event, struct error *err);
/* Newest first. */
MUST_CHECK int webhook_event_list(struct pg_pool *db, struct arena *a, const char *webhook_uid,
                                  struct webhook_event **ret, size_t *ret_count,
                                  struct error *err);

#endif
