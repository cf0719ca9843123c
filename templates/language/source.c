/* Places in template text: offset to line and column, and the token steps value_import() walks. */
#include "templates/language/source.h"

#include <string.h>

#include "common/base/arena.h"

struct source *source_new(struct arena *a, const char *text, size_t len)
{
    struct source *s = ARENA_NEW(a, struct source);
    const char *end = text + len;
    s->text = text;
    s->len = len;
    s->line_count = 1;
    for (const char *p = text; (p = memchr(p, '\n', (size_t)(end - p))); p++)
        s->line_count++;
    s->lines = arena_array(a, s->line_count, sizeof(*s->lines));
    size_t n = 1;
    for (const char *p = text; (p = memchr(p, '\n', (size_t)(end - p))); p++)
        s->lines[n++] = (uint32_t)(p - text) + 1;
    return s;
}

struct place source_place(const struct source *s, uint32_t at)
{
    if (!s || !at || at > s->len + 1)
        return (struct place){ 0 };
    size_t low = 0, high = s->line_count; /* the last line that begins at or before the offset */
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (s->lines[middle] <= at - 1)
            low = middle;
        else
            high = middle;
    }
    return (struct place){ .line = (int)low + 1, .column = (int)(at - s->lines[low]) };
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
        for (i++; i < s->len;) {
            const char *quote = memchr(s->text + i, '"', s->len - i);
            size_t end = quote ? (size_t)(quote - s->text) : s->len;
            const char *escape = memchr(s->text + i, '\\', end - i);
            if (!escape)
                return end < s->len ? end + 1 : s->len;
            i = (size_t)(escape - s->text) + 2;
        }
        return s->len;
    }
    while (i < s->len && s->text[i] && !strchr(" \t\r\n,:]}/[{\"", s->text[i]))
        i++;
    return i;
}

/* Past a whole value; SIZE_MAX when the text ends before it does. */
static size_t skip_value(const struct source *s, size_t i)
{
    size_t depth = 0;
    for (;;) {
        i = source_skip_space(s, i);
        if (i >= s->len)
            return SIZE_MAX;
        char c = s->text[i];
        if (c == '{' || c == '[') {
            depth++;
            i++;
        } else if (depth && (c == '}' || c == ']')) {
            depth--;
            i++;
        } else if (depth && (c == ',' || c == ':')) {
            i++;
            continue;
        } else {
            size_t end = source_skip_scalar(s, i);
            if (end == i)
                return SIZE_MAX;
            i = end;
        }
        if (!depth)
            return i;
    }
}

static bool is_name(const struct source *s, size_t from, size_t to, const char *name)
{
    bool is_quoted = to - from >= 2 && s->text[from] == '"';
    size_t len = strlen(name);
    from += is_quoted;
    to -= is_quoted;
    return to - from == len && !memcmp(s->text + from, name, len);
}

/* Where the value of a member of the object at i begins; SIZE_MAX: it has none of that name. */
static size_t find_member(const struct source *s, size_t i, const char *name)
{
    i = source_skip_space(s, i);
    if (i >= s->len || s->text[i] != '{')
        return SIZE_MAX;
    do {
        size_t from = source_skip_space(s, i + 1);
        size_t to = source_skip_scalar(s, from);
        i = source_skip_space(s, to);
        if (to == from || i >= s->len || s->text[i] != ':')
            return SIZE_MAX;
        size_t value = source_skip_space(s, i + 1);
        if (is_name(s, from, to, name))
            return value;
        i = skip_value(s, value);
        i = i == SIZE_MAX ? s->len : source_skip_space(s, i);
    } while (i < s->len && s->text[i] == ',');
    return SIZE_MAX;
}

bool source_slice(const char *text, size_t len, const char *const *path, const char **ret,
                  size_t *ret_len)
{
    const struct source s = { .text = text, .len = len };
    size_t at = 0;
    for (; *path && at != SIZE_MAX; path++)
        at = find_member(&s, at, *path);
    size_t end = at == SIZE_MAX ? SIZE_MAX : skip_value(&s, at);
    if (end == SIZE_MAX)
        return false;
    *ret = text + at;
    *ret_len = end - at;
    return true;
}
