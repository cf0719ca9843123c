/* Texts that a deployment must not show: values of secure parameters, and what list*() gave. What
 * is stored in the clear or answered goes through secrets_scrub(), so a secret that found its way
 * into an output, an error or a nested template is masked there as well. */
#ifndef PORTOLAN_DEPLOYMENTS_SECRETS_H
#define PORTOLAN_DEPLOYMENTS_SECRETS_H

#include <stddef.h>

struct arena;
struct json_object;

struct secrets {
    struct arena *arena;
    const char **items;
    size_t count, cap;
};

/* Every text inside value that is long enough to be told from ordinary words. */
void secrets_add(struct secrets *s, const struct json_object *value);
/* A copy of value (owned by a) in which no secret occurs; value itself when none is known. */
struct json_object *secrets_scrub(const struct secrets *s, struct arena *a,
                                  struct json_object *value);
/* As a JSON array, for what is sealed; and back through secrets_add(). */
struct json_object *secrets_json(const struct secrets *s);

#endif
