/* Content encryption at rest: the STREAM construction over AES-256-GCM, laid out as seal.h says.
 * The key schedule of a file is computed once; a chunk costs one nonce change. Readers share an
 * opener, which keeps one keyed context aside: a thread takes it or makes another, so no reader
 * waits for another and the usual single reader pays no set-up. */
#include "common/crypto/seal.h"

#include <stdatomic.h>
#include <stdbool.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>

#include "common/base/error.h"
#include "common/crypto/digest.h"

#define MAGIC_BYTES           8
#define ALGORITHM_AES_256_GCM 1
#define CHUNK_LOG2            16
#define EPOCH_AT              12
#define SALT_AT               16
#define SALT_BYTES            24
#define NONCE_BYTES           12

static const uint8_t magic[MAGIC_BYTES] = { 'P', 'S', 'E', 'A', 'L', '1', 0, 0 };

_Static_assert(SALT_AT + SALT_BYTES == SEAL_HEADER_BYTES, "header layout");
_Static_assert(1u << CHUNK_LOG2 == SEAL_CHUNK_BYTES, "chunk size");

struct sealer {
    EVP_CIPHER_CTX *ctx; /* keyed */
    uint64_t index;      /* of the next chunk */
    bool is_done;
    uint8_t header[SEAL_HEADER_BYTES];
};

struct opener {
    EVP_CIPHER *cipher;
    /* A keyed context nobody uses right now, or NULL. The only thing that changes in an opener. */
    _Atomic(EVP_CIPHER_CTX *) spare;
    uint8_t key[SEAL_KEY_BYTES];
    uint8_t header[SEAL_HEADER_BYTES];
};

uint64_t seal_file_bytes(uint64_t plain_bytes)
{
    uint64_t chunks = plain_bytes / SEAL_CHUNK_BYTES + (plain_bytes % SEAL_CHUNK_BYTES != 0);
    uint64_t extra = SEAL_HEADER_BYTES + (chunks ? chunks : 1) * SEAL_TAG_BYTES;
    return plain_bytes > UINT64_MAX - extra ? UINT64_MAX : plain_bytes + extra;
}

/* HKDF-SHA-256 (RFC 5869). Fails only when memory is out. */
static void derive_file_key(const uint8_t key[SEAL_KEY_BYTES], const uint8_t *salt,
                            const char *context, uint8_t ret[SEAL_KEY_BYTES])
{
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);
    char hash[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_utf8_string(OSSL_KDF_PARAM_DIGEST, hash, sizeof(hash) - 1),
        OSSL_PARAM_octet_string(OSSL_KDF_PARAM_KEY, (void *)(uintptr_t)key, SEAL_KEY_BYTES),
        OSSL_PARAM_octet_string(OSSL_KDF_PARAM_SALT, (void *)(uintptr_t)salt, SALT_BYTES),
        OSSL_PARAM_octet_string(OSSL_KDF_PARAM_INFO, (void *)(uintptr_t)context, strlen(context)),
        OSSL_PARAM_END,
    };
    if (!ctx || EVP_KDF_derive(ctx, ret, SEAL_KEY_BYTES, params) != 1)
        abort();
    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(kdf);
}

static void make_nonce(uint64_t index, int is_last, uint8_t ret[NONCE_BYTES])
{
    memset(ret, 0, 3);
    for (int i = 0; i < 8; i++)
        ret[3 + i] = (uint8_t)(index >> (56 - 8 * i));
    ret[11] = is_last ? 1 : 0;
}

/* The empty last chunk belongs to the empty file alone, so that a plaintext has one file form. */
static bool is_chunk_size(uint64_t index, size_t len, int is_last)
{
    if (!is_last)
        return len == SEAL_CHUNK_BYTES;
    return len <= SEAL_CHUNK_BYTES && (len > 0 || index == 0);
}

struct sealer *sealer_new(const uint8_t key[SEAL_KEY_BYTES], uint32_t epoch, const char *context,
                          uint8_t ret_header[SEAL_HEADER_BYTES])
{
    struct sealer *s = calloc(1, sizeof(*s));
    if (!s)
        abort();
    memcpy(s->header, magic, MAGIC_BYTES);
    s->header[8] = ALGORITHM_AES_256_GCM;
    s->header[9] = CHUNK_LOG2;
    for (int i = 0; i < 4; i++)
        s->header[EPOCH_AT + i] = (uint8_t)(epoch >> (8 * i));
    random_bytes(s->header + SALT_AT, SALT_BYTES);

    uint8_t file_key[SEAL_KEY_BYTES];
    derive_file_key(key, s->header + SALT_AT, context, file_key);
    s->ctx = EVP_CIPHER_CTX_new();
    if (!s->ctx || EVP_EncryptInit_ex(s->ctx, EVP_aes_256_gcm(), NULL, file_key, NULL) != 1)
        abort();
    secret_cleanse(file_key, sizeof(file_key));
    memcpy(ret_header, s->header, SEAL_HEADER_BYTES);
    return s;
}

void sealer_free(struct sealer *s)
{
    if (!s)
        return;
    EVP_CIPHER_CTX_free(s->ctx); /* cleanses the key schedule */
    free(s);
}

void sealer_chunk(struct sealer *s, const void *plain, size_t len, int is_last, void *out)
{
    if (s->is_done || !is_chunk_size(s->index, len, is_last))
        abort(); /* a file that could not be read back: the caller's bug */
    uint8_t nonce[NONCE_BYTES];
    make_nonce(s->index, is_last, nonce);
    uint8_t *at = out;
    int done = 0;
    if (EVP_EncryptInit_ex(s->ctx, NULL, NULL, NULL, nonce) != 1 ||
        EVP_EncryptUpdate(s->ctx, NULL, &done, s->header, SEAL_HEADER_BYTES) != 1 ||
        (len > 0 && EVP_EncryptUpdate(s->ctx, at, &done, plain, (int)len) != 1) ||
        EVP_EncryptFinal_ex(s->ctx, at + len, &done) != 1 ||
        EVP_CIPHER_CTX_ctrl(s->ctx, EVP_CTRL_AEAD_GET_TAG, SEAL_TAG_BYTES, at + len) != 1)
        abort();
    s->index++;
    s->is_done = is_last != 0;
}

int seal_header_epoch(const uint8_t header[SEAL_HEADER_BYTES], uint32_t *ret_epoch,
                      struct error *err)
{
    if (memcmp(header, magic, MAGIC_BYTES) != 0)
        return fail_cause(err, &E_INTERNAL, "not a sealed file");
    if (header[8] != ALGORITHM_AES_256_GCM || header[9] != CHUNK_LOG2 || header[10] != 0 ||
        header[11] != 0)
        return fail_cause(err, &E_INTERNAL, "sealed file of an unknown kind (%d, %d, %d, %d)",
                          header[8], header[9], header[10], header[11]);
    uint32_t epoch = 0;
    for (int i = 0; i < 4; i++)
        epoch |= (uint32_t)header[EPOCH_AT + i] << (8 * i);
    if (ret_epoch)
        *ret_epoch = epoch;
    return 0;
}

static EVP_CIPHER_CTX *keyed_context(const struct opener *o)
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    if (!ctx || EVP_DecryptInit_ex(ctx, o->cipher, NULL, o->key, NULL) != 1)
        abort();
    return ctx;
}

int opener_new(const uint8_t key[SEAL_KEY_BYTES], const char *context,
               const uint8_t header[SEAL_HEADER_BYTES], struct opener **ret, struct error *err)
{
    if (seal_header_epoch(header, NULL, err) != 0)
        return -1;
    struct opener *o = calloc(1, sizeof(*o));
    if (!o)
        abort();
    memcpy(o->header, header, SEAL_HEADER_BYTES);
    derive_file_key(key, header + SALT_AT, context, o->key);
    o->cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    if (!o->cipher)
        abort();
    atomic_init(&o->spare, keyed_context(o));
    *ret = o;
    return 0;
}

void opener_free(struct opener *o)
{
    if (!o)
        return;
    EVP_CIPHER_CTX_free(atomic_load(&o->spare));
    EVP_CIPHER_free(o->cipher);
    secret_cleanse(o, sizeof(*o));
    free(o);
}

static bool open_chunk(EVP_CIPHER_CTX *ctx, const struct opener *o, const uint8_t *nonce,
                       const uint8_t *sealed, size_t len, const uint8_t *tag, uint8_t *out)
{
    int done = 0;
    uint8_t copy[SEAL_TAG_BYTES]; /* OpenSSL takes no const pointer */
    memcpy(copy, tag, SEAL_TAG_BYTES);
    return EVP_DecryptInit_ex(ctx, NULL, NULL, NULL, nonce) == 1 &&
           EVP_DecryptUpdate(ctx, NULL, &done, o->header, SEAL_HEADER_BYTES) == 1 &&
           (len == 0 || EVP_DecryptUpdate(ctx, out, &done, sealed, (int)len) == 1) &&
           EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, SEAL_TAG_BYTES, copy) == 1 &&
           EVP_DecryptFinal_ex(ctx, out + len, &done) == 1;
}

int opener_chunk_apart(const struct opener *o, uint64_t index, const void *sealed, size_t len,
                       const uint8_t tag[SEAL_TAG_BYTES], int is_last, void *out,
                       struct error *err)
{
    if (!is_chunk_size(index, len, is_last))
        return fail_cause(err, &E_INTERNAL, "sealed chunk %llu has an impossible size %zu",
                          (unsigned long long)index, len + SEAL_TAG_BYTES);
    uint8_t nonce[NONCE_BYTES];
    make_nonce(index, is_last, nonce);

    /* Openers live on the heap; const says that what they open does not change. */
    struct opener *shared = (struct opener *)(uintptr_t)o;
    EVP_CIPHER_CTX *ctx = atomic_exchange(&shared->spare, NULL);
    if (!ctx)
        ctx = keyed_context(o);
    bool is_authentic = open_chunk(ctx, o, nonce, sealed, len, tag, out);
    EVP_CIPHER_CTX_free(atomic_exchange(&shared->spare, ctx));

    if (!is_authentic) {
        secret_cleanse(out, len); /* decrypted before the tag was known */
        return fail_cause(err, &E_INTERNAL, "sealed chunk %llu is not authentic",
                          (unsigned long long)index);
    }
    return 0;
}

int opener_chunk(const struct opener *o, uint64_t index, const void *sealed, size_t len,
                 int is_last, void *out, struct error *err)
{
    if (len < SEAL_TAG_BYTES)
        return fail_cause(err, &E_INTERNAL, "sealed chunk %llu has an impossible size %zu",
                          (unsigned long long)index, len);
    len -= SEAL_TAG_BYTES;
    return opener_chunk_apart(o, index, sealed, len, (const uint8_t *)sealed + len, is_last, out,
                              err);
}
