/* The edge listener on real sockets: who is let in, with which address, and who is not. */
/* links: portolan_http portolan_json portolan_base */
#include "test_http_kit.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define V4 "\xc0\x00\x02\x07\x7f\x00\x00\x01\x30\x39\x01\xbb" /* 192.0.2.7 */
#define MAPPED                                                                                     \
    "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc6\x33\x64\x09\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x12\x34\x01\xbb"
#define GOOD SIGNATURE "\x21\x11\x00\x1c" V4 "\x05\x00\x0dhush-hush/l42"
#define REQUEST "GET /show HTTP/1.1\r\nHost: h\r\n\r\n"

static struct http_server *server;

static enum http_verdict fast_show(struct http_request *req)
{
    char *text = arena_printf(req->arena, "%s %s %d", req->peer_text,
                              req->link_id ? req->link_id : "-", req->is_via_edge);

    http_reply_bytes(req, 200, "text/plain", text, strlen(text));
    return HTTP_ANSWERED;
}

static void fault(struct http_request *req, const struct error *err)
{
    http_reply_empty(req, err->code->status);
}

static const struct http_route routes[] = {
    { .method = "GET", .pattern = "/show", .fast = fast_show },
    { 0 },
};
static const struct http_app app = { .routes = routes, .fault = fault };

static int start_with(const struct http_server_config *config)
{
    struct error err;

    return http_server_start(config, &app, &server, &err);
}

static int start(void **state)
{
    struct http_server_config config = { .listen = "127.0.0.1:0", .edge_listen = "127.0.0.1:0",
                                         .edge_secret = "hush-hush/", .event_threads = 2 };

    (void)state;
    return start_with(&config);
}

static int stop(void **state)
{
    (void)state;
    http_server_stop(server, 1000);
    return 0;
}

static int dial(void)
{
    return kit_connect(http_server_edge_port(server));
}

#define RAW(text) (text), sizeof(text) - 1

static void test_let_in(void **state)
{
    static const struct {
        const char *header;
        size_t len;
        const char *want;
    } cases[] = {
        { RAW(GOOD), "192.0.2.7 l42 1" },
        { RAW(SIGNATURE "\x21\x11\x00\x19" V4 "\x05\x00\x0ahush-hush/"), "192.0.2.7 - 1" },
        { RAW(SIGNATURE "\x21\x21\x00\x31" MAPPED "\x05\x00\x0ahush-hush/"), "198.51.100.9 - 1" },
        { RAW(SIGNATURE "\x20\x00\x00\x0d\x05\x00\x0ahush-hush/"), "127.0.0.1 - 1" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int fd = dial();

        assert_true(kit_send(fd, cases[i].header, cases[i].len));
        kit_expect(fd, REQUEST, 200, cases[i].want);
        kit_expect(fd, REQUEST, 200, cases[i].want); /* the whole connection */
        (void)close(fd);
    }
}

static void test_in_pieces(void **state)
{
    static const char all[] = GOOD REQUEST REQUEST;
    struct response r;
    int fd = dial();

    (void)state;
    for (size_t i = 0; i < sizeof all - 1; i++) {
        assert_true(kit_send(fd, all + i, 1));
        if (i % 9 == 0)
            clock_sleep_ms(1);
    }
    for (int i = 0; i < 2; i++) {
        r = kit_read(fd, false);
        assert_int_equal(r.status, 200);
        assert_string_equal(r.body, "192.0.2.7 l42 1");
        free(r.body);
    }
    (void)close(fd);
}

static void test_kept_out(void **state)
{
    static const struct {
        const char *what, *bytes;
        size_t len;
    } cases[] = {
        { "no header", RAW(REQUEST) },
        { "version 1", RAW("PROXY TCP4 192.0.2.1 127.0.0.1 1 2\r\n" REQUEST) },
        { "no secret", RAW(SIGNATURE "\x21\x11\x00\x0c" V4 REQUEST) },
        { "wrong secret",
          RAW(SIGNATURE "\x21\x11\x00\x1c" V4 "\x05\x00\x0dhush-husH/l42" REQUEST) },
        { "half a secret", RAW(SIGNATURE "\x21\x11\x00\x13" V4 "\x05\x00\x04hush" REQUEST) },
        { "local without secret", RAW(SIGNATURE "\x20\x00\x00\x00" REQUEST) },
        { "link id with a line end",
          RAW(SIGNATURE "\x21\x11\x00\x1c" V4 "\x05\x00\x0dhush-hush/a\r\n" REQUEST) },
        { "too long", RAW(SIGNATURE "\x21\x11\xff\xff" V4 REQUEST) },
        { "TLV over the end",
          RAW(SIGNATURE "\x21\x11\x00\x1c" V4 "\x05\x00\x0ehush-hush/l42" REQUEST) },
        { "two headers", RAW(GOOD GOOD REQUEST) },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int fd = dial();
        struct response r;

        (void)kit_send(fd, cases[i].bytes, cases[i].len);
        r = kit_read(fd, false);
        if (r.status == 200)
            fail_msg("%s was let in", cases[i].what);
        free(r.body);
        (void)close(fd);
    }
    {
        int fd = dial();

        assert_true(kit_send(fd, GOOD, sizeof GOOD - 1));
        kit_expect(fd, REQUEST, 200, "192.0.2.7 l42 1");
        (void)close(fd);
    }
}

/* The plain listener does not know the protocol, whatever a client claims. */
static void test_plain_is_plain(void **state)
{
    int fd = kit_connect(http_server_port(server));
    struct response r;

    (void)state;
    assert_true(kit_send(fd, GOOD REQUEST, sizeof GOOD - 1 + strlen(REQUEST)));
    r = kit_read(fd, false);
    assert_int_not_equal(r.status, 200);
    free(r.body);
    (void)close(fd);
    fd = kit_connect(http_server_port(server));
    kit_expect(fd, "GET /show HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 192.0.2.7\r\n"
                   "Forwarded: for=192.0.2.7\r\n\r\n", 200, "127.0.0.1 - 0");
    (void)close(fd);
}

/* Who is slow is closed after 5 s and holds nobody up meanwhile. */
static void test_slow(void **state)
{
    int slow[3], fd;
    int64_t began = clock_mono_ms();

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(slow); i++) {
        slow[i] = dial();
        assert_true(kit_send(slow[i], GOOD, i * 14));
    }
    fd = dial();
    assert_true(kit_send(fd, GOOD, sizeof GOOD - 1));
    kit_expect(fd, REQUEST, 200, "192.0.2.7 l42 1");
    assert_true(clock_mono_ms() - began < 3000);
    (void)close(fd);
    for (size_t i = 0; i < ARRAY_LEN(slow); i++) {
        assert_true(kit_is_closed(slow[i]));
        assert_true(clock_mono_ms() - began >= 4900);
        (void)close(slow[i]);
    }
    assert_true(clock_mono_ms() - began < 7500);
}

/* A stop with unfinished headers and with idle connections does not hang. */
static void test_stop_with_waiting(void **state)
{
    int half = dial(), whole = dial();

    assert_true(kit_send(half, GOOD, 20));
    assert_true(kit_send(whole, GOOD, sizeof GOOD - 1));
    kit_expect(whole, REQUEST, 200, NULL);
    http_server_stop(server, 1000);
    assert_true(kit_is_closed(half));
    assert_true(kit_is_closed(whole));
    (void)close(half);
    (void)close(whole);
    assert_int_equal(start(state), 0);
}

/* Only the edge, on a Unix socket. */
static void test_unix_edge(void **state)
{
    static const char path[] = "/tmp/test_http_edge.sock";
    struct http_server_config config = { .edge_listen = "unix:/tmp/test_http_edge.sock",
                                         .edge_secret = "hush-hush/" };
    int fd;

    (void)state;
    assert_int_equal(start_with(&config), 0);
    assert_int_equal(http_server_port(server), 0);
    for (int i = 0; i < 3; i++) {
        fd = kit_connect_unix(path);
        assert_true(kit_send(fd, GOOD, sizeof GOOD - 1));
        kit_expect(fd, REQUEST, 200, "192.0.2.7 l42 1");
        (void)close(fd);
    }
    fd = kit_connect_unix(path);
    assert_true(kit_send(fd, RAW(SIGNATURE "\x20\x00\x00\x0d\x05\x00\x0ahush-hush/")));
    kit_expect(fd, REQUEST, 200, "unix - 1");
    (void)close(fd);
    http_server_stop(server, 1000);
}

#define SERVED(test) cmocka_unit_test_setup_teardown(test, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SERVED(test_let_in),         SERVED(test_in_pieces), SERVED(test_kept_out),
        SERVED(test_plain_is_plain), SERVED(test_slow),      SERVED(test_stop_with_waiting),
        cmocka_unit_test(test_unix_edge),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
