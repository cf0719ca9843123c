/* The list of resource types, and what holds for any table: look-up, versions, names, and the proof
 * that every table is well formed. */
#include "controlplane/types/all.h"

#include <ctype.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/pattern.h"
#include "common/base/text.h"

#include "controlplane/api/errors.h"
#include "controlplane/types/children.h"
#include "controlplane/types/network.h"
#include "controlplane/types/registry.h"
#include "controlplane/types/resource_group.h"
#include "controlplane/types/scope_map.h"
#include "controlplane/types/template_spec.h"
#include "controlplane/types/token.h"
#include "controlplane/types/user_assigned_identity.h"
#include "controlplane/types/vault.h"

const struct resource_type *const all_types[] = {
    &resource_group_type,
    &registry_type,
    &agent_pool_type,
    &archive_type,
    &archive_version_type,
    &cache_rule_type,
    &connected_registry_type,
    &credential_set_type,
    &export_pipeline_type,
    &import_pipeline_type,
    &pipeline_run_type,
    &private_endpoint_connection_type,
    &private_link_resource_type,
    &replication_type,
    &run_type,
    &scope_map_type,
    &task_run_type,
    &task_type,
    &token_type,
    &webhook_type,
    &user_assigned_identity_type,
    &federated_credential_type,
    &vault_type,
    &template_spec_type,
    &template_spec_version_type,
    &virtual_network_type,
    &subnet_type,
    &virtual_network_peering_type,
    &network_attachment_type,
    &private_endpoint_type,
    &private_dns_zone_group_type,
    &network_interface_type,
    &private_dns_zone_type,
    &private_dns_link_type,
    &private_dns_all_type,
    &private_dns_a_type,
    &private_dns_aaaa_type,
    &private_dns_cname_type,
    &private_dns_mx_type,
    &private_dns_ptr_type,
    &private_dns_soa_type,
    &private_dns_srv_type,
    &private_dns_txt_type,
    NULL,
};

static const char *const sku_texts[SKU_MAX] = {
    [SKU_NONE] = "", [SKU_BASIC] = "Basic", [SKU_STANDARD] = "Standard", [SKU_PREMIUM] = "Premium",
};

#define DATE_LEN 10 /* "2025-11-01" */

const struct resource_type *type_find(const char *name)
{
    for (const struct resource_type *const *t = all_types; *t; t++) {
        if (text_eq_nocase((*t)->name, name))
            return *t;
    }
    return NULL;
}

const char *sku_text(enum sku sku)
{
    return sku_texts[sku];
}

/* Of a version's length: "2025-11-01" is stable, anything longer is a preview. */
static bool is_preview(size_t len)
{
    return len > DATE_LEN;
}

bool since_shows(const char *since, const char *api_version)
{
    const char *slash;
    size_t first_len;
    bool first_is_preview;

    if (!since)
        return true;
    slash = strchr(since, '/');
    first_len = slash ? (size_t)(slash - since) : strlen(since);
    first_is_preview = is_preview(first_len);
    if (is_preview(strlen(api_version)) || !first_is_preview)
        return strncmp(api_version, since, DATE_LEN) >= 0;
    return slash && strncmp(api_version, slash + 1, DATE_LEN) >= 0;
}

bool type_has_version(const char *const *versions, const char *api_version)
{
    for (; *versions; versions++) {
        if (text_eq_nocase(*versions, api_version))
            return true;
    }
    return false;
}

const char *type_rbac(const struct resource_type *type)
{
    return type->rbac ? type->rbac : type->name;
}

int type_name_check(const struct resource_type *type, const char *name, struct error *err)
{
    size_t len = strlen(name);

    if (len >= type->name_min && len <= type->name_max && pattern_matches(type->pattern, name))
        return 0;
    return fail_at(err, &E_INVALID_NAME, "name", "The resource name '%.*s' is invalid: %s", 120,
                   name, type->pattern_text);
}

/* "2025-11-01" or "2025-11-01-preview". */
static bool is_version(const char *v, size_t len)
{
    for (size_t i = 0; i < DATE_LEN; i++) {
        if (i >= len || ((i == 4 || i == 7) ? v[i] != '-' : !isdigit((unsigned char)v[i])))
            return false;
    }
    return len == DATE_LEN || (len == DATE_LEN + 8 && strncmp(v + DATE_LEN, "-preview", 8) == 0);
}

static int check_since(const struct resource_type *t, const struct field *f, struct error *err)
{
    const char *slash = f->since ? strchr(f->since, '/') : NULL;

    if (!f->since)
        return 0;
    if (!slash && is_version(f->since, strlen(f->since)))
        return 0;
    if (slash && is_version(f->since, (size_t)(slash - f->since)) &&
        is_version(slash + 1, strlen(slash + 1)))
        return 0;
    return fail_cause(err, &E_INTERNAL, "%s: since of %s is malformed", t->name, f->path);
}

static int check_fields(const struct resource_type *t, struct error *err)
{
    bool has_state = false;

    if (fields_table_check(t->fields, t->size, err))
        return wrap(err, "table of %s", t->name);
    for (const struct field *f = t->fields; f->path; f++) {
        has_state |= text_eq(f->path, "properties.provisioningState");
        if (check_since(t, f, err))
            return -1;
        if (f->gate < SKU_NONE || f->gate >= SKU_MAX)
            return fail_cause(err, &E_INTERNAL, "%s: gate of %s", t->name, f->path);
        if (f->gate && !f->def)
            return fail_cause(err, &E_INTERNAL, "%s: %s has a gate but no default", t->name,
                              f->path);
    }
    if (!has_state)
        return fail_cause(err, &E_INTERNAL, "%s shows no provisioningState", t->name);
    return 0;
}

static int check_versions(const struct resource_type *t, struct error *err)
{
    if (!t->api_versions || !t->api_versions[0])
        return fail_cause(err, &E_INTERNAL, "%s has no api-version", t->name);
    for (const char *const *v = t->api_versions; *v; v++) {
        if (!is_version(*v, strlen(*v)))
            return fail_cause(err, &E_INTERNAL, "%s: version %s", t->name, *v);
        if (v[1] && is_preview(strlen(*v)) == is_preview(strlen(v[1])) &&
            strcmp(*v, v[1]) <= 0)
            return fail_cause(err, &E_INTERNAL, "%s: version %s is not newest first", t->name, *v);
    }
    return 0;
}

static int check_verbs(const struct resource_type *t, struct error *err)
{
    for (const struct step *s = t->steps; s && s->name; s++) {
        if (!s->ensure || s->name[0] == '\0')
            return fail_cause(err, &E_INTERNAL, "%s: a step does nothing", t->name);
    }
    for (const struct action *x = t->actions; x && x->name; x++) {
        if (!x->run || !x->rbac || !x->description ||
            !(text_eq(x->method, "POST") || text_eq(x->method, "GET")))
            return fail_cause(err, &E_INTERNAL, "%s: action %s is incomplete", t->name, x->name);
        for (const struct action *y = t->actions; y != x; y++) {
            if (text_eq_nocase(x->name, y->name))
                return fail_cause(err, &E_INTERNAL, "%s: action %s twice", t->name, x->name);
        }
        if (x->request && fields_table_check(x->request, 0, err))
            return wrap(err, "request of %s/%s", t->name, x->name);
    }
    return 0;
}

static int check_type(const struct resource_type *t, struct error *err)
{
    const char *slash = t->name ? strchr(t->name, '/') : NULL;
    struct error ignored;

    if (!slash || !t->description || !t->pattern || !t->pattern_text || t->name_max == 0 ||
        t->name_min > t->name_max)
        return fail_cause(err, &E_INTERNAL, "a type's head is incomplete: %s", t->name);
    if ((t->scope == SCOPE_CHILD) != (t->parent != NULL))
        return fail_cause(err, &E_INTERNAL, "%s: children, and only they, have a parent", t->name);
    if (t->parent && !text_starts(t->name, t->parent->name))
        return fail_cause(err, &E_INTERNAL, "%s does not stand below its parent", t->name);
    if (t->global_name && !t->name_taken)
        return fail_cause(err, &E_INTERNAL, "%s: no answer for a taken name", t->name);
    if (pattern_check(t->pattern, err))
        return wrap(err, "names of %s", t->name);
    if (type_name_check(t, "a/b", &ignored) == 0)
        return fail_cause(err, &E_INTERNAL, "%s: a name cannot be part of a path", t->name);
    if (check_fields(t, err) || check_versions(t, err) || check_verbs(t, err))
        return -1;
    return 0;
}

int types_check(struct error *err)
{
    for (const struct resource_type *const *t = all_types; *t; t++) {
        if (check_type(*t, err))
            return -1;
        for (const struct resource_type *const *u = all_types; u != t; u++) {
            if (text_eq_nocase((*t)->name, (*u)->name))
                return fail_cause(err, &E_INTERNAL, "type %s twice", (*t)->name);
        }
    }
    return 0;
}
