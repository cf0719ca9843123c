/* What a registry uses of its region. */
#ifndef PORTOLAN_PROVISION_USAGE_H
#define PORTOLAN_PROVISION_USAGE_H

#include <stdint.h>

#include "common/base/cleanup.h"

struct arena;
struct control;
struct error;
struct resource;

/* Bytes of content stored in the registry's home region. */
MUST_CHECK int registry_size_bytes(struct control *control, struct arena *a,
                                   const struct resource *registry, int64_t *ret_bytes,
                                   struct error *err);

#endif
