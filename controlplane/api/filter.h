/* The $filter of resource lists: comparisons joined by `and`. */
#ifndef PORTOLAN_API_FILTER_H
#define PORTOLAN_API_FILTER_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/cleanup.h"

struct arena;
struct error;
struct filter_member;
struct json_object;
struct resource_filter;

/* expression := term { "and" term }
 * term := member "eq" text | "substringof(" text "," "name" ")" | "(" expression ")"
 * member := resourceType | name | location | resourceGroup | tagName | tagValue
 * text := "'" characters, "''" for a quote, "'"
 * Lays what it says over *filter (a member twice with different values matches nothing that a filter
 * can say, so it is refused). E_INVALID_FILTER. */
MUST_CHECK int filter_parse(struct arena *a, const char *text, struct resource_filter *filter,
                            struct error *err);

/* The same grammar with a type's own members, and "contains(" member "," text ")"; member "eq" text
 * holds without case, and '' for what is not there. */
struct filter_conditions {
    const struct filter_condition *items;
    size_t count;
};
MUST_CHECK int filter_parse_members(struct arena *a, const char *text,
                                    const struct filter_member *known,
                                    struct filter_conditions *ret, struct error *err);
/* Whether what a list would show fits all of them. */
bool filter_holds(struct arena *a, const struct filter_conditions *conditions,
                  const struct json_object *shown);

#endif
