/* parameters(), variables(), externalInputs() and copyIndex(): what a name stands for where the
 * expression is. */
#include <inttypes.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "templates/functions/families.h"
#include "templates/functions/function.h"
#include "templates/language/faults.h"
#include "templates/language/file.h"
#include "templates/language/template.h"

static int call_parameter(struct call *c, const struct value *name, const struct value **ret,
                          struct error *err)
{
    const struct call_frame *frame = c->env->call;
    for (size_t i = 0; i < frame->names->count; i++) {
        const struct value *own = frame->names->items[i];
        if (text_same_nocase(own->text, own->count, name->text, name->count)) {
            *ret = frame->values[i];
            return 0;
        }
    }
    return fail(err, &E_TEMPLATE_EXPRESSION,
                "The template parameter '%s' is not found." USAGE("arm-template/#parameters"),
                name->text);
}

int fn_parameters(struct call *c, const struct value **ret, struct error *err)
{
    const struct value *name;
    if (arg_text(c, 0, &name, err) < 0)
        return -1;
    if (c->env->call)
        return call_parameter(c, name, ret, err);
    if (!c->env->file)
        return fail(err, &E_TEMPLATE_EXPRESSION,
                    "The template parameter '%s' is not found." USAGE("arm-template/#parameters"),
                    name->text);
    return file_parameter_value(c->env->file, name->text, name->count, ret, err);
}

int fn_variables(struct call *c, const struct value **ret, struct error *err)
{
    const struct value *name;
    if (arg_text(c, 0, &name, err) < 0)
        return -1;
    if (!c->env->file)
        return fail(err, &E_TEMPLATE_EXPRESSION,
                    "The template variable '%s' is not found." USAGE("arm-template/#variables"),
                    name->text);
    return file_variable_value(c->env->file, name->text, name->count, ret, err);
}

int fn_external_inputs(struct call *c, const struct value **ret, struct error *err)
{
    const struct template_context *x = c->env->scope;
    const struct value *name;
    if (arg_text(c, 0, &name, err) < 0)
        return -1;
    const struct value *inputs =
        x->external_inputs ? value_import(c->arena, x->external_inputs, NULL) : NULL;
    const struct value *input = inputs ? value_get(inputs, name->text) : NULL;
    *ret = input ? value_get(input, "value") : NULL;
    if (*ret)
        return 0;
    return fail(err, &E_TEMPLATE_EXPRESSION,
                "The external input '%s' is not provided: the deployment must have a value for it "
                "in 'externalInputs'." SEE_FUNCTIONS,
                name->text);
}

/* copyIndex('loop', 1) of a loop that runs later. */
static const struct value *open_index(struct call *c, const char *loop, int64_t offset)
{
    struct arena *a = c->arena;
    char *text;
    if (loop && offset)
        text = arena_printf(a, "copyIndex('%s', %" PRId64 ")", loop, offset);
    else if (loop)
        text = arena_printf(a, "copyIndex('%s')", loop);
    else
        text = offset ? arena_printf(a, "copyIndex(%" PRId64 ")", offset) : "copyIndex()";
    return value_deferred(a, text, strlen(text));
}

int fn_copy_index(struct call *c, const struct value **ret, struct error *err)
{
    const char *loop = NULL;
    int64_t offset = 0, sum;
    for (size_t i = 0; i < c->argc; i++) {
        if (i == 0 && c->args[0]->kind == VALUE_TEXT)
            loop = c->args[0]->text;
        else if (arg_int(c, i, &offset, err) < 0)
            return -1;
    }
    const struct copy_frame *f = c->env->copy;
    while (f && !(loop ? text_eq_nocase(f->name, loop) : f->is_target))
        f = f->outer;
    if (!f && loop)
        return fail(err, &E_TEMPLATE_EXPRESSION,
                    "The template function 'copyIndex' has an invalid argument. The provided copy "
                    "name '%s' doesn't exist in the resource." USAGE("arm-copy"),
                    loop);
    if (!f)
        return fail(
            err, &E_TEMPLATE_EXPRESSION,
            "The template function 'copyIndex' is not expected at this location. The "
            "function can only be used in a resource with copy specified." USAGE("arm-copy"));
    if (f->is_open) {
        *ret = open_index(c, loop, offset);
        return 0;
    }
    if (__builtin_add_overflow(f->index, offset, &sum))
        return call_fail(c, err, "the offset '%" PRId64 "' is out of range.", offset);
    *ret = value_int(c->arena, sum);
    return 0;
}
