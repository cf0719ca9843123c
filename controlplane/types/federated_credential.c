/* Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials: tokens of which other
 * issuer, about whom and for what audience sign in as the identity. The directory's row is kept by the
 * database with the resource's own (follow_federated_credential()); identity/assertion.c reads it. */
#include "controlplane/types/user_assigned_identity.h"

#include "common/base/text.h"

#include "controlplane/api/errors.h"
#include "controlplane/store/directory.h"
#include "controlplane/store/resources.h"
#include "controlplane/types/rows.h"

/* https://learn.microsoft.com/entra/workload-id/workload-identity-federation-considerations */
#define CREDENTIALS_MAX 20
#define MEMBER_MAX 600
#define AUDIENCE_PATTERN ".{1,600}"

/* Those of the identities since 2022: federation came then. */
static const char *const versions[] = { "2024-11-30", "2023-01-31", "2025-05-31-preview",
                                        "2025-01-31-preview", "2023-07-31-preview",
                                        "2022-01-31-preview", NULL };

struct federated_credential {
    char *issuer, *subject;
};

static const struct field fields[] = {
    { ROW_IN(federated_credential, "properties.issuer", FIELD_TEXT, issuer), RW_REQUIRED,
      .min = 1, .max = MEMBER_MAX, .pattern = HTTPS_PATTERN },
    { ROW_IN(federated_credential, "properties.subject", FIELD_TEXT, subject), RW_REQUIRED,
      .min = 1, .max = MEMBER_MAX },
    { ROW("properties.audiences", FIELD_TEXT_LIST), RW_REQUIRED, .min = 1, .max = 1,
      .pattern = AUDIENCE_PATTERN },
    { ROW_SHOWN("properties.provisioningState", FIELD_TEXT),
      .since = "9999-01-01" }, /* in no version: the provider tells no state */
    { 0 },
};

/* The row itself is among those that are read: it was written before. */
static int check_others(const struct admission *ad, const struct federated_credential *now,
                        struct error *err)
{
    struct credential *all = NULL;
    size_t count = 0, federated = 0;

    if (credential_list(ad->conn, ad->arena, ad->parent->uid, &all, &count, err))
        return -1;
    for (size_t i = 0; i < count; i++) {
        if (!text_eq(all[i].kind, "Federated"))
            continue;
        federated++;
        if (!text_eq(all[i].id, ad->resource->uid) && text_eq(all[i].issuer, now->issuer) &&
            text_eq(all[i].subject, now->subject))
            return fail(err, &E_BUSY,
                        "Issuer and subject combination already exists for this Managed Identity.");
    }
    if (federated > CREDENTIALS_MAX)
        return fail(err, &E_BAD_REQUEST,
                    "Too many Federated Identity Credentials: a managed identity has at most %d.",
                    CREDENTIALS_MAX);
    return 0;
}

static int admit(const struct admission *ad, struct error *err)
{
    return ad->change == CHANGE_DELETE ? 0 : check_others(ad, ad->decoded, err);
}

const struct resource_type federated_credential_type = {
    .name = "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials",
    .description = "federated identity credential",
    .scope = SCOPE_CHILD,
    .parent = &user_assigned_identity_type,
    .pattern = "[A-Za-z0-9][-A-Za-z0-9_]*",
    .name_min = 3,
    .name_max = 120,
    .pattern_text = "it must have 3 to 120 letters, digits, '-' and '_', and start with a letter "
                    "or a digit.",
    .moves_parent = true, /* how many there are, and of whom, holds for all of them together */
    .api_versions = versions,
    .size = sizeof(struct federated_credential),
    .fields = fields,
    .admit = admit,
};
