/* Reading of credentials, shared by the gate and the token endpoints. */
#ifndef PORTOLAN_AUTH_GATE_H
#define PORTOLAN_AUTH_GATE_H

#include <stdbool.h>

#include "dataplane/auth/identity.h"

struct call;
struct http_request;

/* The pair of an `Authorization: Basic` header (RFC 7617); false when there is none well-formed.
 * The texts live in the request's arena. */
bool gate_basic(struct http_request *req, const char **ret_user, const char **ret_password);

struct authority gate_authority(const struct call *call, bool is_quick);
/* Whose password it is, into the call's identity. 1, 0 when it is wrong, -1 when it has replied:
 * after too many wrong ones, or when nobody can tell now. On workers. */
int gate_sign_in(struct http_request *req, const char *user, const char *password);

#endif
