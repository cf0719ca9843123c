/* templateHash: the decimal hash of a template in canonical member order, minified and in capital
 * letters, without the hash it may carry in its own metadata. */
#ifndef PORTOLAN_TEMPLATES_CANONICAL_H
#define PORTOLAN_TEMPLATES_CANONICAL_H

struct engine;
struct value;

/* ret_minified (may be NULL) is the text that was hashed. Both live in the engine's arena. */
const char *canonical_hash(struct engine *e, const struct value *root, const char **ret_minified);

#endif
