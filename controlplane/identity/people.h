/* Signing people in, inside identity/: by name and password. */
#ifndef PORTOLAN_IDENTITY_PEOPLE_H
#define PORTOLAN_IDENTITY_PEOPLE_H

#include <stdbool.h>

#include "common/base/cleanup.h"
#include "common/http/server.h"

#include "controlplane/store/identity.h"

struct control;
struct error;

enum people_verdict { PEOPLE_OK, PEOPLE_WRONG, PEOPLE_TOO_MANY, PEOPLE_MAX };

struct person {
    struct principal_row principal;
    const char *upn;
};

/* Counts wrong passwords by name and address. Takes as long for nobody as for a wrong password. */
MUST_CHECK int people_sign_in(struct control *control, struct http_request *req,
                              const char *tenant_id, const char *name, const char *password,
                              enum people_verdict *ret, struct person *ret_person,
                              struct error *err);
/* A person by object id who is (still) enabled. 1/0/-1 */
MUST_CHECK int people_find(struct control *control, struct arena *a, const char *object_id,
                           struct person *ret, struct error *err);
/* SHA-256 of what a client holds, in hex. */
char *people_hash(struct arena *a, const char *secret);
/* A client that signs people in: a command-line tool that everybody knows, or an application of the
 * directory. 1/0/-1. A redirect is good to where the application registered, or for a tool to the
 * loopback, any port. redirect_uri may be NULL. */
MUST_CHECK int people_client(struct control *control, struct arena *a, const char *client_id,
                             const char *redirect_uri, bool *ret_is_redirect_good,
                             struct error *err);

#endif
