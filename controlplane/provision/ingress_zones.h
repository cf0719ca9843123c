/* The private DNS of an attached network, as zone files for a name server. Pure functions. */
#ifndef PORTOLAN_PROVISION_INGRESS_ZONES_H
#define PORTOLAN_PROVISION_INGRESS_ZONES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;
struct attached;

struct ingress_zone {
    const char *name; /* without a dot at the end */
    const char *body; /* records, without the SOA line */
};

/* What the network resolves by itself. The zone of the installation's domain is the first: every
 * name in it leads to the network's ingress, except what private zones say. A host that some private
 * endpoint connects to is a CNAME into privatelink.cr.<domain>, as Azure's public DNS has it; a
 * network that is linked to that zone finds the private address there, another one the ingress.
 * Zones below the domain are part of its zone, because a name server follows a CNAME only within one.
 * ingress: the address for that, or NULL. is_shared: nothing holds the network's private addresses, all of
 * them are reached at the ingress, and their names lead there. regions: names, NULL-terminated. */
size_t ingress_zones(struct arena *a, const struct attached *net, const char *domain,
                     const char *const *regions, const char *ingress, bool is_shared,
                     struct ingress_zone **ret);
/* The zone file; a serial below the one in `was` (the file as it is, or NULL) is not written. NULL
 * when `was` says the same already. */
char *ingress_zone_text(struct arena *a, const struct ingress_zone *zone, const char *was,
                        int64_t now_s);

#endif
