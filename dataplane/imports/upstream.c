/* Requests to another registry, and the sign-in that a 401 asks for (distribution's token
 * authentication, and Basic). */
#include "dataplane/imports/upstream.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/text.h"
#include "common/client/client.h"
#include "common/json/json.h"
#include "dataplane/oci/manifest.h"

#define MANIFEST_TIMEOUT_MS 60000
#define TOKEN_TIMEOUT_MS    30000
#define BLOB_TIMEOUT_MS     (INT64_C(12) * 3600 * 1000)
#define STALL_S             60
#define REDIRECTS_MAX       5
#define TOKEN_MAX_BYTES     ((uint64_t)256 * 1024)
#define PARAMETER_MAX       2048

const struct error_code E_SOURCE_UNKNOWN = { "SourceImageNotFound", 404 };
const struct error_code E_SOURCE_DENIED = { "SourceAccessDenied", 403 };
const struct error_code E_SOURCE_INVALID = { "SourceContentInvalid", 502 };

static const char accept_manifests[] =
    "Accept: application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, "
    "application/vnd.docker.distribution.manifest.v2+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json";

/* Registries whose tokens come from another host of the same service. */
static const struct token_host {
    const char *registry, *token;
} token_hosts[] = {
    { "https://registry-1.docker.io", "https://auth.docker.io" },
};

/* --- challenges --------------------------------------------------------------------------------
 */

struct challenge {
    bool is_bearer, is_basic;
    const char *realm, *service;
};

/* A parameter's value, quoted or not; NULL. */
static const char *parameter(struct arena *a, const char *challenge, const char *name)
{
    size_t len = strlen(name);

    for (const char *p = challenge; *p; p++) {
        bool is_start = p == challenge || strchr(" ,\t", p[-1]);
        if (is_start && text_starts_nocase(p, name) && p[len] == '=') {
            bool is_quoted = p[len + 1] == '"';
            const char *value = p + len + 1 + is_quoted;
            size_t size = strcspn(value, is_quoted ? "\"" : ", \t");
            return size > PARAMETER_MAX ? NULL : arena_strndup(a, value, size);
        }
        /* What is quoted holds no parameters. */
        if (*p == '"') {
            p = strchr(p + 1, '"');
            if (!p)
                return NULL;
        }
    }
    return NULL;
}

static void read_challenge(struct arena *a, const struct client_response *r, struct challenge *ret)
{
    const char *text = client_header(r, "www-authenticate");

    *ret = (struct challenge){ 0 };
    if (!text)
        return;
    ret->is_basic = text_starts_nocase(text, "Basic");
    ret->is_bearer = text_starts_nocase(text, "Bearer ");
    ret->realm = ret->is_bearer ? parameter(a, text, "realm") : NULL;
    ret->service = ret->is_bearer ? parameter(a, text, "service") : NULL;
}

/* Scheme, host and port are the beginning of the URL. */
static bool is_below(const char *url, const char *origin)
{
    size_t len = strlen(origin);

    return text_starts_nocase(url, origin) && strchr("/?", url[len]);
}

/* Whether credentials for the registry may go to the realm. */
static bool is_trusted_realm(const struct upstream *u, const char *realm)
{
    if (is_below(realm, u->url))
        return true;
    for (size_t i = 0; i < ARRAY_LEN(token_hosts); i++) {
        if (text_eq_nocase(u->url, token_hosts[i].registry) &&
            is_below(realm, token_hosts[i].token))
            return true;
    }
    return false;
}

static const char *basic(struct arena *a, const char *user, const char *password)
{
    const char *pair = arena_printf(a, "%s:%s", user, password);

    return arena_printf(a, "Authorization: Basic %s", text_base64(a, pair, strlen(pair)));
}

/* --- tokens ------------------------------------------------------------------------------------
 */

static int fail_status(int status, const char *what, struct error *err)
{
    if (status == 404)
        return fail(err, &E_SOURCE_UNKNOWN, "The source registry does not have %s.", what);
    if (status == 401 || status == 403)
        return fail(err, &E_SOURCE_DENIED, "The source registry refused access to %s.", what);
    if (status == 429 || status >= 500)
        return fail(err, &E_UNAVAILABLE, "The source registry answered %d for %s.", status, what);
    return fail(err, &E_SOURCE_INVALID, "The source registry answered %d for %s.", status, what);
}

/* Of a JSON object in an answer, the first of two members that is a text. */
static int read_token(struct arena *a, const struct client_response *r, const char *name,
                      const char *other, const char **ret, struct error *err)
{
    struct json_object *body = NULL;
    struct error why = { 0 };

    if (r->status != 200)
        return fail_status(r->status, "a token", err);
    if (json_parse_object(r->body, r->body_len, TOKEN_MAX_BYTES, &body, &why) != 0)
        return fail(err, &E_SOURCE_INVALID, "The source registry's token is malformed.");
    (void)json_own(a, body);
    const char *token = json_text(body, name);
    token = token ? token : json_text(body, other);
    if (!token || !text_is_field_value(token, strlen(token)))
        return fail(err, &E_SOURCE_INVALID, "The source registry's token is malformed.");
    *ret = arena_strdup(a, token);
    return 0;
}

/* A directory token is good at the registry's own host, which trades it for one of its own. */
static int trade(struct upstream *u, struct arena *a, const struct challenge *c, const char **ret,
                 struct error *err)
{
    static const char *const headers[] = { "Content-Type: application/x-www-form-urlencoded",
                                           NULL };
    const char *body = arena_printf(a, "grant_type=access_token&service=%s&access_token=%s",
                                    text_percent_encode(a, c->service ? c->service : ""),
                                    text_percent_encode(a, u->directory_token));
    struct client_request request = { .method = "POST",
                                      .url = arena_printf(a, "%s/oauth2/exchange", u->url),
                                      .headers = headers,
                                      .body = body,
                                      .body_len = strlen(body),
                                      .timeout_ms = TOKEN_TIMEOUT_MS,
                                      .max_body_bytes = TOKEN_MAX_BYTES };
    struct client_response r;

    if (client_send(u->client, a, &request, &r, err) != 0)
        return -1;
    return read_token(a, &r, "refresh_token", "access_token", ret, err);
}

static int fetch_token(struct upstream *u, struct arena *a, const struct challenge *c,
                       struct error *err)
{
    bool is_trusted = is_trusted_realm(u, c->realm);
    const char *headers[] = { NULL, NULL }, *token = NULL;
    struct client_request request = { .headers = headers,
                                      .timeout_ms = TOKEN_TIMEOUT_MS,
                                      .max_body_bytes = TOKEN_MAX_BYTES };
    struct client_response r;

    if (is_trusted && u->directory_token) {
        if (trade(u, a, c, &token, err) != 0)
            return -1;
        headers[0] = basic(a, "00000000-0000-0000-0000-000000000000", token);
    } else if (is_trusted && u->user) {
        headers[0] = basic(a, u->user, u->password);
    }
    request.url =
        arena_printf(a, "%s%cservice=%s&scope=%s", c->realm, strchr(c->realm, '?') ? '&' : '?',
                     text_percent_encode(a, c->service ? c->service : ""),
                     text_percent_encode(a, arena_printf(a, "repository:%s:pull", u->repository)));
    if (client_send(u->client, a, &request, &r, err) != 0 ||
        read_token(a, &r, "token", "access_token", &token, err) != 0)
        return -1;
    u->authorization = arena_printf(u->arena, "Authorization: Bearer %s", token);
    return 0;
}

/* A registry of the installation is asked with a token from the start: its network rules refuse whoever
 * has none without a word on where to sign in. */
static int sign_in_first(struct upstream *u, struct arena *a, struct error *err)
{
    const struct challenge own = {
        .is_bearer = true,
        .realm = arena_printf(a, "%s/oauth2/token", u->url),
        .service = strstr(u->url, "://") ? strstr(u->url, "://") + strlen("://") : u->url,
    };

    return u->directory_token && !u->authorization ? fetch_token(u, a, &own, err) : 0;
}

static int sign_in(struct upstream *u, struct arena *a, const struct client_response *refused,
                   const char *what, struct error *err)
{
    struct challenge c;

    read_challenge(a, refused, &c);
    if (c.is_bearer && c.realm)
        return fetch_token(u, a, &c, err);
    if (!c.is_basic || !u->user)
        return fail_status(401, what, err);
    u->authorization = basic(u->arena, u->user, u->password);
    return 0;
}

/* --- content -----------------------------------------------------------------------------------
 */

/* Once more after signing in: tokens end, and the first request has none. */
static int get(struct upstream *u, struct arena *a, struct client_request *request,
               const char *accept, const char *what, struct client_response *ret, struct error *err)
{
    if (sign_in_first(u, a, err) != 0)
        return -1;
    for (int attempt = 0;; attempt++) {
        const char *headers[] = { accept, u->authorization, NULL };

        request->headers = headers;
        request->max_redirects = REDIRECTS_MAX;
        if (client_send(u->client, a, request, ret, err) != 0)
            return -1;
        if (ret->status == 200)
            return 0;
        if (ret->status != 401 || attempt > 0)
            return fail_status(ret->status, what, err);
        if (sign_in(u, a, ret, what, err) != 0)
            return -1;
    }
}

int upstream_manifest(struct upstream *u, struct arena *a, const char *reference,
                      struct upstream_manifest *ret, struct error *err)
{
    struct client_request request = { .url = arena_printf(a, "%s/v2/%s/manifests/%s", u->url,
                                                          u->repository, reference),
                                      .timeout_ms = MANIFEST_TIMEOUT_MS,
                                      .max_body_bytes = MANIFEST_MAX_BYTES };
    struct client_response r;

    if (get(u, a, &request, accept_manifests,
            arena_printf(a, "the manifest %s of %s", reference, u->repository), &r, err) != 0)
        return -1;
    *ret = (struct upstream_manifest){ .media_type = client_header(&r, "content-type"),
                                       .bytes = r.body,
                                       .len = r.body_len };
    return 0;
}

int upstream_blob(struct upstream *u, struct arena *a, const char *digest, uint64_t most,
                  const struct client_sink *sink, struct error *err)
{
    struct client_request request = { .url = arena_printf(a, "%s/v2/%s/blobs/%s", u->url,
                                                          u->repository, digest),
                                      .timeout_ms = BLOB_TIMEOUT_MS,
                                      .stall_s = STALL_S,
                                      .max_body_bytes = most,
                                      .sink = sink };
    struct client_response r;

    return get(u, a, &request, "Accept: */*",
               arena_printf(a, "the content %s of %s", digest, u->repository), &r, err);
}
