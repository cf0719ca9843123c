/* Signed URLs: an HMAC over everything that a URL says, under a key that follows from the service key,
 * so that every control plane of an installation takes what another one signed. */
#include "controlplane/storage/link.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/crypto/digest.h"

#include "controlplane/control.h"

#define VERSION  "2024-11-04"
#define RESOURCE "b" /* one blob */
#define KEY_NAME "storage links"

const struct error_code E_LINK = { "AuthenticationFailed", 403 };
const struct error_code E_LINK_RIGHT = { "AuthorizationPermissionMismatch", 403 };

static const char *const rights[LINK_MAX] = { [LINK_READ] = "r", [LINK_WRITE] = "cw" };

char *link_host(struct arena *a, const struct control *control)
{
    const struct control_settings *s = control->settings;

    if (s->port == 443)
        return arena_printf(a, "tasks.blob.%s", s->domain);
    return arena_printf(a, "tasks.blob.%s:%lld", s->domain, (long long)s->port);
}

/* No part of it can hold a line break: the path is canonical, the rest is compared or parsed. */
static char *sign(struct arena *a, const struct control *control, const struct link *link,
                  const char *right, const char *expiry)
{
    const char *text = arena_printf(a, VERSION "\n" RESOURCE "\n%s\n%s\n/%s/%s", right, expiry,
                                    link->container, link->blob);
    uint8_t key[SHA256_LEN], mac[SHA256_LEN];

    hmac_sha256(control->service_key.bytes, sizeof(control->service_key.bytes), KEY_NAME,
                strlen(KEY_NAME), key);
    hmac_sha256(key, sizeof(key), text, strlen(text), mac);
    secret_cleanse(key, sizeof(key));
    return text_base64(a, mac, sizeof(mac));
}

char *link_url(struct arena *a, const struct control *control, const struct link *link)
{
    const char *right = rights[link->right];
    const char *expiry = clock_rfc3339(a, clock_wall_us() + INT64_C(1000000) * LINK_LIFE_S);
    const char *signature = sign(a, control, link, right, expiry);

    return arena_printf(a, "https://%s/%s/%s?sv=" VERSION "&sr=" RESOURCE "&sp=%s&se=%s&sig=%s",
                        link_host(a, control), link->container, link->blob, right,
                        text_percent_encode(a, expiry), text_percent_encode(a, signature));
}

int link_check(struct arena *a, const struct control *control, const struct link *link,
               const struct link_query *query, int64_t wall_us, struct error *err)
{
    const char *right = query->right ? query->right : "";
    const char *expiry = query->expiry ? query->expiry : "";
    const char *wanted = sign(a, control, link, right, expiry);
    int64_t expires_us = 0;

    if (!secret_equal_text(wanted, query->signature ? query->signature : "") ||
        !text_eq(query->version, VERSION) || !text_eq(query->resource, RESOURCE) ||
        !clock_parse(expiry, &expires_us))
        return fail(err, &E_LINK,
                    "Server failed to authenticate the request. Make sure the signed URL is used as "
                    "it was given.");
    if (wall_us >= expires_us)
        return fail(err, &E_LINK,
                    "Server failed to authenticate the request. The signed URL expired at %s.", expiry);
    if (!text_eq(right, rights[link->right]))
        return fail(err, &E_LINK_RIGHT,
                    "This request is not authorized to perform this operation using this permission.");
    return 0;
}
