/* Patterns of tables: POSIX extended regular expressions that must match whole values. Compiling one
 * costs far more than matching it, so each is compiled once for the whole process and kept. Patterns
 * are the program's own, never a client's. Every thread may call these. */
#ifndef PORTOLAN_BASE_PATTERN_H
#define PORTOLAN_BASE_PATTERN_H

#include <stdbool.h>

#include "common/base/cleanup.h"

struct error;

/* Whether the pattern is one, with the reason in err. */
MUST_CHECK int pattern_check(const char *pattern, struct error *err);
/* False also for a pattern that pattern_check() refuses. */
bool pattern_matches(const char *pattern, const char *value);

#endif
