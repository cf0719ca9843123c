/* Blobs that a reader could not be given: noted where that shows, examined by the housekeeper
 * within half a second. */
#ifndef PORTOLAN_RULES_SUSPECTS_H
#define PORTOLAN_RULES_SUSPECTS_H

#include <stdbool.h>

#include "common/crypto/digest.h"

struct suspects;
struct suspects *suspects_new(void);
void suspects_free(struct suspects *s); /* NULL is accepted */
/* Never waits for the examination. When very many are noted at once some are not: whoever reads
 * them next notes them again. */
void suspects_note(struct suspects *s, const struct digest *digest);
/* False when there is none. */
bool suspects_take(struct suspects *s, struct digest *ret);

#endif
