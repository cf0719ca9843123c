/* Arenas: zeroed, aligned, deferred functions newest first, reuse after reset, poisoning. */
/* links: portolan_base */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"

#include <cmocka.h>

#if defined(__SANITIZE_ADDRESS__)
#define HAS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_ASAN 1
#endif
#endif

#ifdef HAS_ASAN
#include <sanitizer/asan_interface.h>
#endif

static bool is_zero(const unsigned char *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (p[i] != 0)
            return false;
    return true;
}

static void test_sizes(void **state)
{
    static const size_t sizes[] = { 0, 1, 7, 16, 17, 1000, 1024, 1025, 4096, 100000, 1 << 20 };
    _cleanup_(arena_freep) struct arena *a = arena_new();

    (void)state;
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < 20 * ARRAY_LEN(sizes); i++) {
            size_t size = sizes[i % ARRAY_LEN(sizes)];
            unsigned char *p = arena_alloc(a, size);
            assert_int_equal((uintptr_t)p % 16, 0);
            assert_true(is_zero(p, size));
            memset(p, 0xA5, size);
        }
        arena_reset(a);
    }
}

static void test_do_not_overlap(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    unsigned char *blocks[500];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(blocks); i++) {
        blocks[i] = arena_alloc(a, i);
        memset(blocks[i], (int)(i & 0xFF), i);
    }
    for (size_t i = 0; i < ARRAY_LEN(blocks); i++)
        for (size_t k = 0; k < i; k++)
            assert_int_equal(blocks[i][k], i & 0xFF);
}

static void test_text(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    char big[3000];

    (void)state;
    memset(big, 'x', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    assert_null(arena_strdup(a, NULL));
    assert_string_equal(arena_strdup(a, "abc"), "abc");
    assert_string_equal(arena_strndup(a, "abc", 2), "ab");
    assert_string_equal(arena_strndup(a, "abc", 9), "abc");
    assert_string_equal(arena_printf(a, "%s-%d", "x", 5), "x-5");
    assert_string_equal(arena_printf(a, "%s", big), big);
    assert_memory_equal(arena_memdup(a, "a\0b", 3), "a\0b", 3);
}

static char order[16];

static void note(void *p)
{
    size_t len = strlen(order);

    order[len] = *(const char *)p;
    order[len + 1] = '\0';
}

static void test_defer(void **state)
{
    struct arena *a = arena_new();

    (void)state;
    order[0] = '\0';
    arena_defer(a, note, arena_strdup(a, "1"));
    arena_defer(a, note, arena_strdup(a, "2"));
    arena_reset(a);
    assert_string_equal(order, "21");
    arena_reset(a);
    assert_string_equal(order, "21");
    arena_defer(a, note, arena_strdup(a, "3"));
    arena_freep(&a);
    assert_string_equal(order, "213");
    assert_null(a);
    arena_free(NULL);
}

static void test_poison(void **state)
{
    (void)state;
#ifdef HAS_ASAN
    _cleanup_(arena_freep) struct arena *a = arena_new();
    char *p = arena_alloc(a, 24);
    char *q = arena_alloc(a, 24);
    assert_false(__asan_address_is_poisoned(p + 23));
    assert_true(__asan_address_is_poisoned(p + 24));
    assert_false(__asan_address_is_poisoned(q));
    assert_true(__asan_address_is_poisoned(q + 24));
    arena_reset(a);
    assert_true(__asan_address_is_poisoned(p));
    assert_true(__asan_address_is_poisoned(q));
#else
    skip();
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),  cmocka_unit_test(test_do_not_overlap),
        cmocka_unit_test(test_text),   cmocka_unit_test(test_defer),
        cmocka_unit_test(test_poison),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
