/* The ping of a webhook: one attempt, recorded the way the service's events are. */
#include "controlplane/provision/webhook_ping.h"

#include <stdatomic.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/client/client.h"
#include "common/json/json.h"

#include "controlplane/store/webhook_events.h"

#define TIMEOUT_MS 5000
#define AT_ONCE_MAX 4 /* each holds a request worker for as long as its service takes */
#define ANSWER_MAX_BYTES 65536
#define CONTENT_MAX_BYTES 4096
#define HEADERS_MAX 64
#define MASK "******"
#define JSON_TYPE "application/json"

static atomic_int running;

struct headers {
    struct arena *arena;
    const char *lines[HEADERS_MAX + 2];
    size_t count;
    bool has_type;
    struct json_object *shown;
};

static void add_header(void *ctx, const char *name, struct json_object *value)
{
    struct headers *h = ctx;

    if (h->count == HEADERS_MAX)
        return;
    h->has_type |= text_eq_nocase(name, "Content-Type");
    h->lines[h->count++] = arena_printf(h->arena, "%s: %s", name, json_text(value, ""));
    json_set_text(h->shown, name, MASK);
}

static struct json_object *response_of(struct arena *a, const struct client_response *r)
{
    struct json_object *out = json_own(a, json_new_object());
    struct json_object *headers = json_new_object();
    const char *type = client_header(r, "Content-Type");
    size_t len = r->body_len < CONTENT_MAX_BYTES ? r->body_len : CONTENT_MAX_BYTES;
    bool is_text = text_is_utf8(r->body, len) && strlen(r->body) == r->body_len;

    if (type)
        json_set_text(headers, "Content-Type", type);
    json_set_text(out, "content", is_text ? arena_strndup(a, r->body, len) : "");
    json_set(out, "headers", headers);
    json_set_text(out, "reasonPhrase", "");
    json_set_text(out, "statusCode", arena_printf(a, "%d", r->status));
    json_set_text(out, "version", "1.1");
    return out;
}

/* As if a gateway had said so. */
static struct json_object *no_response(struct arena *a, const struct error *why)
{
    struct json_object *out = json_own(a, json_new_object());
    bool is_late = why->code == &E_TIMEOUT;

    json_set_text(out, "content", why->message);
    json_set(out, "headers", json_new_object());
    json_set_text(out, "reasonPhrase", is_late ? "Gateway Timeout" : "Bad Gateway");
    json_set_text(out, "statusCode", is_late ? "504" : "502");
    json_set_text(out, "version", "1.1");
    return out;
}

static int post(struct arena *a, const struct client_request *request, struct webhook_event *event,
                struct error *err)
{
    const struct client_config config = { .reach = CLIENT_PUBLIC };
    struct client_response response;
    struct client *client = NULL;
    struct error why;

    if (client_new(&config, &client, err))
        return -1;
    if (client_send(client, a, request, &response, &why))
        event->response = no_response(a, &why);
    else
        event->response = response_of(a, &response);
    client_free(client);
    return 0;
}

int webhook_ping(struct arena *a, const char *service_uri,
                 const struct json_object *custom_headers, struct webhook_event *event,
                 struct error *err)
{
    struct headers headers = { .arena = a, .shown = json_new_object() };
    struct json_object *content = json_own(a, json_new_object());
    struct client_request request = {
        .method = "POST",
        .url = service_uri,
        .timeout_ms = TIMEOUT_MS,
        .max_body_bytes = ANSWER_MAX_BYTES,
    };
    int rc;

    event->request = json_own(a, json_new_object());
    json_set_text(content, "id", event->id);
    json_set_text(content, "timestamp", clock_arm(a, clock_wall_us()));
    json_set_text(content, "action", "ping");
    json_each(custom_headers, add_header, &headers);
    if (!headers.has_type) {
        headers.lines[headers.count++] = "Content-Type: " JSON_TYPE;
        json_set_text(headers.shown, "Content-Type", JSON_TYPE);
    }
    request.headers = headers.lines;
    request.body = json_print_len(a, content, &request.body_len);
    json_set(event->request, "content", json_get(content));
    json_set(event->request, "headers", headers.shown);
    json_set_text(event->request, "method", request.method);
    json_set_text(event->request, "requestUri", service_uri);
    json_set_text(event->request, "version", "1.1");
    if (atomic_fetch_add(&running, 1) >= AT_ONCE_MAX)
        rc = fail(err, &E_THROTTLED, "Too many webhooks are being pinged; try again later.");
    else
        rc = post(a, &request, event, err);
    (void)atomic_fetch_sub(&running, 1);
    return rc;
}
