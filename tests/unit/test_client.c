/* common/client against a small server on loopback: requests and answers, the address policy,
 * redirects, caps and deadlines. */
/* links: portolan_client portolan_proc */
#include "common/client/client.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/text.h"
#include "common/client/redirect.h"
#include "common/proc/proc.h"

/* Last: it defines a macro named fail. */
#include <cmocka.h>

#define REQUEST_MAX     65536
#define SOCKET_PATH_MAX 64

struct server {
    int listener;
    int port;
    pthread_t thread;
    atomic_int connections;
    char path[SOCKET_PATH_MAX];
};

static struct server here, there, local;

static void say(int fd, const char *text)
{
    (void)!send(fd, text, strlen(text), MSG_NOSIGNAL);
}

static void say_endless(int fd, const char *head, const char *piece, int pause_ms)
{
    say(fd, head);
    while (send(fd, piece, strlen(piece), MSG_NOSIGNAL) > 0)
        clock_sleep_ms(pause_ms);
}

/* The request's head and body; 0 at end of file. */
static size_t read_request(int fd, char *request)
{
    size_t len = 0, want = 0;

    while (len < REQUEST_MAX - 1) {
        ssize_t n = recv(fd, request + len, REQUEST_MAX - 1 - len, 0);
        char *end, *length;

        if (n <= 0 || request[0] == 0x16) /* the end, or a TLS greeting */
            return 0;
        len += (size_t)n;
        request[len] = '\0';
        end = strstr(request, "\r\n\r\n");
        if (!end)
            continue;
        length = strcasestr(request, "\r\nContent-Length: ");
        want = (size_t)(end + 4 - request);
        if (length && length < end)
            want += strtoul(length + 18, NULL, 10);
        if (len >= want)
            return len;
    }
    return 0;
}

static void echo(int fd, const char *request, size_t len)
{
    char head[128];

    (void)snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", len);
    say(fd, head);
    (void)!send(fd, request, len, MSG_NOSIGNAL);
}

/* "/to/302/<location>" */
static void redirect(int fd, const char *path)
{
    char head[1024];
    int len = (int)strcspn(path + 8, " ");

    (void)snprintf(head, sizeof(head),
                   "HTTP/1.1 %.3s Moved\r\nLocation: %.*s\r\nContent-Length: 4\r\n\r\nbody",
                   path + 4, len, path + 8);
    say(fd, head);
}

/* false: the connection is to be closed. */
static bool answer(int fd, char *request, size_t len)
{
    const char *path = strchr(request, ' ') + 1;

    if (text_starts(path, "/echo"))
        echo(fd, request, len);
    else if (text_starts(path, "/to/"))
        redirect(fd, path);
    else if (text_starts(path, "/hello"))
        say(fd, "HTTP/1.1 103 Early Hints\r\nX-Early: 1\r\n\r\n"
                "HTTP/1.1 418 Teapot\r\nX-Thing:  a b \r\nX-EMPTY:\r\nX-Thing: second\r\n"
                "Transfer-Encoding: chunked\r\nTrailer: X-Late\r\n\r\n"
                "5\r\nhello\r\n0\r\nX-Late: 1\r\n\r\n");
    else if (text_starts(path, "/none"))
        say(fd, "HTTP/1.1 204 No Content\r\n\r\n");
    else if (text_starts(path, "/head"))
        say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n");
    else if (text_starts(path, "/announced"))
        say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\nx");
    else if (text_starts(path, "/endless"))
        say_endless(fd, "HTTP/1.1 200 OK\r\n\r\n", "0123456789abcdef", 0);
    else if (text_starts(path, "/drip"))
        say_endless(fd, "HTTP/1.1 200 OK\r\n\r\n", "x", 20);
    else if (text_starts(path, "/headers"))
        say_endless(fd, "HTTP/1.1 200 OK\r\n", "X-Header: 0123456789abcdef\r\n", 0);
    else if (text_starts(path, "/slow"))
        (void)!recv(fd, request, 1, 0);
    else if (text_starts(path, "/garbage"))
        say(fd, "garbage\r\n\r\n");
    else if (text_starts(path, "/bye"))
        say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbye");
    else if (text_starts(path, "/cut"))
        say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\ncut");
    return text_starts(path, "/echo") || text_starts(path, "/none") || text_starts(path, "/hello");
}

static void *serve_one(void *arg)
{
    int fd = (int)(intptr_t)arg;
    char *request = malloc(REQUEST_MAX);
    size_t len;

    while ((len = read_request(fd, request)) > 0) {
        if (!answer(fd, request, len))
            break;
    }
    free(request);
    close(fd);
    return NULL;
}

static void *serve(void *arg)
{
    struct server *s = arg;
    int fd;

    while ((fd = accept(s->listener, NULL, NULL)) >= 0) {
        pthread_t thread;

        atomic_fetch_add(&s->connections, 1);
        if (pthread_create(&thread, NULL, serve_one, (void *)(intptr_t)fd) == 0)
            (void)pthread_detach(thread);
    }
    return NULL;
}

static void start(struct server *s, struct sockaddr *address, socklen_t len)
{
    s->listener = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (s->listener < 0 || bind(s->listener, address, len) || listen(s->listener, 16) ||
        getsockname(s->listener, address, &len) || pthread_create(&s->thread, NULL, serve, s))
        abort();
    if (address->sa_family == AF_INET)
        s->port = ntohs(((struct sockaddr_in *)address)->sin_port);
}

static void stop(struct server *s)
{
    (void)shutdown(s->listener, SHUT_RDWR);
    (void)pthread_join(s->thread, NULL);
    (void)close(s->listener);
    if (s->path[0])
        (void)unlink(s->path);
}

static int setup_servers(void **state)
{
    struct sockaddr_in any = { .sin_family = AF_INET };
    struct sockaddr_in any2 = any;
    struct sockaddr_un un = { .sun_family = AF_UNIX };

    (void)state;
    start(&here, (struct sockaddr *)&any, sizeof(any));
    start(&there, (struct sockaddr *)&any2, sizeof(any2));
    (void)snprintf(local.path, sizeof(local.path), "/tmp/portolan-test-client-%d", getpid());
    (void)snprintf(un.sun_path, sizeof(un.sun_path), "%s", local.path);
    start(&local, (struct sockaddr *)&un, sizeof(un));
    return 0;
}

static int teardown_servers(void **state)
{
    (void)state;
    stop(&here);
    stop(&there);
    stop(&local);
    return 0;
}

struct fixture {
    struct arena *a;
    struct client *own;     /* any address */
    struct client *guarded; /* public ones and 127.0.0.1 */
    struct client_response r;
    struct error err;
};

static int setup(void **state)
{
    static const char *const allowed[] = { "127.0.0.1/32", NULL };
    struct client_config own = { .reach = CLIENT_OWN };
    struct client_config guarded = { .reach = CLIENT_PUBLIC, .allowed_cidrs = allowed };
    struct fixture *f = calloc(1, sizeof(*f));

    f->a = arena_new();
    *state = f;
    return client_new(&own, &f->own, &f->err) || client_new(&guarded, &f->guarded, &f->err);
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    client_free(f->own);
    client_free(f->guarded);
    arena_free(f->a);
    free(f);
    return 0;
}

/* The path on `here`. */
static const char *url(struct fixture *f, const char *path)
{
    return arena_printf(f->a, "http://127.0.0.1:%d%s", here.port, path);
}

static int send_to(struct fixture *f, struct client *c, struct client_request request)
{
    memset(&f->err, 0, sizeof(f->err));
    return client_send(c, f->a, &request, &f->r, &f->err);
}

/* For calls that are to succeed. */
static void expect_sent(struct fixture *f, int rc)
{
    if (rc)
        fail_msg("%s: %s %s", f->err.code->name, f->err.message, f->err.cause);
}

#define SEND(f, ...) send_to((f), (f)->own, (struct client_request){ __VA_ARGS__ })
#define HEADERS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void assert_said(struct fixture *f, const char *text, bool is_said)
{
    if ((strstr(f->r.body, text) != NULL) != is_said)
        fail_msg("'%s' in: %s", text, f->r.body);
}

static void test_answer(void **state)
{
    struct fixture *f = *state;

    expect_sent(f, SEND(f, .url = url(f, "/hello")));
    assert_int_equal(f->r.status, 418);
    assert_string_equal(f->r.body, "hello");
    assert_int_equal(f->r.body_len, 5);
    assert_string_equal(client_header(&f->r, "X-tHing"), "a b");
    assert_string_equal(client_header(&f->r, "x-empty"), "");
    assert_null(client_header(&f->r, "x-thin"));
    assert_null(client_header(&f->r, "x-early"));
    assert_null(client_header(&f->r, "x-late"));
    assert_int_equal(strncmp(f->r.headers[0], "x-thing:", 8), 0);
    expect_sent(f, SEND(f, .url = url(f, "/none")));
    assert_int_equal(f->r.status, 204);
    assert_string_equal(f->r.body, "");
}

static void test_request(void **state)
{
    struct fixture *f = *state;

    expect_sent(f, SEND(f, .method = "PATCH", .url = url(f, "/echo/../a?b=c%2F"), .body = "b\0dy",
                        .body_len = 4, .headers = HEADERS("X-A: 1", "X-B:")));
    assert_true(text_starts(f->r.body, "PATCH /echo/../a?b=c%2F HTTP/1.1\r\n"));
    assert_said(f, "\r\nX-A: 1\r\n", true);
    assert_said(f, "\r\nX-B:\r\n", true);
    assert_said(f, "\r\nContent-Length: 4\r\n", true);
    assert_said(f, "Content-Type", false);
    assert_said(f, "Expect", false);
    assert_memory_equal(f->r.body + f->r.body_len - 4, "b\0dy", 4);
    /* Nothing of one request is left in the next one on the same handle. */
    expect_sent(f, SEND(f, .url = url(f, "/echo")));
    assert_true(text_starts(f->r.body, "GET /echo HTTP/1.1\r\n"));
    assert_said(f, "X-A", false);
    assert_said(f, "Content-Length", false);
    expect_sent(f, SEND(f, .method = "POST", .url = url(f, "/echo"),
                        .headers = HEADERS("content-type: text/plain")));
    assert_said(f, "\r\nContent-Length: 0\r\n", true);
    assert_said(f, "\r\ncontent-type: text/plain\r\n", true);
    expect_sent(f, SEND(f, .method = "DELETE", .url = url(f, "/echo")));
    assert_true(text_starts(f->r.body, "DELETE /echo HTTP/1.1\r\n"));
    expect_sent(f, SEND(f, .method = "HEAD", .url = url(f, "/head")));
    assert_int_equal(f->r.status, 200);
    assert_string_equal(client_header(&f->r, "content-length"), "99999999999");
    expect_sent(f, SEND(f, .url = url(f, "/echo")));
    assert_true(text_starts(f->r.body, "GET "));
}

static void test_malformed_requests(void **state)
{
    static const struct {
        const char *method, *url, *header;
    } cases[] = {
        { "GET\r\nX: 1", NULL, NULL },
        { "get", NULL, NULL },
        { "", NULL, NULL },
        { NULL, "ftp://127.0.0.1/", NULL },
        { NULL, "file:///etc/passwd", NULL },
        { NULL, "gopher://127.0.0.1/", NULL },
        { NULL, "http://", NULL },
        { NULL, "", NULL },
        { NULL, "/echo", NULL },
        { NULL, "127.0.0.1", NULL },
        { NULL, "http://user:word@127.0.0.1/", NULL },
        { NULL, "http://127.0.0.1\r\nX: 1/", NULL },
        { NULL, "http://127.0.0.1:99999/", NULL },
        { NULL, "http://a b/", NULL },
        { NULL, NULL, "X: 1\r\nY: 2" },
        { NULL, NULL, "X: 1\nY: 2" },
        { NULL, NULL, "nothing" },
        { NULL, NULL, ": 1" },
        { NULL, NULL, "X : 1" },
        { NULL, NULL, "X;y: 1" },
        { NULL, NULL, "" },
        { NULL, NULL, "Content-Length: 5" },
        { NULL, NULL, "transfer-encoding: chunked" },
        { NULL, NULL, "HOST: internal" },
    };
    struct fixture *f = *state;
    int before = atomic_load(&here.connections);

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct client_request r = { .method = cases[i].method,
                                    .url = cases[i].url ? cases[i].url : url(f, "/echo"),
                                    .headers = HEADERS(cases[i].header) };

        if (send_to(f, f->guarded, r) != -1 || f->err.code != &E_INVALID)
            fail_msg("case %zu: %s", i, f->err.code ? f->err.cause : "sent");
    }
    assert_int_equal(atomic_load(&here.connections), before);
    expect_sent(f, SEND(f, .url = url(f, "/echo"), .headers = HEADERS("Host: other")));
    assert_said(f, "\r\nHost: other\r\n", true);
}

static void test_policy(void **state)
{
    static const struct {
        const char *host;
        bool is_allowed;
    } cases[] = {
        { "127.0.0.1", true },
        { "0x7f.1", true },
        { "2130706433", true },
        { "0x7f000001", true },
        { "017700000001", true },
        { "127.1", true },
        { "[::ffff:7f00:1]", true },
        { "[::ffff:127.0.0.1]", true },
        { "127.0.0.2", false },
        { "0x7f.2", false },
        { "2130706434", false },
        { "[::ffff:7f00:2]", false },
        { "[::1]", false },
        { "[::]", false },
        { "0", false },
        { "0.0.0.0", false },
        { "10.0.0.1", false },
        { "169.254.169.254", false },
        { "[fe80::1]", false },
        { "[fd00::1]", false },
        { "[64:ff9b::7f00:2]", false },
        { "[2002:7f00:2::1]", false },
        { "[::127.0.0.1]", false },
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *to = arena_printf(f->a, "http://%s:%d/none", cases[i].host, here.port);
        int before = atomic_load(&here.connections);
        int rc = send_to(f, f->guarded, (struct client_request){ .url = to, .timeout_ms = 3000 });

        if (rc != (cases[i].is_allowed ? 0 : -1) || (rc && f->err.code != &E_FORBIDDEN))
            fail_msg("%s: %d %s", cases[i].host, rc, rc ? f->err.cause : "");
        if (!cases[i].is_allowed)
            assert_int_equal(atomic_load(&here.connections), before);
    }
}

static void test_policy_without_exceptions(void **state)
{
    static const char *const hosts[] = { "127.0.0.1", "localhost", "0x7f.1", "[::ffff:7f00:1]" };
    static const char *const bad[] = { "10.0.0.0/99", NULL };
    struct client_config strict = { .reach = CLIENT_PUBLIC };
    struct client_config broken = { .reach = CLIENT_PUBLIC, .allowed_cidrs = bad };
    struct fixture *f = *state;
    int before = atomic_load(&here.connections);
    struct client *c;

    assert_int_equal(client_new(&broken, &c, &f->err), -1);
    assert_ptr_equal(f->err.code, &E_INVALID);
    assert_int_equal(client_new(&strict, &c, &f->err), 0);
    for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
        const char *to = arena_printf(f->a, "http://%s:%d/none", hosts[i], here.port);

        assert_int_equal(send_to(f, c, (struct client_request){ .url = to }), -1);
        assert_ptr_equal(f->err.code, &E_FORBIDDEN);
    }
    client_free(c);
    assert_int_equal(atomic_load(&here.connections), before);
}

/* A proxy in the environment would dial for us. */
static void test_no_proxy(void **state)
{
    struct fixture *f = *state;
    int before = atomic_load(&here.connections);

    assert_int_equal(setenv("http_proxy", url(f, "/"), 1), 0);
    assert_int_equal(setenv("ALL_PROXY", url(f, "/"), 1), 0);
    assert_int_equal(
        send_to(f, f->guarded, (struct client_request){ .url = "http://10.0.0.1/none" }), -1);
    assert_int_equal(unsetenv("http_proxy"), 0);
    assert_int_equal(unsetenv("ALL_PROXY"), 0);
    assert_ptr_equal(f->err.code, &E_FORBIDDEN);
    assert_int_equal(atomic_load(&here.connections), before);
}

static void test_connections_are_kept(void **state)
{
    struct fixture *f = *state;
    int before = atomic_load(&here.connections);

    for (int i = 0; i < 5; i++)
        expect_sent(f, send_to(f, f->guarded, (struct client_request){ .url = url(f, "/none") }));
    assert_int_equal(atomic_load(&here.connections), before + 1);
}

/* The server closes without having said so; the next call on the kept connection still works. */
static void test_stale_connections(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < 50; i++)
        expect_sent(f, SEND(f, .url = url(f, "/bye"), .method = i % 2 ? "GET" : "PUT"));
}

static void test_redirects(void **state)
{
    struct fixture *f = *state;
    const char *away = arena_printf(f->a, "http://127.0.0.1:%d/echo", there.port);

    expect_sent(f, SEND(f, .url = url(f, "/to/302/echo")));
    assert_int_equal(f->r.status, 302);
    assert_string_equal(f->r.body, "body");
    expect_sent(f, SEND(f, .url = url(f, "/to/302//echo"), .max_redirects = 1,
                        .headers = HEADERS("Authorization: secret", "Accept: x/y")));
    assert_said(f, "Authorization: secret", true);
    expect_sent(f,
                SEND(f, .url = url(f, arena_printf(f->a, "/to/307/%s", away)), .max_redirects = 1,
                     .headers = HEADERS("Authorization: secret", "cookie: secret",
                                        "X-Api-Key: secret", "Accept: x/y")));
    assert_said(f, "GET /echo", true);
    assert_said(f, "secret", false);
    assert_said(f, "Accept: x/y", true);
    assert_int_equal(SEND(f, .url = url(f, "/to/302//to/302//to/302//echo"), .max_redirects = 2),
                     -1);
    assert_ptr_equal(f->err.code, &E_UNAVAILABLE);
    expect_sent(f, SEND(f, .url = url(f, "/to/302//to/302//to/302//echo"), .max_redirects = 3));
    assert_int_equal(SEND(f, .url = url(f, "/to/302/file:///etc/passwd"), .max_redirects = 3), -1);
    assert_ptr_equal(f->err.code, &E_INVALID);
}

static void test_redirect_to_internal(void **state)
{
    static const char *const hosts[] = { "127.0.0.2", "0x7f.2", "[::ffff:7f00:2]", "[::1]",
                                         "localhost.localdomain.invalid@127.0.0.2" };
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
        const char *to =
            url(f, arena_printf(f->a, "/to/302/http://%s:%d/none", hosts[i], there.port));
        int before = atomic_load(&there.connections);

        assert_int_equal(
            send_to(f, f->guarded, (struct client_request){ .url = to, .max_redirects = 5 }), -1);
        assert_true(f->err.code == &E_FORBIDDEN ||
                    (strchr(hosts[i], '@') && f->err.code == &E_INVALID));
        assert_int_equal(atomic_load(&there.connections), before);
    }
}

static void test_redirect_rules(void **state)
{
    static const struct {
        const char *method, *from, *location;
        int status;
        size_t body_len;
        const struct error_code *code; /* NULL: followed */
        const char *next_method, *next_url;
        bool keeps_secret;
    } cases[] = {
        { NULL, "https://a/x/y", "z?q", 302, 0, NULL, NULL, "https://a/x/z?q", true },
        { NULL, "https://a/x", "//A:443/z", 302, 0, NULL, NULL, "https://A:443/z", true },
        { NULL, "https://a/x", "https://b/z", 302, 0, NULL, NULL, "https://b/z", false },
        { NULL, "https://a/x", "https://a:444/z", 302, 0, NULL, NULL, "https://a:444/z", false },
        { NULL, "http://a/x", "https://a/z", 302, 0, NULL, NULL, "https://a/z", false },
        { NULL, "https://a/x", "http://a/z", 302, 0, &E_FORBIDDEN, NULL, NULL, false },
        { NULL, "https://a/x", "http://a:443/z", 302, 0, &E_FORBIDDEN, NULL, NULL, false },
        { NULL, "https://a/x", "https://u:p@a/z", 302, 0, &E_INVALID, NULL, NULL, false },
        { NULL, "https://a/x", "ftp://a/z", 302, 0, &E_INVALID, NULL, NULL, false },
        { "POST", "https://a/x", "/z", 301, 3, NULL, "GET", "https://a/z", true },
        { "POST", "https://a/x", "/z", 302, 3, NULL, "GET", "https://a/z", true },
        { "PUT", "https://a/x", "/z", 302, 3, NULL, "PUT", "https://a/z", true },
        { "PUT", "https://a/x", "/z", 303, 3, NULL, "GET", "https://a/z", true },
        { "HEAD", "https://a/x", "/z", 303, 0, NULL, "HEAD", "https://a/z", true },
        { "POST", "https://a/x", "/z", 307, 3, NULL, "POST", "https://a/z", true },
        { "POST", "https://a/x", "/z", 308, 3, NULL, "POST", "https://a/z", true },
        { "POST", "https://a/x", "https://b/z", 307, 3, &E_FORBIDDEN, NULL, NULL, false },
        { "POST", "https://a/x", "https://b/z", 303, 3, NULL, "GET", "https://b/z", false },
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct client_request from = { .method = cases[i].method,
                                       .url = cases[i].from,
                                       .body = "abc",
                                       .body_len = cases[i].body_len,
                                       .headers = HEADERS("X-Secret: 1") },
                              next;
        int rc = redirect_follow(f->a, &from, cases[i].status, cases[i].location, &next, &f->err);

        if (rc != (cases[i].code ? -1 : 0))
            fail_msg("case %zu", i);
        if (rc) {
            assert_ptr_equal(f->err.code, cases[i].code);
            continue;
        }
        assert_string_equal(next.url, cases[i].next_url);
        assert_true(text_eq(next.method, cases[i].next_method));
        assert_int_equal(next.body_len, text_eq(next.method, "GET") ? 0 : cases[i].body_len);
        assert_int_equal(next.headers[0] != NULL, cases[i].keeps_secret);
    }
}

static void test_unix_socket(void **state)
{
    struct fixture *f = *state;
    const char *away = arena_printf(f->a, "http://x/to/302/%s", url(f, "/echo"));

    expect_sent(f, SEND(f, .url = "http://anything/echo", .unix_socket = local.path));
    assert_said(f, "Host: anything", true);
    expect_sent(
        f, send_to(f, f->guarded,
                   (struct client_request){ .url = "http://x/echo", .unix_socket = local.path }));
    assert_int_equal(SEND(f, .url = away, .unix_socket = local.path, .max_redirects = 1), -1);
    assert_ptr_equal(f->err.code, &E_FORBIDDEN);
    /* The next request on that handle does not go there. */
    expect_sent(f, SEND(f, .url = url(f, "/none")));
    assert_int_equal(f->r.status, 204);
    assert_int_equal(SEND(f, .url = "http://x/echo", .unix_socket = "/nonexistent"), -1);
    assert_ptr_equal(f->err.code, &E_UNAVAILABLE);
}

static void test_limits(void **state)
{
    static const struct {
        const char *path;
        const struct error_code *code;
    } cases[] = {
        { "/endless", &E_TOO_LARGE }, { "/announced", &E_TOO_LARGE },
        { "/headers", &E_TOO_LARGE }, { "/slow", &E_TIMEOUT },
        { "/drip", &E_TIMEOUT },      { "/garbage", &E_UNAVAILABLE },
        { "/cut", &E_UNAVAILABLE },   { "/close", &E_UNAVAILABLE },
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t began = clock_mono_ms();

        if (SEND(f, .url = url(f, cases[i].path), .timeout_ms = 1000, .max_body_bytes = 100000) !=
                -1 ||
            f->err.code != cases[i].code)
            fail_msg("%s: %s", cases[i].path, f->err.code ? f->err.code->name : "sent");
        assert_true(clock_mono_ms() - began < 3000);
    }
    /* The cap is exact. */
    expect_sent(f, SEND(f, .url = url(f, "/hello"), .max_body_bytes = 5));
    assert_int_equal(SEND(f, .url = url(f, "/hello"), .max_body_bytes = 4), -1);
    assert_ptr_equal(f->err.code, &E_TOO_LARGE);
}

struct sunk {
    size_t len;
    int verdict; /* on each piece, and on going on */
};

static int sink_bytes(void *ctx, const void *bytes, size_t len)
{
    struct sunk *sunk = ctx;

    sunk->len += bytes ? len : 0;
    return sunk->verdict;
}

static bool sink_goes_on(void *ctx)
{
    return ((const struct sunk *)ctx)->verdict == 0;
}

/* What was asked for goes there, another answer does not; every end of it is told apart. */
static void test_sink(void **state)
{
    struct fixture *f = *state;
    struct sunk s = { 0 };
    const struct client_sink sink = { sink_bytes, sink_goes_on, &s };

    expect_sent(f, SEND(f, .url = url(f, "/hello"), .sink = &sink, .max_body_bytes = 3));
    assert_true(f->r.status == 418 && f->r.body_len == 5 && s.len == 0);
    expect_sent(f, SEND(f, .url = url(f, "/bye"), .sink = &sink, .max_body_bytes = 3));
    assert_true(f->r.status == 200 && f->r.body_len == 0 && s.len == 3);
    assert_int_equal(SEND(f, .url = url(f, "/bye"), .sink = &sink, .max_body_bytes = 2), -1);
    assert_ptr_equal(f->err.code, &E_TOO_LARGE);
    assert_int_equal(SEND(f, .url = url(f, "/endless"), .sink = &sink, .max_body_bytes = 90), -1);
    assert_true(f->err.code == &E_TOO_LARGE && s.len <= 95);
    s.verdict = 1;
    assert_int_equal(SEND(f, .url = url(f, "/bye"), .sink = &sink), -1);
    assert_ptr_equal(f->err.code, &E_CONFLICT);
    assert_int_equal(SEND(f, .url = url(f, "/slow"), .sink = &sink), -1);
    assert_ptr_equal(f->err.code, &E_CONFLICT);
    s.verdict = 0; /* nothing comes */
    assert_int_equal(
        SEND(f, .url = url(f, "/slow"), .sink = &sink, .timeout_ms = 30000, .stall_s = 1), -1);
    assert_ptr_equal(f->err.code, &E_TIMEOUT);
}

static void test_unreachable(void **state)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct fixture *f = *state;
    socklen_t len = sizeof(in);

    assert_int_equal(bind(fd, (struct sockaddr *)&in, len), 0); /* taken, but nobody listens */
    assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &len), 0);
    assert_int_equal(SEND(f, .url = arena_printf(f->a, "http://127.0.0.1:%d/", ntohs(in.sin_port))),
                     -1);
    assert_ptr_equal(f->err.code, &E_UNAVAILABLE);
    /* What is reachable but speaks no TLS. */
    assert_int_equal(SEND(f, .url = arena_printf(f->a, "https://127.0.0.1:%d/", here.port)), -1);
    assert_ptr_equal(f->err.code, &E_UNAVAILABLE);
    close(fd);
}

/* A TLS server of its own certificate for 127.0.0.1; its port. */
static int start_tls(struct fixture *f, const char *dir, pid_t *ret_pid)
{
    const char *key = arena_printf(f->a, "%s/key", dir), *cert = arena_printf(f->a, "%s/ca", dir);
    const char *const make[] = {
        "openssl", "req",   "-x509",    "-newkey", "rsa:2048",
        "-nodes",  "-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1",
        "-keyout", key,     "-out",     cert,      NULL
    };
    const char *const run[] = { "openssl", "s_server", "-accept", "127.0.0.1:0", "-www",
                                "-key",    key,        "-cert",   cert,          NULL };
    posix_spawn_file_actions_t actions;
    extern char **environ;
    char line[256];
    int fds[2], port = 0;
    FILE *out;

    expect_sent(f, proc_must(f->a, make, 30000, &f->err));
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(posix_spawn_file_actions_init(&actions), 0);
    assert_int_equal(posix_spawn_file_actions_adddup2(&actions, fds[1], 1), 0);
    assert_int_equal(posix_spawn_file_actions_addclose(&actions, fds[0]), 0);
    assert_int_equal(posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0), 0);
    assert_int_equal(
        posix_spawnp(ret_pid, "openssl", &actions, NULL, (char *const *)(uintptr_t)run, environ),
        0);
    assert_int_equal(posix_spawn_file_actions_destroy(&actions), 0);
    close(fds[1]);
    out = fdopen(fds[0], "r");
    while (!port && fgets(line, sizeof(line), out))
        (void)!sscanf(line, "ACCEPT 127.0.0.1:%d", &port);
    fclose(out);
    assert_true(port > 0);
    return port;
}

static void test_tls(void **state)
{
    char dir[] = "/tmp/portolan-tls-XXXXXX";
    struct fixture *f = *state;
    struct client_config config = { .reach = CLIENT_OWN };
    const char *named, *other;
    struct client *c;
    pid_t pid;
    int port;

    assert_non_null(mkdtemp(dir));
    config.ca_file = arena_printf(f->a, "%s/ca", dir);
    port = start_tls(f, dir, &pid);
    named = arena_printf(f->a, "https://127.0.0.1:%d/", port);
    other = arena_printf(f->a, "https://localhost:%d/", port);
    expect_sent(f, client_new(&config, &c, &f->err));
    expect_sent(f, send_to(f, c, (struct client_request){ .url = named }));
    assert_int_equal(f->r.status, 200);
    /* Of a known authority, but another name; of an unknown authority. */
    assert_int_equal(send_to(f, c, (struct client_request){ .url = other }), -1);
    assert_ptr_equal(f->err.code, &E_UNAVAILABLE);
    assert_int_equal(SEND(f, .url = named), -1);
    assert_ptr_equal(f->err.code, &E_UNAVAILABLE);
    client_free(c);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(file_remove_tree(dir, &f->err), 0);
}

static void *send_many(void *arg)
{
    struct client *c = arg;
    intptr_t bad = 0;

    for (int i = 0; i < 25; i++) {
        _cleanup_(arena_freep) struct arena *a = arena_new();
        const char *path = arena_printf(a, "/echo/%lx/%d", (unsigned long)pthread_self(), i);
        struct client_request request = { .url = arena_printf(a, "http://127.0.0.1:%d%s", here.port,
                                                              path) };
        struct client_response r;
        struct error err;

        if (client_send(c, a, &request, &r, &err) || !strstr(r.body, path))
            bad++;
        client_tidy(c);
    }
    return (void *)bad;
}

static void test_threads(void **state)
{
    struct fixture *f = *state;
    pthread_t threads[6];
    void *bad;

    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, send_many, f->guarded), 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        assert_int_equal(pthread_join(threads[i], &bad), 0);
        assert_null(bad);
    }
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        T(test_answer),
        T(test_request),
        T(test_malformed_requests),
        T(test_policy),
        T(test_policy_without_exceptions),
        T(test_no_proxy),
        T(test_connections_are_kept),
        T(test_stale_connections),
        T(test_redirects),
        T(test_redirect_to_internal),
        T(test_redirect_rules),
        T(test_unix_socket),
        T(test_limits),
        T(test_sink),
        T(test_unreachable),
        T(test_tls),
        T(test_threads),
    };

    return cmocka_run_group_tests(tests, setup_servers, teardown_servers);
}
