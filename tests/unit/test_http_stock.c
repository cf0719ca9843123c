/* Replies that are kept and sent again: alike but for the request's id, never two at once from one
 * response, and gone when the content's stock is. */
/* links: portolan_http portolan_json portolan_base */
#include "test_http_kit.h"

#define REQUEST(method, path) method " " path " HTTP/1.1\r\nHost: h\r\n\r\n"
#define LARGE                 ((size_t)16 << 20) /* more than the sockets of both sides hold */

static atomic_int built, released;
static struct http_stock *stock, *large_stock, *empty_stock;
static struct http_server *server;
static char *large;

static void release_one(void *owner)
{
    atomic_fetch_add((atomic_int *)owner, 1);
}

static void build(struct http_request *req, struct http_stock *from, const char *bytes, size_t len)
{
    if (http_reply_stocked(req, from))
        return;
    http_reply_headerf(req, "X-Built", "%d", atomic_fetch_add(&built, 1) + 1);
    http_reply_shared(req, 200, "text/plain", bytes, len, release_one, &released);
    http_reply_keep(req, from);
}

static enum http_verdict fast_kept(struct http_request *req)
{
    build(req, stock, "kept", 4);
    return HTTP_ANSWERED;
}

static enum http_verdict fast_large(struct http_request *req)
{
    build(req, large_stock, large, LARGE);
    return HTTP_ANSWERED;
}

static enum http_verdict fast_empty(struct http_request *req)
{
    if (http_reply_stocked(req, empty_stock))
        return HTTP_ANSWERED;
    atomic_fetch_add(&built, 1);
    http_reply_header(req, "Content-Length", "1234567");
    http_reply_empty(req, 200);
    http_reply_keep(req, empty_stock);
    return HTTP_ANSWERED;
}

static enum http_verdict fast_refused(struct http_request *req)
{
    http_reply_empty(req, 304);
    http_reply_keep(req, stock);
    return HTTP_ANSWERED;
}

static const struct http_route routes[] = {
    { .method = "GET", .pattern = "/kept", .fast = fast_kept },
    { .method = "HEAD", .pattern = "/kept", .fast = fast_kept },
    { .method = "GET", .pattern = "/large", .fast = fast_large },
    { .method = "HEAD", .pattern = "/empty", .fast = fast_empty },
    { .method = "GET", .pattern = "/refused", .fast = fast_refused },
    { 0 },
};

static const struct http_field fields[] = { { "X-All", "yes" }, { "X-Too", "a, b" }, { 0 } };

static const struct http_app app = { .routes = routes, .headers = fields, .id_header = "X-Id" };

static int start(void **state)
{
    struct http_server_config config = { .listen = "127.0.0.1:0", .event_threads = 2 };
    struct error err;

    (void)state;
    atomic_store(&built, 0);
    atomic_store(&released, 0);
    stock = http_stock_new();
    large_stock = http_stock_new();
    empty_stock = http_stock_new();
    large = calloc(1, LARGE);
    return large ? http_server_start(&config, &app, &server, &err) : -1;
}

static int stop(void **state)
{
    (void)state;
    http_server_stop(server, 1000);
    /* What is in stock outlives the server, and goes with the stock. */
    http_stock_unref(stock);
    http_stock_unref(large_stock);
    http_stock_unref(empty_stock);
    free(large);
    return 0;
}

static int dial(void)
{
    return kit_connect(http_server_port(server));
}

static struct response ask(int fd, const char *request)
{
    assert_true(kit_puts(fd, request));
    return kit_read(fd, strncmp(request, "HEAD", 4) == 0);
}

static void expect_header(const struct response *r, const char *name, const char *want)
{
    char text[64];
    const char *got = kit_header(r, name, text, sizeof text);

    assert_non_null(got);
    assert_string_equal(got, want);
}

static void test_again(void **state)
{
    char ids[5][64];
    int fd = dial();

    (void)state;
    for (int i = 0; i < 5; i++) {
        struct response r = ask(fd, REQUEST("GET", "/kept"));

        assert_int_equal(r.status, 200);
        assert_string_equal(r.body, "kept");
        expect_header(&r, "X-All", "yes");
        expect_header(&r, "X-Too", "a, b");
        expect_header(&r, "X-Built", "1");
        expect_header(&r, "Content-Type", "text/plain");
        assert_non_null(kit_header(&r, "X-Id", ids[i], sizeof ids[i]));
        /* One id each, and the request's own. */
        assert_null(strstr(strstr(r.head, "X-Id") + 1, "X-Id"));
        for (int k = 0; k < i; k++)
            assert_string_not_equal(ids[i], ids[k]);
        free(r.body);
    }
    assert_int_equal(atomic_load(&built), 1);
    assert_int_equal(atomic_load(&released), 0);
    (void)close(fd);
}

/* HEAD may fill what GET takes out, and the other way. */
static void test_methods(void **state)
{
    int fd = dial();

    (void)state;
    for (int i = 0; i < 3; i++) {
        struct response head = ask(fd, REQUEST("HEAD", "/kept"));
        expect_header(&head, "Content-Length", "4");
        kit_expect(fd, REQUEST("GET", "/kept"), 200, "kept");
        head = ask(fd, REQUEST("HEAD", "/empty"));
        expect_header(&head, "Content-Length", "1234567");
    }
    assert_int_equal(atomic_load(&built), 2);
    (void)close(fd);
}

static void test_only_good_ones(void **state)
{
    int fd = dial();

    (void)state;
    assert_int_equal(ask(fd, REQUEST("GET", "/refused")).status, 304);
    kit_expect(fd, REQUEST("GET", "/kept"), 200, "kept");
    /* Faults and what is missing carry the headers of all replies as well. */
    struct response r = ask(fd, REQUEST("GET", "/nowhere"));
    assert_int_equal(r.status, 404);
    expect_header(&r, "X-All", "yes");
    free(r.body);
    r = ask(fd, REQUEST("GET", "/%zz"));
    assert_int_equal(r.status, 400);
    expect_header(&r, "X-All", "yes");
    free(r.body);
    (void)close(fd);
}

/* Replies under way at once have a response each; two of them are kept. */
static void test_at_once(void **state)
{
    int fds[4];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        fds[i] = dial();
        assert_true(kit_puts(fds[i], REQUEST("GET", "/large")));
        assert_true(kit_wait(&built, (int)i + 1));
    }
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        struct response r = kit_read(fds[i], false);
        assert_int_equal(r.body_len, LARGE);
        free(r.body);
    }
    assert_true(kit_wait(&released, 2));
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        struct response r = ask(fds[i], REQUEST("GET", "/large"));
        assert_int_equal(r.body_len, LARGE);
        free(r.body);
        (void)close(fds[i]);
    }
    assert_int_equal(atomic_load(&built), 4);
    assert_int_equal(atomic_load(&released), 2);
}

static void test_broken_off(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        int fd = dial();
        assert_true(kit_puts(fd, REQUEST("GET", "/large")));
        assert_true(kit_wait(&built, 1));
        (void)close(fd);
    }
    int fd = dial();
    struct response r = ask(fd, REQUEST("GET", "/large"));
    assert_int_equal(r.body_len, LARGE);
    free(r.body);
    (void)close(fd);
}

/* The content changed: what is under way is sent to its end, and its bytes are let go. */
static void test_dropped(void **state)
{
    int fd = dial();

    (void)state;
    assert_true(kit_puts(fd, REQUEST("GET", "/large")));
    assert_true(kit_wait(&built, 1));
    struct http_stock *old = large_stock;
    large_stock = http_stock_new();
    http_stock_unref(old);
    struct response r = kit_read(fd, false);
    assert_int_equal(r.body_len, LARGE);
    free(r.body);
    assert_true(kit_wait(&released, 1));
    r = ask(fd, REQUEST("GET", "/large"));
    expect_header(&r, "X-Built", "2");
    free(r.body);
    (void)close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_again, start, stop),
        cmocka_unit_test_setup_teardown(test_methods, start, stop),
        cmocka_unit_test_setup_teardown(test_only_good_ones, start, stop),
        cmocka_unit_test_setup_teardown(test_at_once, start, stop),
        cmocka_unit_test_setup_teardown(test_broken_off, start, stop),
        cmocka_unit_test_setup_teardown(test_dropped, start, stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
