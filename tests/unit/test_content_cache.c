/* The content cache: what it keeps, that a write in between wins, and its bounds. */
/* links: portolan_data */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include "common/http/server.h"
#include "dataplane/store/cache.h"
#include "dataplane/store/content.h"

#include <cmocka.h>

static struct cached_manifest *make(const char *payload, size_t len)
{
    struct manifest_found found = { .media_type = "a/b", .payload = payload, .payload_len = len };

    digest_of(DIGEST_SHA256, payload, len, &found.digest);
    return cached_manifest_new(&found);
}

static void put(struct content_cache *c, uint64_t stamp, const char *repository,
                const char *reference, const char *payload)
{
    struct cached_manifest *m = make(payload, strlen(payload));

    content_cache_put_manifest(c, stamp, repository, reference, m);
    cached_manifest_release(m);
}

static void expect(struct content_cache *c, const char *repository, const char *reference,
                   const char *payload)
{
    struct cached_manifest *m = content_cache_manifest(c, repository, reference);

    assert_int_equal(m != NULL, payload != NULL);
    if (m) {
        assert_int_equal(m->payload_len, strlen(payload));
        assert_memory_equal(m->payload, payload, m->payload_len);
        assert_string_equal(m->media_type, "a/b");
    }
    cached_manifest_release(m);
}

static void test_keep_and_forget(void **state)
{
    (void)state;
    struct content_cache *c = content_cache_new(1 << 20);
    struct blob_ref ref = { .size = 7 }, got;
    put(c, content_cache_stamp(c, "a"), "a", "v1", "one");
    put(c, content_cache_stamp(c, "a/b"), "a/b", "v1", "two");
    content_cache_put_blob(c, content_cache_stamp(c, "a"), "a", "sha256:x", &ref);
    expect(c, "a", "v1", "one");
    expect(c, "a/b", "v1", "two");
    expect(c, "a", "v2", NULL);
    assert_true(content_cache_blob(c, "a", "sha256:x", &got));
    assert_int_equal(got.size, 7);
    assert_false(content_cache_blob(c, "a/b", "sha256:x", &got));
    put(c, content_cache_stamp(c, "a"), "a", "v1", "new");
    expect(c, "a", "v1", "new");
    /* What is held outlives the entry. */
    struct cached_manifest *held = content_cache_manifest(c, "a", "v1");
    content_cache_forget_one(c, "a", "v1");
    expect(c, "a", "v1", NULL);
    assert_memory_equal(held->payload, "new", 3);
    cached_manifest_release(held);
    content_cache_forget(c, "a");
    assert_false(content_cache_blob(c, "a", "sha256:x", &got));
    expect(c, "a/b", "v1", "two");
    content_cache_free(c);
}

static void test_write_in_between(void **state)
{
    (void)state;
    struct content_cache *c = content_cache_new(1 << 20);
    struct blob_ref ref = { .size = 7 }, got;
    uint64_t stamp = content_cache_stamp(c, "a");
    content_cache_forget_one(c, "a", "v1");
    put(c, stamp, "a", "v1", "stale");
    expect(c, "a", "v1", NULL);
    stamp = content_cache_stamp(c, "a");
    content_cache_forget(c, "a");
    content_cache_put_blob(c, stamp, "a", "sha256:x", &ref);
    assert_false(content_cache_blob(c, "a", "sha256:x", &got));
    content_cache_free(c);
}

static void test_bounds(void **state)
{
    (void)state;
    struct content_cache *c = content_cache_new(64 * 1024);
    char payload[1001], tag[32];
    memset(payload, 'x', sizeof(payload) - 1);
    payload[sizeof(payload) - 1] = '\0';
    for (int i = 0; i < 1000; i++) {
        (void)snprintf(tag, sizeof(tag), "t%d", i);
        put(c, content_cache_stamp(c, "a"), "a", tag, payload);
        struct cached_manifest *first = content_cache_manifest(c, "a", "t0"); /* stays in use */
        assert_non_null(first);
        cached_manifest_release(first);
    }
    expect(c, "a", "t1", NULL);
    expect(c, "a", "t999", payload);
    content_cache_trim(c, 0);
    expect(c, "a", "t999", NULL);
    expect(c, "a", "t0", NULL);
    /* Too large to keep. */
    size_t big = CACHED_MANIFEST_MAX + 1;
    char *bytes = calloc(1, big);
    struct cached_manifest *m = make(bytes, big);
    content_cache_put_manifest(c, content_cache_stamp(c, "a"), "a", "big", m);
    assert_null(content_cache_manifest(c, "a", "big"));
    cached_manifest_release(m);
    free(bytes);
    content_cache_free(c);
}

/* What has a stock has one until it goes, and so many have one at a time. */
static void test_stocks(void **state)
{
    struct blob_ref ref = { .size = 7 };
    struct content_cache *c = content_cache_new(1 << 20);

    (void)state;
    assert_null(content_cache_manifest_stock(c, "a", "v1"));
    put(c, content_cache_stamp(c, "a"), "a", "v1", "one");
    content_cache_put_blob(c, content_cache_stamp(c, "a"), "a", "sha256:x", &ref);
    assert_null(content_cache_blob_stock(c, "a", "v1"));
    assert_null(content_cache_manifest_stock(c, "a", "sha256:x"));
    struct http_stock *first = content_cache_manifest_stock(c, "a", "v1");
    struct http_stock *blob = content_cache_blob_stock(c, "a", "sha256:x");
    struct http_stock *again = content_cache_manifest_stock(c, "a", "v1");
    assert_ptr_equal(first, again);
    assert_ptr_not_equal(first, blob);
    http_stock_unref(again);
    put(c, content_cache_stamp(c, "a"), "a", "v1", "two"); /* other content: another stock */
    again = content_cache_manifest_stock(c, "a", "v1");
    assert_ptr_not_equal(first, again);
    http_stock_unref(again);
    content_cache_forget(c, "a");
    assert_null(content_cache_blob_stock(c, "a", "sha256:x"));
    http_stock_unref(first);
    http_stock_unref(blob);

    for (int i = 0; i < 300; i++) {
        char tag[16];
        (void)snprintf(tag, sizeof(tag), "t%d", i);
        put(c, content_cache_stamp(c, "a"), "a", tag, "x");
    }
    first = content_cache_manifest_stock(c, "a", "t0");
    for (int i = 1; i < 300; i++) {
        char tag[16];
        (void)snprintf(tag, sizeof(tag), "t%d", i);
        http_stock_unref(content_cache_manifest_stock(c, "a", tag));
    }
    again = content_cache_manifest_stock(c, "a", "t0");
    assert_ptr_not_equal(first, again);
    http_stock_unref(first);
    content_cache_trim(c, 1 << 20);
    first = content_cache_manifest_stock(c, "a", "t0");
    assert_ptr_not_equal(first, again);
    http_stock_unref(first);
    http_stock_unref(again);
    content_cache_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keep_and_forget),
        cmocka_unit_test(test_write_in_between),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_stocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
