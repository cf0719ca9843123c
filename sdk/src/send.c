/* One request to the management host. A service that restarts (no connection, 503) or says that it
 * is too much (429) is asked again; a token that is not taken any more is replaced once. */
#include "sdk/src/internal.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/client/client.h"
#include "common/json/json.h"

#define REQUEST_MS    120000
#define PAUSE_MS      100
#define PAUSE_MOST_MS 5000
#define CODE_MAX      95

int64_t sdk_pause(int64_t last_ms, int64_t first_ms, int64_t most_ms)
{
    int64_t next = last_ms > 0 ? last_ms * 2 : first_ms;

    return next < most_ms ? next : most_ms;
}

bool sdk_is_own(const struct portolan *p, const char *url)
{
    size_t len = strlen(p->management);

    return strncmp(url, p->management, len) == 0 && url[len] == '/';
}

/* ARM's envelope; a chain of details ends in the most exact one, which the message of the outer
 * ones does not repeat. */
int sdk_fail_reply(struct arena *a, int status, const char *body, struct error *err)
{
    struct error_code *code = ARENA_NEW(a, struct error_code);
    struct json_object *whole = NULL;
    struct error ignored;
    const char *name = NULL, *message = NULL, *target = NULL;

    if (json_parse_object(body, strlen(body), SDK_REPLY_MAX_BYTES, &whole, &ignored) == 0) {
        json_own(a, whole);
        name = json_text(whole, "error.code");
        message = json_text(whole, "error.message");
        target = json_text(whole, "error.target");
    }
    *code = (struct error_code){
        .name = arena_strndup(a, name ? name : "UnexpectedReply",
                              name ? strnlen(name, CODE_MAX) : strlen("UnexpectedReply")),
        .status = status,
    };
    if (!message)
        message = arena_printf(a, "The service answered with status %d.", status);
    return target ? fail_at(err, code, target, "%s", message) : fail(err, code, "%s", message);
}

/* RFC 9110 section 9.2.2: what may be sent again when nobody knows whether it arrived. */
static bool is_idempotent(const char *method)
{
    return !text_eq(method, "POST") && !text_eq(method, "PATCH");
}

static int send_once(struct portolan *p, struct arena *a, const char *method, const char *url,
                     const char *body, const char *token, struct client_response *ret,
                     struct error *err)
{
    const char *headers[] = { arena_printf(a, "Authorization: Bearer %s", token),
                              "Accept: application/json",
                              body ? "Content-Type: application/json" : NULL, NULL };
    struct client_request request = {
        .method = method,
        .url = url,
        .headers = headers,
        .body = body,
        .body_len = body ? strlen(body) : 0,
        .timeout_ms = REQUEST_MS,
        .max_body_bytes = SDK_REPLY_MAX_BYTES,
    };

    return client_send(p->http, a, &request, ret, err);
}

/* How long to wait before the same again; -1: not at all. */
static int64_t again_ms(const char *method, int rc, const struct client_response *reply,
                        const struct error *err, int64_t last_ms)
{
    const char *after;
    int64_t seconds;

    if (rc)
        return err->code == &E_UNAVAILABLE && is_idempotent(method)
                   ? sdk_pause(last_ms, PAUSE_MS, PAUSE_MOST_MS)
                   : -1;
    if (reply->status != 429 && reply->status != 503)
        return -1;
    after = client_header(reply, "retry-after");
    if (after && text_parse_i64(after, &seconds) && seconds >= 0 && seconds < 3600)
        return seconds ? seconds * 1000 : PAUSE_MS;
    return sdk_pause(last_ms, PAUSE_MS, PAUSE_MOST_MS);
}

int sdk_exchange(struct portolan *p, struct arena *a, const char *method, const char *url,
                 const char *body, struct client_response *ret, struct error *err)
{
    int64_t end = clock_mono_ms() + p->patience_ms, wait = 0;
    char *token, *refused = NULL;

    if (!sdk_is_own(p, url))
        return fail(err, &E_FORBIDDEN, "'%s' is not at the management host.", url);
    for (;;) {
        if (sdk_token(p, a, refused, &token, err))
            return -1;
        int rc = send_once(p, a, method, url, body, token, ret, err);
        if (rc == 0 && ret->status == 401 && !refused) {
            refused = token;
            continue;
        }
        wait = again_ms(method, rc, ret, err, wait);
        if (wait < 0 || clock_mono_ms() + wait > end)
            return rc                   ? -1
                   : ret->status >= 400 ? sdk_fail_reply(a, ret->status, ret->body, err)
                                        : 0;
        clock_sleep_ms(wait);
    }
}
