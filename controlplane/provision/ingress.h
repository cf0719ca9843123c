/* Attached virtual networks. `./dev attach` makes a directory for each place where one arrives,
 * below networks-dir, and runs there an ingress (HAProxy) that tells every connection's link or
 * subnet to the edge, a name server, and the holder of the private addresses. Here is what those
 * work from, made from the control database. Whether a link may reach a registry is not decided
 * here but by the registry's data planes. */
#ifndef PORTOLAN_PROVISION_INGRESS_H
#define PORTOLAN_PROVISION_INGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/cleanup.h"

struct arena;
struct control;
struct error;
struct ingresses;

/* What stands before a subnet's uid in the identity that its clients come with. A private link's
 * identity is its uuid alone. */
#define INGRESS_SUBNET "subnet:"

/* Finds a place ("namespace n", "interface i", "address a") where a network may be attached through
 * the API, and the address of its ingress (NULL: none). E_INVALID unless the host's administrator
 * offered it (./dev attach --for) to the subscription or group that the network `id` is in. */
MUST_CHECK int ingress_offer(struct control *control, struct arena *a, const char *place,
                             const char *id, const char **ret_address, struct error *err);
/* Makes every attached network's files and running programs what they should be. Everything is
 * tried; the first failure is returned. Idempotent; several control planes may do it at once. */
MUST_CHECK int ingress_sync(struct control *control, struct arena *a, struct error *err);

/* A thread that does so whenever something changed, and now and then anyway. */
MUST_CHECK int ingresses_start(struct control *control, struct ingresses **ret, struct error *err);
/* True when the thread has ended and everything is freed. */
bool ingresses_stop(struct ingresses *i, int64_t grace_ms); /* NULL is accepted */

#endif
