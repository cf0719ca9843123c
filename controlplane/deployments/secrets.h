/* Texts that a deployment must not show: values of secure parameters, and what list*() gave. What
 * is stored in the clear or answered goes through secrets_scrub(), so a secret that found its way
 * into an output, an error or a nested template is masked there as well. */
#ifndef PORTOLAN_DEPLOYMENTS_SECRETS_H
#define PORTOLAN_DEPLOYMENTS_SECRETS_H

#include <stdbool.h>
#include <stddef.h>

struct arena;
struct json_object;
struct value;

struct secrets {
    struct arena *arena;
    const char **items;
    size_t count, cap;
    bool is_full; /* some did not find room: then every text is masked */
};

/* Every text inside value. Texts of less than five characters could be parts of ordinary words:
 * they are masked where they stand alone, whole or between quotes. */
void secrets_add(struct secrets *s, const struct json_object *value);
/* What is marked as secure in a value of a template, as far as it is known. */
void secrets_add_marked(struct secrets *s, const struct value *value);
/* A copy of value (owned by a) in which no secret occurs; value itself when none is known. */
struct json_object *secrets_scrub(const struct secrets *s, struct arena *a,
                                  struct json_object *value);
/* As a JSON array, for what is sealed; and back through secrets_add(). */
struct json_object *secrets_json(const struct secrets *s);

#endif
