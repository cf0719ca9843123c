/* Tokens for workloads on this machine, in the two shapes that clients of managed identities know: the
 * instance metadata service, where whoever reaches the listener is the one identity it is set up for, and
 * App Service's IDENTITY_ENDPOINT, where a secret header names and proves any identity. On a loopback
 * address only; no proxy may stand between. */
#include "controlplane/identity/workload.h"

#include <netinet/in.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "common/crypto/digest.h"
#include "common/http/server.h"
#include "common/json/json.h"
#include "common/network/throttle.h"
#include "common/pg/pg.h"

#include "controlplane/control.h"
#include "controlplane/identity/directory.h"
#include "controlplane/identity/login.h"
#include "controlplane/identity/token_endpoint.h"
#include "controlplane/store/identity.h"

static const struct login_error no_header = { "invalid_request", 900144, 400 };
static const struct login_error no_identity = { "invalid_request", 700016, 400 };
static const struct login_error no_resource = { "invalid_resource", 500011, 400 };
static const struct login_error not_here = { "unauthorized_client", 50105, 403 };
static const struct login_error wrong_secret = { "invalid_client", 7000215, 401 };
static const struct login_error too_many = { "temporarily_unavailable", 50196, 429 };

static bool is_loopback(const struct sockaddr_storage *peer)
{
    if (peer->ss_family == AF_INET)
        return (ntohl(((const struct sockaddr_in *)peer)->sin_addr.s_addr) >> 24) == 127;
    if (peer->ss_family == AF_INET6)
        return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)peer)->sin6_addr);
    return peer->ss_family == AF_UNIX;
}

/* A page or a proxy that is made to ask cannot set the one header, and leaves the other. */
static bool is_from_here(struct http_request *req)
{
    if (is_loopback(&req->peer) && !http_header(req, "X-Forwarded-For") &&
        !http_header(req, "Forwarded") && !http_header(req, "Origin"))
        return true;
    login_fail(req, &not_here, "Only workloads on this machine are served here.");
    return false;
}

/* What the client asks for must be the identity that it is. */
static bool is_asked_for(struct http_request *req, const struct principal_row *principal)
{
    const char *client = http_query(req, "client_id"), *object = http_query(req, "object_id");

    if (!object)
        object = http_query(req, "principal_id");
    if ((!client || text_eq_nocase(client, principal->app_id)) &&
        (!object || text_eq_nocase(object, principal->object_id)) &&
        !http_query(req, "msi_res_id") && !http_query(req, "mi_res_id"))
        return true;
    login_fail(req, &no_identity, "Identity not found.");
    return false;
}

static void issue(struct http_request *req, const struct principal_row *principal)
{
    const char *resource = http_query(req, "resource");
    const char *audience =
        resource ? directory_audience(req->arena, req->app, resource) : NULL;

    if (!text_eq(principal->kind, "ManagedIdentity") || !principal->is_enabled) {
        login_fail(req, &no_identity, "Identity not found.");
        return;
    }
    if (!is_asked_for(req, principal))
        return;
    if (!audience) {
        login_fail(req, &no_resource, "The parameter 'resource' names nothing that is known.");
        return;
    }
    login_issue(req, &(struct token_issue){ .principal = principal,
                                            .client_id = principal->app_id,
                                            .audience = audience,
                                            .resource = resource });
}

/* --- the shape of the instance metadata service ------------------------------------------------ */

struct configured {
    const char *app_id;
    struct principal_row principal;
    int found;
};

static int read_configured(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct configured *c = ctx;

    c->found = identity_principal_by_app(conn, a, c->app_id, &c->principal, err);
    return c->found < 0 ? -1 : 0;
}

static void metadata(struct http_request *req)
{
    struct control *control = req->app;
    struct configured c = { .app_id = control->settings->workload_identity };
    struct error err;

    if (!is_from_here(req))
        return;
    if (!text_eq_nocase(http_header(req, "Metadata"), "true")) {
        login_fail(req, &no_header, "The header 'Metadata: true' is needed.");
        return;
    }
    if (!c.app_id || !uuid_is_valid(c.app_id)) {
        login_fail(req, &no_identity, "Identity not found.");
        return;
    }
    if (pg_with(control->db, req->arena, read_configured, &c, &err)) {
        login_fail_error(req, &err);
        return;
    }
    if (c.found)
        issue(req, &c.principal);
    else
        login_fail(req, &no_identity, "Identity not found.");
}

/* --- the shape of App Service ------------------------------------------------------------------ */

/* "<client id>.<secret>" */
static bool read_header(struct http_request *req, const char **ret_app, const char **ret_secret)
{
    const char *header = http_header(req, "X-IDENTITY-HEADER");
    const char *dot = header ? strchr(header, '.') : NULL;

    if (!dot)
        return false;
    *ret_app = arena_strndup(req->arena, header, (size_t)(dot - header));
    *ret_secret = dot + 1;
    return uuid_is_valid(*ret_app);
}

static void app_service(struct http_request *req)
{
    struct control *control = req->app;
    struct throttle *throttle = control->directory->throttle;
    const char *app = NULL, *secret = NULL;
    struct principal_row principal;
    enum sign_in verdict = SIGN_IN_WRONG_SECRET;
    struct error err;
    int64_t retry_ms = 0;

    if (!is_from_here(req))
        return;
    if (!read_header(req, &app, &secret)) {
        login_fail(req, &wrong_secret, "The header X-IDENTITY-HEADER is missing or wrong.");
        return;
    }
    if (!throttle_try(throttle, app, &req->peer, clock_mono_ms(), &retry_ms)) {
        http_reply_headerf(req, "Retry-After", "%lld", (long long)(retry_ms / 1000 + 1));
        login_fail(req, &too_many, "Too many wrong secrets; try again later.");
        return;
    }
    if (directory_sign_in(control, req->arena, control->tenant_id, app, secret, &verdict,
                          &principal, &err)) {
        throttle_return(throttle, app, &req->peer);
        login_fail_error(req, &err);
        return;
    }
    if (verdict != SIGN_IN_OK) {
        login_fail(req, &wrong_secret, "The header X-IDENTITY-HEADER is missing or wrong.");
        return;
    }
    throttle_return(throttle, app, &req->peer);
    issue(req, &principal);
}

/* ----------------------------------------------------------------------------------------------- */

/* MSAL for JavaScript ends every address with a slash. */
static const struct http_route routes[] = {
    { .method = "GET", .pattern = "/metadata/identity/oauth2/token", .run = metadata },
    { .method = "GET", .pattern = "/metadata/identity/oauth2/token/", .run = metadata },
    { .method = "GET", .pattern = "/msi/token", .run = app_service },
    { .method = "GET", .pattern = "/msi/token/", .run = app_service },
    { 0 },
};

static void missing(struct http_request *req, bool is_method_wrong)
{
    (void)is_method_wrong;
    login_fail(req, &LOGIN_NO_PATH, "There is nothing at the path of the request.");
}

static void fault(struct http_request *req, const struct error *err)
{
    login_fail_error(req, err);
}

static void done(struct http_request *req)
{
    struct log_line l;

    log_start(&l, LOG_INFO, "workload.request");
    log_text(&l, "id", req->id);
    log_text(&l, "path", req->path);
    log_int(&l, "status", req->status);
    log_text(&l, "client", req->peer_text);
    log_text(&l, "rule", req->plane);
    log_end(&l);
}

void workload_app(struct control *control, struct http_app *ret)
{
    *ret = (struct http_app){
        .routes = routes, .missing = missing, .fault = fault, .done = done, .ctx = control
    };
}
