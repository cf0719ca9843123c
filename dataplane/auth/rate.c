/* Request rates: two buckets for each request, the registry's and the identity's. Whoever is not signed
 * in is one identity, and so is an admin user, whichever password it has. */
#include "dataplane/auth/rate.h"

#include <stdio.h>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/http/server.h"
#include "common/json/json.h"
#include "common/network/rate.h"
#include "dataplane/call.h"
#include "dataplane/oci/reply.h"
#include "dataplane/plane.h"
#include "dataplane/store/snapshot.h"

static const char *const class_names[RATE_CLASS_MAX] = {
    [RATE_READ] = "read",           [RATE_WRITE] = "write", [RATE_DELETE] = "delete",
    [RATE_REFERRERS] = "referrers", [RATE_OAUTH] = "oauth",
};

void rates_read(const struct json_object *settings, struct request_rates *ret)
{
    const struct json_object *rates = json_at(settings, "requestRates");

    *ret = (struct request_rates){ .is_on = rates != NULL };
    for (int i = RATE_READ; i < RATE_CLASS_MAX; i++) {
        const struct json_object *one = json_at(rates, class_names[i]);

        ret->registry[i] = json_int(one, "registry", 0);
        ret->identity[i] = json_int(one, "identity", 0);
    }
}

static enum rate_class class_of(const struct http_request *req)
{
    const struct data_route *route = req->route->plane;

    if (route->access == ACCESS_OPEN)
        return RATE_OAUTH;
    if (route->rate != RATE_BY_METHOD)
        return route->rate;
    if (text_eq(req->method, "GET") || text_eq(req->method, "HEAD"))
        return RATE_READ;
    return text_eq(req->method, "DELETE") ? RATE_DELETE : RATE_WRITE;
}

/* Seconds to wait; 0: none. */
static int take_both(const struct call *call, enum rate_class class, int64_t now_us)
{
    const struct request_rates *rates = &call->snapshot->rates;
    const struct identity *id = &call->identity;
    uint64_t key = RATE_KEY + 2 * (uint64_t)class;
    int64_t left;
    int wait_s = 0;

    if (id->name)
        wait_s = rate_take(call->plane->rates,
                           rate_key(key + 64 * ((uint64_t)id->kind + 1), id->name),
                           rates->identity[class], now_us, &left);
    return wait_s ? wait_s
                  : rate_take(call->plane->rates, rate_key(key, "registry"),
                              rates->registry[class], now_us, &left);
}

bool rate_admits(struct http_request *req)
{
    struct call *call = call_of(req);
    enum rate_class class;
    int64_t now_us;
    int wait_s;

    if (!call->snapshot->rates.is_on)
        return true;
    class = class_of(req);
    now_us = clock_mono_us();
    wait_s = take_both(call, class, now_us);
    if (wait_s == 0 && class == RATE_REFERRERS)
        wait_s = take_both(call, RATE_READ, now_us);
    if (wait_s == 0)
        return true;
    call->rule = "rate";
    reply_later(req, &E_TOO_MANY, "too many requests; try again after the time in Retry-After",
                wait_s);
    return false;
}
