/* Who bypasses the network rules is decided by an identity that is proven here, in full, before the
 * firewall lets the request near anything else. The published settings say which principals are
 * services; an import by the service itself is one in whoever's name it is done. */
#include "dataplane/auth/service.h"

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "dataplane/auth/bearer.h"
#include "dataplane/auth/gate.h"
#include "dataplane/auth/link.h"
#include "dataplane/call.h"
#include "dataplane/plane.h"
#include "dataplane/store/snapshot.h"

static bool read_token(struct http_request *req, const char *token, struct identity *ret)
{
    struct call *call = call_of(req);
    struct token_facts *facts = ARENA_NEW(req->arena, struct token_facts);
    struct error ignored;

    if (!token || identity_token_read(call->snapshot, req->arena,
                                      call->plane->settings->registry_id, token, 0, facts,
                                      &ignored) != 0)
        return false;
    *ret = facts->identity;
    return true;
}

static bool read_header(struct http_request *req, struct identity *ret)
{
    const char *header = http_header(req, "Authorization"), *user, *password;
    struct call *call = call_of(req);
    struct bearer *bearer;

    if (gate_basic(req, &user, &password))
        return text_eq_nocase(user, NULL_USER) && read_token(req, password, ret);
    if (!header || !text_starts_nocase(header, "Bearer "))
        return false;
    const char *token = header + 7 + strspn(header + 7, " ");
    bearer = bearer_find(call->plane->bearers, call->snapshot, token);
    if (!bearer)
        return read_token(req, token, ret);
    *ret = (struct identity){ .kind = bearer->facts.identity.kind,
                              .name = arena_strdup(req->arena, bearer->facts.identity.name),
                              .mark = arena_strdup(req->arena, bearer->facts.identity.mark) };
    bearer_unref(bearer);
    return true;
}

/* What /oauth2/exchange and /oauth2/token are given: on a worker, as all that needs a body. */
static bool read_form(struct http_request *req, struct identity *ret)
{
    const char *directory = http_form(req, "access_token");
    struct authority who = gate_authority(call_of(req), false);
    struct error ignored;

    if (directory)
        return identity_from_directory(&who, req->arena, directory, http_form(req, "tenant"), ret,
                                       &ignored) == 0;
    return read_token(req, http_form(req, "refresh_token"), ret);
}

enum network_service service_of_request(struct http_request *req, bool has_body,
                                        bool *ret_is_later)
{
    struct call *call = call_of(req);
    const struct data_route *route = req->route ? req->route->plane : NULL;
    struct identity identity = { .name = NULL };
    bool is_read, is_form = route && route->access == ACCESS_OPEN &&
                            req->route->body == HTTP_BODY_BUFFER;

    *ret_is_later = is_form && !has_body;
    if (!route || *ret_is_later)
        return NETWORK_NO_SERVICE;
    if (route->access == ACCESS_LINK)
        is_read = link_read(req, &identity);
    else if (is_form)
        is_read = read_form(req, &identity);
    else
        is_read = read_header(req, &identity);
    if (!is_read || identity.kind != IDENTITY_PRINCIPAL)
        return NETWORK_NO_SERVICE;
    if (text_eq(identity.mark, IDENTITY_IMPORT))
        return NETWORK_TRUSTED;
    return network_service_of(call->snapshot->network, identity.name);
}
