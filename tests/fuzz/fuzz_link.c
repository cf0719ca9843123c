/* Fuzz target: a signed URL of the storage host, its path and its query. Nobody signs without the key, and
 * what a path names is a file name and nothing else. The parts come one a line. */
/* links: portolan_control */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "controlplane/control.h"
#include "controlplane/storage/link.h"
#include "controlplane/storage/sources.h"

#define PARTS 7

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct control control = { .service_key = { .bytes = { 1, 2, 3 } } };
    struct arena *a = arena_new();
    char **parts = NULL;
    size_t count = text_split(a, arena_strndup(a, (const char *)data, size), '\n', &parts);
    struct error err;

    if (count == PARTS) {
        const struct link link = { parts[0], parts[1], LINK_WRITE };
        const struct link_query query = { parts[2], parts[3], parts[4], parts[5], parts[6] };
        const char *name = source_name_of(a, parts[1]);

        if (link_check(a, &control, &link, &query, 0, &err) == 0)
            abort();
        if (name && (strlen(name) != SOURCE_NAME_CHARS ||
                     strspn(name, "0123456789abcdef") != SOURCE_NAME_CHARS))
            abort();
    }
    arena_free(a);
    return 0;
}
