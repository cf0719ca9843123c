/* Which login paths exist, in every style a client may use. */
/* links: portolan_control */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/text.h"

#include "controlplane/identity/openid_paths.h"

#include <cmocka.h>

#define T          "11111111-2222-3333-4444-555555555555"
#define WELL_KNOWN "/.well-known/openid-configuration"

static void known_paths(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        enum openid_endpoint endpoint;
        const char *style, *tenant;
        bool is_any, is_v2;
    } cases[] = {
        { WELL_KNOWN, OPENID_CONFIGURATION, "", NULL, true, false },
        { "/v2.0" WELL_KNOWN, OPENID_CONFIGURATION, "", NULL, true, true },
        { "/adfs" WELL_KNOWN, OPENID_CONFIGURATION, "/adfs", NULL, true, false },
        { "/ADFS/.Well-Known/OpenID-Configuration", OPENID_CONFIGURATION, "/adfs", NULL, true,
          false },
        { "/adfs/" T WELL_KNOWN, OPENID_CONFIGURATION, "/adfs", T, false, false },
        { "/dstsv2/" T WELL_KNOWN, OPENID_CONFIGURATION, "/dstsv2", T, false, false },
        { "/dstsv2/" T "/v2.0" WELL_KNOWN, OPENID_CONFIGURATION, "/dstsv2", T, false, true },
        { "/" T "/v2.0" WELL_KNOWN, OPENID_CONFIGURATION, "", T, false, true },
        { "/common/v2.0" WELL_KNOWN, OPENID_CONFIGURATION, "", "common", true, true },
        { "/organizations/v2.0" WELL_KNOWN, OPENID_CONFIGURATION, "", "organizations", true, true },
        { "/Portolan.Localhost" WELL_KNOWN, OPENID_CONFIGURATION, "", "portolan.localhost", false,
          false },
        { "/oauth2/token", OPENID_TOKEN, "", NULL, true, false },
        { "/adfs/oauth2/token", OPENID_TOKEN, "/adfs", NULL, true, false },
        { "/adfs/" T "/oauth2/v2.0/token", OPENID_TOKEN, "/adfs", T, false, true },
        { "/dstsv2/" T "/oauth2/token", OPENID_TOKEN, "/dstsv2", T, false, false },
        { "/" T "/oauth2/v2.0/token", OPENID_TOKEN, "", T, false, true },
        { "/" T "/oauth2/v2.0/authorize", OPENID_AUTHORIZE, "", T, false, true },
        { "/" T "/oauth2/v2.0/devicecode", OPENID_DEVICE_CODE, "", T, false, true },
        { "/" T "/discovery/v2.0/keys", OPENID_KEYS, "", T, false, true },
        { "/common/discovery/keys", OPENID_KEYS, "", "common", true, false },
        { "/adfs/discovery/keys", OPENID_KEYS, "/adfs", NULL, true, false },
        { "/common/discovery/instance", OPENID_INSTANCE, "", "common", true, false },
        { "/device", OPENID_DEVICE, "", NULL, true, false },
        { "/external", OPENID_EXTERNAL, "", NULL, true, false },
        { "/common/userrealm/me@example.org", OPENID_USER_REALM, "", "common", true, false },
    };
    _cleanup_(arena_freep) struct arena *a = arena_new();
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct openid_path p = { 0 };
        if (!openid_path_parse(a, cases[i].path, &p))
            fail_msg("no '%s'", cases[i].path);
        if (p.endpoint != cases[i].endpoint || !text_eq(p.style, cases[i].style) ||
            !text_eq(p.tenant, cases[i].tenant) || p.is_any_tenant != cases[i].is_any ||
            p.is_v2 != cases[i].is_v2)
            fail_msg("'%s' read as %d '%s' '%s' %d %d", cases[i].path, (int)p.endpoint, p.style,
                     p.tenant ? p.tenant : "-", p.is_any_tenant, p.is_v2);
    }
}

static void unknown_paths(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        "/",
        "x",
        "/oauth2",
        "/token",
        "/oauth2/v1.0/token",
        "/oauth2/token/",
        "/oauth2/token/x",
        "/a/b/oauth2/token",
        "/adfs/a/b/oauth2/token",
        "/adfs/dstsv2/x/oauth2/token",
        "/adfs/adfs/adfs/oauth2/token",
        "//oauth2/token",
        "/../oauth2/token",
        "/a b/oauth2/token",
        "/-x/oauth2/token",
        "/a'--/oauth2/token",
        "/a\r\nHost:x/oauth2/token",
        "/\xc3\xa9/oauth2/token",
        "/.well-known/openid-configuration/x",
        "/v2.0/oauth2/v2.0/token/token",
        "/1/2/3/4/5/6/7/8/9/oauth2/token",
    };
    _cleanup_(arena_freep) struct arena *a = arena_new();
    struct openid_path p;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        if (openid_path_parse(a, cases[i], &p))
            fail_msg("accepted '%s'", cases[i]);
    }
    char *tenant = arena_alloc(a, 255);
    memset(tenant, 'a', 254);
    assert_false(openid_path_parse(a, arena_printf(a, "/%s/oauth2/token", tenant), &p));
    tenant[253] = '\0';
    assert_true(openid_path_parse(a, arena_printf(a, "/%s/oauth2/token", tenant), &p));
    char *slashes = arena_alloc(a, 100001);
    memset(slashes, '/', 100000);
    assert_false(openid_path_parse(a, slashes, &p));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_paths),
        cmocka_unit_test(unknown_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
