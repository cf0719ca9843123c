/* Entity tags, of types that have them: the tag follows from what is shown, so it changes exactly
 * when that does, and conditional writes hold by it (RFC 9110 13.1). */
#ifndef PORTOLAN_API_ETAG_H
#define PORTOLAN_API_ETAG_H

#include "common/base/cleanup.h"

struct arena;
struct call;
struct error;
struct json_object;

/* W/"<uuid>" of a resource as it is shown without its tag. */
char *etag_of(struct arena *a, const struct json_object *shown);
/* E_PRECONDITION unless the row that was loaded is what If-Match and If-None-Match ask for. */
MUST_CHECK int etag_check(struct call *c, struct error *err);

#endif
