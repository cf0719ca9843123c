/* The verdict is on the true client: the socket's address, or what the edge alone may tell by PROXY
 * v2. Headers of the client have no say. */
#include "dataplane/auth/firewall.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/network/rules.h"
#include "dataplane/auth/service.h"
#include "dataplane/call.h"
#include "dataplane/oci/reply.h"
#include "dataplane/plane.h"
#include "dataplane/store/snapshot.h"

static struct network_verdict decide(const struct http_request *req)
{
    struct network_origin origin = { .address = (const struct sockaddr *)&req->peer,
                                     .link = req->link_id,
                                     .service = call_of(req)->service };

    return network_decide(call_of(req)->snapshot->network, &origin);
}

void firewall_refuse(struct http_request *req)
{
    struct network_verdict verdict = decide(req);

    call_of(req)->rule = arena_printf(req->arena, "network:%s",
                                      network_reason_name(verdict.reason));
    reply_error_detail(req, &E_DENIED,
                       arena_printf(req->arena,
                                    "client with IP '%s' is not allowed access. Refer "
                                    "https://aka.ms/acr/firewall to grant access.",
                                    req->peer_text),
                       NULL);
}

bool firewall_admits(struct http_request *req, bool has_body)
{
    struct call *call = call_of(req);
    bool is_later = false;

    call->service = NETWORK_NO_SERVICE;
    if (decide(req).is_allowed)
        return true;
    if (network_has_bypass(call->snapshot->network)) {
        call->service = service_of_request(req, has_body, &is_later);
        if (is_later)
            call->is_pending = true;
        if (is_later || decide(req).is_allowed)
            return true;
    }
    firewall_refuse(req);
    return false;
}

void firewall_watch_init(struct firewall_watch *w, const struct http_request *req)
{
    const struct call *call = call_of(req);

    *w = (struct firewall_watch){ .plane = call->plane,
                                  .serial = call->snapshot->serial,
                                  .address = req->peer,
                                  .service = call->service };
    if (req->link_id)
        (void)snprintf(w->link, sizeof(w->link), "%s", req->link_id);
}

bool firewall_still_admits(struct firewall_watch *w)
{
    struct network_origin origin = { .address = (const struct sockaddr *)&w->address,
                                     .link = w->link[0] ? w->link : NULL,
                                     .service = w->service };
    bool is_fresh;

    /* The projection is compared while there are requests, and this one goes on. */
    housekeeper_note_request(w->plane->housekeeper);
    if (snapshots_serial(w->plane->snapshots) == w->serial)
        return true;
    struct snapshot *now = snapshots_get(w->plane->snapshots, &is_fresh);
    bool is_admitted = now && network_decide(now->network, &origin).is_allowed;
    if (is_admitted)
        w->serial = now->serial;
    snapshot_unref(now);
    return is_admitted;
}
