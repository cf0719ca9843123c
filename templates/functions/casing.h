/* Letter case of the invariant culture: one character for one character, beyond ASCII as well. */
#ifndef PORTOLAN_TEMPLATES_CASING_H
#define PORTOLAN_TEMPLATES_CASING_H

#include <stdbool.h>
#include <stddef.h>

struct arena;
struct engine;

/* s in one case, in the arena; *ret_len is its length. Text that is already so may be s itself. */
const char *casing_convert(struct engine *e, const char *s, size_t len, bool is_upper,
                           size_t *ret_len);

#endif
