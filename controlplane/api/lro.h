/* Long-running operations as clients poll them: the headers of the first answer, and the status
 * URLs. */
#ifndef PORTOLAN_API_LRO_H
#define PORTOLAN_API_LRO_H

#include "controlplane/api/endpoint.h"

struct call;
struct resource;

/* Azure-AsyncOperation and Retry-After, for PUT and PATCH. */
void lro_status_header(struct call *c, const struct resource *r, const char *operation_id);
/* Location and Retry-After, for DELETE. */
void lro_location_header(struct call *c, const struct resource *r, const char *operation_id);

extern const struct endpoint operation_status;   /* …/operationStatuses/{coll}-{guid} */
extern const struct endpoint operation_result;   /* …/locations/{r}/operationResults/{coll}-{guid} */
extern const struct endpoint group_result;       /* /subscriptions/{s}/operationresults/{guid} */

#endif
