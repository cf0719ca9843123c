/* Forward-only migrations: files NNNN_what.sql of one directory, in order, one transaction each,
 * under an advisory lock, with the SHA-256 of every applied file stored. An applied file that
 * changed is refused. */
#ifndef PORTOLAN_PG_MIGRATE_H
#define PORTOLAN_PG_MIGRATE_H

#include "common/base/cleanup.h"

struct error;

/* Creates the database named by conninfo first if it is absent (through database "postgres") and
 * the role may. Returns the number of files applied in *ret_applied. */
MUST_CHECK int pg_migrate(const char *conninfo, const char *dir, int *ret_applied,
                          struct error *err);

#endif
