/* Content on its way to clients: broken off when the rules that let its client in end, whatever sends
 * it, and however slowly it is read. */
#ifndef PORTOLAN_AUTH_TRANSFER_H
#define PORTOLAN_AUTH_TRANSFER_H

#include "dataplane/auth/firewall.h"

struct transfers;

struct transfer {
    struct firewall_watch watch;
    struct transfers *list; /* NULL: ended */
    struct transfer *next, *prev;
    int socket;
};

struct transfers *transfers_new(void);
void transfers_free(struct transfers *l); /* empty, or NULL */

/* Before the reply. */
void transfer_begin(struct transfer *t, const struct http_request *req);
/* While the connection is still the request's; again is harmless. */
void transfer_end(struct transfer *t);

/* Breaks off the connections of all whose clients are not admitted any more. While there are any,
 * it is to be called a few times a second, after the projection was compared; it keeps whoever
 * compares it awake. Any thread. */
void transfers_review(struct transfers *l);

#endif
