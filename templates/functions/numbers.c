/* Integers: signed 64-bit, exact, every overflow an error. */
#include <inttypes.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "templates/functions/families.h"
#include "templates/functions/function.h"
#include "templates/language/faults.h"

static int overflow(struct call *c, int64_t x, int64_t y, struct error *err)
{
    return fail(err, &E_TEMPLATE_EXPRESSION,
                "The template language function '%s' overflowed with the operants '%" PRId64
                "' and '%" PRId64 "'." SEE_FUNCTIONS,
                c->fn->name, x, y);
}

static int operands(struct call *c, int64_t *x, int64_t *y, struct error *err)
{
    return arg_int(c, 0, x, err) < 0 ? -1 : arg_int(c, 1, y, err);
}

int fn_add(struct call *c, const struct value **ret, struct error *err)
{
    int64_t x, y, r;
    if (operands(c, &x, &y, err) < 0)
        return -1;
    if (__builtin_add_overflow(x, y, &r))
        return overflow(c, x, y, err);
    *ret = value_int(c->arena, r);
    return 0;
}

int fn_sub(struct call *c, const struct value **ret, struct error *err)
{
    int64_t x, y, r;
    if (operands(c, &x, &y, err) < 0)
        return -1;
    if (__builtin_sub_overflow(x, y, &r))
        return overflow(c, x, y, err);
    *ret = value_int(c->arena, r);
    return 0;
}

int fn_mul(struct call *c, const struct value **ret, struct error *err)
{
    int64_t x, y, r;
    if (operands(c, &x, &y, err) < 0)
        return -1;
    if (__builtin_mul_overflow(x, y, &r))
        return overflow(c, x, y, err);
    *ret = value_int(c->arena, r);
    return 0;
}

static int division(struct call *c, int64_t *x, int64_t *y, struct error *err)
{
    if (operands(c, x, y, err) < 0)
        return -1;
    if (*y == 0)
        return call_fail(c, err, "the second parameter must not be zero.");
    if (*x == INT64_MIN && *y == -1)
        return overflow(c, *x, *y, err);
    return 0;
}

int fn_div(struct call *c, const struct value **ret, struct error *err)
{
    int64_t x, y;
    if (division(c, &x, &y, err) < 0)
        return -1;
    *ret = value_int(c->arena, x / y);
    return 0;
}

int fn_mod(struct call *c, const struct value **ret, struct error *err)
{
    int64_t x, y;
    if (division(c, &x, &y, err) < 0)
        return -1;
    *ret = value_int(c->arena, x % y);
    return 0;
}

/* The text without spaces around it and without a plus sign. */
static const char *plain_number(struct call *c, const char *s)
{
    s += strspn(s, " \t\r\n");
    size_t len = strlen(s);
    while (len && strchr(" \t\r\n", s[len - 1]))
        len--;
    if (len > 1 && s[0] == '+' && s[1] != '-') {
        s++;
        len--;
    }
    return arena_strndup(c->arena, s, len);
}

int fn_int(struct call *c, const struct value **ret, struct error *err)
{
    const struct value *v = c->args[0];
    int64_t n;
    if (v->kind == VALUE_INT) {
        *ret = v;
        return 0;
    }
    if (v->kind == VALUE_FLOAT) {
        double d = strtod(v->text, NULL);
        if (!(d >= -9.2e18 && d <= 9.2e18))
            return call_fail(c, err, "the number '%s' is outside the range of an integer.",
                             v->text);
        *ret = value_int(c->arena, (int64_t)d);
        return 0;
    }
    if (v->kind != VALUE_TEXT)
        return arg_wrong(c, 0, "a string or an integer", err);
    if (!text_parse_i64(plain_number(c, v->text), &n))
        return call_fail(c, err, "the string '%.64s' cannot be converted to an integer.", v->text);
    *ret = value_int(c->arena, n);
    return 0;
}

int fn_float(struct call *c, const struct value **ret, struct error *err)
{
    const struct value *v = c->args[0];
    if (v->kind == VALUE_FLOAT) {
        *ret = v;
        return 0;
    }
    if (v->kind == VALUE_INT) {
        *ret = value_float(c->arena, arena_printf(c->arena, "%" PRId64 ".0", v->integer));
        return 0;
    }
    if (v->kind != VALUE_TEXT)
        return arg_wrong(c, 0, "a string or an integer", err);
    const char *s = plain_number(c, v->text);
    _cleanup_(json_putp) struct json_object *json = NULL;
    struct error why;
    int rc = json_parse(s, strlen(s), 64, JSON_STRICT, &json, &why);
    enum json_kind kind = rc < 0 ? JSON_NULL : json_kind(json);
    if (kind != JSON_INT && kind != JSON_DOUBLE)
        return call_fail(c, err, "the string '%.64s' cannot be converted to a number.", v->text);
    *ret = value_float(c->arena, kind == JSON_INT ? arena_printf(c->arena, "%s.0", s) : s);
    return 0;
}

static int extreme(struct call *c, bool is_max, const struct value **ret, struct error *err)
{
    const struct value *const *items = c->args;
    size_t count = c->argc;
    if (count == 1 && c->args[0]->kind == VALUE_ARRAY) {
        items = c->args[0]->items;
        count = c->args[0]->count;
    }
    if (!count)
        return call_fail(c, err, "the array must not be empty.");
    const struct value *best = items[0];
    for (size_t i = 0; i < count; i++) {
        if (items[i]->kind != VALUE_INT)
            return call_fail(c, err, "all values must be integers; one is of type '%s'.",
                             value_kind_name(items[i]));
        if (is_max ? items[i]->integer > best->integer : items[i]->integer < best->integer)
            best = items[i];
    }
    *ret = best;
    return 0;
}

int fn_max(struct call *c, const struct value **ret, struct error *err)
{
    return extreme(c, true, ret, err);
}

int fn_min(struct call *c, const struct value **ret, struct error *err)
{
    return extreme(c, false, ret, err);
}
