/* One row per standard function, and what a function is given. The table in table.c is the only
 * list: look-up, argument counts, where a function may stand, and the documentation come from it.
 */
#ifndef PORTOLAN_TEMPLATES_FUNCTION_H
#define PORTOLAN_TEMPLATES_FUNCTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"
#include "templates/language/engine.h"
#include "templates/language/value.h"

struct arena;
struct error;
struct expr;
struct function;

struct call {
    struct env *env;
    struct arena *arena;
    const struct function *fn;
    const struct expr *expr; /* for FN_LAZY: the arguments, not evaluated */
    const char *name;        /* as written */
    size_t argc;
    const struct value *const *args; /* evaluated; NULL under FN_LAZY */
};

#define FN_LAZY       (1u << 0) /* evaluates its own arguments */
#define FN_RUNTIME    (1u << 1) /* answered by template_runtime; needs ALLOW_RUNTIME */
#define FN_DEFAULTS   (1u << 2) /* only in parameter defaults */
#define FN_SCOPE      (1u << 3) /* not in user functions */
#define FN_STRUCTURAL (1u << 4) /* takes values whose inside is deferred */
#define FN_INPUTS     (1u << 6) /* only in expressions that stand for parameter values */

struct function {
    const char *name;
    int min, max; /* arguments; max -1: any number */
    unsigned flags;
    int (*run)(struct call *c, const struct value **ret, struct error *err);
    const char *family;
    const char *arguments; /* for the documentation: "string, start, [length]" */
    const char *help;      /* one sentence */
};

extern const struct function function_table[]; /* sorted by name without case */
extern const size_t function_count;

/* NULL when there is none; every name that begins with "list" gives the list* row. */
const struct function *function_find(const char *name, size_t len);

/* Checks of arguments: 0, or -1 with the text that names function and position. */
MUST_CHECK int arg_text(struct call *c, size_t i, const struct value **ret, struct error *err);
MUST_CHECK int arg_int(struct call *c, size_t i, int64_t *ret, struct error *err);
MUST_CHECK int arg_bool(struct call *c, size_t i, bool *ret, struct error *err);
MUST_CHECK int arg_array(struct call *c, size_t i, const struct value **ret, struct error *err);
MUST_CHECK int arg_object(struct call *c, size_t i, const struct value **ret, struct error *err);
/* "The template language function 'f' expects …": expects names what argument i should be. */
int arg_wrong(struct call *c, size_t i, const char *expects, struct error *err);
/* "Unable to evaluate template language function 'f': …" */
int call_fail(struct call *c, struct error *err, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Evaluates argument i of a FN_LAZY function. */
MUST_CHECK int call_eval(struct call *c, size_t i, const struct value **ret, struct error *err);
/* The result of a call that cannot be known yet: its own text with the frames' values put in. */
MUST_CHECK int call_defer(struct call *c, const struct value **ret, struct error *err);
/* Text a function builds: charged to the budget, capped at ENGINE_TEXT_MAX. */
MUST_CHECK int call_text(struct call *c, const char *s, size_t len, const struct value **ret,
                         struct error *err);
MUST_CHECK int call_str(struct call *c, const struct str *s, const struct value **ret,
                        struct error *err);
/* Reserves room for an array of count items (charged). */
MUST_CHECK int call_items(struct call *c, size_t count, const struct value ***ret,
                          struct error *err);
MUST_CHECK int call_equal(struct call *c, const struct value *x, const struct value *y, bool *ret,
                          struct error *err);
/* What a value is as text inside concat, join and format: digits, True/False, JSON. */
MUST_CHECK int call_format(struct call *c, struct str *out, const struct value *v, char quote,
                           struct error *err);

#endif
