/* Reading certificates: see the header. */
#include "common/crypto/certificate.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/crypto/foreign_internal.h"
#include "common/crypto/openssl_cleanup.h"

static void x509_freep(X509 **x)
{
    X509_free(*x);
}

/* OpenSSL would ask for the pass phrase of an encrypted PEM on the terminal. */
static int no_passphrase(char *buf, int size, int rwflag, void *ctx)
{
    (void)buf, (void)size, (void)rwflag, (void)ctx;
    return -1;
}

static X509 *read_x509(const void *bytes, size_t len)
{
    const uint8_t *at = bytes;
    _cleanup_(bio_freep) BIO *bio = NULL;

    if (len > 0 && *at == 0x30)
        return d2i_X509(NULL, &at, (long)len);
    bio = BIO_new_mem_buf(bytes, (int)len);
    return bio ? PEM_read_bio_X509(bio, NULL, no_passphrase, NULL) : NULL;
}

static char *thumbprint(struct arena *a, const X509 *x, const EVP_MD *md,
                        char *(*encode)(struct arena *, const void *, size_t))
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;

    if (X509_digest(x, md, digest, &len) != 1)
        abort();
    return encode(a, digest, len);
}

static bool read_time(const ASN1_TIME *t, int64_t *ret_us)
{
    struct tm tm;
    time_t s;

    if (ASN1_TIME_to_tm(t, &tm) != 1 || (s = timegm(&tm)) == (time_t)-1)
        return false;
    *ret_us = (int64_t)s * 1000000;
    return true;
}

int certificate_parse(struct arena *a, const void *bytes, size_t len, struct certificate *ret,
                      struct error *err)
{
    _cleanup_(x509_freep) X509 *x = len <= CERTIFICATE_MAX_BYTES ? read_x509(bytes, len) : NULL;
    EVP_PKEY *key = x ? X509_get0_pubkey(x) : NULL;

    if (!key || !foreign_pkey_is_sound(key))
        return fail(err, &E_INVALID,
                    "There is no certificate with an RSA key of 2048 to 8192 bits or a P-256 key.");
    if (!read_time(X509_get0_notBefore(x), &ret->starts_us) ||
        !read_time(X509_get0_notAfter(x), &ret->expires_us))
        return fail(err, &E_INVALID, "The times of the certificate cannot be read.");
    ret->public_pem = foreign_pkey_pem(a, key);
    ret->thumbprint = thumbprint(a, x, EVP_sha1(), text_base64url);
    ret->thumbprint_sha256 = thumbprint(a, x, EVP_sha256(), text_base64url);
    ret->fingerprint = thumbprint(a, x, EVP_sha1(), text_hex);
    return 0;
}
