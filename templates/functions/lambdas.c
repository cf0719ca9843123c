/* lambda() and the functions that take one. A lambda may stand only as their direct argument. */
#include "common/base/arena.h"
#include "common/base/error.h"
#include "templates/functions/families.h"
#include "templates/functions/function.h"
#include "templates/language/evaluate.h"
#include "templates/language/expression.h"
#include "templates/language/faults.h"

#define VARIABLES_MAX 3

struct lambda {
    size_t count; /* variables */
    struct lambda_frame frames[VARIABLES_MAX];
    const struct expr *body;
};

int fn_lambda(struct call *c, const struct value **ret, struct error *err)
{
    (void)ret;
    return fail(err, &E_TEMPLATE_EXPRESSION,
                "The template function '%s' is not expected at this location." SEE_FUNCTIONS,
                c->name);
}

int fn_lambda_variables(struct call *c, const struct value **ret, struct error *err)
{
    const struct value *name;
    if (arg_text(c, 0, &name, err) < 0)
        return -1;
    for (const struct lambda_frame *f = c->env->lambda; f; f = f->outer)
        if (text_same_nocase(f->name, f->name_len, name->text, name->count)) {
            *ret = f->value;
            return 0;
        }
    return fail(err, &E_TEMPLATE_EXPRESSION,
                "The template lambda variable '%s' is not found." SEE_FUNCTIONS, name->text);
}

/* Argument i as a lambda of min to max variables. */
static int read_lambda(struct call *c, size_t i, size_t min, size_t max, struct lambda *ret,
                       struct error *err)
{
    const struct expr *e = c->expr->args[i];
    *ret = (struct lambda){ 0 };
    if (e->kind != EXPR_CALL || !e->function || strcmp(e->function->name, "lambda") != 0)
        return call_fail(c, err, "parameter '%zu' must be a lambda.", i + 1);
    if (e->argc < min + 1 || e->argc > max + 1)
        return call_fail(c, err, "the lambda must have '%zu' to '%zu' variables.", min, max);
    ret->count = e->argc - 1;
    for (size_t k = 0; k < ret->count; k++) {
        const struct value *name = e->args[k]->literal;
        if (!value_is(name, VALUE_TEXT))
            return call_fail(c, err, "the variable names of a lambda must be string literals.");
        ret->frames[k].name = name->text;
        ret->frames[k].name_len = name->count;
        ret->frames[k].outer = k ? &ret->frames[k - 1] : c->env->lambda;
    }
    ret->body = e->args[ret->count];
    return 0;
}

static int run(struct call *c, struct lambda *l, const struct value **ret, struct error *err)
{
    const struct lambda_frame *outer = c->env->lambda;
    if (l->count)
        c->env->lambda = &l->frames[l->count - 1];
    int rc = evaluate_expr(c->env, l->body, ret, err);
    c->env->lambda = outer;
    return rc;
}

/* The element, and its index when the lambda asks for it. */
static int run_item(struct call *c, struct lambda *l, const struct value *item, size_t index,
                    const struct value **ret, struct error *err)
{
    l->frames[0].value = item;
    if (l->count > 1)
        l->frames[1].value = value_int(c->arena, (int64_t)index);
    return run(c, l, ret, err);
}

/* 1: *ret is an array to work on; 0: not known yet, *ret is the deferred call; -1. */
static int input_array(struct call *c, const struct value **ret, struct error *err)
{
    if (call_eval(c, 0, ret, err) < 0)
        return -1;
    if ((*ret)->kind == VALUE_DEFERRED)
        return call_defer(c, ret, err);
    if ((*ret)->kind != VALUE_ARRAY) {
        struct call shown = *c;
        shown.args = ret;
        return arg_wrong(&shown, 0, "an array", err);
    }
    return 1;
}

static const struct value *secured(struct call *c, const struct value *v, const struct value *from)
{
    return value_mark(c->arena, v, from->marks & MARK_SECURE);
}

int fn_map(struct call *c, const struct value **ret, struct error *err)
{
    struct lambda l;
    const struct value *in, **items;
    if (read_lambda(c, 1, 1, 2, &l, err) < 0)
        return -1;
    int rc = input_array(c, &in, err);
    if (rc <= 0) {
        *ret = in;
        return rc;
    }
    if (call_items(c, in->count, &items, err) < 0)
        return -1;
    for (size_t i = 0; i < in->count; i++)
        if (run_item(c, &l, in->items[i], i, &items[i], err) < 0)
            return -1;
    *ret = secured(c, value_array(c->arena, items, in->count), in);
    return 0;
}

/* A predicate's result: 1 or 0; 2 when it is not known yet. */
static int truth(struct call *c, const struct value *v, struct error *err)
{
    if (v->kind == VALUE_DEFERRED)
        return 2;
    if (v->kind != VALUE_BOOL)
        return call_fail(c, err,
                         "the lambda must return a boolean; it returned a value of type "
                         "'%s'.",
                         value_kind_name(v));
    return v->boolean;
}

int fn_filter(struct call *c, const struct value **ret, struct error *err)
{
    struct lambda l;
    const struct value *in, **items;
    if (read_lambda(c, 1, 1, 2, &l, err) < 0)
        return -1;
    int rc = input_array(c, &in, err);
    if (rc <= 0) {
        *ret = in;
        return rc;
    }
    if (call_items(c, in->count, &items, err) < 0)
        return -1;
    size_t count = 0;
    for (size_t i = 0; i < in->count; i++) {
        const struct value *v;
        if (run_item(c, &l, in->items[i], i, &v, err) < 0)
            return -1;
        rc = truth(c, v, err);
        if (rc < 0)
            return -1;
        if (rc == 2)
            return call_defer(c, ret, err);
        if (rc)
            items[count++] = in->items[i];
    }
    *ret = secured(c, value_array(c->arena, items, count), in);
    return 0;
}

int fn_reduce(struct call *c, const struct value **ret, struct error *err)
{
    struct lambda l;
    const struct value *in, *so_far;
    if (read_lambda(c, 2, 2, 3, &l, err) < 0)
        return -1;
    int rc = input_array(c, &in, err);
    if (rc <= 0) {
        *ret = in;
        return rc;
    }
    if (call_eval(c, 1, &so_far, err) < 0)
        return -1;
    for (size_t i = 0; i < in->count; i++) {
        l.frames[0].value = so_far;
        l.frames[1].value = in->items[i];
        if (l.count > 2)
            l.frames[2].value = value_int(c->arena, (int64_t)i);
        if (run(c, &l, &so_far, err) < 0)
            return -1;
    }
    *ret = secured(c, so_far, in);
    return 0;
}

/* Is x to stand before y? As truth(). */
static int before(struct call *c, struct lambda *l, const struct value *x, const struct value *y,
                  struct error *err)
{
    const struct value *v;
    l->frames[0].value = x;
    l->frames[1].value = y;
    if (run(c, l, &v, err) < 0)
        return -1;
    return truth(c, v, err);
}

/* Merges [low, middle) and [middle, high) of from into to; equal items keep their order. */
static int merge_runs(struct call *c, struct lambda *l, const struct value **from,
                      const struct value **to, size_t low, size_t middle, size_t high,
                      struct error *err)
{
    size_t i = low, j = middle;
    for (size_t k = low; k < high; k++) {
        int rc = 0;
        if (i < middle && j < high) {
            rc = before(c, l, from[j], from[i], err);
            if (rc < 0 || rc == 2)
                return rc;
        }
        bool takes_second = i >= middle || (j < high && rc == 1);
        to[k] = takes_second ? from[j++] : from[i++];
    }
    return 0;
}

int fn_sort(struct call *c, const struct value **ret, struct error *err)
{
    struct lambda l;
    const struct value *in, **from, **to;
    if (read_lambda(c, 1, 2, 2, &l, err) < 0)
        return -1;
    int rc = input_array(c, &in, err);
    if (rc <= 0) {
        *ret = in;
        return rc;
    }
    if (call_items(c, in->count, &from, err) < 0 || call_items(c, in->count, &to, err) < 0)
        return -1;
    if (in->count)
        memcpy(from, in->items, in->count * sizeof(*from));
    for (size_t width = 1; width < in->count; width *= 2) {
        for (size_t low = 0; low < in->count; low += 2 * width) {
            size_t middle = low + width < in->count ? low + width : in->count;
            size_t high = low + 2 * width < in->count ? low + 2 * width : in->count;
            rc = merge_runs(c, &l, from, to, low, middle, high, err);
            if (rc < 0)
                return -1;
            if (rc == 2)
                return call_defer(c, ret, err);
        }
        const struct value **swap = from;
        from = to;
        to = swap;
    }
    *ret = secured(c, value_array(c->arena, from, in->count), in);
    return 0;
}

struct keyed {
    struct lambda key, value;
    bool has_value;
};

static int read_keyed(struct call *c, struct keyed *k, struct error *err)
{
    k->has_value = c->argc > 2;
    if (read_lambda(c, 1, 1, 2, &k->key, err) < 0)
        return -1;
    return k->has_value ? read_lambda(c, 2, 1, 2, &k->value, err) : 0;
}

/* 1 with key and value of item i; 0 when the key is not known yet; -1. */
static int keyed_item(struct call *c, struct keyed *k, const struct value *in, size_t i,
                      const struct value **ret_key, const struct value **ret_value,
                      struct error *err)
{
    if (run_item(c, &k->key, in->items[i], i, ret_key, err) < 0)
        return -1;
    if ((*ret_key)->kind == VALUE_DEFERRED)
        return 0;
    if ((*ret_key)->kind != VALUE_TEXT)
        return call_fail(c, err,
                         "the key lambda must return a string; it returned a value of type "
                         "'%s'.",
                         value_kind_name(*ret_key));
    *ret_value = in->items[i];
    if (k->has_value && run_item(c, &k->value, in->items[i], i, ret_value, err) < 0)
        return -1;
    if (engine_steps(c->env->engine, i / 8, err) < 0)
        return -1;
    return 1;
}

int fn_to_object(struct call *c, const struct value **ret, struct error *err)
{
    struct keyed k = { 0 };
    const struct value *in, *key, *v;
    if (read_keyed(c, &k, err) < 0)
        return -1;
    int rc = input_array(c, &in, err);
    if (rc <= 0) {
        *ret = in;
        return rc;
    }
    struct object_builder b;
    object_start(&b, c->arena, in->count);
    for (size_t i = 0; i < in->count; i++) {
        rc = keyed_item(c, &k, in, i, &key, &v, err);
        if (rc <= 0)
            return rc < 0 ? -1 : call_defer(c, ret, err);
        object_put(&b, key->text, key->count, v);
    }
    *ret = secured(c, object_end(&b), in);
    return 0;
}

struct group {
    const struct value **items;
    size_t count, cap;
};

static void group_add(struct arena *a, struct group *g, const struct value *v)
{
    if (g->count == g->cap) {
        size_t cap = g->cap ? g->cap * 2 : 4;
        const struct value **bigger = arena_array(a, cap, sizeof(*bigger));
        if (g->count)
            memcpy(bigger, g->items, g->count * sizeof(*bigger));
        g->items = bigger;
        g->cap = cap;
    }
    g->items[g->count++] = v;
}

int fn_group_by(struct call *c, const struct value **ret, struct error *err)
{
    struct keyed k = { 0 };
    const struct value *in, *key, *v;
    if (read_keyed(c, &k, err) < 0)
        return -1;
    int rc = input_array(c, &in, err);
    if (rc <= 0) {
        *ret = in;
        return rc;
    }
    struct group *groups = arena_array(c->arena, in->count ? in->count : 1, sizeof(*groups));
    struct object_builder b;
    object_start(&b, c->arena, in->count);
    for (size_t i = 0; i < in->count; i++) {
        rc = keyed_item(c, &k, in, i, &key, &v, err);
        if (rc <= 0)
            return rc < 0 ? -1 : call_defer(c, ret, err);
        size_t at = 0;
        while (at < b.count &&
               !text_same_nocase(b.members[at].key, b.members[at].key_len, key->text, key->count))
            at++;
        if (at == b.count)
            object_push(&b, key->text, key->count, &value_null);
        group_add(c->arena, &groups[at], v);
    }
    for (size_t i = 0; i < b.count; i++)
        b.members[i].value = value_array(c->arena, groups[i].items, groups[i].count);
    *ret = secured(c, object_end(&b), in);
    return 0;
}

int fn_map_values(struct call *c, const struct value **ret, struct error *err)
{
    struct lambda l;
    const struct value *in;
    if (read_lambda(c, 1, 1, 1, &l, err) < 0 || call_eval(c, 0, &in, err) < 0)
        return -1;
    if (in->kind == VALUE_DEFERRED)
        return call_defer(c, ret, err);
    if (in->kind != VALUE_OBJECT) {
        struct call shown = *c;
        shown.args = &in;
        return arg_wrong(&shown, 0, "an object", err);
    }
    struct object_builder b;
    object_start(&b, c->arena, in->count);
    for (size_t i = 0; i < in->count; i++) {
        const struct value *v;
        l.frames[0].value = in->members[i].value;
        if (run(c, &l, &v, err) < 0)
            return -1;
        object_push(&b, in->members[i].key, in->members[i].key_len, v);
    }
    *ret = secured(c, object_end(&b), in);
    return 0;
}
