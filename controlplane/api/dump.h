/* What the tables say, printed: for docs/generated and for whoever asks the program. */
#ifndef PORTOLAN_API_DUMP_H
#define PORTOLAN_API_DUMP_H

#include <stdio.h>

#include "common/base/cleanup.h"

/* Prints "types", "routes", "operations", "states" or "tiers" as Markdown, "openapi" as JSON. -1
 * for anything else, and when `out` fails. */
MUST_CHECK int dump(const char *what, FILE *out);

void dump_openapi(FILE *out);

#endif
