/* Signed links to blobs on the data endpoint. A link names one blob of one repository of this
 * registry, and the identity it was made for; it ends LINK_S seconds after it was made. It is no
 * grant of its own: whoever checks it asks the identity's permissions again. */
#ifndef PORTOLAN_AUTH_LINK_H
#define PORTOLAN_AUTH_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/auth/identity.h"

struct http_request;

#define LINK_S 1200

/* The whole address of the blob that the request's path names, for the request's identity. The
 * snapshot has a data host. */
const char *link_make(struct http_request *req, const char *repository, const char *digest);
/* Reads and proves the link the request came with; fills *ret. False: wrong or over. */
bool link_read(struct http_request *req, struct identity *ret);
/* Whether the request came to the registry's data endpoint. */
bool link_is_data_host(const struct http_request *req);
/* What the data endpoint refuses is DENIED, whatever the reason; rule: for the log. */
#define LINK_OVER "the link is not valid, or not any more"
void link_refuse(struct http_request *req, const char *rule, const char *message);

#endif
