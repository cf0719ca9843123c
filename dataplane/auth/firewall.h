/* The registry's network rules, asked for every request before anything else. */
#ifndef PORTOLAN_AUTH_FIREWALL_H
#define PORTOLAN_AUTH_FIREWALL_H

#include <stdbool.h>

struct http_request;

/* By the request's snapshot, which must be there. False when it has replied 403. */
bool firewall_admits(struct http_request *req);

#endif
