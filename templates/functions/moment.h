/* Points in time with 100 ns resolution, years 1 to 9999, and their .NET format strings in the
 * invariant culture. */
#ifndef PORTOLAN_TEMPLATES_MOMENT_H
#define PORTOLAN_TEMPLATES_MOMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/cleanup.h"

struct str;

struct moment {
    int64_t seconds; /* since 1970-01-01T00:00:00Z; UTC */
    int32_t ticks;   /* 100 ns, 0…9999999 */
};

/* How a base was written: results of dateTimeAdd follow it. */
enum moment_shape { SHAPE_EXTENDED, SHAPE_BASIC, SHAPE_OTHER, SHAPE_MAX };

struct calendar {
    int year, month, day, hour, minute, second, weekday; /* month, day from 1; Sunday 0 */
};

MUST_CHECK bool moment_parse(const char *s, struct moment *ret, enum moment_shape *ret_shape);
void moment_calendar(int64_t seconds, struct calendar *ret);
/* false when the year leaves 1…9999. */
MUST_CHECK bool moment_from_calendar(const struct calendar *c, int64_t *ret_seconds);
int moment_month_days(int year, int month);
/* false when the format is not valid. */
MUST_CHECK bool moment_format(struct str *out, const struct moment *m, const char *format);
/* Adds an ISO 8601 duration, [+-]PnYnMnWnDTnHnMn.nS; years and months by the calendar. */
enum moment_added { ADDED, ADD_MALFORMED, ADD_OUT_OF_RANGE };
enum moment_added moment_add(struct moment *m, const char *duration);

#endif
