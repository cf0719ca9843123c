/* Versions of keys, for whatever makes one. */
#ifndef PORTOLAN_KEYVAULT_KEYS_H
#define PORTOLAN_KEYVAULT_KEYS_H

struct arena;
struct control;
struct json_object;
struct key_pair;
struct vault_version;

/* A new uid, what is shown of the key, and its private half, wrapped; the rest of *ret stays as it is.
 * operations is shared with it. */
void vault_key_version(struct arena *a, const struct control *control, const struct key_pair *key,
                       struct json_object *operations, struct vault_version *ret);
/* Another key of the kind of a version that is shown so. */
struct key_pair *vault_key_like(const struct json_object *shown);

#endif
