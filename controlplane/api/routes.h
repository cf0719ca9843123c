/* Every route of the management API, in one table. */
#ifndef PORTOLAN_API_ROUTES_H
#define PORTOLAN_API_ROUTES_H

#include "common/http/server.h"

extern const struct http_route arm_routes[];

#endif
