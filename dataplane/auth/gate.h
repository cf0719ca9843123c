/* Reading of credentials, shared by the gate and the token endpoints. */
#ifndef PORTOLAN_AUTH_GATE_H
#define PORTOLAN_AUTH_GATE_H

#include <stdbool.h>

struct http_request;

/* The pair of an `Authorization: Basic` header (RFC 7617); false when there is none well-formed.
 * The texts live in the request's arena. */
bool gate_basic(struct http_request *req, const char **ret_user, const char **ret_password);

#endif
