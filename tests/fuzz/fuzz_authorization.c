/* Authorization headers of strangers. What is taken for a name and a password is what was encoded,
 * and lies within bounds; a token is a part of its header. */
/* links: portolan_data */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/text.h"
#include "dataplane/auth/authorization.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_header(struct arena *a, const char *header)
{
    const char *user = NULL, *password = NULL;
    const char *token = authorization_bearer(header);

    if (token && (token < header + 7 || token > header + strlen(header) || token[0] == ' '))
        abort();
    if (authorization_basic(a, header, &user, &password) &&
        (token || strchr(user, ':') || password != user + strlen(user) + 1))
        abort();
}

/* What a client encodes is read as it was, unless it holds what cannot be. */
static void try_pair(struct arena *a, const char *pair, size_t size)
{
    const char *user = NULL, *password = NULL;
    char *header = arena_printf(a, "Basic %s", text_base64(a, pair, size));
    bool is_read = authorization_basic(a, header, &user, &password);
    const char *colon = strchr(pair, ':');

    if (is_read != (colon != NULL && strlen(pair) == size && size < AUTHORIZATION_BASIC_MAX))
        abort();
    if (is_read && (strlen(user) != (size_t)(colon - pair) || strcmp(password, colon + 1) != 0))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new();
    char *text = arena_alloc(a, size + 1);

    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    try_header(a, text);
    try_header(a, arena_printf(a, "Basic %s", text));
    try_header(a, arena_printf(a, "Bearer %s", text));
    try_pair(a, text, size);
    arena_free(a);
    return 0;
}
