/* The evaluator. Calls are eager unless their row says FN_LAZY; a call with a deferred argument is
 * itself deferred, unless it only builds or picks structure. */
#include "templates/language/evaluate.h"

#include <inttypes.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/str.h"
#include "templates/functions/function.h"
#include "templates/language/engine.h"
#include "templates/language/expression.h"
#include "templates/language/faults.h"
#include "templates/language/file.h"
#include "templates/language/types.h"

#define ARGS_ON_STACK 6
#define SECURE_MARKS  (MARK_SECURE | MARK_SECURE_INSIDE)

static int eval(struct env *env, const struct expr *e, bool *ret_is_cut, const struct value **ret,
                struct error *err);

static int check_count(const struct function *fn, const struct expr *e, struct error *err)
{
    int argc = (int)e->argc;
    if (argc >= fn->min && (fn->max < 0 || argc <= fn->max))
        return 0;
    if (fn->min == fn->max)
        return fail(err, &E_TEMPLATE_EXPRESSION,
                    "The template language function '%s' expects exactly '%d' parameters. The "
                    "function was invoked with '%d' parameters." SEE_FUNCTIONS,
                    fn->name, fn->min, argc);
    if (fn->max < 0)
        return fail(err, &E_TEMPLATE_EXPRESSION,
                    "The template language function '%s' expects at least '%d' parameters. The "
                    "function was invoked with '%d' parameters." SEE_FUNCTIONS,
                    fn->name, fn->min, argc);
    return fail(err, &E_TEMPLATE_EXPRESSION,
                "The template language function '%s' expects '%d' to '%d' parameters. The function "
                "was invoked with '%d' parameters." SEE_FUNCTIONS,
                fn->name, fn->min, fn->max, argc);
}

static int check_allowed(struct env *env, const struct function *fn, const struct expr *e,
                         struct error *err)
{
    bool allowed = true;
    if (fn->flags & FN_RUNTIME)
        allowed = env->allow & ALLOW_RUNTIME;
    else if (fn->flags & FN_DEFAULTS)
        allowed = env->allow & ALLOW_DEFAULTS;
    else if (fn->flags & FN_INPUTS)
        allowed = env->allow & ALLOW_INPUTS;
    else if (fn->flags & FN_SCOPE)
        allowed = env->allow & ALLOW_SCOPE;
    if (allowed)
        return 0;
    return fail(err, &E_TEMPLATE_EXPRESSION,
                "The template function '%s' is not expected at this location." SEE_FUNCTIONS,
                e->name);
}

/* name(arg, …) with the arguments as literals. */
static int defer_values(struct env *env, const struct expr *e, const struct value *const *args,
                        const struct value **ret, struct error *err)
{
    struct str s;
    str_init(&s, ENGINE_TEXT_MAX);
    str_append(&s, e->name, e->name_len);
    str_putc(&s, '(');
    unsigned marks = 0;
    int rc = 0;
    for (uint32_t i = 0; i < e->argc && rc == 0; i++) {
        if (i)
            str_puts(&s, ", ");
        rc = engine_walk(env->engine, args[i], err);
        if (rc == 0)
            value_print_literal(&s, args[i]);
        marks |= args[i]->marks & SECURE_MARKS;
    }
    str_putc(&s, ')');
    if (rc == 0)
        rc = str_check(&s, err);
    if (rc == 0)
        rc = engine_bytes(env->engine, s.len, err);
    if (rc == 0) {
        *ret = value_deferred(env->engine->arena, s.data, s.len);
        if (marks)
            *ret = value_mark(env->engine->arena, *ret, MARK_SECURE);
    }
    str_done(&s);
    return rc;
}

/* What a function may spend on looking at an argument. */
static size_t look_price(const struct value *v)
{
    if (v->kind == VALUE_TEXT)
        return v->count / 256;
    return v->kind == VALUE_ARRAY || v->kind == VALUE_OBJECT ? v->count / 32 : 0;
}

static int eval_args(struct env *env, const struct expr *e, const struct value **args,
                     unsigned *ret_marks, struct error *err)
{
    unsigned marks = 0;
    for (uint32_t i = 0; i < e->argc; i++) {
        if (evaluate_expr(env, e->args[i], &args[i], err) < 0 ||
            engine_steps(env->engine, look_price(args[i]), err) < 0)
            return -1;
        marks |= args[i]->marks;
    }
    *ret_marks = marks;
    return 0;
}

static int call_standard(struct env *env, const struct expr *e, const struct value **ret,
                         struct error *err)
{
    const struct function *fn = e->function;
    struct arena *a = env->engine->arena;
    if (check_count(fn, e, err) < 0 || check_allowed(env, fn, e, err) < 0)
        return -1;
    struct call c = {
        .env = env, .arena = a, .fn = fn, .expr = e, .name = e->name, .argc = e->argc
    };
    if (fn->flags & FN_LAZY)
        return fn->run(&c, ret, err);
    const struct value *few[ARGS_ON_STACK];
    const struct value **args = few;
    if (e->argc > ARGS_ON_STACK)
        args = arena_array(a, e->argc, sizeof(*args));
    unsigned marks;
    if (eval_args(env, e, args, &marks, err) < 0)
        return -1;
    if ((marks & MARK_DEFERRED) && !(fn->flags & (FN_STRUCTURAL | FN_RUNTIME)))
        return defer_values(env, e, args, ret, err);
    if (args == few && (fn->flags & FN_STRUCTURAL)) /* these keep the array */
        args = arena_memdup(a, few, e->argc * sizeof(*args));
    c.args = args;
    if (fn->run(&c, ret, err) < 0)
        return -1;
    if ((marks & SECURE_MARKS) && !(fn->flags & FN_STRUCTURAL))
        *ret = value_mark(a, *ret, MARK_SECURE);
    return 0;
}

static int check_user_args(struct env *env, const struct user_function *fn, const struct expr *e,
                           const struct value *const *args, struct error *err)
{
    size_t wanted = fn->parameters->count;
    if (e->argc > wanted)
        return fail(err, &E_TEMPLATE_EXPRESSION,
                    "The template function '%s' is not valid. It expects '%zu' parameters and was "
                    "invoked with '%u' parameters." SEE_FUNCTIONS,
                    fn->name, wanted, e->argc);
    for (size_t i = 0; i < wanted; i++) {
        const struct value *schema = fn->parameters->items[i];
        if (i >= e->argc && !types_is_nullable(schema))
            return fail(err, &E_TEMPLATE_EXPRESSION,
                        "The template function '%s' is not valid. It expects '%zu' parameters and "
                        "was invoked with '%u' parameters." SEE_FUNCTIONS,
                        fn->name, wanted, e->argc);
        char *what = arena_printf(env->engine->arena, "parameter '%s' of the function '%s'",
                                  value_string(fn->names->items[i]), fn->name);
        if (types_accept(env->file, schema, args[i], what, err) < 0)
            return -1;
    }
    return 0;
}

static int call_user(struct env *env, const struct expr *e, const struct value **ret,
                     struct error *err)
{
    const struct user_function *fn =
        env->file ? file_function(env->file, e->name, e->name_len) : NULL;
    if (!fn)
        return fail(err, &E_TEMPLATE_EXPRESSION,
                    "The template function '%s' is not valid." SEE_FUNCTIONS, e->name);
    if (engine_steps(env->engine, env->file->function_count / 16, err) < 0)
        return -1;
    if (env->call && !env->file->is_v2)
        return fail(err, &E_TEMPLATE_EXPRESSION,
                    "The template function '%s' is not expected at this location." SEE_FUNCTIONS,
                    e->name);
    size_t room = e->argc > fn->parameters->count ? e->argc : fn->parameters->count;
    const struct value **args = arena_array(env->engine->arena, room ? room : 1, sizeof(*args));
    for (size_t i = 0; i < room; i++)
        args[i] = &value_null;
    unsigned marks;
    if (eval_args(env, e, args, &marks, err) < 0 || check_user_args(env, fn, e, args, err) < 0)
        return -1;
    struct call_frame frame = { .names = fn->names, .values = args };
    struct env inner = { .engine = env->engine,
                         .file = env->file,
                         .scope = env->scope,
                         .call = &frame,
                         .node = SIZE_MAX };
    const struct value *body = value_get(fn->output, "value");
    if (evaluate_deep(&inner, body ? body : &value_null, ret, err) < 0)
        return -1;
    char *what = arena_printf(env->engine->arena, "output of the function '%s'", fn->name);
    return types_accept(env->file, fn->output, *ret, what, err);
}

static int available(struct env *env, const struct value *object, const char *key,
                     struct error *err)
{
    struct str s;
    str_init(&s, 600);
    for (size_t i = 0; i < object->count; i++)
        str_printf(&s, "%s%s", i ? ", " : "", object->members[i].key);
    (void)env;
    fail(err, &E_TEMPLATE_EXPRESSION,
         "The language expression property '%s' doesn't exist, available properties are '%s'.", key,
         s.data);
    str_done(&s);
    return -1;
}

static int access_deferred(struct env *env, const struct value *base, const struct value *key,
                           bool is_safe, const struct value **ret, struct error *err)
{
    struct str s;
    if (engine_walk(env->engine, base, err) < 0 || engine_walk(env->engine, key, err) < 0)
        return -1;
    str_init(&s, ENGINE_TEXT_MAX);
    value_print_literal(&s, base);
    bool is_name = key->kind == VALUE_TEXT && key->count > 0;
    for (size_t i = 0; is_name && i < key->count; i++) {
        char c = key->text[i];
        is_name = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
                  (i > 0 && c >= '0' && c <= '9');
    }
    if (is_name) {
        str_puts(&s, is_safe ? ".?" : ".");
        str_append(&s, key->text, key->count);
    } else {
        str_puts(&s, is_safe ? "[?" : "[");
        value_print_literal(&s, key);
        str_putc(&s, ']');
    }
    int rc = str_check(&s, err);
    if (rc == 0)
        rc = engine_bytes(env->engine, s.len, err);
    if (rc == 0) {
        *ret = value_deferred(env->engine->arena, s.data, s.len);
        *ret = value_mark(env->engine->arena, *ret, base->marks & MARK_SECURE);
    }
    str_done(&s);
    return rc;
}

int evaluate_access(struct env *env, const struct value *base, const struct value *key, int is_safe,
                    const struct value **ret, struct error *err)
{
    struct arena *a = env->engine->arena;
    if (base->kind == VALUE_DEFERRED || key->kind == VALUE_DEFERRED)
        return access_deferred(env, base, key, is_safe, ret, err);
    *ret = &value_null;
    if (base->kind == VALUE_NULL && is_safe)
        return 0;
    if (base->kind == VALUE_OBJECT && key->kind == VALUE_TEXT) {
        if (engine_steps(env->engine, base->count / 32, err) < 0)
            return -1;
        const struct member *m = value_member(base, key->text, key->count);
        if (!m)
            return is_safe ? 0 : available(env, base, key->text, err);
        *ret = value_mark(a, m->value, base->marks & MARK_SECURE);
        return 0;
    }
    if (base->kind == VALUE_ARRAY && key->kind == VALUE_INT) {
        if (key->integer >= 0 && key->integer < (int64_t)base->count) {
            *ret = value_mark(a, base->items[key->integer], base->marks & MARK_SECURE);
            return 0;
        }
        return is_safe ? 0
                       : fail(err, &E_TEMPLATE_EXPRESSION,
                              "The language expression property array index '%" PRId64
                              "' is out of bounds.",
                              key->integer);
    }
    if (key->kind == VALUE_INT)
        return fail(err, &E_TEMPLATE_EXPRESSION,
                    "The language expression property '%" PRId64
                    "' can't be evaluated, property name must be a string.",
                    key->integer);
    if (base->kind == VALUE_ARRAY)
        return fail(err, &E_TEMPLATE_EXPRESSION,
                    "The language expression property '%s' can't be evaluated, the index of an "
                    "array must be an integer.",
                    key->kind == VALUE_TEXT ? key->text : value_kind_name(key));
    return fail(err, &E_TEMPLATE_EXPRESSION,
                "The language expression property '%s' can't be evaluated, the value before it is "
                "of type '%s'.",
                key->kind == VALUE_TEXT ? key->text : value_kind_name(key), value_kind_name(base));
}

/* ret_is_cut: a ".?" before found nothing, so the rest of the chain is null too. */
static int eval_access(struct env *env, const struct expr *e, bool *ret_is_cut,
                       const struct value **ret, struct error *err)
{
    const struct value *base;
    const struct value *key = e->key->literal;
    if (eval(env, e->base, ret_is_cut, &base, err) < 0)
        return -1;
    if (*ret_is_cut) {
        *ret = &value_null;
        return 0;
    }
    if (!key && evaluate_expr(env, e->key, &key, err) < 0)
        return -1;
    if (evaluate_access(env, base, key, e->is_safe, ret, err) < 0)
        return -1;
    *ret_is_cut = e->is_safe && (*ret)->kind == VALUE_NULL;
    return 0;
}

static int eval(struct env *env, const struct expr *e, bool *ret_is_cut, const struct value **ret,
                struct error *err)
{
    struct engine *g = env->engine;
    *ret_is_cut = false;
    if (e->kind == EXPR_LITERAL) {
        *ret = e->literal;
        return 0;
    }
    if (engine_steps(g, 1, err) < 0 || engine_bytes(g, sizeof(struct value), err) < 0)
        return -1;
    if (g->depth >= ENGINE_DEPTH_MAX)
        return fail(err, &E_TEMPLATE_BUDGET,
                    "The template is nested too deeply: its evaluation needs more than '%d' "
                    "levels.",
                    ENGINE_DEPTH_MAX);
    g->depth++;
    int rc;
    if (e->kind != EXPR_CALL)
        rc = eval_access(env, e, ret_is_cut, ret, err);
    else if (e->function)
        rc = call_standard(env, e, ret, err);
    else
        rc = call_user(env, e, ret, err);
    g->depth--;
    return rc < 0 ? -1 : engine_size(g, *ret, err);
}

int evaluate_expr(struct env *env, const struct expr *e, const struct value **ret,
                  struct error *err)
{
    bool is_cut;
    return eval(env, e, &is_cut, ret, err);
}

/* Makes the cell of a text that begins with '['. */
static int parse_cell(struct env *env, const struct value *v, struct error *err)
{
    struct arena *a = env->engine->arena;
    struct expr_cell *cell = v->cell;
    size_t len = v->count;
    if (!expr_is_code(v->text, len)) {
        bool is_escaped = len >= 2 && v->text[1] == '[' && v->text[len - 1] == ']';
        cell->literal = is_escaped ? value_text_own(a, v->text + 1, len - 1) : v;
        cell->state = EXPR_IS_LITERAL;
        return 0;
    }
    if (engine_bytes(env->engine, len * 8, err) < 0)
        return -1;
    size_t at = 0;
    if (expr_parse(a, v->text + 1, len - 2, &cell->expr, &at, err) < 0) {
        const struct source *s = env->file ? env->file->source : NULL;
        engine_blame(env->engine, s, v->at ? v->at + 2 + (uint32_t)at : 0);
        return -1;
    }
    cell->state = EXPR_IS_CODE;
    return 0;
}

int evaluate_value(struct env *env, const struct value *v, const struct value **ret,
                   struct error *err)
{
    if (v->kind != VALUE_TEXT || !v->cell) {
        *ret = v;
        return 0;
    }
    if (v->cell->state == EXPR_UNSEEN && parse_cell(env, v, err) < 0)
        return -1;
    if (v->cell->state == EXPR_IS_LITERAL) {
        *ret = v->cell->literal;
        return 0;
    }
    if (evaluate_expr(env, v->cell->expr, ret, err) < 0) {
        engine_blame(env->engine, env->file ? env->file->source : NULL, v->at);
        return -1;
    }
    *ret = value_mark(env->engine->arena, *ret, v->marks & MARK_SECURE);
    return 0;
}

static int not_known_yet(struct env *env, const char *what, struct error *err)
{
    env->engine->is_not_yet = true;
    return fail(err, &E_TEMPLATE_EXPRESSION,
                "The value of %s depends on a resource that is not deployed yet; reference and "
                "list functions are not expected at this location." SEE_EXPRESSIONS,
                what);
}

static int wrong_kind(struct env *env, const struct value *v, const char *what, const char *kind,
                      struct error *err)
{
    if (v->kind == VALUE_DEFERRED)
        return not_known_yet(env, what, err);
    return fail(err, &E_TEMPLATE_EXPRESSION,
                "The value of %s is not valid. Expected '%s'. Actual '%s'." SEE_EXPRESSIONS, what,
                kind, value_kind_name(v));
}

int evaluate_text_now(struct env *env, const struct value *v, const char *what, const char **ret,
                      struct error *err)
{
    const struct value *r;
    if (evaluate_value(env, v, &r, err) < 0)
        return -1;
    if (r->kind != VALUE_TEXT)
        return wrong_kind(env, r, what, "String", err);
    *ret = r->text;
    return 0;
}

int evaluate_int_now(struct env *env, const struct value *v, const char *what, long long *ret,
                     struct error *err)
{
    const struct value *r;
    if (evaluate_value(env, v, &r, err) < 0)
        return -1;
    if (r->kind != VALUE_INT)
        return wrong_kind(env, r, what, "Integer", err);
    *ret = r->integer;
    return 0;
}

int evaluate_bool_now(struct env *env, const struct value *v, const char *what, int *ret,
                      struct error *err)
{
    const struct value *r;
    if (evaluate_value(env, v, &r, err) < 0)
        return -1;
    if (r->kind != VALUE_BOOL)
        return wrong_kind(env, r, what, "Boolean", err);
    *ret = r->boolean;
    return 0;
}
