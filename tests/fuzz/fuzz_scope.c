/* Fuzz target: scopes. The first line is asked, the second allowed: nothing is granted that is not
 * both, and what is written reads back the same. */
/* links: portolan_data */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/json/json.h"
#include "dataplane/auth/scope.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new();
    char *text = arena_strndup(a, (const char *)data, size);
    char *line = strchr(text, '\n');
    struct scopes asked, allowed, granted, again;

    if (line)
        *line++ = '\0';
    const char *first = text, *second = line ? line : "";
    scopes_parse(a, &first, 1, &asked);
    scopes_parse(a, &second, 1, &allowed);
    scopes_intersect(a, &asked, &allowed, &granted);
    for (size_t i = 0; i < granted.count; i++) {
        const struct scope *s = &granted.items[i];
        if (!scopes_allow(&asked, s->kind, s->name, s->actions) ||
            !scopes_allow(&allowed, s->kind, s->name, s->actions))
            abort();
    }
    scopes_read(a, json_own(a, scopes_json(&granted)), &again);
    if (again.count != granted.count)
        abort();
    for (size_t i = 0; i < again.count; i++) {
        if (again.items[i].actions != granted.items[i].actions ||
            strcmp(again.items[i].name, granted.items[i].name) != 0)
            abort();
    }
    arena_free(a);
    return 0;
}
