/* Streamed request bodies and source reply bodies: content, suspension, break-off, deadlines. */
/* links: portolan_http portolan_json portolan_base */
#include "test_http_kit.h"

#include <pthread.h>

#define MIB ((size_t)1 << 20)
#define SOURCE_LEN (3 * MIB + 17)

/* One stream of the plane. */
struct take {
    size_t len;
    uint64_t sum;
    size_t stop_at; /* replies 507 once this much came; 0: never */
    int64_t nap_ms; /* per piece */
    bool is_begun, is_over;
    atomic_int users;
};

static struct http_server *server;
static atomic_int begun, ended, aborted, done_count, closed;
static atomic_ullong sent;

static uint64_t add_sum(uint64_t sum, const unsigned char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        sum = (sum ^ bytes[i]) * 1099511628211u;
    return sum;
}

static void reply_text(struct http_request *req, int status, const char *text)
{
    http_reply_bytes(req, status, "text/plain", text, strlen(text));
}

/* No two of a sink's functions run at once for one request. */
static void enter(struct take *t)
{
    assert_int_equal(atomic_fetch_add(&t->users, 1), 0);
}

static void leave(struct take *t)
{
    atomic_fetch_sub(&t->users, 1);
}

static void sink_begin(struct http_request *req)
{
    struct take *t = ARENA_NEW(req->arena, struct take);
    const char *stop = http_query(req, "stop"), *nap = http_query(req, "nap");

    enter(t);
    atomic_fetch_add(&begun, 1);
    t->sum = 14695981039346656037u;
    t->is_begun = true;
    t->stop_at = stop ? strtoul(stop, NULL, 10) : 0;
    t->nap_ms = nap ? strtol(nap, NULL, 10) : 0;
    req->plane = t;
    if (http_query(req, "refuse"))
        reply_text(req, 404, "no such upload");
    leave(t);
}

static void sink_data(struct http_request *req, const void *bytes, size_t len)
{
    struct take *t = req->plane;

    enter(t);
    assert_true(t->is_begun && !t->is_over && len > 0);
    if (t->nap_ms)
        clock_sleep_ms(t->nap_ms);
    t->len += len;
    t->sum = add_sum(t->sum, bytes, len);
    if (t->stop_at && t->len >= t->stop_at) {
        t->is_over = true;
        reply_text(req, 507, "full");
    }
    leave(t);
}

static void sink_end(struct http_request *req)
{
    struct take *t = req->plane;

    enter(t);
    assert_true(t->is_begun && !t->is_over);
    t->is_over = true;
    reply_text(req, 201,
               arena_printf(req->arena, "%zu %016llx", t->len, (unsigned long long)t->sum));
    atomic_fetch_add(&ended, 1);
    leave(t);
}

static void sink_abort(struct http_request *req)
{
    struct take *t = req->plane;

    enter(t);
    assert_true(t->is_begun && !t->is_over);
    t->is_over = true;
    atomic_fetch_add(&aborted, 1);
    leave(t);
}

static const struct http_sink sink = {
    .begin = sink_begin, .data = sink_data, .end = sink_end, .abort = sink_abort
};

static unsigned char byte_at(uint64_t offset)
{
    return (unsigned char)(offset * 2654435761u >> 11);
}

struct pattern {
    uint64_t fail_at;
    size_t piece; /* reads are at most this long; 0: as long as asked */
    int64_t nap_ms;
    unsigned later; /* with read_now: every so manieth piece is a worker's */
    unsigned asked;
    atomic_int users;
};

static ssize_t pattern_read(void *ctx, uint64_t offset, void *buf, size_t cap, struct error *err)
{
    struct pattern *p = ctx;
    unsigned char *out = buf;
    size_t n = p->piece && p->piece < cap ? p->piece : cap;

    assert_int_equal(atomic_fetch_add(&p->users, 1), 0);
    if (p->nap_ms)
        clock_sleep_ms(p->nap_ms);
    for (size_t i = 0; i < n; i++)
        out[i] = byte_at(offset + i);
    atomic_fetch_sub(&p->users, 1);
    if (p->fail_at && offset + n > p->fail_at)
        return fail_cause(err, &E_INTERNAL, "as told");
    return (ssize_t)n;
}

static void pattern_close(void *ctx)
{
    struct pattern *p = ctx;

    assert_int_equal(atomic_load(&p->users), 0);
    atomic_fetch_add(&closed, 1);
}

static ssize_t pattern_read_now(void *ctx, uint64_t offset, void *buf, size_t cap,
                                struct error *err)
{
    struct pattern *p = ctx;

    if (++p->asked % p->later == 0)
        return HTTP_SOURCE_LATER;
    return pattern_read(ctx, offset, buf, cap, err);
}

static const struct http_source pattern = { .read = pattern_read, .close = pattern_close };
static const struct http_source pattern_now = { .read = pattern_read,
                                                .read_now = pattern_read_now,
                                                .close = pattern_close };

static void run_source(struct http_request *req)
{
    struct pattern *p = ARENA_NEW(req->arena, struct pattern);
    const char *broken = http_query(req, "fail"), *piece = http_query(req, "piece");
    const char *nap = http_query(req, "nap"), *len = http_query(req, "len");
    const char *later = http_query(req, "later");

    p->fail_at = broken ? strtoul(broken, NULL, 10) : 0;
    p->piece = piece ? strtoul(piece, NULL, 10) : 0;
    p->nap_ms = nap ? strtol(nap, NULL, 10) : 0;
    p->later = later ? (unsigned)strtoul(later, NULL, 10) : 0;
    http_reply_source(req, 200, "application/octet-stream",
                      len ? strtoul(len, NULL, 10) : SOURCE_LEN, later ? &pattern_now : &pattern,
                      p);
}

static enum http_verdict fast_source(struct http_request *req)
{
    run_source(req);
    return HTTP_ANSWERED;
}

static void fault(struct http_request *req, const struct error *err)
{
    reply_text(req, err->code->status, "fault");
}

static void admit(struct http_request *req)
{
    if (http_header(req, "X-Stranger"))
        reply_text(req, 401, "who");
}

static void done(struct http_request *req)
{
    atomic_store(&sent, req->sent_bytes);
    atomic_fetch_add(&done_count, 1);
}

static const struct http_route routes[] = {
    { .method = "PUT", .pattern = "/stream", .body = HTTP_BODY_STREAM, .sink = &sink,
      .deadline_ms = -1 },
    { .method = "PUT", .pattern = "/late", .body = HTTP_BODY_STREAM, .sink = &sink,
      .deadline_ms = 150 },
    { .method = "GET", .pattern = "/source", .run = run_source },
    { .method = "HEAD", .pattern = "/source", .run = run_source },
    { .method = "GET", .pattern = "/fast", .fast = fast_source, .run = run_source },
    { 0 },
};

static const struct http_app app = { .routes = routes, .fault = fault, .admit = admit,
                                     .done = done };

static int start(void **state)
{
    struct http_server_config config = { .listen = "127.0.0.1:0", .workers_max = 4,
                                         .queue_max = 8, .idle_timeout_s = 20 };
    struct error err;

    (void)state;
    atomic_store(&begun, 0);
    atomic_store(&ended, 0);
    atomic_store(&aborted, 0);
    atomic_store(&done_count, 0);
    atomic_store(&closed, 0);
    return http_server_start(&config, &app, &server, &err);
}

static int stop(void **state)
{
    (void)state;
    http_server_stop(server, 2000);
    assert_int_equal(atomic_load(&begun) >= atomic_load(&ended) + atomic_load(&aborted), 1);
    return 0;
}

static int dial(void)
{
    return kit_connect(http_server_port(server));
}

static unsigned char *make_body(size_t len)
{
    unsigned char *body = malloc(len + 1);

    assert_non_null(body);
    for (size_t i = 0; i < len; i++)
        body[i] = byte_at(i);
    return body;
}

static void expect_sum(int fd, const unsigned char *body, size_t len)
{
    char want[64];

    (void)snprintf(want, sizeof want, "%zu %016llx", len,
                   (unsigned long long)add_sum(14695981039346656037u, body, len));
    kit_expect(fd, "", 201, want);
}

static void test_upload(void **state)
{
    static const size_t lengths[] = { 0, 1, 255 * 1024, 256 * 1024, 256 * 1024 + 1, 512 * 1024,
                                      5 * MIB, 13 * MIB + 1 };
    unsigned char *body = make_body(13 * MIB + 1);
    int fd = dial();
    char head[128];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        (void)snprintf(head, sizeof head,
                       "PUT /stream HTTP/1.1\r\nHost: h\r\nContent-Length: %zu\r\n\r\n",
                       lengths[i]);
        assert_true(kit_puts(fd, head) && kit_send(fd, body, lengths[i]));
        expect_sum(fd, body, lengths[i]);
    }
    assert_int_equal(atomic_load(&ended), (int)ARRAY_LEN(lengths));
    (void)close(fd);
    free(body);
}

/* Many small chunks: each suspension falls at another place of the chunked framing. */
static void test_chunked_upload(void **state)
{
    static const size_t sizes[] = { 1, 1000, 4093, 16384, 65536, 262144 };
    size_t len = 2 * MIB + 3;
    unsigned char *body = make_body(len);
    int fd = dial();

    (void)state;
    for (size_t i = 1; i < ARRAY_LEN(sizes); i++) {
        char line[32];

        assert_true(kit_puts(fd, "PUT /stream HTTP/1.1\r\nHost: h\r\n"
                                 "Transfer-Encoding: chunked\r\n\r\n"));
        for (size_t at = 0; at < len; at += sizes[i]) {
            size_t n = len - at < sizes[i] ? len - at : sizes[i];

            (void)snprintf(line, sizeof line, "%zx\r\n", n);
            assert_true(kit_puts(fd, line) && kit_send(fd, body + at, n) && kit_puts(fd, "\r\n"));
        }
        assert_true(kit_puts(fd, "0\r\n\r\n"));
        expect_sum(fd, body, len);
    }
    (void)close(fd);
    free(body);
}

static void test_refused_upload(void **state)
{
    unsigned char *body = make_body(MIB);
    int fd = dial();

    (void)state;
    /* begin says no: the body is drained and the connection goes on. */
    assert_true(kit_puts(fd, "PUT /stream?refuse HTTP/1.1\r\nHost: h\r\n"
                             "Content-Length: 1048576\r\n\r\n"));
    assert_true(kit_send(fd, body, MIB));
    kit_expect(fd, "", 404, "no such upload");
    /* data says no. */
    assert_true(kit_puts(fd, "PUT /stream?stop=300000 HTTP/1.1\r\nHost: h\r\n"
                             "Content-Length: 1048576\r\n\r\n"));
    assert_true(kit_send(fd, body, MIB));
    kit_expect(fd, "", 507, "full");
    /* admit says no, before begin. */
    assert_true(kit_puts(fd, "PUT /stream HTTP/1.1\r\nHost: h\r\nX-Stranger: 1\r\n"
                             "Content-Length: 1048576\r\n\r\n"));
    assert_true(kit_send(fd, body, MIB));
    kit_expect(fd, "", 401, "who");
    assert_int_equal(atomic_load(&begun), 2);
    /* begin says no to a client that waits: no 100, and the connection ends. */
    kit_expect(fd, "PUT /stream?refuse HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n"
                   "Content-Length: 1048576\r\n\r\n", 404, "no such upload");
    assert_true(kit_is_closed(fd));
    assert_int_equal(atomic_load(&ended) + atomic_load(&aborted), 0);
    (void)close(fd);
    free(body);
}

static void test_continue(void **state)
{
    struct response r;
    int fd = dial();

    (void)state;
    assert_true(kit_puts(fd, "PUT /stream HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n"
                             "Content-Length: 3\r\n\r\n"));
    r = kit_read(fd, false);
    assert_int_equal(r.status, 100);
    assert_int_equal(atomic_load(&begun), 1); /* begin ran before the client was let on */
    assert_true(kit_puts(fd, "abc"));
    expect_sum(fd, (const unsigned char *)"abc", 3);
    (void)close(fd);
}

static void test_break_off(void **state)
{
    static const size_t lengths[] = { 0, 10, 100000, 256 * 1024, 900000 };
    unsigned char *body = make_body(MIB);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        int fd = dial();

        assert_true(kit_puts(fd, "PUT /stream HTTP/1.1\r\nHost: h\r\n"
                                 "Content-Length: 1048576\r\n\r\n"));
        assert_true(kit_wait(&begun, (int)i + 1));
        assert_true(kit_send(fd, body, lengths[i]));
        (void)close(fd);
        if (!kit_wait(&aborted, (int)i + 1))
            fail_msg("no abort after %zu bytes", lengths[i]);
        assert_true(kit_wait(&done_count, (int)i + 1));
    }
    assert_int_equal(atomic_load(&ended), 0);
    free(body);
}

static void test_upload_deadline(void **state)
{
    unsigned char *body = make_body(MIB);
    int fd = dial();

    (void)state;
    assert_true(kit_puts(fd, "PUT /late?nap=100 HTTP/1.1\r\nHost: h\r\n"
                             "Content-Length: 1048576\r\n\r\n"));
    assert_true(kit_send(fd, body, MIB));
    kit_expect(fd, "", 504, "fault");
    assert_int_equal(atomic_load(&aborted), 1);
    assert_int_equal(atomic_load(&ended), 0);
    kit_expect(fd, "PUT /late HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", 201, NULL);
    (void)close(fd);
    free(body);
}

static void expect_rest(int fd, size_t len)
{
    struct response r = kit_read(fd, false);

    assert_int_equal(r.status, 200);
    assert_int_equal(r.body_len, len);
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)r.body[i] != byte_at(i))
            fail_msg("byte %zu of %zu is wrong", i, len);
    free(r.body);
}

static void expect_pattern(int fd, const char *request, size_t len)
{
    assert_true(kit_puts(fd, request));
    expect_rest(fd, len);
}

static void test_source(void **state)
{
    struct response r;
    int fd = dial();
    char text[32];

    (void)state;
    expect_pattern(fd, "GET /source HTTP/1.1\r\nHost: h\r\n\r\n", SOURCE_LEN);
    expect_pattern(fd, "GET /source?piece=100000 HTTP/1.1\r\nHost: h\r\n\r\n", SOURCE_LEN);
    expect_pattern(fd, "GET /source?nap=5 HTTP/1.1\r\nHost: h\r\n\r\n", SOURCE_LEN);
    expect_pattern(fd, "GET /source?len=1 HTTP/1.1\r\nHost: h\r\n\r\n", 1);
    expect_pattern(fd, "GET /source?len=0 HTTP/1.1\r\nHost: h\r\n\r\n", 0);
    expect_pattern(fd, "GET /fast HTTP/1.1\r\nHost: h\r\n\r\n", SOURCE_LEN);
    expect_pattern(fd, "GET /source?len=262144 HTTP/1.1\r\nHost: h\r\n\r\n", 262144);
    assert_true(kit_puts(fd, "HEAD /source?fail=1 HTTP/1.1\r\nHost: h\r\n\r\n"));
    r = kit_read(fd, true);
    assert_int_equal(r.status, 200);
    assert_string_equal(kit_header(&r, "Content-Length", text, sizeof text), "3145745");
    expect_pattern(fd, "GET /source HTTP/1.1\r\nHost: h\r\n\r\n", SOURCE_LEN);
    (void)close(fd);
    assert_true(kit_wait(&done_count, 9));
    assert_int_equal(atomic_load(&closed), 9);
    assert_int_equal(atomic_load(&sent), SOURCE_LEN);
}

/* Pieces that come at once and pieces a worker reads, mixed. */
static void test_source_now(void **state)
{
    static const char *const laters[] = { "1", "2", "3", "7", "1000000" };
    int fd = dial();
    char text[80];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(laters); i++) {
        (void)snprintf(text, sizeof text, "GET /source?later=%s HTTP/1.1\r\nHost: h\r\n\r\n",
                       laters[i]);
        expect_pattern(fd, text, SOURCE_LEN);
        (void)snprintf(text, sizeof text,
                       "GET /fast?piece=5000&later=%s HTTP/1.1\r\nHost: h\r\n\r\n", laters[i]);
        expect_pattern(fd, text, SOURCE_LEN);
    }
    expect_pattern(fd, "GET /source?len=1&later=1 HTTP/1.1\r\nHost: h\r\n\r\n", 1);
    (void)close(fd);
    assert_true(kit_wait(&done_count, 11));
    assert_int_equal(atomic_load(&closed), 11);
    assert_int_equal(atomic_load(&sent), 1);
}

/* More bodies at once than have large blocks. */
static void test_source_crowd(void **state)
{
    int fds[120];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        fds[i] = dial();
        assert_true(kit_puts(fds[i], i % 2 ? "GET /fast?later=3 HTTP/1.1\r\nHost: h\r\n\r\n"
                                           : "GET /fast HTTP/1.1\r\nHost: h\r\n\r\n"));
    }
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        expect_rest(fds[i], SOURCE_LEN);
        (void)close(fds[i]);
    }
    assert_true(kit_wait(&done_count, ARRAY_LEN(fds)));
    assert_int_equal(atomic_load(&closed), ARRAY_LEN(fds));
}

static void test_source_fails(void **state)
{
    static const char *const requests[] = {
        "GET /source?fail=1 HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /source?fail=1000000 HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /fast?fail=1 HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /fast?fail=1&later=9 HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /source?fail=1000000&later=2 HTTP/1.1\r\nHost: h\r\n\r\n",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        struct response r;
        int fd = dial();

        assert_true(kit_puts(fd, requests[i]));
        r = kit_read(fd, false);
        assert_true(r.status == 200 || r.status == 0);
        assert_true(r.body_len < SOURCE_LEN); /* broken off, never complete */
        free(r.body);
        assert_true(kit_wait(&closed, (int)i + 1));
        (void)close(fd);
    }
}

static void test_source_reader_leaves(void **state)
{
    char some[1000];

    (void)state;
    for (int i = 0; i < 20; i++) {
        int fd = dial();

        assert_true(kit_puts(fd, i % 2 ? "GET /source?nap=10 HTTP/1.1\r\nHost: h\r\n\r\n"
                                       : "GET /fast?piece=70000 HTTP/1.1\r\nHost: h\r\n\r\n"));
        assert_int_equal(kit_read_exactly(fd, some, sizeof some), sizeof some);
        (void)close(fd);
    }
    assert_true(kit_wait(&closed, 20));
    assert_true(kit_wait(&done_count, 20));
}

static void *push(void *arg)
{
    unsigned char *body = arg;

    for (int i = 0; i < 5; i++) {
        int fd = dial();

        assert_true(kit_puts(fd, "PUT /stream HTTP/1.1\r\nHost: h\r\n"
                                 "Content-Length: 1048576\r\n\r\n"));
        assert_true(kit_send(fd, body, MIB));
        expect_sum(fd, body, MIB);
        expect_pattern(fd, "GET /source HTTP/1.1\r\nHost: h\r\n\r\n", SOURCE_LEN);
        (void)close(fd);
    }
    return NULL;
}

static void test_many_at_once(void **state)
{
    unsigned char *body = make_body(MIB);
    pthread_t threads[6];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, push, body), 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(atomic_load(&ended), 30);
    free(body);
}

/* A stop in the middle of streams and sources ends each of them exactly once and does not hang. */
static void test_stop_in_the_middle(void **state)
{
    unsigned char *body = make_body(MIB);
    int up = dial(), down = dial();

    assert_true(kit_puts(up, "PUT /stream?nap=20 HTTP/1.1\r\nHost: h\r\n"
                             "Content-Length: 1048576\r\n\r\n"));
    assert_true(kit_send(up, body, 600000));
    assert_true(kit_puts(down, "GET /source?nap=30 HTTP/1.1\r\nHost: h\r\n\r\n"));
    assert_true(kit_wait(&begun, 1));
    clock_sleep_ms(60);
    http_server_stop(server, 50);
    assert_int_equal(atomic_load(&aborted), 1);
    assert_int_equal(atomic_load(&ended), 0);
    assert_int_equal(atomic_load(&closed), 1);
    assert_int_equal(atomic_load(&done_count), 2);
    (void)close(up);
    (void)close(down);
    free(body);
    assert_int_equal(start(state), 0);
}

#define SERVED(test) cmocka_unit_test_setup_teardown(test, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SERVED(test_upload),         SERVED(test_chunked_upload),
        SERVED(test_refused_upload), SERVED(test_continue),
        SERVED(test_source_now),     SERVED(test_source_crowd),
        SERVED(test_break_off),      SERVED(test_upload_deadline),
        SERVED(test_source),         SERVED(test_source_fails),
        SERVED(test_source_reader_leaves), SERVED(test_many_at_once),
        SERVED(test_stop_in_the_middle),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
