/* What children of a registry have in common. */
#ifndef PORTOLAN_TYPES_SHARED_H
#define PORTOLAN_TYPES_SHARED_H

#include "controlplane/types/type.h"

/* When the resource was made, as creationDate shows it ("…Z"). */
char *created_at(struct arena *a, const struct resource *resource);
/* show() of types that add no more than creationDate. */
void show_created(struct arena *a, struct control *control, const struct resource *resource,
                  struct json_object *shown);
/* The resource of `type` below the same parent whose id stands in member `target`; it stays until
 * the transaction is over. Fails for any other id, naming the target. */
MUST_CHECK int sibling_hold(const struct admission *admission, const char *target, const char *id,
                            const struct resource_type *type, struct resource **ret,
                            struct error *err);
/* "microsoft.containerregistry/registries/tokens" */
char *type_key(struct arena *a, const struct resource_type *type);
/* The client id of a managed identity, as the database's triggers make it from its resource's uid,
 * which is the principal's own id. */
char *identity_client_id(struct arena *a, const char *uid);
/* The ids of a system-assigned identity, where `shown` says that there is one. */
void show_identity(const struct control *control, const struct resource *resource,
                   struct json_object *shown);
/* The whole resource, secrets included, as listDetails answers it. */
void answer_details(struct action_run *run, const struct resource_type *type);
/* The number of the parent's children of a type, inside the admission's transaction. */
MUST_CHECK int children_of(const struct admission *admission, const char *parent_uid,
                           const struct resource_type *type, int64_t *ret, struct error *err);
/* The same with what others have added in transactions that are over by then; until the end of this one
 * nobody else gets an answer. */
MUST_CHECK int children_alone(const struct admission *admission, const char *parent_uid,
                              const struct resource_type *type, int64_t *ret, struct error *err);

#endif
