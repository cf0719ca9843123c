/* A growing byte string with a hard maximum, given at init. Appending past the maximum sets a
 * sticky overflow mark and drops the excess; str_check() reports it once at the end, so builders
 * read straight through. data is always NUL-terminated. */
#ifndef PORTOLAN_BASE_STR_H
#define PORTOLAN_BASE_STR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/base/cleanup.h"

struct arena;
struct error;

struct str {
    char *data; /* never NULL after str_init */
    size_t len;
    size_t cap;
    size_t max;
    bool is_overflown;
};

void str_init(struct str *s, size_t max_bytes);
void str_done(struct str *s); /* also a cleanup function; accepts a zeroed struct */
void str_reset(struct str *s);
void str_append(struct str *s, const void *bytes, size_t len);
void str_puts(struct str *s, const char *text);
void str_putc(struct str *s, char c);
void str_printf(struct str *s, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* E_TOO_LARGE when anything was dropped. */
MUST_CHECK int str_check(const struct str *s, struct error *err);
/* A copy of the content in the arena. */
char *str_copy(const struct str *s, struct arena *a);

#endif
