/* One exchange. The address policy is enforced where the socket is made, on the address that is
 * dialled, so there is nothing between check and use; and once more before a request is sent, on
 * the address of the connection, new or reused. */
#include "common/client/transfer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/str.h"
#include "common/base/text.h"

#define DEFAULT_BODY_MAX  (1u << 20)
#define HEADERS_MAX       256
#define HEADERS_MAX_BYTES (64u << 10)

struct transfer {
    const struct policy *policy;
    struct arena *a;
    CURL *handle;
    const struct client_sink *sink; /* or NULL */
    uint64_t sunk, room;            /* bytes that went there, and most that may */
    struct str body;
    char **headers; /* HEADERS_MAX + 1 */
    size_t nheaders;
    size_t header_bytes;
    unsigned refused; /* addresses that the policy did not let us dial */
    unsigned dialled;
    bool has_headers; /* the blank line came: what follows are trailers */
    bool is_too_large;
    bool is_ended; /* by the sink */
};

static bool allows(const struct policy *p, const struct sockaddr *address)
{
    if (p->reach == CLIENT_OWN || address->sa_family == AF_UNIX)
        return true; /* a socket path is never a client's choice */
    for (size_t i = 0; i < p->nexceptions; i++) {
        if (cidr_contains(&p->exceptions[i], address))
            return true;
    }
    return address_is_public(address);
}

static curl_socket_t on_open(void *ctx, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct transfer *t = ctx;

    (void)purpose;
    if (!allows(t->policy, &address->addr)) {
        t->refused++;
        return CURL_SOCKET_BAD;
    }
    t->dialled++;
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static int on_request(void *ctx, char *ip, char *local_ip, int port, int local_port)
{
    struct sockaddr_storage storage = { 0 };
    struct sockaddr_in *in = (struct sockaddr_in *)&storage;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&storage;
    struct transfer *t = ctx;

    (void)local_ip;
    (void)port;
    (void)local_port;
    if (inet_pton(AF_INET, ip, &in->sin_addr) == 1)
        storage.ss_family = AF_INET;
    else if (inet_pton(AF_INET6, ip, &in6->sin6_addr) == 1)
        storage.ss_family = AF_INET6;
    else
        storage.ss_family = AF_UNIX; /* it has no IP address */
    if (allows(t->policy, (struct sockaddr *)&storage))
        return CURL_PREREQFUNC_OK;
    t->refused++;
    t->dialled = 0;
    return CURL_PREREQFUNC_ABORT;
}

static size_t sink_body(struct transfer *t, const char *bytes, size_t count)
{
    t->is_too_large = count > t->room - t->sunk;
    if (t->is_too_large)
        return 0;
    t->sunk += count;
    t->is_ended = t->sink->data(t->sink->ctx, bytes, count) != 0;
    return t->is_ended ? 0 : count;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *ctx)
{
    struct transfer *t = ctx;
    long status = 0;

    (void)size; /* always 1 */
    (void)curl_easy_getinfo(t->handle, CURLINFO_RESPONSE_CODE, &status);
    if (t->sink && status >= 200 && status < 300)
        return sink_body(t, bytes, count);
    str_append(&t->body, bytes, count);
    if (t->body.is_overflown) {
        t->is_too_large = true;
        return 0;
    }
    return count;
}

static int on_progress(void *ctx, curl_off_t dltotal, curl_off_t dlnow, curl_off_t ultotal,
                       curl_off_t ulnow)
{
    struct transfer *t = ctx;

    (void)dltotal;
    (void)dlnow;
    (void)ultotal;
    (void)ulnow;
    if (t->sink && t->sink->goes_on && !t->sink->goes_on(t->sink->ctx))
        t->is_ended = true;
    return t->is_ended;
}

/* One line with its line end. */
static size_t on_header(char *bytes, size_t size, size_t count, void *ctx)
{
    struct transfer *t = ctx;
    size_t len = count;
    char *colon, *line;

    (void)size; /* always 1 */
    while (len && strchr("\r\n \t", bytes[len - 1]) && bytes[len - 1])
        len--;
    if (len >= 5 && memcmp(bytes, "HTTP/", 5) == 0) {
        t->nheaders = 0; /* after an interim answer the real one begins */
        t->has_headers = false;
        return count;
    }
    if (len == 0)
        t->has_headers = true;
    if (t->has_headers)
        return count;
    t->header_bytes += count;
    if (t->header_bytes > HEADERS_MAX_BYTES || t->nheaders == HEADERS_MAX) {
        t->is_too_large = true;
        return 0;
    }
    colon = memchr(bytes, ':', len);
    if (!colon || memchr(bytes, '\0', len) || bytes[0] == ' ' || bytes[0] == '\t')
        return count; /* not a field line (RFC 9112 section 5) */
    line = arena_strndup(t->a, bytes, len);
    for (char *p = line; *p != ':'; p++) {
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p - 'A' + 'a');
    }
    t->headers[t->nheaders++] = line;
    return count;
}

void transfer_prepare(CURL *h, const char *ca_file)
{
    (void)curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(h, CURLOPT_PROXY, ""); /* a proxy would dial for us, unchecked */
    (void)curl_easy_setopt(h, CURLOPT_PATH_AS_IS, 1L);
    (void)curl_easy_setopt(h, CURLOPT_FOLLOWLOCATION, 0L);
    (void)curl_easy_setopt(h, CURLOPT_USERAGENT, "portolan/" PORTOLAN_VERSION);
    (void)curl_easy_setopt(h, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    (void)curl_easy_setopt(h, CURLOPT_TCP_KEEPALIVE, 1L);
    (void)curl_easy_setopt(h, CURLOPT_MAXCONNECTS, 4L);
    (void)curl_easy_setopt(h, CURLOPT_BUFFERSIZE, 16384L);
    (void)curl_easy_setopt(h, CURLOPT_OPENSOCKETFUNCTION, on_open);
    (void)curl_easy_setopt(h, CURLOPT_PREREQFUNCTION, on_request);
    (void)curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_body);
    (void)curl_easy_setopt(h, CURLOPT_HEADERFUNCTION, on_header);
    (void)curl_easy_setopt(h, CURLOPT_XFERINFOFUNCTION, on_progress);
    if (ca_file)
        (void)curl_easy_setopt(h, CURLOPT_CAINFO, ca_file);
}

/* libcurl takes "Name: value", and "Name;" for an empty value. NULL when a line is malformed or
 * would change the framing or, where clients choose, the host. */
static int add_header(struct curl_slist **list, struct arena *a, const char *line, bool is_own,
                      struct error *err)
{
    static const char *const framing[] = { "Content-Length", "Transfer-Encoding", "Connection",
                                           "Host" };
    size_t len = strcspn(line, ":");
    const char *value = line + len + (line[len] == ':');
    struct curl_slist *more;
    const char *name;

    if (len == 0 || line[len] != ':' || strpbrk(line, "\r\n") || strcspn(line, " \t;") < len)
        return fail(err, &E_INVALID, "A request header is malformed.");
    name = arena_strndup(a, line, len);
    for (size_t i = 0; i < ARRAY_LEN(framing) - (is_own ? 1 : 0); i++) {
        if (text_eq_nocase(name, framing[i]))
            return fail(err, &E_INVALID, "The header '%s' cannot be set.", name);
    }
    if (value[strspn(value, " \t")] == '\0')
        line = arena_printf(a, "%s;", name);
    more = curl_slist_append(*list, line);
    if (!more)
        return fail_cause(err, &E_INTERNAL, "curl_slist_append: out of memory");
    *list = more;
    return 0;
}

static bool has_header(const char *const *headers, const char *name)
{
    size_t len = strlen(name);

    for (; headers && *headers; headers++) {
        if (text_starts_nocase(*headers, name) && (*headers)[len] == ':')
            return true;
    }
    return false;
}

static int make_headers(struct curl_slist **list, struct arena *a,
                        const struct client_request *request, bool is_own, struct error *err)
{
    /* Without a value libcurl leaves these out: no pause before a body, no invented type. */
    struct curl_slist *more = curl_slist_append(NULL, "Expect:");

    if (more && !has_header(request->headers, "Content-Type")) {
        *list = more;
        more = curl_slist_append(more, "Content-Type:");
    }
    if (!more)
        return fail_cause(err, &E_INTERNAL, "curl_slist_append: out of memory");
    *list = more;
    for (const char *const *h = request->headers; h && *h; h++) {
        if (add_header(list, a, *h, is_own, err))
            return -1;
    }
    return 0;
}

static bool method_has_body(const char *method)
{
    return text_eq(method, "POST") || text_eq(method, "PUT") || text_eq(method, "PATCH");
}

static uint64_t most_bytes(const struct transfer *t)
{
    return t->room > t->body.max ? t->room : t->body.max;
}

static void set_request(CURL *h, struct transfer *t, const struct client_request *request,
                        struct curl_slist *headers, int64_t left_ms)
{
    const char *method = request->method ? request->method : "GET";
    bool is_head = text_eq(method, "HEAD");

    (void)curl_easy_setopt(h, CURLOPT_URL, request->url);
    (void)curl_easy_setopt(h, CURLOPT_UNIX_SOCKET_PATH, request->unix_socket);
    (void)curl_easy_setopt(h, CURLOPT_HTTPHEADER, headers);
    (void)curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, (long)left_ms);
    (void)curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT_MS, (long)left_ms);
    (void)curl_easy_setopt(h, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)(is_head ? 0 : most_bytes(t)));
    (void)curl_easy_setopt(h, CURLOPT_LOW_SPEED_LIMIT, request->stall_s ? 1L : 0L);
    (void)curl_easy_setopt(h, CURLOPT_LOW_SPEED_TIME, (long)request->stall_s);
    (void)curl_easy_setopt(h, CURLOPT_NOPROGRESS, t->sink ? 0L : 1L);
    (void)curl_easy_setopt(h, CURLOPT_XFERINFODATA, t);
    /* HTTPGET also undoes the POST or HEAD of the handle's last use. */
    (void)curl_easy_setopt(h, CURLOPT_HTTPGET, 1L);
    (void)curl_easy_setopt(h, CURLOPT_NOBODY, is_head ? 1L : 0L);
    if (request->body_len || method_has_body(method)) {
        (void)curl_easy_setopt(h, CURLOPT_POST, 1L);
        (void)curl_easy_setopt(h, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_len);
        (void)curl_easy_setopt(h, CURLOPT_POSTFIELDS, request->body ? request->body : "");
    }
    (void)curl_easy_setopt(h, CURLOPT_CUSTOMREQUEST, method);
    (void)curl_easy_setopt(h, CURLOPT_OPENSOCKETDATA, t);
    (void)curl_easy_setopt(h, CURLOPT_PREREQDATA, t);
    (void)curl_easy_setopt(h, CURLOPT_WRITEDATA, t);
    (void)curl_easy_setopt(h, CURLOPT_HEADERDATA, t);
}

/* The caller's memory must not be reachable through a handle that waits for its next use. */
static void unset_request(CURL *h)
{
    (void)curl_easy_setopt(h, CURLOPT_POSTFIELDS, NULL);
    (void)curl_easy_setopt(h, CURLOPT_HTTPGET, 1L);
    (void)curl_easy_setopt(h, CURLOPT_HTTPHEADER, NULL);
    (void)curl_easy_setopt(h, CURLOPT_ERRORBUFFER, NULL);
    (void)curl_easy_setopt(h, CURLOPT_OPENSOCKETDATA, NULL);
    (void)curl_easy_setopt(h, CURLOPT_PREREQDATA, NULL);
    (void)curl_easy_setopt(h, CURLOPT_WRITEDATA, NULL);
    (void)curl_easy_setopt(h, CURLOPT_HEADERDATA, NULL);
    (void)curl_easy_setopt(h, CURLOPT_NOPROGRESS, 1L);
    (void)curl_easy_setopt(h, CURLOPT_XFERINFODATA, NULL);
}

static int fail_transfer(const struct transfer *t, CURLcode code, const char *detail,
                         struct error *err)
{
    const char *text = detail[0] ? detail : curl_easy_strerror(code);

    if (t->is_too_large || code == CURLE_FILESIZE_EXCEEDED)
        return fail(err, &E_TOO_LARGE, "The answer of the remote server is too large.");
    if (t->is_ended)
        return fail(err, &E_CONFLICT, "The transfer was ended.");
    if (t->refused && !t->dialled)
        return fail(err, &E_FORBIDDEN, "The address of the remote server is not allowed.");
    if (code == CURLE_OPERATION_TIMEDOUT)
        return fail_cause(err, &E_TIMEOUT, "%s", text);
    if (code == CURLE_URL_MALFORMAT)
        return fail(err, &E_INVALID, "The URL is malformed.");
    if (code == CURLE_OUT_OF_MEMORY)
        return fail_cause(err, &E_INTERNAL, "%s", text);
    return fail_cause(err, &E_UNAVAILABLE, "%s", text);
}

/* RFC 9110 section 9.2.2. */
static bool is_idempotent(const char *method)
{
    return !method || text_eq(method, "GET") || text_eq(method, "HEAD") || text_eq(method, "PUT") ||
           text_eq(method, "DELETE");
}

/* The peer closed a kept connection at the moment of its next use. */
static bool was_stale(CURL *h, CURLcode code)
{
    long header_bytes = 0, new_connections = 0;

    if (code != CURLE_SEND_ERROR && code != CURLE_RECV_ERROR && code != CURLE_GOT_NOTHING)
        return false;
    (void)curl_easy_getinfo(h, CURLINFO_HEADER_SIZE, &header_bytes);
    (void)curl_easy_getinfo(h, CURLINFO_NUM_CONNECTS, &new_connections);
    return header_bytes == 0 && new_connections == 0;
}

static int perform(CURL *h, struct transfer *t, const struct client_request *request,
                   struct curl_slist *headers, int64_t deadline_ms, struct error *err)
{
    char detail[CURL_ERROR_SIZE] = "";
    CURLcode code;

    for (bool is_again = false;; is_again = true) {
        int64_t left = deadline_ms - clock_mono_ms();

        if (left <= 0)
            return fail_cause(err, &E_TIMEOUT, "no time left for %s", request->url);
        set_request(h, t, request, headers, left);
        (void)curl_easy_setopt(h, CURLOPT_ERRORBUFFER, detail);
        (void)curl_easy_setopt(h, CURLOPT_FRESH_CONNECT, is_again ? 1L : 0L);
        code = curl_easy_perform(h);
        unset_request(h);
        if (code == CURLE_OK)
            return 0;
        if (is_again || !is_idempotent(request->method) || !was_stale(h, code))
            return fail_transfer(t, code, detail, err);
    }
}

int transfer_run(CURL *handle, const struct policy *policy, struct arena *a,
                 const struct client_request *request, int64_t deadline_ms,
                 struct client_response *ret, struct error *err)
{
    struct transfer t = { .policy = policy, .a = a, .handle = handle, .sink = request->sink };
    uint64_t most = request->max_body_bytes ? request->max_body_bytes : DEFAULT_BODY_MAX;
    struct curl_slist *headers = NULL;
    long status = 0;
    int rc;

    t.headers = arena_array(a, HEADERS_MAX + 1, sizeof(*t.headers));
    /* What an answer without the content says is short. */
    str_init(&t.body, t.sink ? DEFAULT_BODY_MAX : (size_t)most);
    t.room = t.sink ? most : 0;
    rc = make_headers(&headers, a, request, policy->reach == CLIENT_OWN, err);
    rc = rc ? rc : perform(handle, &t, request, headers, deadline_ms, err);
    if (rc == 0) {
        (void)curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
        t.headers[t.nheaders] = NULL;
        *ret = (struct client_response){ .status = (int)status,
                                         .body = str_copy(&t.body, a),
                                         .body_len = t.body.len,
                                         .headers = t.headers };
    }
    curl_slist_free_all(headers);
    str_done(&t.body);
    return rc;
}
