/* Applications that sign in by an assertion (RFC 7523) instead of a secret: signed with a key whose
 * certificate is registered, or by an OIDC issuer that a federated credential trusts. */
#ifndef PORTOLAN_IDENTITY_ASSERTION_H
#define PORTOLAN_IDENTITY_ASSERTION_H

#include "common/base/cleanup.h"

#include "controlplane/identity/directory.h"

/* E_UNAUTHENTICATED or E_TOKEN_EXPIRED for an assertion that does not hold. tenant_id NULL: any. */
MUST_CHECK int assertion_sign_in(struct control *control, struct arena *a, const char *tenant_id,
                                 const char *app_id, const char *assertion, enum sign_in *ret,
                                 struct principal_row *ret_principal, struct error *err);

#endif
