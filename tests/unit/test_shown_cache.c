/* The cache of shown resources: a text belongs to one revision of one row in one version. */
/* links: portolan_control */
#include "controlplane/api/shown_cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include "common/base/arena.h"

#include "controlplane/store/resources.h"

#include <cmocka.h>

#define UID "aaaaaaaa-0000-4000-8000-000000000001"

static void test_keys(void **state)
{
    static const struct {
        const char *uid, *revision, *version;
        int is_hit;
    } rows[] = {
        { UID, "700", "2025-11-01", 1 },
        { UID, "701", "2025-11-01", 0 },
        { UID, "700", "2023-07-01", 0 },
        { "aaaaaaaa-0000-4000-8000-000000000002", "700", "2025-11-01", 0 },
    };
    struct shown_cache *cache = shown_cache_new();
    struct arena *a = arena_new();
    struct resource r = { .uid = UID, .revision = "700" };

    (void)state;
    shown_cache_put(cache, &r, "2025-11-01", "{\"a\":1}", 7);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct resource asked = { .uid = rows[i].uid, .revision = rows[i].revision };
        size_t len = 0;
        const char *text = shown_cache_get(cache, a, &asked, rows[i].version, &len);

        assert_int_equal(text != NULL, rows[i].is_hit);
        if (text) {
            assert_int_equal(len, 7);
            assert_memory_equal(text, "{\"a\":1}", 7);
        }
    }
    arena_free(a);
    shown_cache_free(cache);
}

/* Far more rows than entries: whatever is found is the row's own. */
static void test_crowd(void **state)
{
    struct shown_cache *cache = shown_cache_new();
    struct arena *a = arena_new();
    size_t hits = 0, len;

    (void)state;
    for (int i = 0; i < 10000; i++) {
        const char *text = arena_printf(a, "text %d", i);
        struct resource r = { .uid = UID, .revision = arena_printf(a, "%d", i) };

        shown_cache_put(cache, &r, "2025-11-01", text, strlen(text));
    }
    for (int i = 0; i < 10000; i++) {
        struct resource r = { .uid = UID, .revision = arena_printf(a, "%d", i) };
        const char *text = shown_cache_get(cache, a, &r, "2025-11-01", &len);
        const char *want = arena_printf(a, "text %d", i);

        if (!text)
            continue;
        hits++;
        assert_int_equal(len, strlen(want));
        assert_memory_equal(text, want, len);
    }
    assert_true(hits > 100);
    arena_free(a);
    shown_cache_free(cache);
}

/* What is too large to keep is simply not kept. */
static void test_large(void **state)
{
    struct shown_cache *cache = shown_cache_new();
    struct arena *a = arena_new();
    struct resource r = { .uid = UID, .revision = "1" };
    size_t len = 0;
    char *large = arena_alloc(a, 100000);

    (void)state;
    shown_cache_put(cache, &r, "2025-11-01", large, 100000);
    assert_null(shown_cache_get(cache, a, &r, "2025-11-01", &len));
    arena_free(a);
    shown_cache_free(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_crowd),
        cmocka_unit_test(test_large),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
