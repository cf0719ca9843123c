/* What the types of Microsoft.Network have in common, and the types themselves. */
#ifndef PORTOLAN_TYPES_NETWORK_H
#define PORTOLAN_TYPES_NETWORK_H

#include "controlplane/types/type.h"

#define NETWORK_NAME "[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9_])?"
#define NETWORK_NAME_TEXT                                                                          \
    "it must begin with a letter or number, end with a letter, number or underscore, and may "     \
    "contain only letters, numbers, underscores, periods, or hyphens."
/* In a type's table: how its resources are named. */
#define NETWORK_NAMES(least, most)                                                                 \
    .pattern = NETWORK_NAME, .name_min = least, .name_max = most, .pattern_text = NETWORK_NAME_TEXT
/* And what holds for all that stand below a network resource and change what that one shows. */
#define NETWORK_CHILD(above)                                                                       \
    .scope = SCOPE_CHILD, .parent = &(above), NETWORK_NAMES(1, 80), .hides_system_data = true,     \
    .has_etag = true, .is_projected = true, .moves_parent = true, .refuses = REFUSES_PATCH,        \
    .lro = LRO_PUT | LRO_DELETE

extern const struct action virtual_network_actions[]; /* virtual_network_addresses.c */
extern const char *const network_versions[];          /* virtual networks and what is below them */
extern const char *const private_endpoint_versions[]; /* from the version that brought them */
extern const char *const private_dns_versions[];

extern const struct resource_type virtual_network_type;
extern const struct resource_type subnet_type;
extern const struct resource_type virtual_network_peering_type;
extern const struct resource_type network_attachment_type;
extern const struct resource_type private_endpoint_type;
extern const struct resource_type private_dns_zone_group_type;
extern const struct resource_type network_interface_type;
extern const struct resource_type private_dns_zone_type;
extern const struct resource_type private_dns_link_type;
extern const struct resource_type private_dns_all_type; /* every record set of a zone, to list */
/* Record sets, one type for each kind of record. */
extern const struct resource_type private_dns_a_type;
extern const struct resource_type private_dns_aaaa_type;
extern const struct resource_type private_dns_cname_type;
extern const struct resource_type private_dns_mx_type;
extern const struct resource_type private_dns_ptr_type;
extern const struct resource_type private_dns_soa_type;
extern const struct resource_type private_dns_srv_type;
extern const struct resource_type private_dns_txt_type;

struct resource;

/* The key of an id of exactly this type ("Microsoft.Network/virtualNetworks/subnets"); NULL for any
 * other text. */
char *network_key(struct arena *a, const char *id, const struct resource_type *type);
/* The key of what `levels` levels stand above: of a subnet's, one is its network's. */
char *network_key_above(struct arena *a, const char *key, int levels);
/* The resource that `target` names, locked until the transaction is over; E_BAD_REFERENCE unless it
 * is there, of the type, and stays. */
MUST_CHECK int network_hold(const struct admission *ad, const char *target, const char *id,
                            const struct resource_type *type, struct resource **ret,
                            struct error *err);
/* E_LINKED_AUTHORIZATION unless the caller may do `action` on what the body names. */
MUST_CHECK int network_may_use(const struct admission *ad, const char *action, const char *id,
                               struct error *err);
/* The rows of a type below a parent. */
MUST_CHECK int network_children(const struct admission *ad, const struct resource *parent,
                                const struct resource_type *type, struct resource **ret,
                                size_t *ret_count, struct error *err);
/* Makes the rows of a child type what the list `member` of the parent's body says: each item is the
 * child's name and properties. What the list does not name goes; `may_go` is asked first. */
struct network_inline {
    const struct resource_type *type;
    const char *member; /* "subnets" */
    int (*may_go)(const struct admission *ad, const struct resource *child, struct error *err);
    int (*came)(const struct admission *child, struct error *err); /* may be NULL */
};
MUST_CHECK int network_take_inline(const struct admission *ad, const struct network_inline *list,
                                   struct error *err);

#endif
