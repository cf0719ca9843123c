/* Redirects by our own rules (RFC 9110 section 15.4), because what may follow one is a question of
 * security: who is asked next, and what of the request they get to see. */
#include "common/client/redirect.h"

#include <curl/curl.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"

#define URL_MAX_BYTES (16u << 10)
#define URL_FLAGS     (CURLU_PATH_AS_IS | CURLU_DISALLOW_USER)

/* What goes to another origin. A custom header may well be an API key. */
static const char *const harmless[] = { "Accept",    "Accept-Language", "Content-Type",
                                        "Range",     "If-None-Match",   "If-Modified-Since",
                                        "User-Agent" };

struct origin {
    char *scheme, *host, *port;
};

static void url_freep(CURLU **u)
{
    curl_url_cleanup(*u);
}

bool redirect_is_one(int status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* Copies one part into the arena; NULL when it is absent. */
static char *part(struct arena *a, CURLU *u, CURLUPart what, unsigned flags)
{
    char *text = NULL, *copy;

    if (curl_url_get(u, what, &text, flags) != CURLUE_OK)
        return NULL;
    copy = arena_strdup(a, text);
    curl_free(text);
    return copy;
}

static int fail_url(struct error *err)
{
    return fail(err, &E_INVALID, "The URL is not a valid http or https URL.");
}

/* Sets `text` on u (relative to what is there) and reads the origin. */
static int set_url(struct arena *a, CURLU *u, const char *text, struct origin *ret,
                   struct error *err)
{
    if (!u)
        return fail_cause(err, &E_INTERNAL, "curl_url: out of memory");
    if (strlen(text) > URL_MAX_BYTES || curl_url_set(u, CURLUPART_URL, text, URL_FLAGS))
        return fail_url(err);
    ret->scheme = part(a, u, CURLUPART_SCHEME, 0);
    ret->host = part(a, u, CURLUPART_HOST, 0);
    ret->port = part(a, u, CURLUPART_PORT, CURLU_DEFAULT_PORT);
    if (!ret->host || !ret->port || !ret->host[0] ||
        (!text_eq(ret->scheme, "http") && !text_eq(ret->scheme, "https")))
        return fail_url(err);
    return 0;
}

int redirect_check_url(const char *url, struct error *err)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    _cleanup_(url_freep) CURLU *u = curl_url();
    struct origin origin;

    return set_url(a, u, url, &origin, err);
}

static bool is_harmless(const char *line)
{
    for (size_t i = 0; i < ARRAY_LEN(harmless); i++) {
        if (text_starts_nocase(line, harmless[i]) && line[strlen(harmless[i])] == ':')
            return true;
    }
    return false;
}

static const char *const *harmless_headers(struct arena *a, const char *const *headers)
{
    size_t count = 0, kept = 0;
    const char **list;

    while (headers && headers[count])
        count++;
    list = arena_array(a, count + 1, sizeof(*list));
    for (size_t i = 0; i < count; i++) {
        if (is_harmless(headers[i]))
            list[kept++] = headers[i];
    }
    return list;
}

int redirect_follow(struct arena *a, const struct client_request *from, int status,
                    const char *location, struct client_request *ret, struct error *err)
{
    _cleanup_(url_freep) CURLU *u = curl_url();
    const char *method = from->method ? from->method : "GET";
    struct client_request next = *from;
    struct origin old, new;
    bool is_same;

    if (set_url(a, u, from->url, &old, err) || set_url(a, u, location, &new, err))
        return -1;
    next.url = part(a, u, CURLUPART_URL, 0);
    is_same = text_eq(old.scheme, new.scheme) && text_eq_nocase(old.host, new.host) &&
              text_eq(old.port, new.port);
    if (!next.url)
        return fail_url(err);
    if (text_eq(old.scheme, "https") && text_eq(new.scheme, "http"))
        return fail(err, &E_FORBIDDEN, "The remote server redirects from https to http.");
    if (from->unix_socket && !is_same)
        return fail(err, &E_FORBIDDEN, "The local server redirects to another one.");
    if (status == 303 ? !text_eq(method, "HEAD")
                      : (status == 301 || status == 302) && text_eq(method, "POST")) {
        next.method = "GET";
        next.body = NULL;
        next.body_len = 0;
    }
    if (!is_same && next.body_len)
        return fail(err, &E_FORBIDDEN, "The remote server redirects an upload to another one.");
    if (!is_same)
        next.headers = harmless_headers(a, from->headers);
    *ret = next;
    return 0;
}
