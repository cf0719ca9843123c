/* Fuzz target: manifests and image configurations. The first byte picks the Content-Type. */
/* links: portolan_data */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "dataplane/oci/errors.h"
#include "dataplane/oci/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const types[] = {
        NULL,
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.index.v1+json; charset=utf-8",
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/json",
    };
    struct arena *a = arena_new();
    struct image_platform platform = { 0 };
    struct manifest m;
    struct error err = { 0 };

    if (size == 0) {
        arena_free(a);
        return 0;
    }
    const char *text = (const char *)data + 1;
    if (manifest_decode(a, types[data[0] % ARRAY_LEN(types)], text, size - 1, &m, &err) != 0) {
        if (err.code != &E_MANIFEST_INVALID)
            abort();
    } else if (!m.media_type || m.image_size < 0 || (m.children.count > 0 && m.has_config)) {
        abort();
    }
    image_config_decode(a, text, size - 1, &platform);
    arena_free(a);
    return 0;
}
