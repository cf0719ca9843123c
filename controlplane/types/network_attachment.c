/* Microsoft.Network/virtualNetworks/attachments: where a virtual network arrives at this
 * installation. A type of Portolan's own. The place is a network namespace, an interface or an
 * address of the host, which the host's administrator has offered to the network's subscription or
 * group (./dev attach
 * --for): what arrives there is believed to be the network, so nobody else may say so. */
#include "common/base/arena.h"
#include "common/json/json.h"
#include "common/network/address.h"

#include "controlplane/api/errors.h"
#include "controlplane/provision/ingress.h"
#include "controlplane/store/resources.h"
#include "controlplane/types/network.h"
#include "controlplane/types/rows.h"

#define PLACE_NAME "[A-Za-z0-9._-]*"

struct attachment {
    char *namespace, *interface, *address; /* one of them; the others NULL */
};

static const struct field fields[] = {
    { ROW_IN(attachment, "properties.namespace", FIELD_TEXT, namespace), SET_ONCE, .min = 1,
      .max = 64, .pattern = PLACE_NAME },
    { ROW_IN(attachment, "properties.interface", FIELD_TEXT, interface), SET_ONCE, .min = 1,
      .max = 15, .pattern = PLACE_NAME },
    { ROW_IN(attachment, "properties.address", FIELD_TEXT, address), SET_ONCE, .min = 2,
      .max = 45 },
    { ROW_SHOWN("properties.ingressAddress", FIELD_TEXT) },
    ROW_STATE,
    { 0 },
};

static int attachment_validate(struct arena *a, const void *was, const void *now_,
                               struct error *err)
{
    const struct attachment *now = now_;
    struct sockaddr_storage parsed;

    (void)a;
    (void)was;
    if (!!now->namespace + !!now->interface + !!now->address != 1)
        return fail_at(err, &E_INVALID_PARAMETER, "properties",
                       "An attachment has exactly one of namespace, interface and address.");
    if (now->address && !address_parse(now->address, &parsed))
        return fail_at(err, &E_INVALID_PARAMETER, "properties.address", "'%s' is no IP address.",
                       now->address);
    return 0;
}

static char *place_of(struct arena *a, const struct attachment *at)
{
    if (at->namespace)
        return arena_printf(a, "namespace %s", at->namespace);
    return at->interface ? arena_printf(a, "interface %s", at->interface)
                         : arena_printf(a, "address %s", at->address);
}

static int attachment_admit(const struct admission *ad, struct error *err)
{
    const char *address;

    if (ad->change != CHANGE_CREATE)
        return 0;
    return ingress_offer(ad->control, ad->arena, place_of(ad->arena, ad->decoded), ad->parent->id,
                         &address, err);
}

static char *attachment_global_name(struct arena *a, const struct control *control,
                                    const struct resource *row, const void *decoded)
{
    (void)control;
    (void)row;
    return place_of(a, decoded);
}

static int attachment_taken(const struct resource *resource, struct error *err)
{
    (void)resource;
    return fail_at(
        err, &E_BAD_REQUEST, "properties",
        "Another virtual network is attached at this place; delete its attachment first.");
}

static enum verdict attachment_ensure(struct step_run *run, struct error *err)
{
    const char *place = place_of(run->arena, run->decoded), *address = NULL;

    if (ingress_offer(run->control, run->arena, place, run->resource->id, &address, err) ||
        ingress_sync(run->control, run->arena, err))
        return VERDICT_FAILED;
    if (address)
        json_put_at(run->status, "properties.ingressAddress", json_new_text(address));
    return VERDICT_DONE;
}

/* A row that is being deleted attaches nothing any more. */
static enum verdict attachment_undo(struct step_run *run, struct error *err)
{
    return ingress_sync(run->control, run->arena, err) ? VERDICT_FAILED : VERDICT_DONE;
}

static const struct step steps[] = {
    { .name = "ingress", .ensure = attachment_ensure, .undo = attachment_undo },
    { 0 },
};

const struct resource_type network_attachment_type = {
    .name = "Microsoft.Network/virtualNetworks/attachments",
    .description = "attachment of a virtual network",
    .scope = SCOPE_CHILD,
    .parent = &virtual_network_type,
    .pattern = "default",
    .name_min = 7,
    .name_max = 7,
    .pattern_text = "a virtual network has one attachment, named 'default'.",
    .hides_system_data = true,
    .has_etag = true,
    .refuses = REFUSES_PATCH,
    .lro = LRO_PUT | LRO_DELETE,
    .api_versions = network_versions,
    .size = sizeof(struct attachment),
    .fields = fields,
    .validate = attachment_validate,
    .admit = attachment_admit,
    .global_name = attachment_global_name,
    .name_taken = attachment_taken,
    .steps = steps,
};
