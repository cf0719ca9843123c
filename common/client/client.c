/* The client: a pool of libcurl handles, each with its kept connections, and the loop over
 * redirects. A handle serves one call at a time; the policy is the client's, so a kept connection
 * is as allowed as a new one. */
#include "common/client/client.h"

#include <ctype.h>
#include <pthread.h>

#include <curl/curl.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/client/redirect.h"
#include "common/client/transfer.h"

#define DEFAULT_TIMEOUT_MS 10000
#define TIMEOUT_MAX_MS     (24 * 3600 * INT64_C(1000))
#define METHOD_MAX_LEN     16
#define IDLE_MAX           4
#define IDLE_CLOSE_MS      30000

struct idle {
    CURL *handle;
    int64_t since_ms;
};

struct client {
    struct policy policy;
    char *ca_file;
    pthread_mutex_t lock;
    struct idle idle[IDLE_MAX]; /* oldest first */
    size_t nidle;
};

static void *must_have(void *p)
{
    if (!p)
        abort();
    return p;
}

static int read_exceptions(struct policy *p, const char *const *texts, struct error *err)
{
    size_t count = 0;

    while (texts && texts[count])
        count++;
    p->exceptions = must_have(calloc(count + 1, sizeof(*p->exceptions)));
    for (size_t i = 0; i < count; i++) {
        if (!cidr_parse(texts[i], &p->exceptions[i]))
            return fail(err, &E_INVALID, "'%s' is not an address block.", texts[i]);
        p->nexceptions++;
    }
    return 0;
}

int client_new(const struct client_config *config, struct client **ret, struct error *err)
{
    struct client *c;

    if (curl_global_init(CURL_GLOBAL_DEFAULT))
        return fail_cause(err, &E_INTERNAL, "curl_global_init failed");
    c = must_have(calloc(1, sizeof(*c)));
    if (pthread_mutex_init(&c->lock, NULL))
        abort();
    c->policy.reach = config->reach;
    c->ca_file = config->ca_file ? must_have(strdup(config->ca_file)) : NULL;
    if (read_exceptions(&c->policy, config->allowed_cidrs, err)) {
        client_free(c);
        return -1;
    }
    *ret = c;
    return 0;
}

void client_free(struct client *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->nidle; i++)
        curl_easy_cleanup(c->idle[i].handle);
    pthread_mutex_destroy(&c->lock);
    free(c->policy.exceptions);
    free(c->ca_file);
    free(c);
    curl_global_cleanup();
}

static CURL *take_handle(struct client *c)
{
    CURL *handle = NULL;

    pthread_mutex_lock(&c->lock);
    if (c->nidle)
        handle = c->idle[--c->nidle].handle;
    pthread_mutex_unlock(&c->lock);
    if (handle)
        return handle;
    handle = curl_easy_init();
    if (!handle)
        return NULL;
    /* Built in on every libcurl that has http; one without must not fall back to all it can. */
    if (curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https")) {
        curl_easy_cleanup(handle);
        return NULL;
    }
    transfer_prepare(handle, c->ca_file);
    return handle;
}

/* Takes out the handles that nobody took for a while and, when the pool is full, the oldest. Under
 * the lock; closing may block and comes after it. */
static size_t take_old(struct client *c, int64_t now, CURL *ret[IDLE_MAX])
{
    size_t count = 0;

    while (count < c->nidle &&
           (c->nidle - count == IDLE_MAX || now - c->idle[count].since_ms > IDLE_CLOSE_MS)) {
        ret[count] = c->idle[count].handle;
        count++;
    }
    c->nidle -= count;
    memmove(c->idle, c->idle + count, c->nidle * sizeof(*c->idle));
    return count;
}

static void close_handles(CURL *handles[], size_t count)
{
    for (size_t i = 0; i < count; i++)
        curl_easy_cleanup(handles[i]);
}

static void return_handle(struct client *c, CURL *handle)
{
    int64_t now = clock_mono_ms();
    CURL *old[IDLE_MAX];
    size_t count;

    pthread_mutex_lock(&c->lock);
    count = take_old(c, now, old);
    c->idle[c->nidle++] = (struct idle){ .handle = handle, .since_ms = now };
    pthread_mutex_unlock(&c->lock);
    close_handles(old, count);
}

void client_tidy(struct client *c)
{
    CURL *old[IDLE_MAX];
    size_t count;

    pthread_mutex_lock(&c->lock);
    count = take_old(c, clock_mono_ms(), old);
    pthread_mutex_unlock(&c->lock);
    close_handles(old, count);
}

static int check_request(const struct client_request *r, struct error *err)
{
    size_t len = r->method ? strlen(r->method) : 0;

    if (len > METHOD_MAX_LEN || (r->method && len == 0))
        return fail(err, &E_INVALID, "The method is malformed.");
    for (size_t i = 0; i < len; i++) {
        if (!isupper((unsigned char)r->method[i]))
            return fail(err, &E_INVALID, "The method is malformed.");
    }
    return redirect_check_url(r->url, err);
}

static int send_and_follow(struct client *c, CURL *handle, struct arena *a,
                           const struct client_request *request, struct client_response *ret,
                           struct error *err)
{
    int64_t timeout = request->timeout_ms > 0 ? request->timeout_ms : DEFAULT_TIMEOUT_MS;
    int64_t deadline = clock_mono_ms() + (timeout < TIMEOUT_MAX_MS ? timeout : TIMEOUT_MAX_MS);
    struct client_request hop = *request;

    for (int hops = 0;; hops++) {
        struct client_response answer;
        const char *location;

        if (transfer_run(handle, &c->policy, a, &hop, deadline, &answer, err))
            return -1;
        location = client_header(&answer, "location");
        if (request->max_redirects <= 0 || !redirect_is_one(answer.status) || !location) {
            *ret = answer;
            return 0;
        }
        if (hops == request->max_redirects)
            return fail(err, &E_UNAVAILABLE, "The remote server redirects too often.");
        if (redirect_follow(a, &hop, answer.status, location, &hop, err))
            return -1;
    }
}

int client_send(struct client *c, struct arena *a, const struct client_request *request,
                struct client_response *ret, struct error *err)
{
    CURL *handle;
    int rc;

    if (check_request(request, err))
        return -1;
    handle = take_handle(c);
    if (!handle)
        return fail_cause(err, &E_INTERNAL, "curl_easy_init failed");
    rc = send_and_follow(c, handle, a, request, ret, err);
    return_handle(c, handle);
    return rc;
}

const char *client_header(const struct client_response *r, const char *name)
{
    size_t len = strlen(name);

    for (char **h = r->headers; h && *h; h++) {
        if (text_starts_nocase(*h, name) && (*h)[len] == ':')
            return *h + len + 1 + strspn(*h + len + 1, " \t");
    }
    return NULL;
}
