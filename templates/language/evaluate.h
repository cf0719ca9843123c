/* Evaluating expressions and whole values. Anything that needs run time (reference, references,
 * list*) and has no runtime to ask gives a deferred value: the expression that remains, with
 * parameters, variables and loop indexes already put in. */
#ifndef PORTOLAN_TEMPLATES_EVALUATE_H
#define PORTOLAN_TEMPLATES_EVALUATE_H

#include <stddef.h>

#include "common/base/cleanup.h"

struct env;
struct error;
struct expr;
struct value;

MUST_CHECK int evaluate_expr(struct env *env, const struct expr *e, const struct value **ret,
                             struct error *err);
/* A text that is an expression becomes its value; any other value is itself, "[[" unescaped. */
MUST_CHECK int evaluate_value(struct env *env, const struct value *v, const struct value **ret,
                              struct error *err);
/* The same for all below, object keys included; under ALLOW_COPY_LISTS property copies expand. */
MUST_CHECK int evaluate_deep(struct env *env, const struct value *v, const struct value **ret,
                             struct error *err);
/* evaluate_value(), and the result must be of the kind; `what` names it in the error. A deferred
 * result is an error: the place needs its value before anything runs. */
MUST_CHECK int evaluate_text_now(struct env *env, const struct value *v, const char *what,
                                 const char **ret, struct error *err);
MUST_CHECK int evaluate_int_now(struct env *env, const struct value *v, const char *what,
                                long long *ret, struct error *err);
MUST_CHECK int evaluate_bool_now(struct env *env, const struct value *v, const char *what, int *ret,
                                 struct error *err);
/* An object key that is an expression (userAssignedIdentities): *ret is its text or deferred, or
 * NULL when the key stays as it is. */
struct member;
MUST_CHECK int evaluate_key(struct env *env, const struct member *m, const struct value **ret,
                            struct error *err);
/* One step of property or index access on a value that is known. */
MUST_CHECK int evaluate_access(struct env *env, const struct value *base, const struct value *key,
                               int is_safe, const struct value **ret, struct error *err);
/* The expression as text, with what its frames bind put in; what needs run time stays. */
struct str;
MUST_CHECK int evaluate_print(struct env *env, const struct expr *e, struct str *out,
                              struct error *err);

#endif
