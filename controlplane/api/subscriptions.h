/* Tenants, subscriptions and their locations. */
#ifndef PORTOLAN_API_SUBSCRIPTIONS_H
#define PORTOLAN_API_SUBSCRIPTIONS_H

#include "controlplane/api/endpoint.h"

extern const struct endpoint tenants_list;
extern const struct endpoint subscriptions_list;
extern const struct endpoint subscription_show;
extern const struct endpoint locations_list;

#endif
