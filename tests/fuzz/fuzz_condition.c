/* Fuzz target: conditions of role assignments. What can be read gives names of the documented form, in
 * lower case; and reading it again gives the same. */
/* links: portolan_control */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "controlplane/identity/condition.h"

#define REPOSITORIES "Microsoft.ContainerRegistry/registries/repositories/"

static const char *const actions[] = { REPOSITORIES "content/read", REPOSITORIES "content/write",
                                       REPOSITORIES "metadata/read", "x" };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(struct arena *a, const struct condition *x, const struct condition *y,
                  const char *action)
{
    struct condition_names names, again;

    condition_allows(a, x, action, &names);
    condition_allows(a, y, action, &again);
    if (names.count != again.count)
        abort();
    for (size_t i = 0; i < names.count; i++) {
        const char *name = names.items[i], *star = strchr(name, '*');

        if (strcmp(name, again.items[i]) != 0 || strcmp(name, text_lower(a, name)) != 0)
            abort();
        if (star && strcmp(name, "*") != 0 && (star[1] != '\0' || !text_ends(name, "/*")))
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new();
    const char *text = arena_strndup(a, (const char *)data, size);
    struct condition *x = NULL, *y = NULL;
    struct error err;

    if (condition_parse(a, text, &x, &err) == 0) {
        if (condition_parse(a, text, &y, &err) != 0)
            abort();
        for (size_t i = 0; i < ARRAY_LEN(actions); i++)
            check(a, x, y, actions[i]);
    }
    arena_free(a);
    return 0;
}
