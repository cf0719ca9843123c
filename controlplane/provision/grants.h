/* From role assignments to what a data plane can check: a list of permissions per principal.
 *
 * The permission shape is the one both planes agree on, in credentials.permissions and
 * grants.permissions: a list of
 *   {"type": "repository", "name": <name>, "actions": ["pull", …]}
 *   {"type": "registry", "name": "catalog" or "deleted_catalog", "actions": ["*"]}
 * where <name> is a repository, "*" for all, or a prefix that ends in slash and star; with the
 * actions pull, push, delete, metadata_read, metadata_write, deleted_read, deleted_restore. */
#ifndef PORTOLAN_PROVISION_GRANTS_H
#define PORTOLAN_PROVISION_GRANTS_H

#include <stdbool.h>

struct arena;
struct json_object;

/* `entries` is what access_grants() gives. The result, owned by the arena, maps principal ids to
 * their permissions; principals without any are left out. is_abac: the registry's
 * roleAssignmentMode is AbacRepositoryPermissions, where data actions count and actions do not. */
struct json_object *grants_reduce(struct arena *a, const struct json_object *entries,
                                  bool is_abac);
/* Everything, for the admin user. */
struct json_object *grants_all(struct arena *a);

#endif
