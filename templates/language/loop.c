/* Reading copy declarations and making the arrays of property, variable and output loops. */
#include "templates/language/loop.h"

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "templates/language/engine.h"
#include "templates/language/evaluate.h"
#include "templates/language/faults.h"

#define SEE_COPY USAGE("arm-copy")

static int read_mode(struct env *env, const struct value *decl, struct loop *loop,
                     struct error *err)
{
    const struct value *mode = value_get(decl, "mode");
    const struct value *batch = value_get(decl, "batchSize");
    const char *text = "parallel";
    if (mode && evaluate_text_now(env, mode, "the copy property 'mode'", &text, err) < 0)
        return -1;
    loop->is_serial = text_eq_nocase(text, "serial");
    if (!loop->is_serial && !text_eq_nocase(text, "parallel"))
        return fail(
            err, &E_TEMPLATE_EXPRESSION,
            "The copy mode '%s' is not valid. The supported modes are 'Parallel, Serial'." SEE_COPY,
            text);
    long long size = 1;
    if (batch && evaluate_int_now(env, batch, "the copy property 'batchSize'", &size, err) < 0)
        return -1;
    if (size < 1 || size > LOOP_COUNT_MAX)
        return fail(err, &E_TEMPLATE_EXPRESSION,
                    "The copy property 'batchSize' must be between '1' and '%d'." SEE_COPY,
                    LOOP_COUNT_MAX);
    loop->batch = size;
    return 0;
}

static int read_name(struct env *env, const struct value *decl, struct loop *loop,
                     struct error *err)
{
    const struct value *name = value_get(decl, "name");
    loop->name = "";
    if (loop->place == LOOP_OUTPUT)
        return 0;
    if (!name || (name->kind == VALUE_TEXT && !name->count))
        return fail(err, &E_TEMPLATE_EXPRESSION,
                    "The copy definition must have a non-empty property 'name'." SEE_COPY);
    return evaluate_text_now(env, name, "the copy property 'name'", &loop->name, err);
}

int loop_read(struct env *env, const struct value *decl, enum loop_place place, struct loop *ret,
              struct error *err)
{
    *ret = (struct loop){ .place = place };
    if (decl->kind != VALUE_OBJECT)
        return fail(err, &E_TEMPLATE_EXPRESSION,
                    "The copy definition is not valid. Expected 'Object'. Actual '%s'." SEE_COPY,
                    value_kind_name(decl));
    unsigned allow = env->allow;
    env->allow &= ~ALLOW_RUNTIME; /* a count is needed before anything runs */
    const struct value *count = value_get(decl, "count");
    long long n = 0;
    int rc = read_name(env, decl, ret, err);
    if (rc == 0 && !count)
        rc = fail(err, &E_TEMPLATE_EXPRESSION,
                  "The copy definition '%s' must have a property 'count'." SEE_COPY, ret->name);
    if (rc == 0)
        rc = evaluate_int_now(env, count, "the copy property 'count'", &n, err);
    if (rc == 0 && place == LOOP_RESOURCE)
        rc = read_mode(env, decl, ret, err);
    env->allow = allow;
    if (rc < 0)
        return -1;
    if (n < 0 || n > LOOP_COUNT_MAX)
        return fail(err, &E_TEMPLATE_EXPRESSION,
                    "The copy definition '%s' has an invalid count '%lld': it must be between '0' "
                    "and '%d'." SEE_COPY,
                    ret->name, n, LOOP_COUNT_MAX);
    ret->count = n;
    ret->input = value_get(decl, "input");
    if (place != LOOP_RESOURCE && !ret->input)
        return fail(err, &E_TEMPLATE_EXPRESSION,
                    "The copy definition '%s' must have a property 'input'." SEE_COPY, ret->name);
    return 0;
}

int loop_values(struct env *env, const struct loop *loop, const struct value **ret,
                struct error *err)
{
    struct arena *a = env->engine->arena;
    size_t count = (size_t)loop->count;
    if (engine_bytes(env->engine, count * sizeof(struct value *), err) < 0)
        return -1;
    const struct value **items = arena_array(a, count ? count : 1, sizeof(*items));
    struct copy_frame frame = { .name = loop->name,
                                .is_target = loop->place == LOOP_OUTPUT,
                                .outer = env->copy };
    env->copy = &frame;
    int rc = 0;
    for (size_t i = 0; i < count && rc == 0; i++) {
        frame.index = (int64_t)i;
        rc = evaluate_deep(env, loop->input, &items[i], err);
    }
    env->copy = frame.outer;
    if (rc < 0)
        return -1;
    *ret = value_array(a, items, count);
    return engine_size(env->engine, *ret, err);
}
