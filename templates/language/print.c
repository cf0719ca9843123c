/* Writing an expression with what is known put in: the text that stays for run time. */
#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/str.h"
#include "templates/functions/function.h"
#include "templates/language/engine.h"
#include "templates/language/evaluate.h"
#include "templates/language/expression.h"
#include "templates/language/faults.h"

static int print_list(struct env *env, const struct expr *e, struct str *out, struct error *err)
{
    str_append(out, e->name, e->name_len);
    str_putc(out, '(');
    for (uint32_t i = 0; i < e->argc; i++) {
        if (i)
            str_puts(out, ", ");
        if (evaluate_print(env, e->args[i], out, err) < 0)
            return -1;
    }
    str_putc(out, ')');
    return 0;
}

/* The variables of the lambda stand for themselves in its body. */
static int print_lambda(struct env *env, const struct expr *e, struct str *out, struct error *err)
{
    struct arena *a = env->engine->arena;
    const struct lambda_frame *outer = env->lambda;
    for (uint32_t i = 0; i + 1 < e->argc; i++) {
        const struct value *name = e->args[i]->literal;
        if (!name || name->kind != VALUE_TEXT)
            continue;
        char *self = arena_printf(a, "lambdaVariables('%s')", name->text);
        struct lambda_frame *frame = ARENA_NEW(a, struct lambda_frame);
        frame->name = name->text;
        frame->name_len = name->count;
        frame->value = value_deferred(a, self, strlen(self));
        frame->outer = env->lambda;
        env->lambda = frame;
    }
    int rc = print_list(env, e, out, err);
    env->lambda = outer;
    return rc;
}

static int print_access(struct env *env, const struct expr *e, struct str *out, struct error *err)
{
    if (evaluate_print(env, e->base, out, err) < 0)
        return -1;
    if (e->kind == EXPR_PROPERTY) {
        str_printf(out, "%s%s", e->is_safe ? ".?" : ".", e->key->literal->text);
        return 0;
    }
    str_puts(out, e->is_safe ? "[?" : "[");
    if (evaluate_print(env, e->key, out, err) < 0)
        return -1;
    str_putc(out, ']');
    return 0;
}

int evaluate_print(struct env *env, const struct expr *e, struct str *out, struct error *err)
{
    struct engine *g = env->engine;
    uint32_t fault_at = g->fault_at;
    const struct source *fault_source = g->fault_source;
    int depth = g->depth;
    const struct value *v;
    bool is_lambda = e->kind == EXPR_CALL && e->function && !strcmp(e->function->name, "lambda");
    if (!is_lambda && evaluate_expr(env, e, &v, engine_scratch(g)) == 0) {
        if (engine_walk(g, v, err) < 0)
            return -1;
        value_print_literal(out, v);
        return str_check(out, err);
    }
    g->fault_at = fault_at;
    g->fault_source = fault_source;
    g->depth = depth;
    g->is_not_yet = false;
    if (!g->steps_left || !g->bytes_left)
        return engine_steps(g, ENGINE_STEPS_MAX + 1, err);
    if (str_check(out, err) < 0)
        return -1;
    if (is_lambda)
        return print_lambda(env, e, out, err);
    return e->kind == EXPR_CALL ? print_list(env, e, out, err) : print_access(env, e, out, err);
}
