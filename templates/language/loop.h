/* copy in its four places: {name, count, input} of properties, variables and outputs, and
 * {name, count, mode, batchSize} of resources. */
#ifndef PORTOLAN_TEMPLATES_LOOP_H
#define PORTOLAN_TEMPLATES_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/cleanup.h"

struct env;
struct error;
struct value;

#define LOOP_COUNT_MAX 800

enum loop_place { LOOP_RESOURCE, LOOP_PROPERTY, LOOP_VARIABLE, LOOP_OUTPUT, LOOP_PLACE_MAX };

struct loop {
    enum loop_place place;
    const char *name; /* "" for an output loop */
    int64_t count;
    const struct value *input; /* not of resources */
    bool is_serial;
    int64_t batch; /* of a serial resource loop, at least 1 */
};

MUST_CHECK int loop_read(struct env *env, const struct value *decl, enum loop_place place,
                         struct loop *ret, struct error *err);
/* The array of all instances of input. */
MUST_CHECK int loop_values(struct env *env, const struct loop *loop, const struct value **ret,
                           struct error *err);

#endif
