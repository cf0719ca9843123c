/* What the registry reads from a manifest: only what it has to check and to index. The bytes are
 * stored and served as they came. */
#ifndef PORTOLAN_OCI_MANIFEST_H
#define PORTOLAN_OCI_MANIFEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"
#include "common/crypto/digest.h"
#include "common/json/fields.h"

struct arena;
struct error;

#define MANIFEST_MAX_BYTES ((size_t)4 * 1024 * 1024) /* OCI dist-spec, "Pushing manifests" */

struct digest_list {
    struct digest *items;
    int64_t *sizes; /* as their descriptors have them */
    size_t count;
};

struct manifest {
    const char *media_type;        /* as stored and served */
    const char *artifact_type;     /* for referrers: its own, else the config's; NULL for an index
                                      without one */
    const char *config_media_type; /* NULL when there is no config */
    const char *annotations;       /* JSON text; NULL when there are none */
    bool has_config, has_subject;
    struct digest config, subject;
    int64_t config_size;
    int64_t image_size;          /* config and layers, or all children */
    struct digest_list blobs;    /* must exist */
    struct digest_list optional; /* layers that are not distributed, linked if they are there */
    struct digest_list children; /* of an index */
};

/* content_type: the request's header, or NULL. E_MANIFEST_INVALID for what is not acceptable. */
MUST_CHECK int manifest_decode(struct arena *a, const char *content_type, const char *bytes,
                               size_t len, struct manifest *ret, struct error *err);

struct image_platform {
    char *architecture, *os;
};
/* architecture and os of an image's configuration; leaves *ret alone when the text is no such. */
void image_config_decode(struct arena *a, const char *bytes, size_t len,
                         struct image_platform *ret);

/* For the test that proves them well formed. */
extern const struct field manifest_fields[];
extern const struct field image_config_fields[];
size_t manifest_fields_size(void);

#endif
