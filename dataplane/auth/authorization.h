/* What an Authorization header holds. */
#ifndef PORTOLAN_AUTH_AUTHORIZATION_H
#define PORTOLAN_AUTH_AUTHORIZATION_H

#include <stdbool.h>

struct arena;

#define AUTHORIZATION_BASIC_MAX 20000 /* bytes of name and password together */

/* Name and password of the basic scheme, in the arena; false when it is something else, is
 * malformed or too long. header may be NULL here and below. */
bool authorization_basic(struct arena *a, const char *header, const char **ret_user,
                         const char **ret_password);
/* The token of the bearer scheme, a part of header; NULL when it is something else. */
const char *authorization_bearer(const char *header);

#endif
