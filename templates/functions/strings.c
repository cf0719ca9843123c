/* Strings. Positions and lengths count UTF-16 units; search is without case where the language
 * documents it so (startsWith, endsWith, indexOf, lastIndexOf, like). */
#include <inttypes.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/str.h"
#include "templates/functions/casing.h"
#include "templates/functions/collation.h"
#include "templates/functions/families.h"
#include "templates/functions/function.h"
#include "templates/language/faults.h"

static int concat_arrays(struct call *c, const struct value **ret, struct error *err)
{
    size_t count = 0;
    const struct value **items;
    for (size_t i = 0; i < c->argc; i++) {
        if (c->args[i]->kind != VALUE_ARRAY)
            return arg_wrong(c, i, "an array as the first one is", err);
        count += c->args[i]->count;
    }
    if (call_items(c, count, &items, err) < 0)
        return -1;
    count = 0;
    for (size_t i = 0; i < c->argc; i++)
        for (size_t k = 0; k < c->args[i]->count; k++)
            items[count++] = c->args[i]->items[k];
    *ret = value_array(c->arena, items, count);
    return 0;
}

int fn_concat(struct call *c, const struct value **ret, struct error *err)
{
    if (c->argc && c->args[0]->kind == VALUE_ARRAY)
        return concat_arrays(c, ret, err);
    struct str s;
    str_init(&s, ENGINE_TEXT_MAX);
    int rc = 0;
    for (size_t i = 0; i < c->argc && rc == 0; i++) {
        if (c->args[i]->kind == VALUE_ARRAY || c->args[i]->kind == VALUE_OBJECT)
            rc = arg_wrong(c, i, "a string, an integer or a boolean", err);
        else
            rc = call_format(c, &s, c->args[i], '"', err);
    }
    if (rc == 0)
        rc = call_str(c, &s, ret, err);
    str_done(&s);
    return rc;
}

int fn_join(struct call *c, const struct value **ret, struct error *err)
{
    const struct value *list, *delimiter;
    if (arg_array(c, 0, &list, err) < 0 || arg_text(c, 1, &delimiter, err) < 0 ||
        engine_steps(c->env->engine, list->count / 4, err) < 0)
        return -1;
    struct str s;
    str_init(&s, ENGINE_TEXT_MAX);
    int rc = 0;
    for (size_t i = 0; i < list->count && rc == 0; i++) {
        if (i)
            str_append(&s, delimiter->text, delimiter->count);
        rc = call_format(c, &s, list->items[i], '"', err);
    }
    if (rc == 0)
        rc = call_str(c, &s, ret, err);
    str_done(&s);
    return rc;
}

int fn_string(struct call *c, const struct value **ret, struct error *err)
{
    if (c->args[0]->kind == VALUE_TEXT) {
        *ret = c->args[0];
        return 0;
    }
    struct str s;
    str_init(&s, ENGINE_TEXT_MAX);
    int rc = call_format(c, &s, c->args[0], '"', err);
    if (rc == 0)
        rc = call_str(c, &s, ret, err);
    str_done(&s);
    return rc;
}

struct folded {
    const char *s, *t;
    size_t s_len, t_len;
};

static int fold_args(struct call *c, struct folded *f, struct error *err)
{
    const struct value *s, *t;
    if (arg_text(c, 0, &s, err) < 0 || arg_text(c, 1, &t, err) < 0 ||
        engine_bytes(c->env->engine, (size_t)s->count + t->count, err) < 0)
        return -1;
    f->s = casing_convert(c->env->engine, s->text, s->count, false, &f->s_len);
    f->t = casing_convert(c->env->engine, t->text, t->count, false, &f->t_len);
    return 0;
}

int fn_starts_with(struct call *c, const struct value **ret, struct error *err)
{
    struct folded f;
    if (fold_args(c, &f, err) < 0)
        return -1;
    *ret = value_bool(f.t_len <= f.s_len && !memcmp(f.s, f.t, f.t_len));
    return 0;
}

int fn_ends_with(struct call *c, const struct value **ret, struct error *err)
{
    struct folded f;
    if (fold_args(c, &f, err) < 0)
        return -1;
    *ret = value_bool(f.t_len <= f.s_len && !memcmp(f.s + f.s_len - f.t_len, f.t, f.t_len));
    return 0;
}

static int item_index(struct call *c, bool is_last, const struct value **ret, struct error *err)
{
    const struct value *list = c->args[0];
    int64_t found = -1;
    for (size_t n = 0; n < list->count && found < 0; n++) {
        size_t i = is_last ? list->count - 1 - n : n;
        bool same;
        if (call_equal(c, list->items[i], c->args[1], &same, err) < 0)
            return -1;
        if (same)
            found = (int64_t)i;
    }
    *ret = value_int(c->arena, found);
    return 0;
}

int fn_index_of(struct call *c, const struct value **ret, struct error *err)
{
    struct folded f;
    if (c->args[0]->kind == VALUE_ARRAY)
        return item_index(c, false, ret, err);
    if (fold_args(c, &f, err) < 0)
        return -1;
    const char *at = memmem(f.s, f.s_len, f.t, f.t_len);
    *ret = value_int(c->arena, at ? (int64_t)utf16_length(f.s, (size_t)(at - f.s)) : -1);
    return 0;
}

int fn_last_index_of(struct call *c, const struct value **ret, struct error *err)
{
    struct folded f;
    if (c->args[0]->kind == VALUE_ARRAY)
        return item_index(c, true, ret, err);
    if (fold_args(c, &f, err) < 0 || engine_steps(c->env->engine, f.s_len / 16, err) < 0)
        return -1;
    int64_t found = -1;
    for (size_t i = f.s_len + 1; f.t_len <= f.s_len && i-- > 0 && found < 0;)
        if (i + f.t_len <= f.s_len && !memcmp(f.s + i, f.t, f.t_len))
            found = (int64_t)utf16_length(f.s, i);
    *ret = value_int(c->arena, found);
    return 0;
}

/* '*' stands for any text; everything else for itself. */
static bool glob(const char *s, const char *pattern)
{
    const char *star = NULL, *retry = NULL;
    while (*s) {
        if (*pattern == '*') {
            star = pattern++;
            retry = s;
        } else if (*pattern == *s) {
            pattern++;
            s++;
        } else if (star) {
            pattern = star + 1;
            s = ++retry;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return !*pattern;
}

int fn_like(struct call *c, const struct value **ret, struct error *err)
{
    struct folded f;
    if (fold_args(c, &f, err) < 0 ||
        engine_steps(c->env->engine, f.s_len / 64 * (f.t_len + 1), err) < 0)
        return -1;
    *ret = value_bool(glob(f.s, f.t));
    return 0;
}

int fn_pad_left(struct call *c, const struct value **ret, struct error *err)
{
    int64_t total;
    const struct value *pad = NULL;
    if (c->args[0]->kind != VALUE_TEXT && c->args[0]->kind != VALUE_INT)
        return arg_wrong(c, 0, "a string or an integer", err);
    if (arg_int(c, 1, &total, err) < 0 || (c->argc > 2 && arg_text(c, 2, &pad, err) < 0))
        return -1;
    if (pad && utf16_length(pad->text, pad->count) != 1)
        return call_fail(c, err, "the padding must be one character.");
    if (total < 0 || total > (int64_t)ENGINE_TEXT_MAX / 4)
        return call_fail(c, err, "the total length '%" PRId64 "' is out of range.", total);
    struct str s, body;
    str_init(&s, ENGINE_TEXT_MAX);
    str_init(&body, ENGINE_TEXT_MAX);
    int rc = call_format(c, &body, c->args[0], '"', err);
    for (int64_t n = (int64_t)utf16_length(body.data, body.len); n < total; n++)
        str_append(&s, pad ? pad->text : " ", pad ? pad->count : 1);
    str_append(&s, body.data, body.len);
    if (rc == 0)
        rc = call_str(c, &s, ret, err);
    str_done(&s);
    str_done(&body);
    return rc;
}

int fn_replace(struct call *c, const struct value **ret, struct error *err)
{
    const struct value *in, *from, *to;
    if (arg_text(c, 0, &in, err) < 0 || arg_text(c, 1, &from, err) < 0 ||
        arg_text(c, 2, &to, err) < 0)
        return -1;
    if (!from->count)
        return call_fail(c, err, "the string to replace must not be empty.");
    struct str s;
    str_init(&s, ENGINE_TEXT_MAX);
    const char *p = in->text, *end = in->text + in->count;
    for (;;) {
        const char *hit = memmem(p, (size_t)(end - p), from->text, from->count);
        str_append(&s, p, (size_t)((hit ? hit : end) - p));
        if (!hit)
            break;
        str_append(&s, to->text, to->count);
        p = hit + from->count;
    }
    int rc = call_str(c, &s, ret, err);
    str_done(&s);
    return rc;
}

/* The first delimiter that stands at p, as the given order has it; 0: none. */
static size_t delimiter_at(const struct value *const *list, size_t count, const char *p,
                           const char *end)
{
    for (size_t i = 0; i < count; i++)
        if (list[i]->count && list[i]->count <= (size_t)(end - p) &&
            !memcmp(p, list[i]->text, list[i]->count))
            return list[i]->count;
    return 0;
}

/* Cuts at every delimiter; items NULL only counts. */
static size_t cut(struct call *c, const struct value *in, const struct value *const *list,
                  size_t count, const struct value **items)
{
    const char *start = in->text, *end = in->text + in->count;
    size_t n = 0;
    for (const char *p = start; p < end;) {
        size_t skip = delimiter_at(list, count, p, end);
        if (!skip) {
            p++;
            continue;
        }
        if (items)
            items[n] = value_text_len(c->arena, start, (size_t)(p - start));
        n++;
        p += skip;
        start = p;
    }
    if (items)
        items[n] = value_text_len(c->arena, start, (size_t)(end - start));
    return n + 1;
}

int fn_split(struct call *c, const struct value **ret, struct error *err)
{
    const struct value *in, **items;
    const struct value *const *list = &c->args[1];
    size_t count = 1;
    if (arg_text(c, 0, &in, err) < 0)
        return -1;
    if (c->args[1]->kind == VALUE_ARRAY) {
        list = c->args[1]->items;
        count = c->args[1]->count;
    }
    for (size_t i = 0; i < count; i++)
        if (list[i]->kind != VALUE_TEXT)
            return arg_wrong(c, 1, "a string or an array of strings", err);
    if (engine_steps(c->env->engine, in->count / 16 * (count + 1), err) < 0)
        return -1;
    size_t parts = cut(c, in, list, count, NULL);
    if (call_items(c, parts, &items, err) < 0 ||
        engine_bytes(c->env->engine, in->count + parts * sizeof(struct value), err) < 0)
        return -1;
    cut(c, in, list, count, items);
    *ret = value_array(c->arena, items, parts);
    return 0;
}

int fn_substring(struct call *c, const struct value **ret, struct error *err)
{
    const struct value *s;
    int64_t start, length;
    if (arg_text(c, 0, &s, err) < 0 || arg_int(c, 1, &start, err) < 0)
        return -1;
    int64_t units = (int64_t)utf16_length(s->text, s->count);
    length = units - start;
    if (c->argc > 2 && arg_int(c, 2, &length, err) < 0)
        return -1;
    if (start < 0 || start > units || length < 0 || length > units - start)
        return fail(err, &E_TEMPLATE_EXPRESSION,
                    "The index and length parameters must refer to a location within the string. "
                    "The index parameter: '%" PRId64 "', the length parameter: '%" PRId64
                    "', the length of the string parameter: '%" PRId64 "'.",
                    start, length, units);
    size_t from = utf16_offset(s->text, s->count, (size_t)start);
    size_t to = utf16_offset(s->text, s->count, (size_t)(start + length));
    return call_text(c, s->text + from, to - from, ret, err);
}

static int convert_case(struct call *c, bool is_upper, const struct value **ret, struct error *err)
{
    const struct value *s;
    size_t len;
    if (arg_text(c, 0, &s, err) < 0 || engine_bytes(c->env->engine, s->count, err) < 0)
        return -1;
    const char *text = casing_convert(c->env->engine, s->text, s->count, is_upper, &len);
    *ret = value_text_own(c->arena, text, len);
    return 0;
}

int fn_to_lower(struct call *c, const struct value **ret, struct error *err)
{
    return convert_case(c, false, ret, err);
}

int fn_to_upper(struct call *c, const struct value **ret, struct error *err)
{
    return convert_case(c, true, ret, err);
}

static bool is_white(uint32_t c)
{
    return (c >= 9 && c <= 13) || c == ' ' || c == 0x85 || c == 0xa0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f ||
           c == 0x205f || c == 0x3000;
}

int fn_trim(struct call *c, const struct value **ret, struct error *err)
{
    const struct value *s;
    if (arg_text(c, 0, &s, err) < 0)
        return -1;
    size_t start = s->count, end = 0;
    for (size_t i = 0; i < s->count;) {
        size_t at = i;
        if (is_white(utf8_next(s->text, s->count, &i)))
            continue;
        if (start == s->count)
            start = at;
        end = i;
    }
    return call_text(c, s->text + start, end > start ? end - start : 0, ret, err);
}
