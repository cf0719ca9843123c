/* Members of a peering, wherever they are spelled out. */
#ifndef PORTOLAN_TYPES_PEERING_H
#define PORTOLAN_TYPES_PEERING_H

#include "common/json/fields.h"

#include "controlplane/types/type.h"

struct peering {
    char *name; /* of an item in a network's list */
    char *remote_id;
};

/* Of an item in a network's list. */
extern const struct field peering_item_fields[];
/* What holds for a new one, wherever it was spelled out. */
MUST_CHECK int peering_admit(const struct admission *ad, struct error *err);

#endif
