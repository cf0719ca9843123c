/* Arrays, and the functions that take an array or a string alike. Strings count in UTF-16 units. */
#include <inttypes.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "templates/functions/collation.h"
#include "templates/functions/families.h"
#include "templates/functions/function.h"
#include "templates/language/faults.h"

#define RANGE_COUNT_MAX 10000

int fn_array(struct call *c, const struct value **ret, struct error *err)
{
    const struct value **items;
    *ret = c->args[0];
    if (c->args[0]->kind == VALUE_ARRAY)
        return 0;
    if (call_items(c, 1, &items, err) < 0)
        return -1;
    items[0] = c->args[0];
    *ret = value_array(c->arena, items, 1);
    return 0;
}

int fn_create_array(struct call *c, const struct value **ret, struct error *err)
{
    (void)err;
    *ret = value_array(c->arena, c->args, c->argc);
    return 0;
}

static int contains_item(struct call *c, const struct value *array, const struct value *item,
                         bool *ret, struct error *err)
{
    *ret = false;
    for (size_t i = 0; i < array->count && !*ret; i++)
        if (call_equal(c, array->items[i], item, ret, err) < 0)
            return -1;
    return 0;
}

int fn_contains(struct call *c, const struct value **ret, struct error *err)
{
    const struct value *in = c->args[0], *what = c->args[1];
    bool found = false;
    if (in->kind == VALUE_ARRAY) {
        if (contains_item(c, in, what, &found, err) < 0)
            return -1;
    } else if (in->kind == VALUE_OBJECT) {
        if (arg_text(c, 1, &what, err) < 0)
            return -1;
        found = value_member(in, what->text, what->count) != NULL;
    } else if (in->kind == VALUE_TEXT) {
        if (arg_text(c, 1, &what, err) < 0)
            return -1;
        found = memmem(in->text, in->count, what->text, what->count) != NULL;
    } else {
        return arg_wrong(c, 0, "an array, an object or a string", err);
    }
    *ret = value_bool(found);
    return 0;
}

int fn_distinct(struct call *c, const struct value **ret, struct error *err)
{
    const struct value *in, **items;
    if (arg_array(c, 0, &in, err) < 0 || call_items(c, in->count, &items, err) < 0)
        return -1;
    size_t count = 0;
    for (size_t i = 0; i < in->count; i++) {
        struct value so_far = { .kind = VALUE_ARRAY, .items = items, .count = (uint32_t)count };
        bool found;
        if (contains_item(c, &so_far, in->items[i], &found, err) < 0)
            return -1;
        if (!found)
            items[count++] = in->items[i];
    }
    *ret = value_array(c->arena, items, count);
    return 0;
}

int fn_empty(struct call *c, const struct value **ret, struct error *err)
{
    const struct value *v = c->args[0];
    if (v->kind == VALUE_NULL)
        *ret = &value_true;
    else if (v->kind == VALUE_TEXT || v->kind == VALUE_ARRAY || v->kind == VALUE_OBJECT)
        *ret = value_bool(v->count == 0);
    else
        return arg_wrong(c, 0, "an array, an object or a string", err);
    return 0;
}

int fn_first(struct call *c, const struct value **ret, struct error *err)
{
    const struct value *v = c->args[0];
    if (v->kind == VALUE_ARRAY) {
        *ret = v->count ? v->items[0] : &value_null;
        return 0;
    }
    if (v->kind != VALUE_TEXT)
        return arg_wrong(c, 0, "an array or a string", err);
    size_t end = 0;
    if (v->count)
        utf8_next(v->text, v->count, &end);
    return call_text(c, v->text, end, ret, err);
}

int fn_last(struct call *c, const struct value **ret, struct error *err)
{
    const struct value *v = c->args[0];
    if (v->kind == VALUE_ARRAY) {
        *ret = v->count ? v->items[v->count - 1] : &value_null;
        return 0;
    }
    if (v->kind != VALUE_TEXT)
        return arg_wrong(c, 0, "an array or a string", err);
    size_t start = v->count ? v->count - 1 : 0;
    while (start > 0 && ((unsigned char)v->text[start] & 0xc0) == 0x80)
        start--;
    return call_text(c, v->text + start, v->count - start, ret, err);
}

int fn_flatten(struct call *c, const struct value **ret, struct error *err)
{
    const struct value *in, **items;
    size_t count = 0;
    if (arg_array(c, 0, &in, err) < 0)
        return -1;
    for (size_t i = 0; i < in->count; i++) {
        if (in->items[i]->kind != VALUE_ARRAY)
            return call_fail(c, err,
                             "each element of the array must be an array; element '%zu' is "
                             "of type '%s'.",
                             i, value_kind_name(in->items[i]));
        count += in->items[i]->count;
    }
    if (call_items(c, count, &items, err) < 0)
        return -1;
    count = 0;
    for (size_t i = 0; i < in->count; i++)
        for (size_t k = 0; k < in->items[i]->count; k++)
            items[count++] = in->items[i]->items[k];
    *ret = value_array(c->arena, items, count);
    return 0;
}

int fn_length(struct call *c, const struct value **ret, struct error *err)
{
    const struct value *v = c->args[0];
    if (v->kind == VALUE_TEXT)
        *ret = value_int(c->arena, (int64_t)utf16_length(v->text, v->count));
    else if (v->kind == VALUE_ARRAY || v->kind == VALUE_OBJECT)
        *ret = value_int(c->arena, v->count);
    else
        return arg_wrong(c, 0, "an array, an object or a string", err);
    return 0;
}

int fn_range(struct call *c, const struct value **ret, struct error *err)
{
    int64_t start, count;
    const struct value **items;
    if (arg_int(c, 0, &start, err) < 0 || arg_int(c, 1, &count, err) < 0)
        return -1;
    if (count < 0 || count > RANGE_COUNT_MAX || start < INT32_MIN || start > INT32_MAX ||
        start + count > INT32_MAX)
        return call_fail(c, err,
                         "the count '%" PRId64 "' must be between '0' and '%d', and the sum "
                         "of start and count must not exceed '2147483647'.",
                         count, RANGE_COUNT_MAX);
    if (call_items(c, (size_t)count, &items, err) < 0 ||
        engine_bytes(c->env->engine, (size_t)count * sizeof(struct value), err) < 0)
        return -1;
    for (int64_t i = 0; i < count; i++)
        items[i] = value_int(c->arena, start + i);
    *ret = value_array(c->arena, items, (size_t)count);
    return 0;
}

/* What skip and take share: the number clamped to 0…length. */
static int clamp(struct call *c, size_t length, size_t *ret, struct error *err)
{
    int64_t n;
    if (arg_int(c, 1, &n, err) < 0)
        return -1;
    *ret = n < 0 ? 0 : (uint64_t)n > length ? length : (size_t)n;
    return 0;
}

static int slice(struct call *c, bool is_take, const struct value **ret, struct error *err)
{
    const struct value *v = c->args[0];
    size_t n;
    if (v->kind == VALUE_ARRAY) {
        if (clamp(c, v->count, &n, err) < 0)
            return -1;
        *ret = is_take ? value_array(c->arena, v->items, n)
                       : value_array(c->arena, v->items + n, v->count - n);
        return 0;
    }
    if (v->kind != VALUE_TEXT)
        return arg_wrong(c, 0, "an array or a string", err);
    if (clamp(c, utf16_length(v->text, v->count), &n, err) < 0)
        return -1;
    size_t offset = utf16_offset(v->text, v->count, n);
    return is_take ? call_text(c, v->text, offset, ret, err)
                   : call_text(c, v->text + offset, v->count - offset, ret, err);
}

int fn_skip(struct call *c, const struct value **ret, struct error *err)
{
    return slice(c, false, ret, err);
}

int fn_take(struct call *c, const struct value **ret, struct error *err)
{
    return slice(c, true, ret, err);
}

static int from_end(struct call *c, bool is_safe, const struct value **ret, struct error *err)
{
    const struct value *v = c->args[0];
    int64_t n;
    *ret = &value_null;
    if (is_safe && v->kind == VALUE_NULL)
        return 0;
    if (arg_array(c, 0, &v, err) < 0 || arg_int(c, 1, &n, err) < 0)
        return -1;
    if (n >= 1 && n <= (int64_t)v->count)
        *ret = v->items[(int64_t)v->count - n];
    else if (!is_safe)
        return fail(err, &E_TEMPLATE_EXPRESSION,
                    "The language expression property array index '%" PRId64
                    "' from the end is out of bounds.",
                    n);
    return 0;
}

int fn_index_from_end(struct call *c, const struct value **ret, struct error *err)
{
    return from_end(c, false, ret, err);
}

int fn_try_index_from_end(struct call *c, const struct value **ret, struct error *err)
{
    return from_end(c, true, ret, err);
}
