/* Conditions of role assignments (Azure's ABAC form, version 2.0), as far as repositories go:
 *   ((!(ActionMatches{'A'}) AND !(ActionMatches{'B'})) OR
 *    (@Request[Microsoft.ContainerRegistry/registries/repositories:name]
 *       StringEqualsIgnoreCase 'x' OR @Request[…:name] StringStartsWithIgnoreCase 'team/'))
 * A condition is reduced to the repositories it allows an action on: everything, nothing, or a list
 * of names and prefixes. What cannot be put so is refused when the assignment is written, and grants
 * nothing should it be met later. Pure. */
#ifndef PORTOLAN_IDENTITY_CONDITION_H
#define PORTOLAN_IDENTITY_CONDITION_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/cleanup.h"

struct arena;
struct condition;
struct error;

#define CONDITION_MAX_BYTES 8192

/* E_INVALID, saying what cannot be read and where. */
MUST_CHECK int condition_parse(struct arena *a, const char *text, struct condition **ret,
                               struct error *err);

/* Repositories in lower case: "name", or "prefix/" with a star after it ("team/ *" without the
 * blank). "*" alone is all of them. */
struct condition_names {
    const char **items;
    size_t count;
};
/* The repositories on which the condition lets a full action name be performed. */
void condition_allows(struct arena *a, const struct condition *condition, const char *action,
                      struct condition_names *ret);

#endif
