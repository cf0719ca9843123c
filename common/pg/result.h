/* Results, for the files of common/pg only. */
#ifndef PORTOLAN_PG_RESULT_H
#define PORTOLAN_PG_RESULT_H

#include <libpq-fe.h>

#include "common/base/cleanup.h"

struct arena;
struct error;
struct pg_result;

/* Gives res to the arena. Fails when it has a column that the readers cannot read, so that no
 * reader ever meets one. ret may be NULL. */
MUST_CHECK int result_new(struct arena *a, PGresult *res, const char *name, struct pg_result **ret,
                          struct error *err);

#endif
