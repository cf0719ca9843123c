/* What one evaluation carries: budgets that end a hostile template quickly, the frames an
 * expression sees (parameters, variables, copy loops, lambda variables), and what it may call.
 * Internal to templates/; callers use template.h. */
#ifndef PORTOLAN_TEMPLATES_ENGINE_H
#define PORTOLAN_TEMPLATES_ENGINE_H

#include <locale.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"
#include "templates/language/source.h"
#include "templates/language/value.h"

struct arena;
struct error;
struct expr;
struct plan_builder;
struct template_context;
struct template_file;

/* Budgets of one plan or one evaluation. A function call costs a few steps; each node compared,
 * copied or visited costs one; every byte of text made costs one byte. */
#define ENGINE_STEPS_MAX ((size_t)6 * 1000 * 1000)
#define ENGINE_BYTES_MAX ((size_t)96 * 1024 * 1024)
#define ENGINE_DEPTH_MAX 120 /* fits worker threads with stacks of 256 KiB */
#define ENGINE_TEXT_MAX  ((size_t)4 * 1024 * 1024)  /* one text */
#define ENGINE_VALUE_MAX ((size_t)16 * 1024 * 1024) /* one value, shared parts counted each time   \
                                                     */
#define ENGINE_VALUE_DEPTH_MAX 100 /* levels of one value, less than of a JSON text that holds it */

struct engine {
    struct arena *arena;
    const struct template_context *context;
    size_t steps_left;
    size_t bytes_left;
    int depth;
    const struct value *environment; /* what environment() gave last */
    bool is_not_yet;                 /* the failure is that a value is only known at run time */
    int guid_count;        /* newGuid() calls so far: each differs, a replay gives the same */
    struct error *scratch; /* for trials whose failure is not one */
    locale_t locale;       /* for letters beyond ASCII; made at first need */
    uint32_t fault_at;     /* innermost place of the failure: offset + 1, 0 when unknown */
    const struct source *fault_source;
};

struct copy_frame {
    const char *name; /* "" for an output loop */
    int64_t index;
    bool is_target; /* what copyIndex() without a name means */
    bool is_open;   /* a loop of a nested template that is not being run now: stays an expression */
    const struct copy_frame *outer;
};

struct lambda_frame {
    const char *name;
    uint32_t name_len;
    const struct value *value; /* deferred while the lambda is only being printed */
    const struct lambda_frame *outer;
};

/* Arguments of the user function being evaluated. */
struct call_frame {
    const struct value *names; /* array of texts */
    const struct value *const *values;
};

/* What an expression may call where it stands. */
#define ALLOW_RUNTIME    (1u << 0) /* reference(), references(), list*() */
#define ALLOW_DEFAULTS   (1u << 1) /* newGuid(), utcNow() */
#define ALLOW_SCOPE      (1u << 2) /* variables(), resourceGroup() and the like: not in functions */
#define ALLOW_COPY_LISTS (1u << 3) /* "copy": [{name, count, input}] makes properties */
#define ALLOW_INPUTS     (1u << 4) /* externalInputs() */

struct env {
    struct engine *engine;
    struct template_file *file;           /* NULL: no parameters or variables (eval) */
    const struct template_context *scope; /* where resourceGroup() and resourceId() are */
    const struct copy_frame *copy;
    const struct lambda_frame *lambda;
    const struct call_frame *call;
    struct plan_builder *plan; /* what reference() can name; NULL: nothing */
    size_t node;               /* the resource being evaluated; SIZE_MAX: none (an output) */
    unsigned allow;
    bool is_substituting; /* an outer-scope nested template: what runs inside it stays */
};

/* Spend budget; E_TEMPLATE_BUDGET when it is gone. */
MUST_CHECK int engine_steps(struct engine *e, size_t steps, struct error *err);
MUST_CHECK int engine_bytes(struct engine *e, size_t bytes, struct error *err);
/* Values share their parts, so a small template can make a value that nobody could print: every
 * result passes here. Its size and depth bound every walk over it. */
MUST_CHECK int engine_size(struct engine *e, const struct value *v, struct error *err);
/* The price of one walk over v. */
MUST_CHECK int engine_walk(struct engine *e, const struct value *v, struct error *err);
/* Remembers the place of a failure unless a more inner one is known. */
void engine_blame(struct engine *e, const struct source *source, uint32_t at);
/* An error nobody will read: of something that is only tried. It is not on the stack, for the
 * callers of this recurse. */
struct error *engine_scratch(struct engine *e);
/* For the Unicode letters; (locale_t)0 when the system has none. */
locale_t engine_locale(struct engine *e);

#endif
