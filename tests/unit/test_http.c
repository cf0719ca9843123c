/* The server on real sockets: routing, bodies, replies, keep-alive, and what it refuses. */
/* links: portolan_http portolan_json portolan_base */
#include "test_http_kit.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>

#include "common/base/thread.h"
#include "common/http/range.h"

#define GET(path) "GET " path " HTTP/1.1\r\nHost: Reg.Example:5000\r\n\r\n"

static atomic_int done_count, released, blocked, fast_calls;
static atomic_bool gate_open;
static struct http_server *server;

static void reply_text(struct http_request *req, int status, const char *text)
{
    http_reply_bytes(req, status, "text/plain", text, strlen(text));
}

static enum http_verdict fast_hello(struct http_request *req)
{
    atomic_fetch_add(&fast_calls, 1);
    if (http_query(req, "later"))
        return HTTP_NEEDS_WORKER;
    reply_text(req, 200, "hello");
    return HTTP_ANSWERED;
}

static void run_later(struct http_request *req)
{
    reply_text(req, 200, "later");
}

static void run_echo(struct http_request *req)
{
    http_reply_header(req, "X-Length", arena_printf(req->arena, "%zu", req->body_len));
    http_reply_bytes(req, 200, "application/octet-stream", req->body, req->body_len);
}

static void run_show(struct http_request *req)
{
    reply_text(req, 200,
               arena_printf(req->arena, "%s|%s|%s|%s|%s|%s|%d", req->path, req->query, req->host,
                            req->peer_text, req->link_id ? req->link_id : "-",
                            http_header(req, "x-test") ? http_header(req, "x-test") : "-",
                            http_header_repeats(req, "X-Test")));
}

static void run_params(struct http_request *req)
{
    reply_text(req, 200, arena_printf(req->arena, "%s+%s", req->params[0], req->params[1]));
}

static const char *or_absent(const char *s)
{
    return s ? s : "absent";
}

static void run_query(struct http_request *req)
{
    const char **all;
    size_t n = http_query_all(req, "m", &all);

    reply_text(req, 200,
               arena_printf(req->arena, "%s|%s|%s|%zu:%s,%s", or_absent(http_query(req, "a")),
                            or_absent(http_query(req, "B")),
                            or_absent(http_query_nocase(req, "B")), n, n > 0 ? all[0] : "",
                            n > 1 ? all[1] : ""));
}

static void run_form(struct http_request *req)
{
    const char **all;
    size_t n = http_form_all(req, "scope", &all);

    reply_text(req, 200,
               arena_printf(req->arena, "%s|%zu:%s", or_absent(http_form(req, "user")), n,
                            n > 1 ? all[1] : ""));
}

static void run_inject(struct http_request *req)
{
    http_reply_header(req, "X-Good", "yes");
    http_reply_header(req, "X-Bad", "a\r\nX-Evil: 1");
    http_reply_header(req, "X-Bad\r\nX-Evil", "1");
    http_reply_header(req, "X-Bad:", "1");
    http_reply_headerf(req, "X-Tab", "a\t%d", 1);
    http_reply_empty(req, 200);
}

static void release_one(void *owner)
{
    atomic_fetch_add((atomic_int *)owner, 1);
}

static void run_shared(struct http_request *req)
{
    http_reply_shared(req, 200, "text/plain", "shared", 6, release_one, &released);
}

static void run_file(struct http_request *req)
{
    uint64_t offset = 0, len = 10;
    int fd = memfd_create("body", MFD_CLOEXEC);

    assert_int_equal(write(fd, "0123456789", 10), 10);
    switch (range_parse(http_header(req, "Range"), 10, &offset, &len)) {
    case RANGE_UNSATISFIABLE:
        (void)close(fd);
        http_reply_header(req, "Content-Range", "bytes */10");
        http_reply_empty(req, 416);
        return;
    case RANGE_PART:
        http_reply_headerf(req, "Content-Range", "bytes %d-%d/10", (int)offset,
                           (int)(offset + len - 1));
        http_reply_fd(req, 206, "text/plain", fd, offset, len);
        return;
    case RANGE_NONE:
        http_reply_fd(req, 200, "text/plain", fd, 0, 10);
    }
}

static void run_block(struct http_request *req)
{
    atomic_fetch_add(&blocked, 1);
    while (!atomic_load(&gate_open))
        clock_sleep_ms(2);
    reply_text(req, 200, "open");
}

static void run_status(struct http_request *req)
{
    if (strcmp(req->params[0], "304") == 0 || strcmp(req->method, "HEAD") == 0)
        http_reply_header(req, "Content-Length", "1234");
    http_reply_empty(req, (int)strtol(req->params[0], NULL, 10));
}

static void run_patience(struct http_request *req)
{
    reply_text(req, 200, thread_is_patient() ? "patient" : "hurried");
}

static void run_silent(struct http_request *req)
{
    (void)req;
}

static const struct http_route routes[] = {
    { .method = "GET", .pattern = "/hello", .fast = fast_hello, .run = run_later },
    { .method = "HEAD", .pattern = "/hello", .fast = fast_hello, .run = run_later },
    { .method = "POST", .pattern = "/hello", .fast = fast_hello, .run = run_later },
    { .method = "POST", .pattern = "/echo", .body = HTTP_BODY_BUFFER, .max_body = 100000,
      .run = run_echo },
    { .method = "GET", .pattern = "/show/{rest*}", .run = run_show },
    { .method = "GET", .pattern = "/p/{name*}/x/{id}", .run = run_params },
    { .method = "GET", .pattern = "/query", .run = run_query },
    { .method = "POST", .pattern = "/form", .body = HTTP_BODY_BUFFER, .max_body = 4096,
      .run = run_form },
    { .method = "GET", .pattern = "/inject", .run = run_inject },
    { .method = "GET", .pattern = "/shared", .run = run_shared },
    { .method = "HEAD", .pattern = "/shared", .run = run_shared },
    { .method = "GET", .pattern = "/file", .run = run_file },
    { .method = "HEAD", .pattern = "/file", .run = run_file },
    { .method = "GET", .pattern = "/block", .run = run_block },
    { .method = "GET", .pattern = "/hurry", .run = run_block, .deadline_ms = 200 },
    { .method = "GET", .pattern = "/status/{code}", .run = run_status },
    { .method = "HEAD", .pattern = "/status/{code}", .run = run_status },
    { .method = "GET", .pattern = "/patience", .run = run_patience },
    { .method = "POST", .pattern = "/patience", .run = run_patience },
    { .method = "GET", .pattern = "/silent", .run = run_silent },
    { 0 },
};

static void admit(struct http_request *req)
{
    if (http_header(req, "X-Stranger"))
        reply_text(req, 401, "who");
}

static void missing(struct http_request *req, bool is_method_wrong)
{
    reply_text(req, is_method_wrong ? 405 : 404, is_method_wrong ? "method" : "path");
}

static void fault(struct http_request *req, const struct error *err)
{
    char *text = arena_printf(req->arena, "fault %d", err->code->status);

    http_reply_bytes(req, err->code->status, "text/plain", text, strlen(text));
}

static void done(struct http_request *req)
{
    assert_non_null(req->path);
    atomic_fetch_add(&done_count, 1);
}

static const struct http_app app = {
    .routes = routes, .admit = admit, .missing = missing, .fault = fault, .done = done
};

static int start(void **state)
{
    struct http_server_config config = { .listen = "127.0.0.1:0", .workers_max = 2,
                                         .queue_max = 2, .idle_timeout_s = 20 };
    struct error err;

    (void)state;
    atomic_store(&gate_open, false);
    atomic_store(&done_count, 0);
    atomic_store(&blocked, 0);
    return http_server_start(&config, &app, &server, &err);
}

static int stop(void **state)
{
    (void)state;
    atomic_store(&gate_open, true);
    http_server_stop(server, 1000);
    return 0;
}

static int dial(void)
{
    return kit_connect(http_server_port(server));
}

static void test_keep_alive(void **state)
{
    int fd = dial();

    (void)state;
    for (int i = 0; i < 5; i++)
        kit_expect(fd, GET("/hello"), 200, "hello");
    kit_expect(fd, GET("/hello?later"), 200, "later");
    kit_expect(fd, GET("/nowhere"), 404, "path");
    kit_expect(fd, "DELETE /hello HTTP/1.1\r\nHost: h\r\n\r\n", 405, "method");
    kit_expect(fd, GET("/silent"), 500, "fault 500");
    kit_expect(fd, GET("/hello"), 200, "hello");
    assert_true(kit_wait(&done_count, 9)); /* the tenth is done when its last byte is out */
    (void)close(fd);
}

static void test_allow(void **state)
{
    int fd = dial();
    struct response r;
    char text[64];

    (void)state;
    assert_true(kit_puts(fd, "PUT /hello HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"));
    r = kit_read(fd, false);
    assert_int_equal(r.status, 405);
    assert_string_equal(kit_header(&r, "Allow", text, sizeof text), "GET, HEAD, POST");
    assert_non_null(kit_header(&r, "Date", text, sizeof text));
    assert_null(kit_header(&r, "Server", text, sizeof text));
    free(r.body);
    kit_expect(fd, GET("/hello"), 200, "hello"); /* the body was drained */
    (void)close(fd);
}

static void test_pipeline(void **state)
{
    int fd = dial();

    (void)state;
    assert_true(kit_puts(fd, GET("/hello") GET("/hello?later")
                "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nping"
                GET("/p/a/b/x/c") GET("/hello")));
    kit_expect(fd, "", 200, "hello");
    kit_expect(fd, "", 200, "later");
    kit_expect(fd, "", 200, "ping");
    kit_expect(fd, "", 200, "a/b+c");
    kit_expect(fd, "", 200, "hello");
    (void)close(fd);
}

static void test_views(void **state)
{
    static const struct {
        const char *request, *want;
    } cases[] = {
        { GET("/show//a%20b"), "/show/a b||reg.example:5000|127.0.0.1|-|-|0" },
        { "GET /show/x?q=%41 HTTP/1.1\r\nHost: h\r\nX-Test:  v \r\n\r\n",
          "/show/x|q=%41|h|127.0.0.1|-|v|0" },
        { "GET /show/x HTTP/1.1\r\nHost: h\r\nX-Test: 1\r\nx-test: 2\r\n"
          "X-Forwarded-For: 9.9.9.9\r\n\r\n",
          "/show/x||h|127.0.0.1|-|1|1" },
        { "GET http://Other/show/y HTTP/1.1\r\nHost: h\r\n\r\n",
          "/show/y||other|127.0.0.1|-|-|0" },
        { GET("/query?a=1&b=2&m=x+y&m=%C3%BC"), "1|absent|2|2:x y,\xc3\xbc" },
        { GET("/query?a&B=%zz&m=%ff&m=%00"), "|absent|absent|0:," },
        { GET("/query?%61=in%26side&=x&&b"), "in&side|absent||0:," },
        { "POST /form HTTP/1.1\r\nHost: h\r\nContent-Type: application/x-www-form-urlencoded; "
          "charset=utf-8\r\nContent-Length: 32\r\n\r\nuser=a%40b&scope=one&scope=two+3",
          "a@b|2:two 3" },
        { "POST /form HTTP/1.1\r\nHost: h\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\n"
          "user=a", "absent|0:" },
    };
    int fd = dial();

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        kit_expect(fd, cases[i].request, 200, cases[i].want);
    (void)close(fd);
}

static void test_bodies(void **state)
{
    static const char head[] = "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n";
    char *big = malloc(100000);
    struct response r;
    int fd = dial();

    (void)state;
    memset(big, 'b', 100000);
    kit_expect(fd, "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                   "4\r\nwiki\r\n5;ext=1\r\npedia\r\n0\r\nTrailer: x\r\n\r\n", 200, "wikipedia");
    kit_expect(fd, "POST /echo HTTP/1.1\r\nHost: h\r\n\r\n", 200, "");
    assert_true(kit_send(fd, head, sizeof head - 1) && kit_send(fd, big, 100000));
    r = kit_read(fd, false);
    assert_int_equal(r.status, 200);
    assert_int_equal(r.body_len, 100000);
    assert_memory_equal(r.body, big, 100000);
    free(r.body);
    (void)close(fd);
    free(big);
}

static void test_too_large(void **state)
{
    char *big = calloc(1, 5 << 20);
    int fd = dial();

    (void)state;
    /* Told in advance, drained, and the connection goes on. */
    assert_true(kit_puts(fd, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5242880\r\n\r\n"));
    assert_true(kit_send(fd, big, 5 << 20));
    kit_expect(fd, "", 413, "fault 413");
    /* Found on the way. */
    assert_true(kit_puts(fd, "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                             "30d40\r\n"));
    assert_true(kit_send(fd, big, 0x30d40) && kit_puts(fd, "\r\n0\r\n\r\n"));
    kit_expect(fd, "", 413, "fault 413");
    kit_expect(fd, GET("/hello"), 200, "hello");
    /* A body nobody asked for. */
    assert_true(kit_puts(fd, "POST /hello HTTP/1.1\r\nHost: h\r\nContent-Length: 65537\r\n\r\n"));
    assert_true(kit_send(fd, big, 65537));
    kit_expect(fd, "", 413, "fault 413");
    assert_true(kit_puts(fd, "POST /hello HTTP/1.1\r\nHost: h\r\nContent-Length: 65536\r\n\r\n"));
    assert_true(kit_send(fd, big, 65536));
    kit_expect(fd, "", 200, "hello");
    /* With Expect the answer comes without the body, and the connection ends. */
    kit_expect(fd, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5242880\r\n"
                   "Expect: 100-continue\r\n\r\n", 413, "fault 413");
    assert_true(kit_is_closed(fd));
    (void)close(fd);
    /* More than is worth draining is answered at once as well. */
    fd = dial();
    kit_expect(fd, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 9999999999\r\n\r\n", 413,
               "fault 413");
    assert_true(kit_is_closed(fd));
    (void)close(fd);
    free(big);
}

static void test_expect(void **state)
{
    struct response r;
    int fd = dial();

    (void)state;
    assert_true(kit_puts(fd, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n"
                             "Expect: 100-continue\r\n\r\n"));
    r = kit_read(fd, false);
    assert_int_equal(r.status, 100);
    kit_expect(fd, "ping", 200, "ping");
    kit_expect(fd, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nX-Stranger: 1\r\n"
                   "Expect: 100-continue\r\n\r\n", 401, "who");
    assert_true(kit_is_closed(fd));
    (void)close(fd);
    fd = dial();
    kit_expect(fd, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nX-Stranger: 1\r\n\r\n"
                   "ping", 401, "who");
    kit_expect(fd, GET("/hello"), 200, "hello");
    (void)close(fd);
}

/* Each of these makes some other server or proxy see a different request. */
static void test_smuggling(void **state)
{
    static const char *const refused[] = {
        "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
        "0\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n"
        "0\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\nping",
        "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nContent-Length: 0\r\n\r\nping",
        "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 4, 4\r\n\r\nping",
        "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: +4\r\n\r\nping",
        "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 0x4\r\n\r\nping",
        "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: \r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length : 4\r\n\r\nping",
        "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: identity\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n"
        "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding:\x0b" "chunked\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: h\r\nX: a\r\n Content-Length: 4\r\n\r\nping",
        "POST /echo HTTP/1.1\r\nHost: h\r\nX: a\r\n\tb\r\nContent-Length: 4\r\n\r\nping",
        "GET /hello HTTP/1.1\r\n Host: h\r\n\r\n",
        "GET /hello HTTP/1.1\nHost: h\n\n",
        "GET /hello HTTP/1.1\r\nHost: h\nX: a\r\n\r\n",
        "GET /hello HTTP/1.1\r\nHost: h\r\nX: a\n\r\n",
        "GET /hello HTTP/1.1\r\nHost: h\r\nX: a\rb\r\n\r\n",
        "GET /hello HTTP/1.1\r\nHost: h\r\nHost: g\r\n\r\n",
        "GET /hello HTTP/1.1\r\nHost: h/../x\r\n\r\n",
        "GET /hello HTTP/1.1\r\nHost: a b\r\n\r\n",
        "GET /hello HTTP/1.1\r\n\r\n",
        "GET /hello HTTP/1.1\r\nHost: h\r\nno colon\r\n\r\n",
        "GET /hello HTTP/1.1\r\nHost: h\r\n: empty\r\n\r\n",
        "GET /hello HTTP/1.1\r\nHost: h\r\nX\x01: a\r\n\r\n",
        "GET /hello HTTP/1.1\r\nHost: h\r\nX(y): a\r\n\r\n",
        "GET  /hello HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /hello  HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /hello HTTP/1.1 \r\nHost: h\r\n\r\n",
        "GET /he llo HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET\t/hello HTTP/1.1\r\nHost: h\r\n\r\n",
        "G(T /hello HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /hello\r\n\r\n",
        "GET /hello HTTP/2.0\r\nHost: h\r\n\r\n",
        "GET hello HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /a/../hello HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /a/%2e%2e/hello HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /hello%2fx HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /hello%00 HTTP/1.1\r\nHost: h\r\n\r\n",
        "CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n",
    };

    const struct timeval moment = { .tv_usec = 50000 };

    (void)state;
    atomic_store(&fast_calls, 0);
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        int fd = dial();
        struct response r;

        assert_true(kit_puts(fd, refused[i]));
        r = kit_read(fd, false);
        /* libmicrohttpd closes without a word on some of them. */
        if (r.status != 0 && r.status != 400 && r.status != 505)
            fail_msg("%d for %s", r.status, refused[i]);
        free(r.body);
        /* Connections whose framing was sound stay open. */
        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &moment, sizeof moment), 0);
        r = kit_read(fd, false);
        if (r.status != 0)
            fail_msg("two answers for %s", refused[i]);
        (void)close(fd);
    }
    assert_int_equal(atomic_load(&fast_calls), 0);
}

static void test_embedded_nul(void **state)
{
    static const char in_value[] = "GET /hello HTTP/1.1\r\nHost: h\r\nX: a\0b\r\n\r\n";
    static const char in_name[] = "GET /hello HTTP/1.1\r\nHost: h\r\nX\0: a\r\n\r\n";
    static const char in_target[] = "GET /hello\0/x HTTP/1.1\r\nHost: h\r\n\r\n";
    static const struct {
        const char *bytes;
        size_t len;
    } cases[] = {
        { in_value, sizeof in_value - 1 },
        { in_name, sizeof in_name - 1 },
        { in_target, sizeof in_target - 1 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int fd = dial();
        struct response r;

        assert_true(kit_send(fd, cases[i].bytes, cases[i].len));
        r = kit_read(fd, false);
        if (r.status != 400 && r.status != 0)
            fail_msg("case %zu: %d", i, r.status);
        free(r.body);
        (void)close(fd);
    }
}

static void test_limits(void **state)
{
    char *request = malloc(70000);
    int fd = dial();
    struct response r;

    (void)state;
    (void)snprintf(request, 70000, "GET /%08200d HTTP/1.1\r\nHost: h\r\n\r\n", 0);
    kit_expect(fd, request, 400, "fault 400");
    kit_expect(fd, GET("/hello"), 200, "hello");
    (void)snprintf(request, 70000, "GET /hello HTTP/1.1\r\nHost: h\r\nX: %08000d\r\n\r\n", 0);
    kit_expect(fd, request, 200, "hello");
    (void)snprintf(request, 70000, "GET /hello HTTP/1.1\r\nHost: h\r\nX: %030000d\r\n\r\n", 0);
    kit_expect(fd, request, 400, "fault 400");
    assert_true(kit_is_closed(fd));
    (void)close(fd);
    fd = dial();
    (void)snprintf(request, 70000, "GET /hello HTTP/1.1\r\nHost: h\r\nX: %060000d\r\n\r\n", 0);
    (void)kit_puts(fd, request);
    r = kit_read(fd, false);
    assert_true(r.status == 431 || r.status == 0);
    free(r.body);
    (void)close(fd);
    fd = dial();
    kit_expect(fd, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nContent-Encoding: gzip"
                   "\r\n\r\nping", 415, "fault 415");
    kit_expect(fd, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nContent-Encoding: "
                   "identity\r\n\r\nping", 200, "ping");
    (void)close(fd);
    free(request);
}

static void test_replies(void **state)
{
    static const struct {
        const char *request;
        int status;
        const char *length; /* NULL: no Content-Length */
        const char *body;
    } cases[] = {
        { "HEAD /hello HTTP/1.1\r\nHost: h\r\n\r\n", 200, "5", NULL },
        { "HEAD /shared HTTP/1.1\r\nHost: h\r\n\r\n", 200, "6", NULL },
        { GET("/shared"), 200, "6", "shared" },
        { "HEAD /file HTTP/1.1\r\nHost: h\r\n\r\n", 200, "10", NULL },
        { "HEAD /file HTTP/1.1\r\nHost: h\r\nRange: bytes=2-4\r\n\r\n", 206, "3", NULL },
        { GET("/file"), 200, "10", "0123456789" },
        { "GET /file HTTP/1.1\r\nHost: h\r\nRange: bytes=2-4\r\n\r\n", 206, "3", "234" },
        { "GET /file HTTP/1.1\r\nHost: h\r\nRange: bytes=-2\r\n\r\n", 206, "2", "89" },
        { "GET /file HTTP/1.1\r\nHost: h\r\nRange: bytes=0-1,3-4\r\n\r\n", 200, "10",
          "0123456789" },
        { "GET /file HTTP/1.1\r\nHost: h\r\nRange: bytes=10-\r\n\r\n", 416, "0", NULL },
        { GET("/status/204"), 204, NULL, NULL },
        { GET("/status/202"), 202, "0", NULL },
        { GET("/status/304"), 304, "1234", NULL },
        { "HEAD /status/200 HTTP/1.1\r\nHost: h\r\n\r\n", 200, "1234", NULL },
    };
    int fd = dial();
    char text[64];

    (void)state;
    atomic_store(&released, 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct response r;
        const char *length;

        assert_true(kit_puts(fd, cases[i].request));
        r = kit_read(fd, strncmp(cases[i].request, "HEAD", 4) == 0);
        length = kit_header(&r, "Content-Length", text, sizeof text);
        if (r.status != cases[i].status)
            fail_msg("%d for %s", r.status, cases[i].request);
        assert_true(text_eq(length, cases[i].length));
        if (cases[i].body)
            assert_string_equal(r.body, cases[i].body);
        free(r.body);
    }
    kit_expect(fd, GET("/hello"), 200, "hello");
    assert_int_equal(atomic_load(&released), 2);
    (void)close(fd);
}

static void test_inject(void **state)
{
    struct response r;
    int fd = dial();
    char text[64];

    (void)state;
    assert_true(kit_puts(fd, GET("/inject")));
    r = kit_read(fd, false);
    assert_int_equal(r.status, 200);
    assert_string_equal(kit_header(&r, "X-Good", text, sizeof text), "yes");
    assert_string_equal(kit_header(&r, "X-Tab", text, sizeof text), "a\t1");
    assert_null(kit_header(&r, "X-Evil", text, sizeof text));
    assert_null(kit_header(&r, "X-Bad", text, sizeof text));
    free(r.body);
    (void)close(fd);
}

static void test_queue_full(void **state)
{
    int busy[4], extra = dial();
    struct response r;
    char text[16];

    (void)state;
    for (int i = 0; i < 2; i++) { /* both workers */
        busy[i] = dial();
        assert_true(kit_puts(busy[i], GET("/block")));
        assert_true(kit_wait(&blocked, i + 1));
    }
    for (int i = 2; i < 4; i++) { /* the queue */
        busy[i] = dial();
        assert_true(kit_puts(busy[i], i == 2 ? GET("/block") : GET("/hurry")));
    }
    /* One of the two waits only 200 ms, so the queue has a place again after the keeper's round. */
    clock_sleep_ms(50);
    assert_true(kit_puts(extra, GET("/block")));
    r = kit_read(extra, false);
    assert_int_equal(r.status, 503);
    assert_non_null(kit_header(&r, "Retry-After", text, sizeof text));
    assert_string_equal(r.body, "fault 503");
    free(r.body);
    kit_expect(extra, GET("/hello"), 200, "hello"); /* fast answers go on */
    kit_expect(busy[3], "", 504, "fault 504");  /* while both workers still hang */
    assert_int_equal(atomic_load(&blocked), 2);
    atomic_store(&gate_open, true);
    for (int i = 0; i < 3; i++) {
        kit_expect(busy[i], "", 200, "open");
        (void)close(busy[i]);
    }
    (void)close(busy[3]);
    (void)close(extra);
}

/* The same thread serves both. */
static void test_patience(void **state)
{
    static const char *const write = "POST /patience HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n";
    struct http_server_config config = { .listen = "127.0.0.1:0", .workers_max = 1 };
    struct http_app slow = app;
    struct http_server *other;
    struct error err;
    int fd = dial();

    (void)state;
    kit_expect(fd, write, 200, "hurried");
    (void)close(fd);
    slow.has_slow_writes = true;
    assert_int_equal(http_server_start(&config, &slow, &other, &err), 0);
    fd = kit_connect(http_server_port(other));
    kit_expect(fd, GET("/patience"), 200, "hurried");
    kit_expect(fd, write, 200, "patient");
    kit_expect(fd, GET("/patience"), 200, "hurried");
    (void)close(fd);
    http_server_stop(other, 1000);
}

static void test_unix(void **state)
{
    static const char path[] = "/tmp/test_http.sock";
    struct http_server_config config = { .listen = "unix:/tmp/test_http.sock",
                                         .event_threads = 2 };
    struct http_server *second = NULL;
    struct error err;
    int fd;

    (void)state;
    config.listen = "unix:/tmp/test_http.sock";
    assert_int_equal(http_server_start(&config, &app, &second, &err), 0);
    assert_int_equal(http_server_port(second), 0);
    {
        struct http_server *third = NULL;

        assert_int_equal(http_server_start(&config, &app, &third, &err), -1);
        assert_ptr_equal(err.code, &E_CONFLICT);
    }
    fd = kit_connect_unix(path);
    kit_expect(fd, GET("/show/a"), 200, "/show/a||reg.example:5000|unix|-|-|0");
    kit_expect(fd, GET("/hello"), 200, "hello");
    (void)close(fd);
    http_server_stop(second, 1000);
    assert_int_equal(access(path, F_OK), -1);
    /* A socket file left over by a killed process is replaced. */
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    {
        struct sockaddr_un at = { .sun_family = AF_UNIX };

        memcpy(at.sun_path, path, sizeof path);
        assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    }
    (void)close(fd);
    assert_int_equal(http_server_start(&config, &app, &second, &err), 0);
    http_server_stop(second, 0);
}

static void test_bad_config(void **state)
{
    static const char *const bad[] = { "", "5000", "127.0.0.1", "127.0.0.1:", "host:1", ":1",
                                       "::1:80", "[::1]", "127.0.0.1:99999", "unix:",
                                       "unix:/nonexistent/x/y" };
    struct http_server_config config = { .edge_listen = "127.0.0.1:0", .edge_secret = "" };
    struct http_server *s = NULL;
    struct error err;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct http_server_config c = { .listen = bad[i] };

        if (http_server_start(&c, &app, &s, &err) == 0)
            fail_msg("'%s' was taken", bad[i]);
    }
    assert_int_equal(http_server_start(&config, &app, &s, &err), -1);
    assert_null(s);
}

/* A stop lets what runs end within its grace, refuses what waits, and does not hang. */
static void *stopper(void *arg)
{
    (void)arg;
    http_server_stop(server, 5000);
    return NULL;
}

static void test_stop(void **state)
{
    pthread_t thread;
    struct response r;
    char text[16];
    int fd = dial();

    assert_true(kit_puts(fd, GET("/block")));
    assert_true(kit_wait(&blocked, 1));
    assert_int_equal(pthread_create(&thread, NULL, stopper, NULL), 0);
    clock_sleep_ms(100);
    atomic_store(&gate_open, true);
    r = kit_read(fd, false);
    assert_int_equal(r.status, 200);
    assert_string_equal(kit_header(&r, "Connection", text, sizeof text), "close");
    free(r.body);
    assert_int_equal(pthread_join(thread, NULL), 0);
    (void)close(fd);
    assert_int_equal(start(state), 0); /* for the teardown */
}

static void test_stop_without_grace(void **state)
{
    int fds[5];

    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        fds[i] = dial();
        assert_true(kit_puts(fds[i], GET("/block")));
    }
    assert_true(kit_wait(&blocked, 2));
    {
        pthread_t thread;

        assert_int_equal(pthread_create(&thread, NULL, stopper, NULL), 0);
        clock_sleep_ms(50);
        atomic_store(&gate_open, true);
        assert_int_equal(pthread_join(thread, NULL), 0);
    }
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        (void)close(fds[i]);
    assert_int_equal(start(state), 0);
}

#define SERVED(test) cmocka_unit_test_setup_teardown(test, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SERVED(test_keep_alive), SERVED(test_allow),
        SERVED(test_pipeline),   SERVED(test_views),
        SERVED(test_bodies),     SERVED(test_too_large),
        SERVED(test_expect),     SERVED(test_smuggling),
        SERVED(test_embedded_nul), SERVED(test_limits),
        SERVED(test_replies),    SERVED(test_inject),
        SERVED(test_queue_full), cmocka_unit_test(test_unix),
        SERVED(test_patience),
        cmocka_unit_test(test_bad_config), SERVED(test_stop),
        SERVED(test_stop_without_grace),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
