/* How many requests a registry and one identity may make: the request rates of its tier, where the
 * installation has them on. */
#ifndef PORTOLAN_AUTH_RATE_H
#define PORTOLAN_AUTH_RATE_H

#include <stdbool.h>
#include <stdint.h>

struct http_request;
struct json_object;

enum rate_class {
    RATE_BY_METHOD, /* of a route: one of the next three */
    RATE_READ,
    RATE_WRITE,
    RATE_DELETE,
    RATE_REFERRERS, /* a read as well */
    RATE_OAUTH,
    RATE_CLASS_MAX
};

/* Requests a minute; 0: no limit. */
struct request_rates {
    bool is_on;
    int64_t registry[RATE_CLASS_MAX], identity[RATE_CLASS_MAX];
};

/* From requestRates {"read": {"registry": n, "identity": n}, …} of the published settings. */
void rates_read(const struct json_object *settings, struct request_rates *ret);
/* Takes the request's share; false when there is none: it has replied 429. */
bool rate_admits(struct http_request *req);

#endif
