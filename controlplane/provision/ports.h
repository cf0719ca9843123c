/* TCP ports of this machine for embedded data planes. */
#ifndef PORTOLAN_PROVISION_PORTS_H
#define PORTOLAN_PROVISION_PORTS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/cleanup.h"

struct error;

/* "20000-29999" */
MUST_CHECK int ports_parse(const char *range, int64_t *ret_first, int64_t *ret_last,
                           struct error *err);
/* True when a listener could have address:port now. */
bool port_is_free(const char *address, int port);

#endif
