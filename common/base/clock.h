/* Time: wall clock for what people and protocols see, monotonic for deadlines. */
#ifndef PORTOLAN_BASE_CLOCK_H
#define PORTOLAN_BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/cleanup.h"

struct arena;

int64_t clock_wall_us(void); /* microseconds since 1970-01-01T00:00:00Z */
int64_t clock_wall_ms(void);
int64_t clock_wall_s(void);
int64_t clock_mono_ms(void);
int64_t clock_mono_us(void);
/* "2026-11-20T22:52:13.1234567Z": seven fraction digits, as ARM writes them. */
char *clock_arm(struct arena *a, int64_t wall_us);
/* "2026-11-20T22:52:13Z" */
char *clock_rfc3339(struct arena *a, int64_t wall_us);
/* "Fri, 20 Nov 2026 22:52:13 GMT" (RFC 9110 IMF-fixdate) */
char *clock_http(struct arena *a, int64_t wall_us);
/* RFC 3339 with optional fraction and offset. */
MUST_CHECK bool clock_parse(const char *s, int64_t *ret_wall_us);
void clock_sleep_ms(int64_t ms);

#endif
