/* Microsoft.ContainerRegistry/registries/cacheRules: which upstream repositories are served from
 * here, and under which names. Rules of a registry do not overlap. */
#include "controlplane/types/children.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/text.h"
#include "common/json/json.h"

#include "controlplane/api/errors.h"
#include "controlplane/store/related.h"
#include "controlplane/store/resources.h"
#include "controlplane/types/registry.h"
#include "controlplane/types/rows.h"
#include "controlplane/types/shared.h"
#include "controlplane/types/versions.h"

#define GOOGLE "properties.additionalAuthenticationProperties."
#define PREVIEW_2026 "2026-03-01-preview"
#define SOURCE_PATTERN "[a-z0-9.-]+\\.[a-z0-9.-]+(:[0-9]+)?(/[a-z0-9._-]+)*(/\\*)?"
#define TARGET_PATTERN "(\\*|[a-z0-9]+([._-]+[a-z0-9]+)*(/[a-z0-9]+([._-]+[a-z0-9]+)*)*(/\\*)?)"
#define POOL_PATTERN "[a-z][a-z0-9-]*[a-z0-9]"

struct cache_rule {
    char *credential_set_id; /* NULL: none */
    char *source, *target;
    char *authentication; /* NULL: none */
    char *project, *pool, *provider;
};

static const char *const authentications[] = { "GoogleArtifactRegistry", NULL };

static const struct field fields[] = {
    ROWS_IDENTITY_SINCE(PREVIEW_2026),
    { ROW_IN(cache_rule, "properties.credentialSetResourceId", FIELD_TEXT, credential_set_id),
      RW, .max = ID_MAX_BYTES },
    { ROW_IN(cache_rule, "properties.sourceRepository", FIELD_TEXT, source), SET_ONCE_REQUIRED,
      .max = 512, .pattern = SOURCE_PATTERN },
    { ROW_IN(cache_rule, "properties.targetRepository", FIELD_TEXT, target), SET_ONCE_REQUIRED,
      .max = 256, .pattern = TARGET_PATTERN },
    { ROW_IN(cache_rule, GOOGLE "authenticationType", FIELD_TEXT, authentication), RW_NOCASE,
      .oneof = authentications, .since = PREVIEW_2026 },
    { ROW_IN(cache_rule, GOOGLE "projectNumber", FIELD_TEXT, project), RW, .min = 5, .max = 30,
      .pattern = "[1-9][0-9]*", .since = PREVIEW_2026 },
    { ROW_IN(cache_rule, GOOGLE "workloadIdentityPool", FIELD_TEXT, pool), RW, .min = 4, .max = 32,
      .pattern = POOL_PATTERN, .since = PREVIEW_2026 },
    { ROW_IN(cache_rule, GOOGLE "workloadIdentityProvider", FIELD_TEXT, provider), RW, .min = 4,
      .max = 32, .pattern = POOL_PATTERN, .since = PREVIEW_2026 },
    ROW_CREATED,
    ROW_STATE,
    { 0 },
};

static bool has_star(const char *repository)
{
    return text_ends(repository, "*");
}

static int cache_rule_validate(struct arena *a, const void *was, const void *now_,
                               struct error *err)
{
    const struct cache_rule *now = now_;

    (void)a;
    (void)was;
    if (has_star(now->source) != has_star(now->target))
        return fail_at(err, &E_INVALID_PARAMETER, "properties.targetRepository",
                       "Either both the source and the target repository end in a wildcard, or "
                       "neither.");
    if (now->authentication && !(now->project && now->pool && now->provider))
        return fail_at(err, &E_INVALID_PARAMETER, "properties.additionalAuthenticationProperties",
                       "GoogleArtifactRegistry needs projectNumber, workloadIdentityPool and "
                       "workloadIdentityProvider.");
    return 0;
}

/* Whether a repository could be of both targets; a trailing star covers everything below. */
static bool overlaps(const char *x, const char *y)
{
    size_t nx = strlen(x) - has_star(x), ny = strlen(y) - has_star(y);
    size_t n = nx < ny ? nx : ny;

    if (strncmp(x, y, n) != 0)
        return false;
    return nx == ny ? has_star(x) == has_star(y) || nx == 0
                    : has_star(nx < ny ? x : y);
}

/* The counter of rules is locked by this create, so no other one passes here meanwhile. */
static int check_overlap(const struct admission *ad, const char *target, struct error *err)
{
    int64_t most = tier_limit(TIER_CACHE_RULES, SKU_PREMIUM) + 1;
    struct resource *rules = NULL;
    size_t count = 0;

    if (resource_children(ad->conn, ad->arena, ad->parent->uid, ad->resource->type_key, most,
                          &rules, &count, err))
        return -1;
    for (size_t i = 0; i < count; i++) {
        const char *other = json_text(rules[i].body, "properties.targetRepository");

        if (!text_eq(rules[i].uid, ad->resource->uid) && other && overlaps(target, other))
            return fail_at(err, &E_BAD_REQUEST, "properties.targetRepository",
                           "The target repository '%s' overlaps with that of the cache rule '%s'.",
                           target, rules[i].name);
    }
    return 0;
}

static int cache_rule_admit(const struct admission *ad, struct error *err)
{
    const struct cache_rule *rule = ad->decoded;
    struct resource *set = NULL;
    const char *uid = NULL;

    if (ad->change == CHANGE_DELETE)
        return 0;
    if (ad->change == CHANGE_CREATE &&
        text_eq(json_text(ad->parent->body, "properties.policies.softDeletePolicy.status"),
                "enabled"))
        return fail(err, &E_BAD_REQUEST,
                    "Cache rules are not supported while the soft delete policy is enabled.");
    if (ad->change == CHANGE_CREATE && check_overlap(ad, rule->target, err))
        return -1;
    if (rule->credential_set_id) {
        if (sibling_hold(ad, "properties.credentialSetResourceId", rule->credential_set_id,
                         &credential_set_type, &set, err))
            return -1;
        uid = set->uid;
    }
    return resource_links_replace(ad->conn, ad->arena, ad->resource->uid, &uid, uid ? 1 : 0, err);
}

const struct resource_type cache_rule_type = {
    .name = "Microsoft.ContainerRegistry/registries/cacheRules",
    .description = "cache rule",
    .scope = SCOPE_CHILD,
    .parent = &registry_type,
    .pattern = "[A-Za-z0-9-]*",
    .name_min = 5,
    .name_max = 50,
    .pattern_text = "a cache rule name has 5 to 50 letters, digits and '-'.",
    .lro = LRO_PUT | LRO_PATCH | LRO_DELETE,
    .api_versions = cache_versions,
    .size = sizeof(struct cache_rule),
    .fields = fields,
    .validate = cache_rule_validate,
    .admit = cache_rule_admit,
    .show = show_created,
    .quota = TIER_CACHE_RULES,
};
