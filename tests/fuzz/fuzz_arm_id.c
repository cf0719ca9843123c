/* ARM ids: whatever parses prints a canonical id that parses to the same key. */
/* links: portolan_control */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"

#include "controlplane/api/arm_id.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new();
    struct arm_id id, again;
    struct error err;
    size_t depth;

    if (size <= 2 * ARM_ID_MAX_BYTES &&
        arm_id_parse(a, arena_strndup(a, (const char *)data, size), &id, &err) == 0 &&
        id.provider) {
        const char *text, *key;

        depth = arm_id_is_collection(&id) ? id.depth - 1 : id.depth;
        text = arm_id_text(a, &id, NULL, depth);
        key = arm_id_key(a, &id, depth);
        /* Below the subscription a collection of groups has no id of its own. */
        if (depth > 0 && strlen(text) <= ARM_ID_MAX_BYTES) {
            if (arm_id_parse(a, text, &again, &err) ||
                strcmp(arm_id_key(a, &again, depth), key) != 0)
                abort();
        }
    }
    arena_free(a);
    return 0;
}
