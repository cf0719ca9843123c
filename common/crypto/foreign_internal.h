/* What certificate.c and foreign_token.c share: which keys of others are accepted. */
#ifndef PORTOLAN_CRYPTO_FOREIGN_INTERNAL_H
#define PORTOLAN_CRYPTO_FOREIGN_INTERNAL_H

#include <stdbool.h>

#include "common/base/cleanup.h"

struct arena;
struct evp_pkey_st;

/* RSA of 2048 to 8192 bits, or EC on the named curve P-256. */
bool foreign_pkey_is_sound(struct evp_pkey_st *key);
/* SPKI PEM. */
char *foreign_pkey_pem(struct arena *a, struct evp_pkey_st *key);

#endif
