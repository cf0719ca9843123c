/* Signing in at another OpenID provider (authorization code with PKCE, OpenID Connect Core 1.0
 * section 3.1) from a sign-in page of ours. */
#ifndef PORTOLAN_IDENTITY_EXTERNAL_H
#define PORTOLAN_IDENTITY_EXTERNAL_H

#include <stddef.h>

#include "common/base/cleanup.h"

struct arena;
struct control;
struct error;
struct http_request;
struct person;
struct provider;

/* The providers of the installation's tenant, in the order of their names. */
MUST_CHECK int external_providers(struct control *control, struct arena *a, struct provider **ret,
                                  size_t *ret_count, struct error *err);
/* Sends the browser to the provider; replies. It comes back to the page of this request. user_code:
 * the device that is to be let in, or NULL. */
void external_begin(struct http_request *req, const char *provider_id, const char *user_code);
/* Who this browser was found to be for this very page; good once. 1/0/-1 */
MUST_CHECK int external_person(struct http_request *req, struct person *ret, struct error *err);

#endif
