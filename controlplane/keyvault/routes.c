/* The vault hosts' routes. Clients write the newest version as an empty segment at the end. */
#include "controlplane/keyvault/keyvault.h"

#include "common/base/error.h"
#include "common/base/log.h"

#include "controlplane/keyvault/call.h"

static const struct error_code E_NO_ROUTE = { "NotFound", 404 };
static const struct error_code E_METHOD = { "MethodNotAllowed", 405 };

#define PLAIN(m, p, e)                                                                             \
    { .method = m, .pattern = p, .body = HTTP_BODY_NONE, .run = vault_serve, .plane = &(e),        \
      .is_nocase = true },                                                                         \
    { .method = m, .pattern = p "/", .body = HTTP_BODY_NONE, .run = vault_serve, .plane = &(e),    \
      .is_nocase = true }
#define BODY_UP_TO(bytes, m, p, e)                                                                 \
    { .method = m, .pattern = p, .body = HTTP_BODY_BUFFER, .max_body = bytes, .run = vault_serve,  \
      .plane = &(e), .is_nocase = true },                                                          \
    { .method = m, .pattern = p "/", .body = HTTP_BODY_BUFFER, .max_body = bytes,                  \
      .run = vault_serve, .plane = &(e), .is_nocase = true }
#define BODY(m, p, e) BODY_UP_TO(VAULT_BODY_MAX_BYTES, m, p, e)

#define S "/secrets"
#define DS "/deletedsecrets"
#define K "/keys"
#define DK "/deletedkeys"
/* Of the newest version the empty segment is gone by the time a route is looked up. */
#define USE(what, e) BODY("POST", K "/{name}/" what, e), BODY("POST", K "/{name}/{version}/" what, e)

static const struct http_route routes[] = {
    PLAIN("GET", S, secret_list),
    BODY("PUT", S "/{name}", secret_set),
    PLAIN("GET", S "/{name}", secret_get),
    PLAIN("GET", S "/{name}/versions", secret_versions),
    PLAIN("GET", S "/{name}/{version}", secret_get),
    BODY("PATCH", S "/{name}", secret_change),
    BODY("PATCH", S "/{name}/{version}", secret_change),
    PLAIN("DELETE", S "/{name}", secret_delete),
    PLAIN("POST", S "/{name}/backup", secret_backup),
    BODY_UP_TO(VAULT_BACKUP_MAX_BYTES, "POST", S "/restore", secret_restore),
    PLAIN("GET", DS, secret_deleted_list),
    PLAIN("GET", DS "/{name}", secret_deleted),
    PLAIN("POST", DS "/{name}/recover", secret_recover),
    PLAIN("DELETE", DS "/{name}", secret_purge),
    PLAIN("GET", K, key_list),
    BODY("POST", K "/{name}/create", key_create),
    BODY("PUT", K "/{name}", key_import),
    PLAIN("POST", K "/{name}/rotate", key_rotate),
    PLAIN("GET", K "/{name}/rotationpolicy", key_policy),
    BODY("PUT", K "/{name}/rotationpolicy", key_policy_set),
    PLAIN("POST", K "/{name}/backup", key_backup),
    BODY_UP_TO(VAULT_BACKUP_MAX_BYTES, "POST", K "/restore", key_restore),
    PLAIN("GET", K "/{name}", key_get),
    PLAIN("GET", K "/{name}/versions", key_versions),
    PLAIN("GET", K "/{name}/{version}", key_get),
    BODY("PATCH", K "/{name}", key_change),
    BODY("PATCH", K "/{name}/{version}", key_change),
    PLAIN("DELETE", K "/{name}", key_delete),
    USE("encrypt", key_encrypt),
    USE("decrypt", key_decrypt),
    USE("wrapkey", key_wrap),
    USE("unwrapkey", key_unwrap),
    USE("sign", key_sign),
    USE("verify", key_verify),
    PLAIN("GET", DK, key_deleted_list),
    PLAIN("GET", DK "/{name}", key_deleted),
    PLAIN("POST", DK "/{name}/recover", key_recover),
    PLAIN("DELETE", DK "/{name}", key_purge),
    { 0 },
};

/* A body is not read before it is known who sends it. */
static void admit(struct http_request *req)
{
    if (!http_header(req, "Authorization"))
        vault_refuse(req);
}

static void missing(struct http_request *req, bool is_method_wrong)
{
    struct error err;

    (void)fail(&err, is_method_wrong ? &E_METHOD : &E_NO_ROUTE,
               "There is nothing at the path of the request.");
    vault_reply_error(req, &err);
}

static void done(struct http_request *req)
{
    struct log_line l;

    http_log_start(&l, "vault.request", req);
    log_text(&l, "rule", req->plane);
    log_end(&l);
}

void keyvault_app(struct control *control, struct http_app *ret)
{
    *ret = (struct http_app){ .routes = routes,
                              .admit = admit,
                              .missing = missing,
                              .fault = vault_reply_error,
                              .done = done,
                              .ctx = control };
}
