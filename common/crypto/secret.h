/* Secrets at rest: hashed when only compared, wrapped when needed again.
 *
 * Generated secrets (>= 128 random bits) are stored as a salted SHA-256: guessing them is hopeless
 * whatever the hash costs, and devices sign in with them by the thousand a second. Secrets that
 * people choose go through argon2id. Both are one text form, told apart by its prefix, so
 * secret_verify() serves either. */
#ifndef PORTOLAN_CRYPTO_SECRET_H
#define PORTOLAN_CRYPTO_SECRET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"

struct arena;
struct error;

char *secret_hash_generated(struct arena *a, const char *secret);              /* "$sha256$…" */
MUST_CHECK int secret_hash_chosen(struct arena *a, const char *secret, char **ret,
                                  struct error *err);                          /* "$argon2id$…" */
bool secret_verify(const char *hash, const char *secret);
/* Takes as long as secret_verify of a generated secret; for identities that do not exist. */
bool secret_verify_nothing(const char *secret);

/* A 32-byte service key, kept in a file only its owner reads (made if absent). */
#define SERVICE_KEY_LEN 32
struct service_key {
    uint8_t bytes[SERVICE_KEY_LEN];
};
MUST_CHECK int service_key_load(const char *path, bool may_create, struct service_key *ret,
                                struct error *err);

/* AES-256-GCM with a random nonce; context (e.g. "registry/<uuid>/signing-key") is authenticated,
 * so a wrapped secret cannot be moved to another place. Text form, base64url. */
char *secret_wrap(struct arena *a, const struct service_key *key, const char *context,
                  const void *secret, size_t len);
MUST_CHECK int secret_unwrap(struct arena *a, const struct service_key *key, const char *context,
                             const char *wrapped, uint8_t **ret, size_t *ret_len,
                             struct error *err);

#endif
