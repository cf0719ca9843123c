/* The gate: sign-in and authorisation of every request, on the event thread when all that is needed
 * is in memory, else on a worker before the handler. 401 and 403 are answered here, in ACR's form.
 */
#include "dataplane/call.h"

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "common/crypto/token.h"
#include "common/json/json.h"
#include "common/network/throttle.h"
#include "dataplane/auth/authorization.h"
#include "dataplane/auth/bearer.h"
#include "dataplane/auth/firewall.h"
#include "dataplane/auth/gate.h"
#include "dataplane/auth/link.h"
#include "dataplane/auth/rate.h"
#include "dataplane/oci/reference.h"
#include "dataplane/oci/reply.h"
#include "dataplane/oci/upload.h"
#include "dataplane/plane.h"
#include "dataplane/store/snapshot.h"

static const struct data_route *route_of(const struct http_request *req)
{
    return req->route->plane;
}

/* --- refusals ----------------------------------------------------------------------------------
 */

static struct json_object *challenge_detail(const struct http_request *req,
                                            const struct data_route *route)
{
    struct json_object *detail = NULL, *one = NULL;

    if (route->access == ACCESS_ANY)
        return NULL;
    detail = json_new_array();
    one = json_new_object();
    if (route->access == ACCESS_CATALOG || route->access == ACCESS_DELETED_CATALOG) {
        json_set_text(one, "Type", "registry");
        json_set_text(one, "Name", route->access == ACCESS_CATALOG ? "catalog" : "deleted_catalog");
        json_set_text(one, "Action", "*");
    } else {
        json_set_text(one, "Type", "repository");
        json_set_text(one, "Name", req->params[0]);
        json_set_text(one, "Action", scope_action_name(route->actions));
    }
    json_add(detail, one);
    return detail;
}

/* The scope a client should ask for; NULL for /v2/, where az reads none. */
static const char *challenge_scope(const struct http_request *req, const struct data_route *route)
{
    if (route->access == ACCESS_CATALOG)
        return scope_text(req->arena, SCOPE_CATALOG, "", ACT_ALL);
    if (route->access == ACCESS_DELETED_CATALOG)
        return scope_text(req->arena, SCOPE_DELETED_CATALOG, "", ACT_ALL);
    if (route->access == ACCESS_ANY || !repository_name_is_valid(req->params[0]))
        return NULL;
    return scope_text(req->arena, SCOPE_REPOSITORY, req->params[0], route->actions);
}

/* error: NULL, "invalid_token" or "insufficient_scope" (RFC 6750 section 3.1). No space follows a
 * comma: az splits at the first space. */
static void refuse(struct http_request *req, const char *rule, const char *error)
{
    struct call *call = call_of(req);
    const struct data_route *route = route_of(req);
    const char *server = call->snapshot->login_server, *scope = challenge_scope(req, route);

    call->rule = rule;
    http_reply_headerf(req, "WWW-Authenticate",
                       "Bearer realm=\"%s://%s/oauth2/token\",service=\"%s\"%s%s%s%s%s%s",
                       call->plane->settings->realm_scheme, server, server,
                       scope ? ",scope=\"" : "", scope ? scope : "", scope ? "\"" : "",
                       error ? ",error=\"" : "", error ? error : "", error ? "\"" : "");
    reply_error_detail(req, &E_UNAUTHORIZED,
                       "authentication required, visit https://aka.ms/acr/authorization for more "
                       "information.",
                       challenge_detail(req, route));
}

static void deny(struct http_request *req, const char *rule)
{
    call_of(req)->rule = rule;
    reply_error_detail(req, &E_DENIED, "requested access to the resource is denied",
                       challenge_detail(req, route_of(req)));
}

/* --- signing in --------------------------------------------------------------------------------
 */

bool gate_basic(struct http_request *req, const char **ret_user, const char **ret_password)
{
    return authorization_basic(req->arena, http_header(req, "Authorization"), ret_user,
                               ret_password);
}

struct authority gate_authority(const struct call *call, bool is_quick)
{
    return (struct authority){ .snapshot = call->snapshot,
                               .accounts = call->plane->accounts,
                               .registry_id = call->plane->settings->registry_id,
                               .is_quick = is_quick };
}

static void refuse_guessing(struct http_request *req, int64_t retry_ms)
{
    call_of(req)->rule = "throttle";
    reply_later(req, &E_TOO_MANY, "too many wrong passwords for this name; try again later",
                (retry_ms + 999) / 1000);
}

int gate_sign_in(struct http_request *req, const char *user, const char *password)
{
    struct call *call = call_of(req);
    struct authority who = gate_authority(call, false);
    struct throttle *throttle = call->plane->throttle;
    struct error err = { 0 };
    int64_t retry_ms = 0, now_ms = clock_mono_ms();

    if (user[0] == '\0') /* nobody's name: nothing is guessed */
        return 0;
    if (!throttle_allows(throttle, user, &req->peer, now_ms, &retry_ms)) {
        refuse_guessing(req, retry_ms);
        return -1;
    }
    int signed_in = identity_sign_in(&who, req->arena, user, password, &call->identity, &err);
    if (signed_in < 0)
        reply_error(req, &err);
    if (signed_in == 0)
        throttle_note(throttle, user, &req->peer, now_ms);
    return signed_in;
}

/* What the call's identity may do now. 1 something, 0 nothing at all, -1 when it has replied, or,
 * on an event thread, when a worker has to ask. */
static int find_allowed(struct http_request *req, bool is_quick)
{
    struct call *call = call_of(req);
    struct authority who = gate_authority(call, is_quick);
    struct permissions now;
    struct error err = { 0 };

    if (identity_permissions(&who, req->arena, &call->identity, &now, &err) == 0) {
        call->allowed = now.scopes;
        return now.scopes != NULL;
    }
    call->is_pending = is_quick;
    if (!is_quick)
        reply_error(req, &err);
    return -1;
}

static void use_bearer(struct call *call, struct bearer *bearer)
{
    call->bearer = bearer;
    call->identity = bearer->facts.identity;
    call->granted = &bearer->facts.access;
    call->allowed = bearer->allowed;
}

/* A token that was good while the upload went on (long uploads outlive tokens). Whether the session
 * is this identity's is checked when it is held. 1, 0, or -1 as find_allowed() says. */
static int use_expired(struct http_request *req, const char *token, bool is_quick)
{
    struct call *call = call_of(req);
    struct token_facts *facts = ARENA_NEW(req->arena, struct token_facts);
    struct error ignored = { 0 };
    int64_t times[2];

    if (!req->params[1] ||
        !upload_times(call->plane->uploads, req->params[1], req->params[0], &times[0], &times[1]))
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(times); i++) {
        if (identity_token_read(call->snapshot, req->arena, call->plane->settings->registry_id,
                                token, times[i], facts, &ignored) != 0 ||
            facts->kind != TOKEN_ACCESS)
            continue;
        call->identity = facts->identity;
        call->granted = &facts->access;
        return find_allowed(req, is_quick);
    }
    return 0;
}

static bool sign_in_bearer(struct http_request *req, const char *token, bool is_quick)
{
    struct call *call = call_of(req);
    struct authority who = gate_authority(call, is_quick);
    struct bearer *bearer = NULL;
    struct error err = { 0 };
    int expired = 0;

    if (bearer_check(call->plane->bearers, &who, call->plane->settings->registry_id, token, &bearer,
                     &err) == 0) {
        use_bearer(call, bearer);
        if (bearer->facts.kind == TOKEN_ACCESS)
            return true;
    } else if (err.code == &E_UNAVAILABLE) {
        call->is_pending = is_quick;
        if (!is_quick)
            reply_error(req, &err);
        return false;
    } else if (err.code == &E_TOKEN_EXPIRED && route_of(req)->access == ACCESS_SESSION) {
        expired = use_expired(req, token, is_quick);
    }
    if (expired == 0)
        refuse(req, "token", "invalid_token");
    return expired == 1;
}

static bool sign_in_basic(struct http_request *req)
{
    const char *user = NULL, *password = NULL;
    int known = gate_basic(req, &user, &password) ? gate_sign_in(req, user, password) : 0;

    if (known == 1)
        known = find_allowed(req, false);
    if (known == 0)
        refuse(req, "password", NULL);
    return known == 1;
}

static const char *bearer_text(const struct http_request *req)
{
    return authorization_bearer(http_header(req, "Authorization"));
}

/* --- authorising -------------------------------------------------------------------------------
 */

/* Whether these scopes open the route: a catalog of the registry, or a repository. */
static bool opens(const struct scopes *scopes, const struct http_request *req)
{
    const struct data_route *route = route_of(req);

    if (route->access == ACCESS_CATALOG)
        return scopes_allow(scopes, SCOPE_CATALOG, "", ACT_ALL);
    if (route->access == ACCESS_DELETED_CATALOG)
        return scopes_allow(scopes, SCOPE_DELETED_CATALOG, "", ACT_ALL);
    return scopes_allow(scopes, SCOPE_REPOSITORY, req->params[0], route->actions);
}

bool call_may(const struct call *call, const char *repository, unsigned actions)
{
    return call->allowed && scopes_allow(call->allowed, SCOPE_REPOSITORY, repository, actions);
}

static bool authorise(struct http_request *req)
{
    const struct call *call = call_of(req);

    if (route_of(req)->access == ACCESS_ANY)
        return rate_admits(req);
    bool is_able = opens(call->allowed, req);
    if (is_able && (!call->granted || opens(call->granted, req)))
        return rate_admits(req);
    /* A password's owner would only be given the same again; a token may be had with more scope. */
    if (!call->granted)
        deny(req, "permission");
    else
        refuse(req, is_able ? "scope" : "permission", "insufficient_scope");
    return false;
}

/* The link's identity may have lost its rights since; then the link is worth nothing. */
static bool check_link(struct http_request *req, bool is_quick)
{
    struct call *call = call_of(req);

    if (!link_read(req, &call->identity)) {
        link_refuse(req, "link", LINK_OVER);
        return false;
    }
    if (find_allowed(req, is_quick) < 0)
        return false;
    if (call_may(call, req->params[0], route_of(req)->actions))
        return true;
    link_refuse(req, "permission", "requested access to the resource is denied");
    return false;
}

/* The data endpoint serves links only, and links are served nowhere else. */
static bool check_host(struct http_request *req)
{
    if (link_is_data_host(req) == (route_of(req)->access == ACCESS_LINK))
        return true;
    link_refuse(req, "host", "requested access to the resource is denied on this host");
    return false;
}

/* Everything. False when it has replied, or, on an event thread, left it to a worker. */
static bool check(struct http_request *req, bool is_quick)
{
    const char *token = bearer_text(req);

    if (route_of(req)->access == ACCESS_LINK)
        return check_link(req, is_quick);
    if (!http_header(req, "Authorization")) {
        refuse(req, "anonymous", NULL);
        return false;
    }
    if (token ? !sign_in_bearer(req, token, is_quick) : !sign_in_basic(req))
        return false;
    return authorise(req);
}

/* On the event thread: what memory answers; the rest is left pending. */
static void check_quickly(struct http_request *req)
{
    struct call *call = call_of(req);
    const char *token = bearer_text(req);
    struct bearer *bearer = NULL;

    if (route_of(req)->access == ACCESS_LINK) {
        (void)check_link(req, true);
        return;
    }
    bearer = token ? bearer_find(call->plane->bearers, call->snapshot, token) : NULL;

    if (bearer && bearer->facts.kind == TOKEN_ACCESS) {
        use_bearer(call, bearer);
        (void)authorise(req);
        return;
    }
    bearer_unref(bearer);
    /* A body that is collected whole is not collected for strangers. */
    if (token && req->route->body == HTTP_BODY_BUFFER) {
        (void)check(req, true);
        return;
    }
    call->is_pending = true;
}

/* --- where the server calls --------------------------------------------------------------------
 */

static void reply_gone(struct http_request *req)
{
    struct error err = { 0 };

    call_of(req)->rule = "unpublished";
    (void)fail(&err, &E_UNAVAILABLE, "the registry is not available now");
    reply_error(req, &err);
}

static bool needs_header(const struct data_route *route)
{
    return route->access != ACCESS_OPEN && route->access != ACCESS_LINK;
}

void gate_admit(struct http_request *req)
{
    struct data_plane *plane = req->app;
    struct call *call = ARENA_NEW(req->arena, struct call);
    bool is_fresh = false;

    call->plane = plane;
    req->plane = call;
    housekeeper_note_request(plane->housekeeper);
    call->snapshot = snapshots_get(plane->snapshots, &is_fresh);
    /* What is not served has no second look on a worker. */
    if (call->snapshot && (is_fresh || !req->route) && !firewall_admits(req, false))
        return;
    if (!req->route)
        return;
    if (is_fresh && !call->snapshot) {
        reply_gone(req);
        return;
    }
    if (is_fresh && !check_host(req))
        return;
    /* Strangers are told at once, except where a fresh look may still find them locked out. A body
     * that is collected whole is not collected for them in any case. */
    if (call->snapshot && needs_header(route_of(req)) &&
        (is_fresh || req->route->body == HTTP_BODY_BUFFER) && !http_header(req, "Authorization")) {
        refuse(req, "anonymous", NULL);
        return;
    }
    if (!is_fresh)
        call->is_pending = true;
    else if (route_of(req)->access != ACCESS_OPEN)
        check_quickly(req);
}

/* What admit left over. False when it has replied. */
static bool settle(struct http_request *req)
{
    struct call *call = call_of(req);
    struct error err = { 0 };
    bool is_fresh = true;

    if (!call->is_pending)
        return true;
    call->is_pending = false;
    snapshot_unref(call->snapshot);
    call->snapshot = snapshots_get(call->plane->snapshots, &is_fresh);
    if (!is_fresh) {
        int status = snapshots_refresh(call->plane->snapshots, &err);
        snapshot_unref(call->snapshot);
        call->snapshot = status == 0 ? snapshots_get(call->plane->snapshots, &is_fresh) : NULL;
    }
    if (!call->snapshot) {
        reply_gone(req);
        return false;
    }
    if (!firewall_admits(req, true) || !check_host(req))
        return false;
    return route_of(req)->access == ACCESS_OPEN || check(req, false);
}

enum http_verdict gate_fast(struct http_request *req)
{
    const struct data_route *route = route_of(req);

    if (call_of(req)->is_pending || !route->fast)
        return HTTP_NEEDS_WORKER;
    return route->fast(req);
}

void gate_run(struct http_request *req)
{
    if (settle(req) && (route_of(req)->access != ACCESS_OPEN || rate_admits(req)))
        route_of(req)->run(req);
}

static void gate_begin(struct http_request *req)
{
    struct call *call = call_of(req);

    if (!settle(req))
        return;
    call->watch = ARENA_NEW(req->arena, struct firewall_watch);
    firewall_watch_init(call->watch, req);
    route_of(req)->sink->begin(req);
}

/* Long uploads outlive rules, too: the session is let go, and whoever may come again goes on. */
static void gate_data(struct http_request *req, const void *bytes, size_t len)
{
    struct call *call = call_of(req);
    bool is_fresh;

    if (firewall_still_admits(call->watch)) {
        route_of(req)->sink->data(req, bytes, len);
        return;
    }
    route_of(req)->sink->abort(req);
    struct snapshot *now = snapshots_get(call->plane->snapshots, &is_fresh);
    if (now) {
        snapshot_unref(call->snapshot);
        call->snapshot = now;
    }
    firewall_refuse(req);
}

static void gate_end(struct http_request *req)
{
    route_of(req)->sink->end(req);
}

static void gate_abort(struct http_request *req)
{
    route_of(req)->sink->abort(req);
}

const struct http_sink gate_sink = {
    .begin = gate_begin, .data = gate_data, .end = gate_end, .abort = gate_abort
};

void gate_done(struct http_request *req)
{
    struct call *call = call_of(req);
    struct log_line line;

    http_log_start(&line, "request", req);
    log_text(&line, "identity", call ? call->identity.name : NULL);
    log_text(&line, "rule", call ? call->rule : NULL);
    log_end(&line);
    if (!call)
        return;
    bearer_unref(call->bearer);
    snapshot_unref(call->snapshot);
}
