/* Places in template text: offset to line and column, and the token steps value_import() walks. */
#include "templates/language/source.h"

#include <string.h>

struct place source_place(const struct source *s, uint32_t at)
{
    if (!s || !at || at > s->len + 1)
        return (struct place){ 0 };
    struct place p = { .line = 1, .column = 1 };
    for (size_t i = 0; i + 1 < at; i++) {
        p.column++;
        if (s->text[i] == '\n') {
            p.line++;
            p.column = 1;
        }
    }
    return p;
}

const char *source_line(const struct source *s, int line, size_t *ret_len)
{
    const char *p = s->text;
    const char *end = s->text + s->len;
    for (int i = 1; i < line && p < end; i++) {
        const char *next = memchr(p, '\n', (size_t)(end - p));
        p = next ? next + 1 : end;
    }
    const char *stop = p < end ? memchr(p, '\n', (size_t)(end - p)) : NULL;
    size_t len = (size_t)((stop ? stop : end) - p);
    if (len && p[len - 1] == '\r')
        len--;
    *ret_len = len;
    return p;
}

static size_t skip_comment(const struct source *s, size_t i)
{
    if (s->text[i + 1] == '/') {
        const char *end = memchr(s->text + i, '\n', s->len - i);
        return end ? (size_t)(end - s->text) + 1 : s->len;
    }
    const char *end = memmem(s->text + i + 2, s->len - i - 2, "*/", 2);
    return end ? (size_t)(end - s->text) + 2 : s->len;
}

size_t source_skip_space(const struct source *s, size_t i)
{
    while (i < s->len) {
        char c = s->text[i];
        if (c == ' ' || c == '\t' || c == '\r' || c == '\n')
            i++;
        else if (c == '/' && i + 1 < s->len && (s->text[i + 1] == '/' || s->text[i + 1] == '*'))
            i = skip_comment(s, i);
        else
            break;
    }
    return i;
}

size_t source_skip_scalar(const struct source *s, size_t i)
{
    if (i < s->len && s->text[i] == '"') {
        for (i++; i < s->len && s->text[i] != '"'; i++)
            if (s->text[i] == '\\')
                i++;
        return i < s->len ? i + 1 : s->len;
    }
    while (i < s->len && s->text[i] && !strchr(" \t\r\n,:]}/[{\"", s->text[i]))
        i++;
    return i;
}
