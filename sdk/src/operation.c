/* Long-running operations, in both styles of ARM: a status resource (Azure-AsyncOperation), or 202
 * with a Location that stays 202 until it is over. */
#include "sdk/src/internal.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/client/client.h"
#include "common/json/json.h"

#define FIRST_PAUSE_MS 50
#define MOST_PAUSE_MS  2000
#define RETRY_MAX_S    60

/* The service says how often to ask at most; short operations are over before that. */
static int64_t most_ms(const struct client_response *reply)
{
    const char *after = client_header(reply, "retry-after");
    int64_t seconds;

    if (after && text_parse_i64(after, &seconds) && seconds > 0 && seconds <= RETRY_MAX_S)
        return seconds * 1000;
    return MOST_PAUSE_MS;
}

static int out_of_time(const struct portolan *p, struct error *err)
{
    return fail(err, &E_TIMEOUT,
                "The operation goes on after %lld s; what it makes can be looked at later.",
                (long long)(p->operation_ms / 1000));
}

/* 1 it is over and went well, 0 it goes on, -1 it failed. */
static int read_status(struct arena *a, const struct client_response *reply, struct error *err)
{
    struct json_object *body = NULL;
    const char *status;

    if (json_parse_object(reply->body, reply->body_len, SDK_REPLY_MAX_BYTES, &body, err))
        return wrap(err, "operation status");
    json_own(a, body);
    status = json_text(body, "status");
    if (text_eq_nocase(status, "Succeeded"))
        return 1;
    if (!text_eq_nocase(status, "Failed") && !text_eq_nocase(status, "Canceled"))
        return 0;
    if (json_at(body, "error"))
        return sdk_fail_reply(a, 409, reply->body, err);
    return fail(err, &E_CONFLICT, "The operation ended as %s.", status);
}

/* Polls until `over` says so; *reply is the last one. */
static int poll_until_over(struct portolan *p, struct arena *a, const char *url,
                           int (*over)(struct arena *, const struct client_response *,
                                       struct error *),
                           struct client_response *reply, struct error *err)
{
    int64_t end = clock_mono_ms() + p->operation_ms, pause = 0;

    for (;;) {
        pause = sdk_pause(pause, FIRST_PAUSE_MS, most_ms(reply));
        if (clock_mono_ms() + pause > end)
            return out_of_time(p, err);
        clock_sleep_ms(pause);
        if (sdk_exchange(p, a, "GET", url, NULL, reply, err))
            return -1;
        int is_over = over(a, reply, err);
        if (is_over)
            return is_over < 0 ? -1 : 0;
    }
}

static int read_location(struct arena *a, const struct client_response *reply, struct error *err)
{
    (void)a;
    (void)err;
    return reply->status != 202;
}

int sdk_follow(struct portolan *p, struct arena *a, const char *method, const char *url,
               struct client_response *reply, struct error *err)
{
    const char *status_url = client_header(reply, "azure-asyncoperation");
    const char *location = client_header(reply, "location");

    if (!status_url) {
        if (reply->status != 202 || !location)
            return 0;
        return poll_until_over(p, a, location, read_location, reply, err);
    }
    if (poll_until_over(p, a, status_url, read_status, reply, err))
        return -1;
    if (text_eq(method, "PUT") || text_eq(method, "PATCH"))
        return sdk_exchange(p, a, "GET", url, NULL, reply, err);
    if (location)
        return sdk_exchange(p, a, "GET", location, NULL, reply, err);
    reply->body = arena_strdup(a, "");
    return 0;
}
