/* Rows that many types' tables share, and short ways to write the others. */
#ifndef PORTOLAN_TYPES_ROWS_H
#define PORTOLAN_TYPES_ROWS_H

#include <stddef.h>

#include "common/json/fields.h"

#define ROW(p, k) .path = p, .kind = k, .offset = FIELD_NO_OFFSET
#define ROW_IN(type, p, k, member) .path = p, .kind = k, .offset = offsetof(struct type, member)
#define ROW_SHOWN(p, k) ROW(p, k), .flags = FIELD_READ_ONLY
#define ROW_STATE { ROW_SHOWN("properties.provisioningState", FIELD_TEXT) }
#define ROW_CREATED { ROW_SHOWN("properties.creationDate", FIELD_TIME) }

#define RW .flags = FIELD_RW
#define RW_NOCASE .flags = FIELD_RW | FIELD_NOCASE
#define RW_REQUIRED .flags = FIELD_RW | FIELD_REQUIRED
#define RW_SECRET .flags = FIELD_RW | FIELD_SECRET
#define SET_ONCE .flags = FIELD_CREATE_ONLY
#define SET_ONCE_REQUIRED .flags = FIELD_CREATE_ONLY | FIELD_REQUIRED

#define ID_MAX_BYTES 2048
#define URI_PATTERN "https?://[^ ]+"
#define HTTPS_PATTERN "https://[^ ]+"

/* A managed identity, of resources that have one. */
#define ROWS_IDENTITY_SINCE(v)                                                                     \
    { ROW("identity.type", FIELD_TEXT), RW_NOCASE, .oneof = identity_kinds, .since = v },          \
    { ROW_SHOWN("identity.principalId", FIELD_TEXT), .since = v },                                 \
    { ROW_SHOWN("identity.tenantId", FIELD_TEXT), .since = v },                                    \
    { ROW("identity.userAssignedIdentities", FIELD_JSON), RW, .since = v }
#define ROWS_IDENTITY ROWS_IDENTITY_SINCE(NULL)

extern const char *const identity_kinds[];
extern const char *const states_lower[]; /* enabled, disabled */
extern const char *const states_upper[]; /* Enabled, Disabled */

#endif
