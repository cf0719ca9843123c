/* Running the steps of a type over one claimed resource, and deciding what comes after. Knows
 * neither leases nor threads. */
#ifndef PORTOLAN_RECONCILE_STEPS_H
#define PORTOLAN_RECONCILE_STEPS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/error.h"
#include "controlplane/types/type.h"

enum pass_result {
    PASS_DONE,   /* every step is */
    PASS_WAIT,   /* a step asked to come back after delay_ms */
    PASS_FAILED, /* error says why */
    PASS_MAX
};

struct pass_end {
    enum pass_result result;
    const char *step; /* where it stopped; NULL when done */
    int64_t delay_ms;
    struct error error;
};

/* Ensures every step in order; of a resource that is Deleting, removes its children, then undoes
 * every step in reverse. run->resource's body gets its defaults, run->decoded is filled in. */
void steps_run(const struct resource_type *type, struct step_run *run, struct resource *resource,
               struct pass_end *ret);

/* 0.2 s · 2^attempts, at most 30 s, ± 25 %. */
int64_t steps_backoff_ms(int64_t attempts);
/* Whether this failure, after so many before it, ends the operation: what the client caused at
 * once, our own faults after 10 attempts, an absent service never. */
bool steps_is_final(const struct error *error, int64_t attempts);

#endif
