/* Fuzz target: request targets. A canonical path must hold nothing two readers could read
 * differently, and the canonical form of a plain one is itself. */
/* links: portolan_http portolan_base */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/http/target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool has_dot_segment(const char *path)
{
    for (const char *p = path; p; p = strchr(p + 1, '/')) {
        size_t len = strcspn(p + 1, "/");

        if ((len == 1 && p[1] == '.') || (len == 2 && p[1] == '.' && p[2] == '.'))
            return true;
    }
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new();
    struct http_target t, again;
    struct error err;

    if (http_target_parse(a, (const char *)data, size, size % 2, &t, &err) == 0) {
        if (t.path[0] != '/' || strstr(t.path, "//") || strchr(t.path, '\\') ||
            has_dot_segment(t.path) || !text_is_utf8(t.path, strlen(t.path)))
            abort();
        for (const char *p = t.path; *p; p++)
            if ((unsigned char)*p < 0x20 || *p == 0x7f)
                abort();
        if (!strpbrk(t.path, "%?# ") &&
            (http_target_parse(a, t.path, strlen(t.path), false, &again, &err) < 0 ||
             strcmp(t.path, again.path) != 0))
            abort();
    }
    arena_free(a);
    return 0;
}
