/* Planning deployments inside a deployment ahead of their run: see the header. */
#include "controlplane/deployments/linked.h"

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/json/json.h"
#include "templates/language/template.h"
#include "templates/language/value.h"

#include "controlplane/api/errors.h"
#include "controlplane/deployments/body.h"
#include "controlplane/deployments/scope.h"
#include "controlplane/deployments/submission.h"

/* Of one request, which somebody waits for; each may be a file to fetch. */
#define AHEAD_MAX 20
#define AHEAD_MAX_MS 10000

/* Where it goes is made by the same template, or not for the caller to see yet. */
static bool is_for_later(const struct error *err)
{
    return err->code == &E_GROUP_NOT_FOUND || err->code == &E_SUBSCRIPTION_NOT_FOUND;
}

int linked_plan(struct submission *s, const struct plan_node *n, struct submission **ret,
                struct error *err)
{
    struct submission *root = s->root ? s->root : s;
    struct submission *inner = ARENA_NEW(s->arena, struct submission);
    char *scope = NULL, *name = NULL;

    if (root->ahead_count == 0)
        root->ahead_until_ms = clock_mono_ms() + AHEAD_MAX_MS;
    if (template_is_deferred(n->body) || root->ahead_count >= AHEAD_MAX ||
        clock_mono_ms() > root->ahead_until_ms || !scope_split(s->arena, n->id, &scope, &name))
        return 0;
    root->ahead_count++;
    *inner = (struct submission){
        .arena = s->arena,
        .control = s->control,
        .app = s->app,
        .caller = s->caller,
        .correlation_id = s->correlation_id,
        .peer_text = s->peer_text,
        .scope_id = scope,
        .name = name,
        .request = node_body(json_own(s->arena, template_json_final(n->body))),
        .root = root,
        .level = s->level + 1,
        .parent_link = s->template_link,
        .inherited_secrets = json_own(s->arena, secrets_json(&s->secrets)),
    };
    *ret = inner;
    if (submission_plan(inner, err) == 0)
        return 1;
    return is_for_later(err) ? 0 : -1;
}
