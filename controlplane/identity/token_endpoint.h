/* The token endpoint inside identity/: what its grants share. Functions that return bool have
 * replied when they return false. */
#ifndef PORTOLAN_IDENTITY_TOKEN_ENDPOINT_H
#define PORTOLAN_IDENTITY_TOKEN_ENDPOINT_H

#include <stdbool.h>

#include "controlplane/identity/login.h"

struct http_request;
struct principal_row;

struct token_request {
    const char *grant;
    const char *client_id;
    const char *secret;
    const char *assertion;
    const char *audience; /* canonical */
    const char *resource; /* as asked for, in a v1 request; else NULL */
    const char *scope;    /* as asked for, in a v2 request; else NULL */
    bool is_basic;        /* the credential came in the Authorization header */
};

/* A parameter that may occur once; NULL: absent or empty. */
bool login_form(struct http_request *req, const char *name, const char **ret);
/* Fills audience, resource and scope. */
bool login_audience(struct http_request *req, struct token_request *ret);
/* The canonical audience of a v2 scope; NULL: it names none that is known. */
const char *login_scope_audience(struct http_request *req, const char *scope);
/* The client's secret is right. */
bool login_client(struct http_request *req, const char *tenant_id, const struct token_request *r);

/* issue.c: signs the tokens and replies. */
struct token_issue {
    const struct principal_row *principal;
    const char *client_id;
    const char *audience;
    const char *resource; /* v1 */
    const char *scope;    /* v2, echoed */
    const char *upn;      /* of people: an id_token goes along */
    const char *refresh_token;
    const char *nonce;
};
void login_issue(struct http_request *req, const struct token_issue *issue);

/* user_grants.c: false when the grant is none of people's; else it has replied. */
bool user_grant(struct http_request *req, const char *tenant_id, const struct token_request *r);

#endif
