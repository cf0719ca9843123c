/* Sending one message to a webhook's service. */
#ifndef PORTOLAN_PROVISION_WEBHOOK_PING_H
#define PORTOLAN_PROVISION_WEBHOOK_PING_H

#include "common/base/cleanup.h"

struct arena;
struct control;
struct error;
struct json_object;
struct webhook_event;

/* Posts {id, timestamp, action: "ping"} once, waiting at most 5 seconds, and tells what went out and
 * what came back (event->id is set by the caller). Only addresses of the public internet are dialled.
 * A service that does not answer is no failure; E_THROTTLED while too many are waited for. */
MUST_CHECK int webhook_ping(struct arena *a, const char *service_uri,
                            const struct json_object *custom_headers, struct webhook_event *event,
                            struct error *err);

#endif
