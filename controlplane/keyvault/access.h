/* Who may do what in a vault: its access policies, or role assignments where it says
 * enableRbacAuthorization; and from where: its firewall. */
#ifndef PORTOLAN_KEYVAULT_ACCESS_H
#define PORTOLAN_KEYVAULT_ACCESS_H

#include "common/base/cleanup.h"
#include "common/network/rules.h"

struct arena;
struct error;
struct resource;
struct vault_call;
struct vault_endpoint;

MUST_CHECK int vault_authorise(struct vault_call *v, const struct vault_endpoint *e,
                               struct error *err);
/* Whether the vault's firewall lets a request of this origin in. */
bool vault_admits(struct arena *a, const struct resource *vault,
                  const struct network_origin *origin);

#endif
