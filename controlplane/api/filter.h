/* The $filter of resource lists: comparisons joined by `and`. */
#ifndef PORTOLAN_API_FILTER_H
#define PORTOLAN_API_FILTER_H

#include "common/base/cleanup.h"

struct arena;
struct error;
struct resource_filter;

/* expression := term { "and" term }
 * term := member "eq" text | "substringof(" text "," "name" ")" | "(" expression ")"
 * member := resourceType | name | location | resourceGroup | tagName | tagValue
 * text := "'" characters, "''" for a quote, "'"
 * Lays what it says over *filter (a member twice with different values matches nothing that a filter
 * can say, so it is refused). E_INVALID_FILTER. */
MUST_CHECK int filter_parse(struct arena *a, const char *text, struct resource_filter *filter,
                            struct error *err);

#endif
