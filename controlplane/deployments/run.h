/* One deployment being carried out: a graph of resources, every ready one of which is started, in
 * steps that never wait. A run belongs to one claim and one thread at a time. All of its progress
 * is in the database, so another control plane goes on where this one was killed. */
#ifndef PORTOLAN_DEPLOYMENTS_RUN_H
#define PORTOLAN_DEPLOYMENTS_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/cleanup.h"

struct arena;
struct control;
struct deployment;
struct error;
struct http_app;
struct run;

enum run_verdict {
    RUN_FAILED = -1, /* the database, mostly: try again later */
    RUN_AGAIN = 0,   /* after *ret_delay_ms */
    RUN_OVER = 1,    /* ended, or the lease is lost */
};

/* Takes the arena over; row lives in it. Never fails: what cannot be run ends in its first step. */
struct run *run_new(struct control *control, const struct http_app *app, struct arena *arena,
                    struct deployment *row, const char *owner);
void run_free(struct run *r);
enum run_verdict run_step(struct run *r, int64_t *ret_delay_ms, struct error *err);

#endif
