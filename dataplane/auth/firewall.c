/* The verdict is on the true client: the socket's address, or what the edge alone may tell by PROXY
 * v2. Headers of the client have no say. */
#include "dataplane/auth/firewall.h"

#include "common/base/arena.h"
#include "common/network/rules.h"
#include "dataplane/call.h"
#include "dataplane/oci/reply.h"
#include "dataplane/store/snapshot.h"

bool firewall_admits(struct http_request *req)
{
    struct call *call = call_of(req);
    struct network_origin origin = { .address = (const struct sockaddr *)&req->peer,
                                     .link = req->link_id };
    struct network_verdict verdict = network_decide(call->snapshot->network, &origin);

    if (verdict.is_allowed)
        return true;
    call->rule = arena_printf(req->arena, "network:%s", network_reason_name(verdict.reason));
    reply_error_detail(req, &E_DENIED,
                       arena_printf(req->arena,
                                    "client with IP '%s' is not allowed access. Refer "
                                    "https://aka.ms/acr/firewall to grant access.",
                                    req->peer_text),
                       NULL);
    return false;
}
