/* Parsing of login paths, from the end: the tail names the endpoint, what is left before it is
 * style and tenant. */
#include "controlplane/identity/openid_paths.h"

#include "common/base/arena.h"
#include "common/base/text.h"

#define SEGMENTS_MAX 8
#define TENANT_MAX   253 /* a DNS name */

/* "*" stands for any one segment. */
struct tail {
    enum openid_endpoint endpoint;
    bool is_v2;
    const char *segments[3];
};

static const struct tail tails[] = {
    { OPENID_CONFIGURATION, true, { "v2.0", ".well-known", "openid-configuration" } },
    { OPENID_CONFIGURATION, false, { ".well-known", "openid-configuration" } },
    { OPENID_KEYS, true, { "discovery", "v2.0", "keys" } },
    { OPENID_KEYS, false, { "discovery", "keys" } },
    { OPENID_TOKEN, true, { "oauth2", "v2.0", "token" } },
    { OPENID_TOKEN, false, { "oauth2", "token" } },
    { OPENID_AUTHORIZE, true, { "oauth2", "v2.0", "authorize" } },
    { OPENID_AUTHORIZE, false, { "oauth2", "authorize" } },
    { OPENID_DEVICE_CODE, true, { "oauth2", "v2.0", "devicecode" } },
    { OPENID_DEVICE_CODE, false, { "oauth2", "devicecode" } },
    { OPENID_INSTANCE, false, { "discovery", "instance" } },
    { OPENID_USER_REALM, false, { "userrealm", "*" } },
    { OPENID_DEVICE, false, { "device" } },
    { OPENID_EXTERNAL, false, { "external" } },
};

static const char *const styles[] = { "/adfs", "/dstsv2" };
static const char *const any_tenants[] = { "common", "organizations", "consumers" };

static bool is_tenant(const char *s)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789.-";
    size_t len = strlen(s);
    return len > 0 && len <= TENANT_MAX && strspn(s, allowed) == len && s[0] != '.' && s[0] != '-';
}

static size_t tail_len(const struct tail *t)
{
    size_t n = 0;
    while (n < ARRAY_LEN(t->segments) && t->segments[n])
        n++;
    return n;
}

static bool ends_with(char **segments, size_t count, const struct tail *t)
{
    size_t n = tail_len(t);
    if (count < n)
        return false;
    for (size_t i = 0; i < n; i++) {
        const char *segment = segments[count - n + i];
        if (!text_eq(t->segments[i], "*") && !text_eq_nocase(t->segments[i], segment))
            return false;
    }
    return true;
}

/* What stands before the tail: at most a style and a tenant. */
static bool read_head(struct arena *a, char **segments, size_t count, struct openid_path *ret)
{
    ret->style = "";
    for (size_t i = 0; i < ARRAY_LEN(styles) && count > 0; i++) {
        if (!text_eq_nocase(segments[0], styles[i] + 1))
            continue;
        ret->style = styles[i];
        segments++;
        count--;
        break;
    }
    ret->is_any_tenant = count == 0;
    if (count > 1)
        return false;
    if (count == 0)
        return true;
    ret->tenant = text_lower(a, segments[0]);
    for (size_t i = 0; i < ARRAY_LEN(any_tenants); i++)
        ret->is_any_tenant = ret->is_any_tenant || text_eq(ret->tenant, any_tenants[i]);
    return is_tenant(ret->tenant);
}

bool openid_path_parse(struct arena *a, const char *path, struct openid_path *ret)
{
    char **segments = NULL;
    if (*path != '/' || strlen(path) > 1024)
        return false;
    size_t count = text_split(a, path + 1, '/', &segments);
    if (count > SEGMENTS_MAX)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(tails); i++) {
        if (!ends_with(segments, count, &tails[i]))
            continue;
        *ret = (struct openid_path){ .endpoint = tails[i].endpoint, .is_v2 = tails[i].is_v2 };
        if (read_head(a, segments, count - tail_len(&tails[i]), ret))
            return true;
    }
    return false;
}
