/* Route tables and canonical targets, both pure. */
/* links: portolan_http portolan_base */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/http/route.h"
#include "common/http/target.h"

#include <cmocka.h>

static const struct http_route routes[] = {
    { .method = "GET", .pattern = "/" },
    { .method = "GET", .pattern = "/v2/" },
    { .method = "GET", .pattern = "/v2/_catalog" },
    { .method = "GET", .pattern = "/v2/{name*}/blobs/{digest}" },
    { .method = "HEAD", .pattern = "/v2/{name*}/blobs/{digest}" },
    { .method = "POST", .pattern = "/v2/{name*}/blobs/uploads/" },
    { .method = "GET", .pattern = "/v2/{name*}/tags/list" },
    { .method = "PUT", .pattern = "/subscriptions/{s}/resourceGroups/{g}", .is_nocase = true },
    { .method = "*", .pattern = "/any/{rest*}" },
    { .method = "GET", .pattern = "/headed", .answers_head = true },
    { .method = "PUT", .pattern = "/headed", .answers_head = true },
    { 0 },
};

static const struct {
    const char *method, *path;
    int row; /* -1: none */
    const char *allow;
    const char *params[3];
} finds[] = {
    { "GET", "/", 0, NULL, { NULL } },
    { "GET", "/v2/", 1, NULL, { NULL } },
    { "GET", "/v2", -1, NULL, { NULL } },
    { "GET", "/v2/_catalog", 2, NULL, { NULL } },
    { "GET", "/v2/_Catalog", -1, NULL, { NULL } },
    { "GET", "/v2/a/blobs/sha256:x", 3, NULL, { "a", "sha256:x" } },
    { "GET", "/v2/a/b/c/blobs/d", 3, NULL, { "a/b/c", "d" } },
    { "HEAD", "/v2/a/blobs/d", 4, NULL, { "a", "d" } },
    { "GET", "/v2/blobs/blobs/blobs/blobs/d", 3, NULL, { "blobs/blobs/blobs", "d" } },
    { "GET", "/v2/blobs/d", -1, NULL, { NULL } },
    { "GET", "/v2/a/blobs/", -1, NULL, { NULL } },
    { "GET", "/v2/a/blobs/d/", -1, NULL, { NULL } },
    { "POST", "/v2/a/b/blobs/uploads/", 5, NULL, { "a/b" } },
    { "POST", "/v2/a/b/blobs/uploads", -1, "GET, HEAD", { NULL } },
    { "DELETE", "/v2/a/blobs/d", -1, "GET, HEAD", { NULL } },
    { "GET", "/v2/a/tags/list", 6, NULL, { "a" } },
    { "PUT", "/SUBSCRIPTIONS/One/resourcegroups/Two", 7, NULL, { "One", "Two" } },
    { "PUT", "/subscriptions//resourceGroups/x", -1, NULL, { NULL } },
    { "BREW", "/any/a/b", 8, NULL, { "a/b" } },
    { "GET", "/any/", -1, NULL, { NULL } },
    { "GET", "/any", -1, NULL, { NULL } },
    { "GET", "/any/a/", -1, NULL, { NULL } },
    { "GE", "/v2/", -1, "GET", { NULL } },
    { "HEAD", "/v2/", -1, "GET", { NULL } },
    { "HEAD", "/headed", 9, NULL, { NULL } },
    { "POST", "/headed", -1, "GET, HEAD, PUT", { NULL } },
};

static void test_find(void **state)
{
    struct arena *a = arena_new();

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(finds); i++) {
        struct http_route_match m;
        const struct http_route *want = finds[i].row < 0 ? NULL : &routes[finds[i].row];

        http_route_find(a, routes, finds[i].method, finds[i].path, &m);
        if (m.route != want)
            fail_msg("%s %s: wrong row", finds[i].method, finds[i].path);
        assert_int_equal(m.is_method_wrong, finds[i].allow != NULL);
        if (finds[i].allow)
            assert_string_equal(m.allow, finds[i].allow);
        for (size_t p = 0; p < 3; p++) {
            if (!finds[i].params[p])
                assert_null(m.params[p]);
            else
                assert_string_equal(m.params[p], finds[i].params[p]);
        }
    }
    arena_free(a);
}

#define RAW(text) text, sizeof(text) - 1

static const struct {
    const char *raw;
    size_t len;
    const char *path; /* NULL: refused */
    const char *query, *authority;
} targets[] = {
    { RAW("/"), "/", "", NULL },
    { RAW("/a/b"), "/a/b", "", NULL },
    { RAW("/a/b/"), "/a/b/", "", NULL },
    { RAW("//a///b//"), "/a/b/", "", NULL },
    { RAW("/a%20b"), "/a b", "", NULL },
    { RAW("/%61%2Db"), "/a-b", "", NULL },
    { RAW("/a%2525"), "/a%25", "", NULL },
    { RAW("/a%3Fb?c=%2e%2e"), "/a?b", "c=%2e%2e", NULL },
    { RAW("/a?x?y"), "/a", "x?y", NULL },
    { RAW("/a?"), "/a", "", NULL },
    { RAW("/sha256:ab@c,d;e=f"), "/sha256:ab@c,d;e=f", "", NULL },
    { RAW("/gr%C3%BC%C3%9F"), "/gr\xc3\xbc\xc3\x9f", "", NULL },
    { RAW("/.../..a/.b/b."), "/.../..a/.b/b.", "", NULL },
    { RAW("http://Reg.example:80/v2/?n=1"), "/v2/", "n=1", "Reg.example:80" },
    { RAW("https://h"), "/", "", "h" },
    { RAW("http://h?q"), "/", "q", "h" },
    { RAW("/http://h/.x"), "/http:/h/.x", "", NULL },
    { RAW(""), NULL, NULL, NULL },
    { RAW("*"), NULL, NULL, NULL },
    { RAW("a/b"), NULL, NULL, NULL },
    { RAW("?a"), NULL, NULL, NULL },
    { RAW("host:443"), NULL, NULL, NULL },
    { RAW("/."), NULL, NULL, NULL },
    { RAW("/.."), NULL, NULL, NULL },
    { RAW("/a/./b"), NULL, NULL, NULL },
    { RAW("/a/../b"), NULL, NULL, NULL },
    { RAW("/a//../b"), NULL, NULL, NULL },
    { RAW("/a/%2e/b"), NULL, NULL, NULL },
    { RAW("/a/%2E%2e"), NULL, NULL, NULL },
    { RAW("/a/.%2e/b"), NULL, NULL, NULL },
    { RAW("/../b?x"), NULL, NULL, NULL },
    { RAW("http://h/.."), NULL, NULL, NULL },
    { RAW("/a%2fb"), NULL, NULL, NULL },
    { RAW("/a%2Fb"), NULL, NULL, NULL },
    { RAW("/a%5cb"), NULL, NULL, NULL },
    { RAW("/a%5Cb"), NULL, NULL, NULL },
    { RAW("/a\\b"), NULL, NULL, NULL },
    { RAW("/a%00b"), NULL, NULL, NULL },
    { RAW("/a\0b"), NULL, NULL, NULL },
    { RAW("/a%0d%0ab"), NULL, NULL, NULL },
    { RAW("/a%7f"), NULL, NULL, NULL },
    { RAW("/a\tb"), NULL, NULL, NULL },
    { RAW("/a%"), NULL, NULL, NULL },
    { RAW("/a%2"), NULL, NULL, NULL },
    { RAW("/a%zz"), NULL, NULL, NULL },
    { RAW("/a%+1"), NULL, NULL, NULL },
    { RAW("/a%c0%af"), NULL, NULL, NULL },
    { RAW("/a%ff"), NULL, NULL, NULL },
    { RAW("/a%ed%a0%80"), NULL, NULL, NULL },
    { RAW("/a\xc3"), NULL, NULL, NULL },
    { RAW("/a#b"), NULL, NULL, NULL },
    { RAW("/a?b#c"), NULL, NULL, NULL },
    { RAW("/a?b c"), NULL, NULL, NULL },
    { RAW("/a?b\x01"), NULL, NULL, NULL },
};

static void test_targets(void **state)
{
    struct arena *a = arena_new();

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
        struct http_target t = { 0 };
        struct error err;
        int rc = http_target_parse(a, targets[i].raw, targets[i].len, false, &t, &err);

        if (!targets[i].path) {
            if (rc == 0)
                fail_msg("'%s' was taken as '%s'", targets[i].raw, t.path);
            assert_ptr_equal(err.code, &E_INVALID);
            continue;
        }
        if (rc != 0)
            fail_msg("'%s' was refused: %s", targets[i].raw, err.message);
        assert_string_equal(t.path, targets[i].path);
        assert_string_equal(t.query, targets[i].query);
        if (targets[i].authority)
            assert_string_equal(t.authority, targets[i].authority);
        else
            assert_null(t.authority);
    }
    arena_free(a);
}

/* Where they are taken, encoded slashes are slashes before any check. */
static void test_encoded_slashes(void **state)
{
    static const struct {
        const char *raw, *path;
    } cases[] = {
        { "/a%2fb%2Fc", "/a/b/c" }, { "/a%2f/b", "/a/b" },    { "/%2f%2fa", "/a" },
        { "/a%2f", "/a/" },         { "/a%252fb", "/a%2fb" }, { "/a%2f..%2fb", NULL },
        { "/a%2f%2e", NULL },       { "/a/..%2fb", NULL },    { "/a%5c..%2fb", NULL },
    };
    struct arena *a = arena_new();

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct http_target t = { 0 };
        struct error err;
        int rc = http_target_parse(a, cases[i].raw, strlen(cases[i].raw), true, &t, &err);

        assert_int_equal(rc, cases[i].path ? 0 : -1);
        if (cases[i].path)
            assert_string_equal(t.path, cases[i].path);
    }
    arena_free(a);
}

static void test_length(void **state)
{
    struct arena *a = arena_new();
    char raw[HTTP_TARGET_MAX + 1];
    struct http_target t;
    struct error err;

    (void)state;
    memset(raw, 'a', sizeof raw);
    raw[0] = '/';
    assert_int_equal(http_target_parse(a, raw, HTTP_TARGET_MAX, false, &t, &err), 0);
    assert_int_equal(strlen(t.path), HTTP_TARGET_MAX);
    assert_int_equal(http_target_parse(a, raw, HTTP_TARGET_MAX + 1, false, &t, &err), -1);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_targets),
        cmocka_unit_test(test_encoded_slashes),
        cmocka_unit_test(test_length),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
