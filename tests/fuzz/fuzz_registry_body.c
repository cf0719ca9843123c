/* The registry's table as its decoder: a request body on top of nothing, then on top of what came
 * out. What is accepted must decode again, holds nothing the table does not know, and a second equal
 * PUT must change nothing. */
/* links: portolan_control */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/json/json.h"

#include "controlplane/api/body.h"
#include "controlplane/types/registry.h"

#define VERSION "2026-03-01-preview"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int put(struct arena *a, const uint8_t *data, size_t size, const struct json_object *was,
               bool is_patch, struct json_object **ret)
{
    struct body_change change = { .type = &registry_type, .api_version = VERSION, .was = was,
                                  .is_patch = is_patch,
                                  .time = "2026-11-20T00:00:00.0000000+00:00" };
    struct body_request request;
    struct error err;
    void *decoded = NULL;

    if (body_read(a, &registry_type, VERSION, (const char *)data, size, &request, &err))
        return -1;
    change.request = request.members;
    return body_desired(a, &change, ret, &decoded, &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new();
    struct json_object *first = NULL, *second = NULL, *patched = NULL;
    char **unknown = NULL;

    if (put(a, data, size, NULL, false, &first) == 0) {
        if (fields_unknown(a, registry_type.fields, first, &unknown) != 0)
            abort();
        if (put(a, data, size, first, false, &second) || !json_equal(first, second))
            abort();
        if (put(a, data, size, first, true, &patched) || !json_equal(first, patched))
            abort();
    }
    arena_free(a);
    return 0;
}
