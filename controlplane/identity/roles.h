/* The built-in role definitions, and how a role's patterns match an action. Pure. */
#ifndef PORTOLAN_IDENTITY_ROLES_H
#define PORTOLAN_IDENTITY_ROLES_H

#include <stdbool.h>
#include <stddef.h>

/* The lists end with NULL and are never NULL themselves. */
struct role {
    const char *id; /* guid, lower case */
    const char *name;
    const char *description;
    const char *const *actions;
    const char *const *not_actions;
    const char *const *data_actions;
    const char *const *not_data_actions;
};

#define ROLE_OWNER "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"

/* Ends with a zeroed row. */
extern const struct role builtin_roles[];

/* By guid (either case); NULL when there is none. */
const struct role *role_find(const char *id);
/* By display name, without case; NULL when there is none. */
const struct role *role_find_name(const char *name);
/* pattern is an action with any number of '*', each standing for any text; without case. */
bool role_pattern_matches(const char *pattern, const char *action);
/* Some pattern of actions matches, and none of not_actions. */
bool role_allows(const struct role *role, const char *action);
bool role_allows_data(const struct role *role, const char *action);

#endif
