/* Publishing tokens and scope maps to where their registry runs: a token's passwords with the name of
 * its scope map, and the map's permissions, which stand there once however many tokens use it. */
#ifndef PORTOLAN_PROVISION_PUBLISH_TOKENS_H
#define PORTOLAN_PROVISION_PUBLISH_TOKENS_H

#include "common/base/cleanup.h"

struct arena;
struct control;
struct error;
struct json_object;
struct pg_conn;
struct resource;

/* Makes the region's credentials of the token what the control database says at this moment: none
 * when the token is gone, being deleted or disabled. 1 done, 0 when the registry is not published
 * yet. Safe to run at any time and at several places at once. */
MUST_CHECK int publish_token(struct control *control, struct arena *a,
                             const struct resource *token, struct error *err);

/* The same for a scope map, if any published token uses it. */
MUST_CHECK int publish_scope_map(struct control *control, struct arena *a,
                                 const struct resource *map, const struct resource *registry,
                                 struct error *err);
/* Brings the registry's published scope maps up to date and removes those that are gone; part of
 * publishing a registry, so that what was missed is made up for. conn is the region's. */
MUST_CHECK int publish_scope_maps(struct pg_conn *conn, struct arena *a, struct control *control,
                                  const char *registry_uid, struct error *err);

/* Scope-map actions ("repositories/app/content/read", see types/scope_map.c) as permissions of the
 * form in provision/grants.h. The result is owned by the arena. */
struct json_object *permissions_of_actions(struct arena *a, const struct json_object *actions);

#endif
