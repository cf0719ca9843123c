/* The login host inside identity/: its endpoints and its error form. */
#ifndef PORTOLAN_IDENTITY_LOGIN_H
#define PORTOLAN_IDENTITY_LOGIN_H

#include <stdbool.h>

#include "common/base/cleanup.h"

struct error;
struct http_request;
struct json_object;
struct openid_path;
struct person;

/* An error of the directory: OAuth's name (RFC 6749 section 5.2) and the number by which Azure's
 * clients and their users know it. */
struct login_error {
    const char *name; /* "invalid_client" */
    int number;       /* 7000215, shown as AADSTS7000215 */
    int status;
};

extern const struct login_error LOGIN_BAD_REQUEST;
extern const struct login_error LOGIN_MISSING_PARAMETER;
extern const struct login_error LOGIN_NO_TENANT;
extern const struct login_error LOGIN_NO_PATH;

/* Replies with the error; the text is one plain sentence. */
void login_fail(struct http_request *req, const struct login_error *e, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
/* Replies for a failure of ours: 503 when something is away, else 500. Logs the cause. */
void login_fail_error(struct http_request *req, const struct error *err);
/* Replies with JSON that nobody may store. Takes over `body`. */
void login_reply(struct http_request *req, int status, struct json_object *body);

/* The id of the tenant that a path names; of the installation's own when it names any. Replies and
 * returns NULL when there is no such tenant. */
const char *login_tenant(struct http_request *req, const struct openid_path *path);

/* openid.c; each replies */
void openid_configuration(struct http_request *req, const struct openid_path *path);
void openid_keys(struct http_request *req, const struct openid_path *path);
void openid_instance(struct http_request *req, const struct openid_path *path);
void openid_user_realm(struct http_request *req, const struct openid_path *path);
/* token_endpoint.c; replies */
void token_endpoint(struct http_request *req, const struct openid_path *path);
/* user_grants.c; replies */
void device_code_endpoint(struct http_request *req, const struct openid_path *path);
/* sign_in_pages.c; reply with HTML or a redirect */
void authorize_page(struct http_request *req, const struct openid_path *path);
void device_page(struct http_request *req);
/* Lets the device with this code in, or not. */
void device_decide(struct http_request *req, const char *code, const struct person *person,
                   bool is_granted);
/* external.c: where a provider sends people back to; replies */
void external_page(struct http_request *req);

#endif
