/* One thread to share work with: while the caller does the one half, it does the other. It starts
 * when it is first wanted and ends when nobody wanted it for some seconds. Any thread. */
#ifndef PORTOLAN_BLOBS_ASIDE_H
#define PORTOLAN_BLOBS_ASIDE_H

#include <stdbool.h>

#include "common/base/cleanup.h"

struct aside;

struct aside *aside_new(void);
void aside_free(struct aside *a); /* NULL is accepted; nothing is under way */

/* Runs run(arg) aside; false when somebody else has work there: the caller does it itself. */
MUST_CHECK bool aside_begin(struct aside *a, void (*run)(void *arg), void *arg);
/* Returns when it is done; once after each aside_begin() that was true. */
void aside_end(struct aside *a);

#endif
