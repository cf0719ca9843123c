/* Scope-bound release of OpenSSL's objects (common/base/cleanup.h), for the files of this folder. NULL is
 * accepted. */
#ifndef PORTOLAN_CRYPTO_OPENSSL_CLEANUP_H
#define PORTOLAN_CRYPTO_OPENSSL_CLEANUP_H

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>

#include "common/base/cleanup.h"

static inline void bio_freep(BIO **b)
{
    BIO_free(*b);
}

static inline void bignum_freep(BIGNUM **n)
{
    BN_free(*n);
}

static inline void ecdsa_sig_freep(ECDSA_SIG **s)
{
    ECDSA_SIG_free(*s);
}

static inline void pkey_freep(EVP_PKEY **p)
{
    EVP_PKEY_free(*p);
}

static inline void pkey_ctx_freep(EVP_PKEY_CTX **c)
{
    EVP_PKEY_CTX_free(*c);
}

#endif
