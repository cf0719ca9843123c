/* The one door out. Printing does not go through json-c's own printer, which keeps its buffer in
 * the value: a value that several threads only read must stay untouched. Doubles print as they were
 * written. */
#include "common/json/json.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/str.h"
#include "common/json/json_c.h"

/* Values were capped when they were parsed or built; this only bounds arithmetic. */
#define PRINT_MAX (SIZE_MAX / 4)

static void print_value(struct str *to, const struct json_object *value, int indent);

/* The marks of bytes that are zero; a mark may be wrong above the lowest one. */
#define ONES        ((uint64_t)0x0101010101010101)
#define HIGHS       ((uint64_t)0x8080808080808080)
/* clang-format off */
#define ZEROS(word) (((word) - ONES) & ~(word) & HIGHS)
/* clang-format on */

/* Eight bytes of which none is written otherwise than it is. */
static bool is_plain(const char *s)
{
    uint64_t word;

    memcpy(&word, s, sizeof(word));
    return !(ZEROS(word ^ '"' * ONES) | ZEROS(word ^ '\\' * ONES) | ZEROS(word ^ 0x7F * ONES) |
             ((word - 0x20 * ONES) & ~word & HIGHS));
}

static void print_text(struct str *to, const char *s, size_t len)
{
    static const char from[] = "\"\\\b\f\n\r\t";
    static const char names[] = "\"\\bfnrt";
    size_t start = 0;

    str_putc(to, '"');
    for (size_t i = 0; i < len; i++) {
        while (len - i > sizeof(uint64_t) && is_plain(s + i))
            i += sizeof(uint64_t);
        unsigned char c = (unsigned char)s[i];
        if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7F)
            continue;
        str_append(to, s + start, i - start);
        start = i + 1;
        const char *known = c ? strchr(from, c) : NULL;
        if (known)
            str_printf(to, "\\%c", names[known - from]);
        else
            str_printf(to, "\\u%04x", (unsigned)c);
    }
    str_append(to, s + start, len - start);
    str_putc(to, '"');
}

/* A negative indent prints everything on one line. */
static void print_break(struct str *to, int indent)
{
    if (indent < 0)
        return;
    str_putc(to, '\n');
    for (int i = 0; i < indent; i++)
        str_puts(to, "  ");
}

static void print_object(struct str *to, const struct json_object *value, int indent)
{
    int inner = indent < 0 ? indent : indent + 1;
    const struct lh_entry *e = json_object_get_object(value)->head;

    str_putc(to, '{');
    for (bool is_first = true; e; e = e->next, is_first = false) {
        const char *key = lh_entry_k(e);
        if (!is_first)
            str_putc(to, ',');
        print_break(to, inner);
        print_text(to, key, strlen(key));
        str_puts(to, indent < 0 ? ":" : ": ");
        print_value(to, lh_entry_v(e), inner);
    }
    if (json_object_object_length(value) > 0)
        print_break(to, indent);
    str_putc(to, '}');
}

static void print_array(struct str *to, const struct json_object *value, int indent)
{
    int inner = indent < 0 ? indent : indent + 1;
    size_t count = json_object_array_length(value);

    str_putc(to, '[');
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            str_putc(to, ',');
        print_break(to, inner);
        print_value(to, json_object_array_get_idx(value, i), inner);
    }
    if (count > 0)
        print_break(to, indent);
    str_putc(to, ']');
}

static void print_double(struct str *to, const struct json_object *value)
{
    /* What the parser read stands beside the number. */
    const char *text = json_object_get_userdata((struct json_object *)value);

    if (text)
        str_puts(to, text);
    else
        str_printf(to, "%.17g", json_object_get_double(value));
}

static void print_value(struct str *to, const struct json_object *value, int indent)
{
    switch (json_object_get_type(value)) {
    case json_type_null:
        str_puts(to, "null");
        break;
    case json_type_boolean:
        str_puts(to, json_object_get_boolean(value) ? "true" : "false");
        break;
    case json_type_int:
        str_printf(to, "%lld", (long long)json_object_get_int64(value));
        break;
    case json_type_double:
        print_double(to, value);
        break;
    case json_type_string:
        print_text(to, json_object_get_string((struct json_object *)value),
                   (size_t)json_object_get_string_len(value));
        break;
    case json_type_array:
        print_array(to, value, indent);
        break;
    case json_type_object:
        print_object(to, value, indent);
        break;
    }
}

static char *print(struct arena *a, const struct json_object *value, int indent, size_t *ret_len)
{
    _cleanup_(str_done) struct str text;

    str_init(&text, PRINT_MAX);
    print_value(&text, value, indent);
    if (ret_len)
        *ret_len = text.len;
    return str_copy(&text, a);
}

char *json_print(struct arena *a, const struct json_object *value)
{
    return print(a, value, -1, NULL);
}

char *json_print_len(struct arena *a, const struct json_object *value, size_t *ret_len)
{
    return print(a, value, -1, ret_len);
}

char *json_print_pretty(struct arena *a, const struct json_object *value)
{
    return print(a, value, 0, NULL);
}
