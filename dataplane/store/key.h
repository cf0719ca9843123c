/* Digests as the database stores them: one byte of algorithm (1 sha256, 2 sha512), then the hash.
 */
#ifndef PORTOLAN_STORE_KEY_H
#define PORTOLAN_STORE_KEY_H

#include <stddef.h>

#include "common/base/cleanup.h"
#include "common/crypto/digest.h"
#include "common/pg/pg.h"

struct arena;

struct pg_arg key_arg(struct arena *a, const struct digest *d);
/* Hexadecimal, for text[] parameters that are decoded by decode(x, 'hex'). */
char *key_hex(struct arena *a, const struct digest *d);
/* Aborts on anything the database cannot hold. */
void key_read(const struct pg_result *r, size_t row, size_t col, struct digest *ret);

/* A hybrid logical clock: 48 bits of wall milliseconds, 16 of counter; never the same twice in one
 * process, never backwards. */
int64_t hybrid_clock(void);

#endif
