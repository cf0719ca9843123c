/* Signed URLs of the storage host. Whoever has one may do to that one blob what its right says until it
 * expires; nothing is remembered of it. Container and blob are the path; version, resource, right, expiry
 * and signature stand in the query under the names that storage clients know. */
#ifndef PORTOLAN_STORAGE_LINK_H
#define PORTOLAN_STORAGE_LINK_H

#include <stdint.h>

#include "common/base/cleanup.h"

struct arena;
struct control;
struct error;
struct error_code;

enum link_right {
    LINK_READ,  /* "r" */
    LINK_WRITE, /* "cw": makes or replaces it, and reads nothing */
    LINK_MAX
};

struct link {
    const char *container; /* a registry's uid */
    const char *blob;      /* "source/20261129/….tar.gz" */
    enum link_right right;
};

/* The parameters as they came; NULL: absent. */
struct link_query {
    const char *version, *resource, *right, *expiry, *signature;
};

#define LINK_LIFE_S 3600

extern const struct error_code E_LINK;       /* 403 AuthenticationFailed */
extern const struct error_code E_LINK_RIGHT; /* 403 AuthorizationPermissionMismatch */

/* "tasks.blob.<domain>[:port]" */
char *link_host(struct arena *a, const struct control *control);
char *link_url(struct arena *a, const struct control *control, const struct link *link);
/* Whether the query was signed for this link and holds at that time. Says nothing of why not beyond
 * expiry, and takes as long for any signature. */
MUST_CHECK int link_check(struct arena *a, const struct control *control, const struct link *link,
                          const struct link_query *query, int64_t wall_us, struct error *err);

#endif
