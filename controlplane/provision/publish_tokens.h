/* Publishing a token: its passwords, with the permissions of its scope map, to where its registry
 * runs. */
#ifndef PORTOLAN_PROVISION_PUBLISH_TOKENS_H
#define PORTOLAN_PROVISION_PUBLISH_TOKENS_H

#include "common/base/cleanup.h"

struct arena;
struct control;
struct error;
struct json_object;
struct resource;

/* Makes the region's credentials of the token what the control database says at this moment: none
 * when the token is gone, being deleted or disabled. 1 done, 0 when the registry is not published
 * yet. Safe to run at any time and at several places at once. */
MUST_CHECK int publish_token(struct control *control, struct arena *a,
                             const struct resource *token, struct error *err);

/* Scope-map actions ("repositories/app/content/read", see types/scope_map.c) as permissions of the
 * form in provision/grants.h. The result is owned by the arena. */
struct json_object *permissions_of_actions(struct arena *a, const struct json_object *actions);

#endif
