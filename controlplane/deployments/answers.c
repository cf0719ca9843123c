/* What deployments and stacks answer alike: see the header. */
#include "controlplane/deployments/answers.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/text.h"
#include "common/json/json.h"

#include "controlplane/api/call.h"
#include "controlplane/api/errors.h"

const char *last_segment(const struct call *c)
{
    return strrchr(c->req->path, '/') + 1;
}

int reply_progress(struct call *c, const struct progress *p, struct error *err)
{
    struct json_object *out;

    if (!text_eq_nocase(p->operation_id, last_segment(c)))
        return fail(err, &E_OPERATION_NOT_FOUND, "The operation '%.64s' could not be found.",
                    last_segment(c));
    out = json_own(c->arena, json_new_object());
    json_set_text(out, "id", c->req->path);
    json_set_text(out, "name", p->operation_id);
    json_set_text(out, "status", p->state);
    json_set_text(out, "startTime", clock_arm(c->arena, p->began_us));
    if (p->ended_us)
        json_set_text(out, "endTime", clock_arm(c->arena, p->ended_us));
    else
        http_reply_header(c->req, "Retry-After", RETRY_AFTER);
    if (p->error)
        json_set(out, "error", json_get(p->error));
    reply_json(c, 200, out);
    return 0;
}

int page_after(struct call *c, const char **ret, struct error *err)
{
    const char *token = http_query_nocase(c->req, "$skiptoken");
    size_t len = 0;

    *ret = NULL;
    if (!token || !token[0])
        return 0;
    *ret = (const char *)text_unbase64(c->arena, token, strlen(token), &len);
    if (!*ret || strlen(*ret) != len || !text_is_utf8(*ret, len))
        return fail(err, &E_INVALID_SKIP_TOKEN, "The $skiptoken is not one of this service's.");
    return 0;
}

char *page_token(struct call *c, const char *last)
{
    return arena_printf(c->arena, "$skiptoken=%s", text_base64url(c->arena, last, strlen(last)));
}
