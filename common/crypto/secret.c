/* Secrets at rest: "$sha256$<salt hex>$<hash hex>" for generated ones, argon2id's own text form for
 * chosen ones, and AES-256-GCM wrapping under the service key for those that are needed again.
 * Wrapped form, before base64url: version byte 1, nonce 12, ciphertext, tag 16. */
#include "common/crypto/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <sys/stat.h>

#include <argon2.h>
#include <openssl/evp.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/text.h"
#include "common/crypto/digest.h"

#define SALT_LEN     16
#define SHA_PREFIX   "$sha256$"
#define SHA_TEXT_LEN (8 + 2 * SALT_LEN + 1 + 2 * SHA256_LEN)
#define SECRET_MAX   4096 /* longer ones match nothing, so that no one hashes a megabyte for us */

/* OWASP's first choice for argon2id. */
#define ARGON_PASSES   2
#define ARGON_KIB      (19 * 1024)
#define ARGON_LANES    1
#define ARGON_HASH_LEN 32

#define WRAP_VERSION  1
#define NONCE_LEN     12
#define TAG_LEN       16
#define WRAP_OVERHEAD (1 + NONCE_LEN + TAG_LEN)
#define WRAP_MAX      65536

#define KEY_TEXT_LEN (2 * SERVICE_KEY_LEN)

/* What secret_verify_nothing() compares with: no input hashes to all zeros. */
static const char nothing_hash[] =
    SHA_PREFIX "00000000000000000000000000000000"
               "$0000000000000000000000000000000000000000000000000000000000000000";

static void cipher_freep(EVP_CIPHER_CTX **ctx)
{
    EVP_CIPHER_CTX_free(*ctx);
}

static void salted_sha256(const uint8_t salt[SALT_LEN], const char *secret, uint8_t ret[SHA256_LEN])
{
    _cleanup_(hasher_freep) struct hasher *h = hasher_new(DIGEST_SHA256);
    struct digest d;
    hasher_update(h, salt, SALT_LEN);
    hasher_update(h, secret, strlen(secret));
    hasher_peek(h, &d);
    memcpy(ret, d.bytes, SHA256_LEN);
}

static bool sha_verify(const char *hash, const char *secret)
{
    uint8_t salt[SALT_LEN], want[SHA256_LEN], got[SHA256_LEN];
    const char *salt_hex = hash + strlen(SHA_PREFIX);
    const char *want_hex = salt_hex + 2 * SALT_LEN + 1;

    if (strlen(hash) != SHA_TEXT_LEN || salt_hex[2 * SALT_LEN] != '$' ||
        !text_unhex(salt_hex, 2 * SALT_LEN, salt, SALT_LEN) ||
        !text_unhex(want_hex, 2 * SHA256_LEN, want, SHA256_LEN))
        return false;
    salted_sha256(salt, secret, got);
    return secret_equal(got, want, SHA256_LEN);
}

char *secret_hash_generated(struct arena *a, const char *secret)
{
    uint8_t salt[SALT_LEN], hash[SHA256_LEN];
    random_bytes(salt, sizeof(salt));
    salted_sha256(salt, secret, hash);
    return arena_printf(a, SHA_PREFIX "%s$%s", text_hex(a, salt, sizeof(salt)),
                        text_hex(a, hash, sizeof(hash)));
}

int secret_hash_chosen(struct arena *a, const char *secret, char **ret, struct error *err)
{
    size_t len = strlen(secret);
    if (len > SECRET_MAX)
        return fail(err, &E_INVALID, "A secret has at most %d bytes.", SECRET_MAX);

    uint8_t salt[SALT_LEN];
    random_bytes(salt, sizeof(salt));
    char encoded[256];
    int rc = argon2id_hash_encoded(ARGON_PASSES, ARGON_KIB, ARGON_LANES, secret, len, salt,
                                   sizeof(salt), ARGON_HASH_LEN, encoded, sizeof(encoded));
    if (rc != ARGON2_OK)
        return fail_cause(err, &E_INTERNAL, "argon2id: %s", argon2_error_message(rc));
    *ret = arena_strdup(a, encoded);
    return 0;
}

bool secret_verify(const char *hash, const char *secret)
{
    if (!hash || !secret || strnlen(secret, SECRET_MAX + 1) > SECRET_MAX)
        return false;
    if (text_starts(hash, SHA_PREFIX))
        return sha_verify(hash, secret);
    if (text_starts(hash, "$argon2id$"))
        return argon2id_verify(hash, secret, strlen(secret)) == ARGON2_OK;
    return false;
}

bool secret_verify_nothing(const char *secret)
{
    return secret_verify(nothing_hash, secret);
}

static int key_read(int fd, const char *path, struct service_key *ret, struct error *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return fail_errno(err, "stat %s", path);
    if (!S_ISREG(st.st_mode) || (st.st_mode & (S_IRWXG | S_IRWXO)) != 0)
        return fail_cause(err, &E_INTERNAL,
                          "service key %s must be a file that only its owner may read (mode 0600)",
                          path);
    char text[KEY_TEXT_LEN + 8];
    size_t have = 0;
    while (have < sizeof(text)) {
        ssize_t got = read(fd, text + have, sizeof(text) - have);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fail_errno(err, "read %s", path);
        if (got == 0)
            break;
        have += (size_t)got;
    }
    if (have > 0 && text[have - 1] == '\n')
        have--;
    bool is_ok = have == KEY_TEXT_LEN && text_unhex(text, have, ret->bytes, SERVICE_KEY_LEN);
    secret_cleanse(text, sizeof(text));
    if (!is_ok)
        return fail_cause(err, &E_INTERNAL, "service key %s does not hold %d hex digits", path,
                          KEY_TEXT_LEN);
    return 0;
}

/* Fills a file of another name and links it to `path`, which fails when a second process was
 * faster: then its key is the key. A half-written key is never visible. */
static int key_create(struct arena *a, const char *path, struct error *err)
{
    const char *draft = arena_printf(a, "%s.%s", path, random_text(a, 12));
    _cleanup_(closep) int fd = open(draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return fail_errno(err, "create %s", draft);

    uint8_t key[SERVICE_KEY_LEN];
    char text[KEY_TEXT_LEN + 2];
    random_bytes(key, sizeof(key));
    for (size_t i = 0; i < sizeof(key); i++)
        (void)snprintf(text + 2 * i, 3, "%02x", key[i]);
    text[KEY_TEXT_LEN] = '\n';
    int rc = 0;
    if (file_write_all(fd, text, KEY_TEXT_LEN + 1) != 0 || fsync(fd) != 0)
        rc = fail_errno(err, "write %s", draft);
    else if (link(draft, path) != 0 && errno != EEXIST)
        rc = fail_errno(err, "link %s", path);
    secret_cleanse(key, sizeof(key));
    secret_cleanse(text, sizeof(text));
    if (unlink(draft) != 0 && rc == 0)
        rc = fail_errno(err, "unlink %s", draft);
    if (rc == 0)
        rc = file_fsync_dir(dirname(arena_strdup(a, path)), err);
    return rc;
}

int service_key_load(const char *path, bool may_create, struct service_key *ret, struct error *err)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    _cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT && may_create) {
        if (key_create(a, path, err) != 0)
            return -1;
        fd = open(path, O_RDONLY | O_CLOEXEC);
    }
    if (fd < 0)
        return fail_errno(err, "open service key %s", path);
    return key_read(fd, path, ret, err);
}

char *secret_wrap(struct arena *a, const struct service_key *key, const char *context,
                  const void *secret, size_t len)
{
    if (len > WRAP_MAX || strlen(context) > WRAP_MAX)
        abort();
    size_t total = WRAP_OVERHEAD + len;
    uint8_t *box = arena_alloc(a, total), *nonce = box + 1, *body = nonce + NONCE_LEN;
    box[0] = WRAP_VERSION;
    random_bytes(nonce, NONCE_LEN);

    _cleanup_(cipher_freep) EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int done = 0;
    if (!ctx || EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key->bytes, nonce) != 1 ||
        EVP_EncryptUpdate(ctx, NULL, &done, box, 1) != 1 ||
        EVP_EncryptUpdate(ctx, NULL, &done, (const uint8_t *)context, (int)strlen(context)) != 1 ||
        (len > 0 && EVP_EncryptUpdate(ctx, body, &done, secret, (int)len) != 1) ||
        EVP_EncryptFinal_ex(ctx, body + len, &done) != 1 ||
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_LEN, body + len) != 1)
        abort();
    return text_base64url(a, box, total);
}

int secret_unwrap(struct arena *a, const struct service_key *key, const char *context,
                  const char *wrapped, uint8_t **ret, size_t *ret_len, struct error *err)
{
    size_t total = 0;
    uint8_t *box = text_unbase64(a, wrapped, strlen(wrapped), &total);
    if (!box || total < WRAP_OVERHEAD || total > WRAP_OVERHEAD + WRAP_MAX ||
        box[0] != WRAP_VERSION || strlen(context) > WRAP_MAX)
        return fail_cause(err, &E_INTERNAL, "wrapped secret '%s' is malformed", context);

    size_t len = total - WRAP_OVERHEAD;
    uint8_t *nonce = box + 1, *body = nonce + NONCE_LEN;
    uint8_t *plain = arena_alloc(a, len + 1); /* text secrets read as C strings */
    _cleanup_(cipher_freep) EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int done = 0;
    if (!ctx || EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key->bytes, nonce) != 1 ||
        EVP_DecryptUpdate(ctx, NULL, &done, box, 1) != 1 ||
        EVP_DecryptUpdate(ctx, NULL, &done, (const uint8_t *)context, (int)strlen(context)) != 1 ||
        (len > 0 && EVP_DecryptUpdate(ctx, plain, &done, body, (int)len) != 1) ||
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG_LEN, body + len) != 1 ||
        EVP_DecryptFinal_ex(ctx, plain + len, &done) != 1) {
        secret_cleanse(plain, len);
        return fail_cause(err, &E_INTERNAL,
                          "wrapped secret '%s' is not authentic under the service key", context);
    }
    *ret = plain;
    *ret_len = len;
    return 0;
}
