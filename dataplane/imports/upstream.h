/* Another registry, read as its client: manifests and blobs of one repository. It signs in when it
 * is asked to, the way the challenge says, with what it was given: a name and a password, or, before
 * anything else, a directory token that registries of an installation trade for their own. Credentials
 * go to the registry's own host and to no other, but for the token hosts that are known by name.
 *
 * Nothing that comes is trusted: sizes are bounded, and the caller compares digests. One thread. */
#ifndef PORTOLAN_IMPORTS_UPSTREAM_H
#define PORTOLAN_IMPORTS_UPSTREAM_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"

struct arena;
struct client;
struct client_sink;

/* What a source may answer; E_UNAVAILABLE and E_TIMEOUT are worth another try. */
extern const struct error_code E_SOURCE_UNKNOWN; /* it has no such content */
extern const struct error_code E_SOURCE_DENIED;
extern const struct error_code E_SOURCE_INVALID; /* its answer is none of a registry */

struct upstream {
    struct client *client;
    struct arena *arena; /* of what outlives a request */
    const char *url;     /* "https://host[:port]" */
    const char *repository;
    const char *user, *password; /* NULL: nobody */
    const char *directory_token; /* NULL: none */
    const char *authorization;   /* header; NULL until it was asked for */
};

struct upstream_manifest {
    const char *media_type; /* NULL when it did not say */
    const char *bytes;
    size_t len;
};

/* reference: a tag or a digest. */
MUST_CHECK int upstream_manifest(struct upstream *u, struct arena *a, const char *reference,
                                 struct upstream_manifest *ret, struct error *err);
/* Gives the bytes of a blob to the sink, at most `most` of them. */
MUST_CHECK int upstream_blob(struct upstream *u, struct arena *a, const char *digest, uint64_t most,
                             const struct client_sink *sink, struct error *err);

#endif
