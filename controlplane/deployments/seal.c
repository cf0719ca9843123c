/* Texts of a deployment at rest: see the header. */
#include "controlplane/deployments/seal.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/crypto/secret.h"
#include "common/json/json.h"

#include "controlplane/api/call.h"
#include "controlplane/control.h"

static char *context_of(struct arena *a, const char *uid, const char *what)
{
    return arena_printf(a, "deployment/%s/%s", uid, what);
}

char *seal_text(struct arena *a, const struct control *control, const char *uid, const char *what,
                const char *text)
{
    return secret_wrap(a, &control->service_key, context_of(a, uid, what), text, strlen(text));
}

int unseal_text(struct arena *a, const struct control *control, const char *uid, const char *what,
                const char *sealed, char **ret, struct error *err)
{
    uint8_t *bytes = NULL;
    size_t len = 0;

    if (secret_unwrap(a, &control->service_key, context_of(a, uid, what), sealed, &bytes, &len,
                      err))
        return wrap(err, "deployment %s", uid);
    *ret = arena_strndup(a, (const char *)bytes, len);
    return 0;
}

int unseal_template(struct arena *a, const struct control *control, const char *uid,
                    const char *sealed, struct json_object **ret, struct error *err)
{
    char *text = NULL;

    *ret = NULL;
    if (!sealed)
        return 0;
    if (unseal_text(a, control, uid, SEAL_TEMPLATE, sealed, &text, err))
        return -1;
    return json_parse(text, strlen(text), ARM_BODY_MAX_BYTES, JSON_TEMPLATE, ret, err);
}
