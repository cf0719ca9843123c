/* Trusted services and tasks among the callers. */
#ifndef PORTOLAN_AUTH_SERVICE_H
#define PORTOLAN_AUTH_SERVICE_H

#include <stdbool.h>

#include "common/network/rules.h"

struct http_request;

/* What the identity is that the request proves: by a token or link of this registry, or a directory
 * token that it trades in. Nothing else about the request counts. The snapshot must be there.
 * *ret_is_later: only the body, which is not there yet, could tell. */
enum network_service service_of_request(struct http_request *req, bool has_body,
                                        bool *ret_is_later);

#endif
