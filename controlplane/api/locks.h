/* Microsoft.Authorization/locks. */
#ifndef PORTOLAN_API_LOCKS_H
#define PORTOLAN_API_LOCKS_H

#include "controlplane/api/endpoint.h"

extern const char *const lock_versions[];
extern const struct endpoint lock_put, lock_show, lock_remove, locks_list;

#endif
