/* Types of parameters, outputs and user functions: the seven of language version 1.0, and the
 * schemas of 2.0 (definitions, $ref, properties, items, discriminators, nullable). */
#ifndef PORTOLAN_TEMPLATES_TYPES_H
#define PORTOLAN_TEMPLATES_TYPES_H

#include <stdbool.h>

#include "common/base/cleanup.h"

struct error;
struct template_file;
struct value;

/* The declaration with its $ref followed (constraints beside the $ref win); schema itself when it
 * has none. Cyclic and unknown references are errors. */
MUST_CHECK int types_resolve(struct template_file *f, const struct value *schema,
                             const struct value **ret, struct error *err);
/* "String", "SecureString", "Int", … as responses spell it; NULL when type is missing or unknown.
 */
const char *types_name(const struct value *schema);
bool types_is_secure(struct template_file *f, const struct value *schema);
bool types_is_nullable(const struct value *schema);
/* Does the value have the type and keep the constraints? The message says "The provided value …"
 * with `what` as in "template parameter 'p'"; the value of a secure type is not shown. Deferred
 * values pass. */
MUST_CHECK int types_accept(struct template_file *f, const struct value *schema,
                           const struct value *v, const char *what, struct error *err);
/* The same value with MARK_SECURE wherever the schema says secure. */
const struct value *types_mark(struct template_file *f, const struct value *schema,
                               const struct value *v);

#endif
