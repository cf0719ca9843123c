/* Carries out the imports of this registry, one at a time, on a thread that lives while there are
 * any. */
#ifndef PORTOLAN_IMPORTS_IMPORTER_H
#define PORTOLAN_IMPORTS_IMPORTER_H

#include <stdbool.h>

#include "common/base/cleanup.h"

struct data_plane;
struct error;
struct importer;

struct importer *importer_new(struct data_plane *plane);
/* Waits for the import that is under way to be given up; another process, or the next, goes on.
 * Afterwards none is begun. NULL is accepted. */
void importer_stop(struct importer *i);
void importer_free(struct importer *i);
/* Looks whether there is something to do, and lets it be done. */
MUST_CHECK int importer_look(struct importer *i, struct error *err);
/* While there is. */
bool importer_is_busy(struct importer *i);

#endif
