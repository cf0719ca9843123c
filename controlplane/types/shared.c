/* What children of a registry have in common: see the header. */
#include "controlplane/types/shared.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/text.h"
#include "common/crypto/digest.h"
#include "common/json/json.h"

#include "controlplane/api/errors.h"
#include "controlplane/control.h"
#include "controlplane/store/related.h"
#include "controlplane/store/resources.h"
#include "controlplane/types/rows.h"

const char *const identity_kinds[] = { "SystemAssigned", "UserAssigned",
                                       "SystemAssigned, UserAssigned", "None", NULL };
const char *const states_lower[] = { "enabled", "disabled", NULL };
const char *const states_upper[] = { "Enabled", "Disabled", NULL };

/* systemData says +00:00, creationDate Z. */
char *created_at(struct arena *a, const struct resource *resource)
{
    const char *at = json_text(resource->system_data, "createdAt");

    if (at && text_ends(at, "+00:00"))
        return arena_printf(a, "%.*sZ", (int)(strlen(at) - strlen("+00:00")), at);
    return arena_strdup(a, at);
}

void show_created(struct arena *a, struct control *control, const struct resource *resource,
                  struct json_object *shown)
{
    (void)control;
    json_put_at(shown, "properties.creationDate", json_new_text(created_at(a, resource)));
}

char *identity_client_id(struct arena *a, const char *uid)
{
    const char *seed = arena_printf(a, "client/%s", uid);
    char hex[2 * SHA512_LEN + 1];
    struct digest d;

    digest_of(DIGEST_SHA256, seed, strlen(seed), &d);
    digest_hex(&d, hex);
    return arena_printf(a, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
}

void show_identity(const struct control *control, const struct resource *resource,
                   struct json_object *shown)
{
    const char *kind = json_text(shown, "identity.type");

    if (!kind || !text_starts(kind, identity_kinds[0]))
        return;
    json_put_at(shown, "identity.principalId", json_new_text(resource->uid));
    json_put_at(shown, "identity.tenantId", json_new_text(control->tenant_id));
}

char *type_key(struct arena *a, const struct resource_type *type)
{
    return text_lower(a, type->name);
}

static int fail_sibling(const char *target, const char *id, const struct resource_type *type,
                        struct error *err)
{
    return fail_at(err, &E_BAD_REQUEST, target,
                   "'%.300s' is no %s of this registry. '%s' needs the id of one that exists.", id,
                   type->description, target);
}

int sibling_hold(const struct admission *admission, const char *target, const char *id,
                 const struct resource_type *type, struct resource **ret, struct error *err)
{
    struct arena *a = admission->arena;
    const char *prefix = arena_printf(a, "%s/%s/", admission->parent->key,
                                      text_lower(a, strrchr(type->name, '/') + 1));
    char *key = text_lower(a, id);
    int found;

    if (!text_starts(key, prefix) || strchr(key + strlen(prefix), '/'))
        return fail_sibling(target, id, type, err);
    found = resource_share(admission->conn, a, key, ret, err);
    if (found < 0)
        return -1;
    if (found == 0 || (*ret)->state == STATE_DELETING)
        return fail_sibling(target, id, type, err);
    return 0;
}

void answer_details(struct action_run *run, const struct resource_type *type)
{
    const struct resource *r = run->resource;
    struct json_object *out = run->answer;

    json_merge_patch(out, r->body);
    if (r->status)
        json_merge_patch(out, r->status);
    fields_default(type->fields, out);
    show_identity(run->control, r, out);
    json_put_at(out, "properties.provisioningState", json_new_text(state_name(r->state)));
    json_set_text(out, "id", r->id);
    json_set_text(out, "name", r->name);
    json_set_text(out, "type", type->name);
    if (type->is_tracked) {
        json_set_text(out, "location", r->location);
        json_set(out, "tags", r->tags ? json_get(r->tags) : json_new_object());
    }
    if (r->system_data)
        json_set(out, "systemData", json_get(r->system_data));
}

int children_of(const struct admission *admission, const char *parent_uid,
                const struct resource_type *type, int64_t *ret, struct error *err)
{
    return resource_usage(admission->conn, admission->arena, parent_uid,
                          type_key(admission->arena, type), ret, err);
}

int children_alone(const struct admission *admission, const char *parent_uid,
                   const struct resource_type *type, int64_t *ret, struct error *err)
{
    return resource_usage_alone(admission->conn, admission->arena, parent_uid,
                                type_key(admission->arena, type), ret, err);
}
