/* What functions share: argument checks with their error texts, results charged to the budget, and
 * look-up in the table. */
#include <strings.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/str.h"
#include "templates/functions/function.h"
#include "templates/language/evaluate.h"
#include "templates/language/expression.h"
#include "templates/language/faults.h"

static int compare_name(const char *name, size_t len, const char *row)
{
    int order = strncasecmp(name, row, len);
    return order ? order : (row[len] ? -1 : 0);
}

const struct function *function_find(const char *name, size_t len)
{
    size_t low = 0, high = function_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare_name(name, len, function_table[middle].name);
        if (order == 0)
            return &function_table[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    bool is_list = len >= 4 && !strncasecmp(name, "list", 4) && !memchr(name, '.', len);
    return is_list ? function_find("list*", 5) : NULL;
}

int arg_wrong(struct call *c, size_t i, const char *expects, struct error *err)
{
    const struct value *v = c->args ? c->args[i] : NULL;
    return fail(err, &E_TEMPLATE_EXPRESSION,
                "The template language function '%s' expects its parameter '%zu' to be %s. The "
                "provided value is of type '%s'." SEE_FUNCTIONS,
                c->fn->name, i + 1, expects, v ? value_kind_name(v) : "Expression");
}

int arg_text(struct call *c, size_t i, const struct value **ret, struct error *err)
{
    *ret = c->args[i];
    return (*ret)->kind == VALUE_TEXT ? 0 : arg_wrong(c, i, "a string", err);
}

int arg_int(struct call *c, size_t i, int64_t *ret, struct error *err)
{
    if (c->args[i]->kind != VALUE_INT)
        return arg_wrong(c, i, "an integer", err);
    *ret = c->args[i]->integer;
    return 0;
}

int arg_bool(struct call *c, size_t i, bool *ret, struct error *err)
{
    if (c->args[i]->kind != VALUE_BOOL)
        return arg_wrong(c, i, "a boolean", err);
    *ret = c->args[i]->boolean;
    return 0;
}

int arg_array(struct call *c, size_t i, const struct value **ret, struct error *err)
{
    *ret = c->args[i];
    return (*ret)->kind == VALUE_ARRAY ? 0 : arg_wrong(c, i, "an array", err);
}

int arg_object(struct call *c, size_t i, const struct value **ret, struct error *err)
{
    *ret = c->args[i];
    return (*ret)->kind == VALUE_OBJECT ? 0 : arg_wrong(c, i, "an object", err);
}

int call_fail(struct call *c, struct error *err, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *why = arena_vprintf(c->arena, fmt, ap);
    va_end(ap);
    return fail(err, &E_TEMPLATE_EXPRESSION,
                "Unable to evaluate template language function '%s': %s" SEE_FUNCTIONS, c->fn->name,
                why);
}

int call_eval(struct call *c, size_t i, const struct value **ret, struct error *err)
{
    return evaluate_expr(c->env, c->expr->args[i], ret, err);
}

int call_defer(struct call *c, const struct value **ret, struct error *err)
{
    struct str s;
    str_init(&s, ENGINE_TEXT_MAX);
    str_puts(&s, c->name);
    str_putc(&s, '(');
    int rc = 0;
    for (uint32_t i = 0; i < c->expr->argc && rc == 0; i++) {
        if (i)
            str_puts(&s, ", ");
        rc = evaluate_print(c->env, c->expr->args[i], &s, err);
    }
    str_putc(&s, ')');
    if (rc == 0)
        rc = str_check(&s, err);
    if (rc == 0)
        rc = engine_bytes(c->env->engine, s.len, err);
    if (rc == 0)
        *ret = value_deferred(c->arena, s.data, s.len);
    str_done(&s);
    return rc;
}

int call_text(struct call *c, const char *s, size_t len, const struct value **ret,
              struct error *err)
{
    if (len > ENGINE_TEXT_MAX)
        return fail(err, &E_TEMPLATE_BUDGET,
                    "The template language function '%s' makes a string of more than '%zu' "
                    "characters." SEE_FUNCTIONS,
                    c->fn->name, ENGINE_TEXT_MAX);
    if (engine_bytes(c->env->engine, len, err) < 0 ||
        engine_steps(c->env->engine, len / 64, err) < 0)
        return -1;
    *ret = value_text_len(c->arena, s, len);
    return 0;
}

int call_str(struct call *c, const struct str *s, const struct value **ret, struct error *err)
{
    if (s->is_overflown)
        return call_text(c, "", ENGINE_TEXT_MAX + 1, ret, err);
    return call_text(c, s->data, s->len, ret, err);
}

int call_items(struct call *c, size_t count, const struct value ***ret, struct error *err)
{
    if (engine_bytes(c->env->engine, count * sizeof(struct value *), err) < 0 ||
        engine_steps(c->env->engine, count / 2, err) < 0)
        return -1;
    *ret = arena_array(c->arena, count ? count : 1, sizeof(**ret));
    return 0;
}

int call_equal(struct call *c, const struct value *x, const struct value *y, bool *ret,
               struct error *err)
{
    size_t before = c->env->engine->steps_left, left = before;
    *ret = value_equal(x, y, &left);
    return engine_steps(c->env->engine, left ? (before - left) / 4 + 1 : before + 1, err);
}

int call_format(struct call *c, struct str *out, const struct value *v, char quote,
                struct error *err)
{
    if (engine_walk(c->env->engine, v, err) < 0)
        return -1;
    if (v->kind == VALUE_TEXT)
        str_append(out, v->text, v->count);
    else if (v->kind == VALUE_BOOL)
        str_puts(out, v->boolean ? "True" : "False");
    else if (v->kind != VALUE_NULL)
        value_print(out, v, quote);
    return 0;
}
