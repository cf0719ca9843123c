/* RFC 7617 and RFC 6750, leniently about spaces and the case of the scheme, strictly about the
 * rest. */
#include "dataplane/auth/authorization.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/text.h"

bool authorization_basic(struct arena *a, const char *header, const char **ret_user,
                         const char **ret_password)
{
    size_t len = 0;

    if (!header || !text_starts_nocase(header, "Basic "))
        return false;
    const char *encoded = header + 6 + strspn(header + 6, " ");
    char *pair =
        (char *)text_unbase64(a, encoded, strnlen(encoded, AUTHORIZATION_BASIC_MAX * 2), &len);
    char *colon =
        pair && len < AUTHORIZATION_BASIC_MAX && strlen(pair) == len ? strchr(pair, ':') : NULL;
    if (!colon)
        return false;
    *colon = '\0';
    *ret_user = pair;
    *ret_password = colon + 1;
    return true;
}

const char *authorization_bearer(const char *header)
{
    if (!header || !text_starts_nocase(header, "Bearer "))
        return NULL;
    return header + 7 + strspn(header + 7, " ");
}
