/* Other OpenID issuers: what they publish about themselves, their keys, and tokens they signed.
 * They are asked over https, at public addresses and those that the settings allow. */
#ifndef PORTOLAN_IDENTITY_ISSUER_H
#define PORTOLAN_IDENTITY_ISSUER_H

#include <stdbool.h>

#include "common/base/cleanup.h"

struct arena;
struct control;
struct error;
struct json_object;

/* OpenID Connect Discovery 1.0 section 4. E_UNAUTHENTICATED when it cannot be had, or is another's.
 */
MUST_CHECK int issuer_about(struct control *control, struct arena *a, const char *issuer,
                            struct json_object **ret, struct error *err);
/* A token that one of the issuer's keys signed, and that is alive; its claims are the caller's to
 * check. E_UNAUTHENTICATED or E_TOKEN_EXPIRED. */
MUST_CHECK int issuer_verify(struct control *control, struct arena *a,
                             const struct json_object *about, const char *token,
                             struct json_object **ret_claims, struct error *err);
/* Sends a form to its token endpoint. `basic` (NULL: none) is the value of an Authorization header.
 * E_UNAUTHENTICATED for every answer but 200 with a JSON object. */
MUST_CHECK int issuer_redeem(struct control *control, struct arena *a,
                             const struct json_object *about, const char *form, const char *basic,
                             struct json_object **ret, struct error *err);
/* `aud` is the audience, or a list that holds it. */
bool issuer_has_audience(const struct json_object *claims, const char *audience);

#endif
