/* Why may, or may not, an identity do something on a repository? Answered from the same rows and by the
 * same reduction that data planes are published with, with the rule that decides. */
#include "controlplane/types/registry_rules.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/text.h"
#include "common/crypto/digest.h"
#include "common/json/json.h"
#include "common/pg/pg.h"

#include "controlplane/api/errors.h"
#include "controlplane/control.h"
#include "controlplane/identity/identity.h"
#include "controlplane/provision/grants.h"
#include "controlplane/provision/publish_tokens.h"
#include "controlplane/store/resources.h"
#include "controlplane/types/registry.h"

#define REPOSITORY_MAX 256

static const char *const actions[] = { "pull",          "push",           "delete",
                                       "metadata_read", "metadata_write", NULL };

const struct field registry_access_request[] = {
    { .path = "principalId",
      .kind = FIELD_TEXT,
      .flags = FIELD_RW,
      .offset = FIELD_NO_OFFSET,
      .max = UUID_TEXT_LEN },
    { .path = "userName",
      .kind = FIELD_TEXT,
      .flags = FIELD_RW,
      .offset = FIELD_NO_OFFSET,
      .min = 1,
      .max = 64 },
    { .path = "repository",
      .kind = FIELD_TEXT,
      .flags = FIELD_RW | FIELD_REQUIRED,
      .offset = FIELD_NO_OFFSET,
      .min = 1,
      .max = REPOSITORY_MAX },
    { .path = "action",
      .kind = FIELD_TEXT,
      .flags = FIELD_RW | FIELD_REQUIRED,
      .offset = FIELD_NO_OFFSET,
      .oneof = actions },
    { 0 },
};

struct question {
    struct action_run *run;
    const struct registry *registry;
    const char *repository, *action;
    struct resource *token, *map; /* of a token's name */
};

/* "a", "*", or a prefix with slash and star: as data planes read names. */
static bool covers(const char *pattern, const char *name)
{
    size_t len = strlen(pattern);

    if (text_eq(pattern, "*") || text_eq(pattern, name))
        return true;
    return len > 2 && text_ends(pattern, "/*") && strncmp(pattern, name, len - 1) == 0 &&
           name[len - 1] != '\0';
}

/* Some row of a list of permissions gives the action on the repository. */
static bool is_given(const struct question *q, const struct json_object *permissions)
{
    for (size_t i = 0; i < json_count(permissions); i++) {
        const struct json_object *row = json_item(permissions, i);
        const struct json_object *given = json_at(row, "actions");

        if (!text_eq(json_text(row, "type"), "repository") ||
            !covers(json_text(row, "name"), q->repository))
            continue;
        for (size_t k = 0; k < json_count(given); k++) {
            if (text_eq(json_text(json_item(given, k), ""), q->action))
                return true;
        }
    }
    return false;
}

static int answer(const struct question *q, bool is_allowed, const char *reason, const char *rule)
{
    struct json_object *out = q->run->answer;

    json_set_text(out, "access", is_allowed ? "Allowed" : "Denied");
    json_set_text(out, "decidedBy", reason);
    if (rule)
        json_set_text(out, "rule", rule);
    return 0;
}

/* Each assignment on its own: the first that gives it decides. */
static int ask_principal(const struct question *q, const char *principal, struct error *err)
{
    struct arena *a = q->run->arena;
    bool is_abac = text_eq(q->registry->role_assignment_mode, "AbacRepositoryPermissions");
    const char *id = text_lower(a, principal);
    struct json_object *entries = NULL;
    size_t seen = 0;

    if (access_grants(q->run->control, a, &q->run->resource->id, 1, &entries, err))
        return wrap(err, "grants");
    for (size_t i = 0; i < json_count(entries); i++) {
        struct json_object *entry = json_item(entries, i), *one;

        if (!text_eq(json_text(entry, "principal_id"), id))
            continue;
        seen++;
        one = json_own(a, json_new_array());
        json_add(one, json_copy(entry));
        if (is_given(q, json_at(grants_reduce(a, one, is_abac), id)))
            return answer(q, true, "roleAssignment",
                          arena_printf(a, "%s at %s", json_text(entry, "role"),
                                       json_text(entry, "scope")));
    }
    return answer(q, false, seen ? "roleAssignmentsLackAction" : "noRoleAssignment", NULL);
}

static int read_token(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct question *q = ctx;
    const char *map_id;
    int found = resource_by_key(conn, a, text_lower(a, q->token->id), false, &q->token, err);

    if (found <= 0) {
        q->token = NULL;
        return found;
    }
    map_id = json_text(q->token->body, "properties.scopeMapId");
    found = map_id ? resource_by_key(conn, a, text_lower(a, map_id), false, &q->map, err) : 0;
    return found < 0 ? -1 : 0;
}

static bool has_password(const struct resource *token)
{
    const struct json_object *list = json_at(token->body, "properties.credentials.passwords");

    for (size_t i = 0; i < json_count(list); i++) {
        const char *expiry = json_text(json_item(list, i), "expiry");
        int64_t until_us = 0;

        if (!expiry || (clock_parse(expiry, &until_us) && until_us > clock_wall_us()))
            return true;
    }
    return false;
}

static int ask_token(struct question *q, const char *name, struct error *err)
{
    struct arena *a = q->run->arena;
    struct resource named = { .id = arena_printf(a, "%s/tokens/%s", q->run->resource->id, name) };
    const struct json_object *list;

    q->token = &named;
    if (pg_with(q->run->control->db, a, read_token, q, err))
        return wrap(err, "token");
    if (!q->token || q->token->state == STATE_DELETING)
        return answer(q, false, "unknownUserName", NULL);
    if (text_eq(json_text(q->token->body, "properties.status"), "disabled"))
        return answer(q, false, "tokenDisabled", NULL);
    if (!has_password(q->token))
        return answer(q, false, "tokenWithoutPassword", NULL);
    if (!q->map)
        return answer(q, false, "noScopeMap", NULL);
    list = json_at(q->map->body, "properties.actions");
    for (size_t i = 0; i < json_count(list); i++) {
        struct json_object *one = json_own(a, json_new_array());

        json_add(one, json_copy(json_item(list, i)));
        if (is_given(q, permissions_of_actions(a, one)))
            return answer(q, true, "scopeMap",
                          arena_printf(a, "%s: %s", q->map->name,
                                       json_text(json_item(list, i), "")));
    }
    return answer(q, false, "scopeMapLacksAction", q->map->name);
}

static int ask_anonymous(const struct question *q)
{
    if (!q->registry->is_anonymous_pull)
        return answer(q, false, "anonymousPullDisabled", NULL);
    return answer(q, text_eq(q->action, "pull") || text_eq(q->action, "metadata_read"),
                  "anonymousPull", NULL);
}

int registry_check_access(struct action_run *run, struct error *err)
{
    const char *principal = json_text(run->body, "principalId");
    const char *user = json_text(run->body, "userName");
    struct question q = { .run = run,
                          .registry = run->decoded,
                          .repository = json_text(run->body, "repository"),
                          .action = json_text(run->body, "action") };

    if (principal && user)
        return fail_at(err, &E_INVALID_PARAMETER, "userName",
                       "A principalId or a userName, not both.");
    if (principal && !uuid_is_valid(principal))
        return fail_at(err, &E_INVALID_PARAMETER, "principalId", "'%s' is no object id.",
                       principal);
    if (principal)
        return ask_principal(&q, principal, err);
    if (!user)
        return ask_anonymous(&q);
    if (text_eq(user, run->resource->name))
        return answer(&q, q.registry->is_admin_enabled,
                      q.registry->is_admin_enabled ? "adminUser" : "adminUserDisabled", NULL);
    return ask_token(&q, user, err);
}
