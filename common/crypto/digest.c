/* Content digests, keyed hashes, constant-time comparison and random bytes on OpenSSL. The only
 * ways OpenSSL can fail here are lack of memory and a broken installation, so failures abort: a
 * digest that was not computed must never be used. */
#include "common/crypto/digest.h"

#include <errno.h>
#include <sys/random.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "common/base/arena.h"
#include "common/base/text.h"

struct algorithm {
    const char *prefix; /* with the colon */
    size_t prefix_len;
    size_t len;
};

static const struct algorithm algorithms[DIGEST_ALGORITHM_MAX] = {
    [DIGEST_SHA256] = { "sha256:", 7, SHA256_LEN },
    [DIGEST_SHA512] = { "sha512:", 7, SHA512_LEN },
};

static const char hex_digits[] = "0123456789abcdef";
static const char alphanumerics[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

struct hasher {
    EVP_MD_CTX *ctx;
    enum digest_algorithm algorithm;
};

static const EVP_MD *method_of(enum digest_algorithm algorithm)
{
    switch (algorithm) {
    case DIGEST_SHA256:
        return EVP_sha256();
    case DIGEST_SHA512:
        return EVP_sha512();
    case DIGEST_ALGORITHM_MAX:
        break;
    }
    abort();
}

/* Value of a lower-case hex digit, or -1. */
static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

static bool parse_hex(const char *hex, uint8_t *ret, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        int high = hex_value(hex[2 * i]);
        if (high < 0)
            return false;
        int low = hex_value(hex[2 * i + 1]); /* at worst the NUL, which is no digit */
        if (low < 0)
            return false;
        ret[i] = (uint8_t)(high << 4 | low);
    }
    return hex[2 * len] == '\0';
}

static void put_hex(const uint8_t *bytes, size_t len, char *ret)
{
    for (size_t i = 0; i < len; i++) {
        ret[2 * i] = hex_digits[bytes[i] >> 4];
        ret[2 * i + 1] = hex_digits[bytes[i] & 15];
    }
    ret[2 * len] = '\0';
}

bool digest_parse(const char *text, struct digest *ret)
{
    if (!text)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(algorithms); i++) {
        if (!text_starts(text, algorithms[i].prefix))
            continue;
        struct digest d = { .algorithm = (enum digest_algorithm)i };
        if (!parse_hex(text + algorithms[i].prefix_len, d.bytes, algorithms[i].len))
            return false;
        *ret = d;
        return true;
    }
    return false;
}

void digest_text(const struct digest *d, char ret[DIGEST_TEXT_MAX])
{
    const struct algorithm *row = &algorithms[d->algorithm];
    memcpy(ret, row->prefix, row->prefix_len);
    put_hex(d->bytes, row->len, ret + row->prefix_len);
}

void digest_hex(const struct digest *d, char ret[2 * SHA512_LEN + 1])
{
    put_hex(d->bytes, algorithms[d->algorithm].len, ret);
}

bool digest_equal(const struct digest *x, const struct digest *y)
{
    return x->algorithm == y->algorithm &&
           memcmp(x->bytes, y->bytes, algorithms[x->algorithm].len) == 0;
}

void digest_of(enum digest_algorithm algorithm, const void *bytes, size_t len, struct digest *ret)
{
    struct digest d = { .algorithm = algorithm };
    if (EVP_Digest(len ? bytes : "", len, d.bytes, NULL, method_of(algorithm), NULL) != 1)
        abort();
    *ret = d;
}

struct hasher *hasher_new(enum digest_algorithm algorithm)
{
    struct hasher *h = calloc(1, sizeof(*h));
    if (!h)
        abort();
    h->algorithm = algorithm;
    h->ctx = EVP_MD_CTX_new();
    if (!h->ctx || EVP_DigestInit_ex(h->ctx, method_of(algorithm), NULL) != 1)
        abort();
    return h;
}

void hasher_free(struct hasher *h)
{
    if (!h)
        return;
    EVP_MD_CTX_free(h->ctx);
    free(h);
}

void hasher_freep(struct hasher **h)
{
    hasher_free(*h);
}

void hasher_update(struct hasher *h, const void *bytes, size_t len)
{
    if (len > 0 && EVP_DigestUpdate(h->ctx, bytes, len) != 1)
        abort();
}

void hasher_peek(const struct hasher *h, struct digest *ret)
{
    struct digest d = { .algorithm = h->algorithm };
    EVP_MD_CTX *copy = EVP_MD_CTX_new();
    if (!copy || EVP_MD_CTX_copy_ex(copy, h->ctx) != 1 ||
        EVP_DigestFinal_ex(copy, d.bytes, NULL) != 1)
        abort();
    EVP_MD_CTX_free(copy);
    *ret = d;
}

void hmac_sha256(const void *key, size_t key_len, const void *bytes, size_t len,
                 uint8_t ret[SHA256_LEN])
{
    unsigned ret_len = 0;
    if (key_len > INT32_MAX ||
        !HMAC(EVP_sha256(), key_len ? key : "", (int)key_len, len ? bytes : (const void *)"", len,
              ret, &ret_len) ||
        ret_len != SHA256_LEN)
        abort();
}

/* Eight bytes a step where OpenSSL takes one: a token of 1 KiB is compared with every request. */
bool secret_equal(const void *x, const void *y, size_t len)
{
    const unsigned char *a = x, *b = y;
    uint64_t difference = 0;

    for (; len >= sizeof(difference); len -= sizeof(difference)) {
        uint64_t left, right;
        memcpy(&left, a, sizeof(left));
        memcpy(&right, b, sizeof(right));
        difference |= left ^ right;
        /* The compiler is not to know the value, or it might stop as soon as it is not 0. */
        __asm__ volatile("" : "+r"(difference));
        a += sizeof(left);
        b += sizeof(right);
    }
    return (difference | (uint64_t)(unsigned)CRYPTO_memcmp(a, b, len)) == 0;
}

bool secret_equal_text(const char *x, const char *y)
{
    size_t x_len = strlen(x), y_len = strlen(y);
    size_t longer = x_len > y_len ? x_len : y_len;
    volatile unsigned char difference = x_len != y_len;
    /* Past the end of the shorter one its last byte (the NUL) is read again and again, so that the
     * time tells the length of the longer one only. */
    for (size_t i = 0; i < longer; i++) {
        size_t xi = i < x_len ? i : x_len, yi = i < y_len ? i : y_len;
        difference = (unsigned char)(difference | (unsigned char)(x[xi] ^ y[yi]));
    }
    return difference == 0;
}

void secret_cleanse(void *p, size_t len)
{
    OPENSSL_cleanse(p, len);
}

void random_bytes(void *p, size_t len)
{
    uint8_t *at = p;
    while (len > 0) {
        ssize_t got = getrandom(at, len, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            abort();
        at += got;
        len -= (size_t)got;
    }
}

char *random_text(struct arena *a, size_t len)
{
    const unsigned letters = sizeof(alphanumerics) - 1;
    const unsigned fair = 256 - 256 % letters; /* bytes from here on would favour some letters */
    char *text = arena_alloc(a, len + 1);
    uint8_t pool[64];
    size_t used = sizeof(pool);

    for (size_t i = 0; i < len;) {
        if (used == sizeof(pool)) {
            random_bytes(pool, sizeof(pool));
            used = 0;
        }
        unsigned byte = pool[used++];
        if (byte < fair)
            text[i++] = alphanumerics[byte % letters];
    }
    secret_cleanse(pool, sizeof(pool));
    return text;
}
