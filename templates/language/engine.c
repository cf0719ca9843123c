/* Budgets and fault places of an evaluation. */
#include "templates/language/engine.h"

#include "common/base/arena.h"
#include "common/base/error.h"
#include "templates/language/faults.h"

int engine_steps(struct engine *e, size_t steps, struct error *err)
{
    if (steps > e->steps_left) {
        e->steps_left = 0;
        return fail(err, &E_TEMPLATE_BUDGET,
                    "The template is too complex: its evaluation needs more than '%zu' steps.",
                    ENGINE_STEPS_MAX);
    }
    e->steps_left -= steps;
    return 0;
}

int engine_bytes(struct engine *e, size_t bytes, struct error *err)
{
    if (bytes > e->bytes_left) {
        e->bytes_left = 0;
        return fail(err, &E_TEMPLATE_BUDGET,
                    "The template is too large: its evaluation makes more than '%zu' bytes.",
                    ENGINE_BYTES_MAX);
    }
    e->bytes_left -= bytes;
    return 0;
}

int engine_size(struct engine *e, const struct value *v, struct error *err)
{
    if (v->size <= ENGINE_VALUE_MAX && v->depth <= ENGINE_VALUE_DEPTH_MAX)
        return 0;
    e->bytes_left = 0;
    if (v->depth > ENGINE_VALUE_DEPTH_MAX)
        return fail(err, &E_TEMPLATE_BUDGET,
                    "The template is nested too deeply: its evaluation makes a value of more than "
                    "'%d' levels.",
                    ENGINE_VALUE_DEPTH_MAX);
    return fail(err, &E_TEMPLATE_BUDGET,
                "The template is too large: its evaluation makes a value of more than '%zu' bytes.",
                ENGINE_VALUE_MAX);
}

int engine_walk(struct engine *e, const struct value *v, struct error *err)
{
    return engine_steps(e, v->size / 64, err);
}

void engine_blame(struct engine *e, const struct source *source, uint32_t at)
{
    if (e->fault_at || !at)
        return;
    e->fault_at = at;
    e->fault_source = source;
}

struct error *engine_scratch(struct engine *e)
{
    if (!e->scratch)
        e->scratch = ARENA_NEW(e->arena, struct error);
    return e->scratch;
}

static void locale_done(void *p)
{
    freelocale((locale_t)p);
}

locale_t engine_locale(struct engine *e)
{
    if (!e->locale) {
        e->locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
        if (e->locale)
            arena_defer(e->arena, locale_done, e->locale);
    }
    return e->locale;
}
