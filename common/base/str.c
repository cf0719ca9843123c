/* The growing byte string. A string that was never appended to owns no memory: its data is one
 * shared empty text, which nothing writes. */
#include "common/base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/log.h"

static char empty[1];

/* Makes room for `more` bytes and a NUL; returns how many of them may be written. */
static size_t reserve(struct str *s, size_t more)
{
    size_t room = s->max - s->len;

    if (more > room) {
        s->is_overflown = true;
        more = room;
    }
    size_t need = s->len + more + 1;
    if (more == 0 || need <= s->cap)
        return more;
    size_t cap = s->cap ? s->cap : 64;
    while (cap < need)
        cap = cap > s->max / 2 ? s->max + 1 : 2 * cap;
    char *data = realloc(s->cap ? s->data : NULL, cap);
    if (!data) {
        log_note(LOG_ERROR, "out-of-memory", "cannot allocate %zu bytes", cap);
        abort();
    }
    s->data = data;
    s->cap = cap;
    return more;
}

void str_init(struct str *s, size_t max_bytes)
{
    *s = (struct str){ .data = empty, .max = max_bytes };
}

void str_done(struct str *s)
{
    if (s->cap)
        free(s->data);
    *s = (struct str){ .data = empty };
}

void str_reset(struct str *s)
{
    s->len = 0;
    s->is_overflown = false;
    if (s->cap)
        s->data[0] = '\0';
}

void str_append(struct str *s, const void *bytes, size_t len)
{
    size_t n = reserve(s, len);

    if (n == 0)
        return;
    memcpy(s->data + s->len, bytes, n);
    s->len += n;
    s->data[s->len] = '\0';
}

void str_puts(struct str *s, const char *text)
{
    str_append(s, text, strlen(text));
}

void str_putc(struct str *s, char c)
{
    str_append(s, &c, 1);
}

void str_printf(struct str *s, const char *fmt, ...)
{
    char small[256];
    va_list ap;

    va_start(ap, fmt);
    int len = vsnprintf(small, sizeof(small), fmt, ap);
    va_end(ap);
    if (len < 0) {
        s->is_overflown = true;
        return;
    }
    if ((size_t)len < sizeof(small)) {
        str_append(s, small, (size_t)len);
        return;
    }
    size_t n = reserve(s, (size_t)len);
    if (n == 0)
        return;
    va_start(ap, fmt);
    (void)vsnprintf(s->data + s->len, n + 1, fmt, ap);
    va_end(ap);
    s->len += n;
}

int str_check(const struct str *s, struct error *err)
{
    if (s->is_overflown)
        return fail(err, &E_TOO_LARGE, "The content is larger than %zu bytes.", s->max);
    return 0;
}

char *str_copy(const struct str *s, struct arena *a)
{
    return arena_memdup(a, s->cap ? s->data : "", s->len + 1);
}
