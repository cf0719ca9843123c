/* Logic and comparison. if, and, or and coalesce evaluate only what they need. */
#include <inttypes.h>

#include "common/base/error.h"
#include "common/base/text.h"
#include "templates/functions/collation.h"
#include "templates/functions/families.h"
#include "templates/functions/function.h"
#include "templates/language/faults.h"

static int eval_bool(struct call *c, size_t i, const struct value **ret, struct error *err)
{
    if (call_eval(c, i, ret, err) < 0)
        return -1;
    if ((*ret)->kind == VALUE_BOOL || (*ret)->kind == VALUE_DEFERRED)
        return 0;
    return fail(err, &E_TEMPLATE_EXPRESSION,
                "The template language function '%s' expects its parameter '%zu' to be a boolean. "
                "The provided value is of type '%s'." SEE_FUNCTIONS,
                c->fn->name, i + 1, value_kind_name(*ret));
}

/* The first argument that equals `stop` decides; a deferred one leaves the call for run time. */
static int eval_chain(struct call *c, bool stop, const struct value **ret, struct error *err)
{
    unsigned marks = 0;
    bool result = !stop;
    for (size_t i = 0; i < c->argc && result != stop; i++) {
        const struct value *v;
        if (eval_bool(c, i, &v, err) < 0)
            return -1;
        if (v->kind == VALUE_DEFERRED)
            return call_defer(c, ret, err);
        marks |= v->marks;
        result = v->boolean;
    }
    *ret = value_mark(c->arena, value_bool(result), marks & MARK_SECURE);
    return 0;
}

int fn_and(struct call *c, const struct value **ret, struct error *err)
{
    return eval_chain(c, false, ret, err);
}

int fn_or(struct call *c, const struct value **ret, struct error *err)
{
    return eval_chain(c, true, ret, err);
}

int fn_if(struct call *c, const struct value **ret, struct error *err)
{
    const struct value *v;
    if (eval_bool(c, 0, &v, err) < 0)
        return -1;
    if (v->kind == VALUE_DEFERRED)
        return call_defer(c, ret, err);
    return call_eval(c, v->boolean ? 1 : 2, ret, err);
}

int fn_coalesce(struct call *c, const struct value **ret, struct error *err)
{
    *ret = &value_null;
    for (size_t i = 0; i < c->argc; i++) {
        if (call_eval(c, i, ret, err) < 0)
            return -1;
        if ((*ret)->kind == VALUE_DEFERRED)
            return i + 1 == c->argc ? 0 : call_defer(c, ret, err);
        if ((*ret)->kind != VALUE_NULL)
            return 0;
    }
    return 0;
}

int fn_not(struct call *c, const struct value **ret, struct error *err)
{
    bool b;
    if (arg_bool(c, 0, &b, err) < 0)
        return -1;
    *ret = value_bool(!b);
    return 0;
}

int fn_bool(struct call *c, const struct value **ret, struct error *err)
{
    const struct value *v = c->args[0];
    if (v->kind == VALUE_BOOL)
        *ret = v;
    else if (v->kind == VALUE_INT)
        *ret = value_bool(v->integer != 0);
    else if (v->kind == VALUE_TEXT && text_eq_nocase(v->text, "true"))
        *ret = &value_true;
    else if (v->kind == VALUE_TEXT && text_eq_nocase(v->text, "false"))
        *ret = &value_false;
    else
        return arg_wrong(c, 0, "'true', 'false' or an integer", err);
    return 0;
}

int fn_true(struct call *c, const struct value **ret, struct error *err)
{
    (void)c;
    (void)err;
    *ret = &value_true;
    return 0;
}

int fn_false(struct call *c, const struct value **ret, struct error *err)
{
    (void)c;
    (void)err;
    *ret = &value_false;
    return 0;
}

int fn_null(struct call *c, const struct value **ret, struct error *err)
{
    (void)c;
    (void)err;
    *ret = &value_null;
    return 0;
}

int fn_fail(struct call *c, const struct value **ret, struct error *err)
{
    const struct value *text;
    (void)ret;
    if (arg_text(c, 0, &text, err) < 0)
        return -1;
    return fail(err, &E_TEMPLATE_EXPRESSION, "%s", text->text);
}

int fn_equals(struct call *c, const struct value **ret, struct error *err)
{
    bool same;
    if (call_equal(c, c->args[0], c->args[1], &same, err) < 0)
        return -1;
    *ret = value_bool(same);
    return 0;
}

static int compare(struct call *c, int *ret, struct error *err)
{
    const struct value *x = c->args[0], *y = c->args[1];
    if (x->kind == VALUE_INT && y->kind == VALUE_INT) {
        *ret = (x->integer > y->integer) - (x->integer < y->integer);
        return 0;
    }
    if (x->kind == VALUE_TEXT && y->kind == VALUE_TEXT) {
        *ret = collation_compare(x->text, x->count, y->text, y->count);
        return 0;
    }
    return arg_wrong(c, x->kind == VALUE_INT || x->kind == VALUE_TEXT ? 1 : 0,
                     "two integers or two strings with its other parameter", err);
}

int fn_less(struct call *c, const struct value **ret, struct error *err)
{
    int order = 0;
    if (compare(c, &order, err) < 0)
        return -1;
    *ret = value_bool(order < 0);
    return 0;
}

int fn_less_or_equals(struct call *c, const struct value **ret, struct error *err)
{
    int order = 0;
    if (compare(c, &order, err) < 0)
        return -1;
    *ret = value_bool(order <= 0);
    return 0;
}

int fn_greater(struct call *c, const struct value **ret, struct error *err)
{
    int order = 0;
    if (compare(c, &order, err) < 0)
        return -1;
    *ret = value_bool(order > 0);
    return 0;
}

int fn_greater_or_equals(struct call *c, const struct value **ret, struct error *err)
{
    int order = 0;
    if (compare(c, &order, err) < 0)
        return -1;
    *ret = value_bool(order >= 0);
    return 0;
}
