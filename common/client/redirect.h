/* What a redirect turns a request into; for common/client and its tests. */
#ifndef PORTOLAN_CLIENT_REDIRECT_H
#define PORTOLAN_CLIENT_REDIRECT_H

#include "common/client/client.h"

bool redirect_is_one(int status); /* 301, 302, 303, 307, 308 */

/* The request that follows `from` after an answer of that status with that Location. To another
 * origin (scheme, host, port) only headers that cannot carry credentials go along. E_FORBIDDEN:
 * from https to http, a body to another origin, off a Unix socket. E_INVALID: no URL of ours. */
MUST_CHECK int redirect_follow(struct arena *a, const struct client_request *from, int status,
                               const char *location, struct client_request *ret, struct error *err);
/* E_INVALID unless url is http or https, has a host and no user information. */
MUST_CHECK int redirect_check_url(const char *url, struct error *err);

#endif
