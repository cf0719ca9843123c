/* The paths of the login host. Clients know three styles, `[/adfs|/dstsv2]?[/{tenant}]?/…`, and
 * each of them gets the same answers. Pure. */
#ifndef PORTOLAN_IDENTITY_OPENID_PATHS_H
#define PORTOLAN_IDENTITY_OPENID_PATHS_H

#include <stdbool.h>

#include "common/base/cleanup.h"

struct arena;

enum openid_endpoint {
    OPENID_CONFIGURATION, /* [/v2.0]/.well-known/openid-configuration */
    OPENID_KEYS,          /* /discovery[/v2.0]/keys */
    OPENID_TOKEN,         /* /oauth2[/v2.0]/token */
    OPENID_AUTHORIZE,     /* /oauth2[/v2.0]/authorize */
    OPENID_DEVICE_CODE,   /* /oauth2[/v2.0]/devicecode */
    OPENID_INSTANCE,      /* /discovery/instance */
    OPENID_USER_REALM,    /* /userrealm/{user} */
    OPENID_DEVICE,        /* /device: where people enter a device's code */
    OPENID_EXTERNAL,      /* /external: where another provider sends people back to */
    OPENID_ENDPOINT_MAX
};

struct openid_path {
    enum openid_endpoint endpoint;
    const char *style;  /* "", "/adfs", "/dstsv2" */
    const char *tenant; /* lower case; NULL: none in the path */
    bool is_any_tenant; /* none, or "common", "organizations", "consumers" */
    bool is_v2;
};

/* false: no such path, or what stands for the tenant cannot be one. */
MUST_CHECK bool openid_path_parse(struct arena *a, const char *path, struct openid_path *ret);

#endif
