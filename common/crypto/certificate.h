/* What a client's certificate is registered by: its key, its thumbprints, its time. Nothing is made
 * of its name, its issuer or its chain: the directory's owner vouches for it by registering it. */
#ifndef PORTOLAN_CRYPTO_CERTIFICATE_H
#define PORTOLAN_CRYPTO_CERTIFICATE_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"

struct arena;
struct error;

#define CERTIFICATE_MAX_BYTES 16384

struct certificate {
    char *public_pem;        /* SPKI */
    char *thumbprint;        /* SHA-1 of the DER, base64url: "x5t" */
    char *thumbprint_sha256; /* "x5t#S256" */
    char *fingerprint;       /* SHA-1 of the DER, lower-case hex */
    int64_t starts_us, expires_us;
};

/* DER, or PEM whose first certificate counts. RSA of 2048 to 8192 bits or EC P-256; else
 * E_INVALID. */
MUST_CHECK int certificate_parse(struct arena *a, const void *bytes, size_t len,
                                 struct certificate *ret, struct error *err);

#endif
