/* Whole-file work in a directory of its own. */
/* links: portolan_base */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/file.h"

/* Behind error.h, as cmocka has a macro called fail. */
#include <cmocka.h>

static char root[] = "/tmp/portolan-file-XXXXXX";

static int set_up(void **state)
{
    (void)state;
    return mkdtemp(root) ? 0 : -1;
}

static int tear_down(void **state)
{
    struct error err;

    (void)state;
    return file_remove_tree(root, &err);
}

static void test_replace_and_read(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    const char *path = arena_printf(a, "%s/f", root);
    struct error err = { 0 };
    struct stat st;
    char *text;
    size_t len;

    (void)state;
    assert_int_equal(file_read(a, path, 100, &text, &len, &err), -1);
    assert_ptr_equal(err.code, &E_NOT_FOUND);
    assert_int_equal(file_replace(path, "a\0b", 3, 0600, &err), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(file_read(a, path, 3, &text, &len, &err), 0);
    assert_int_equal(len, 3);
    assert_memory_equal(text, "a\0b", 4);
    assert_int_equal(file_read(a, path, 2, &text, &len, &err), -1);
    assert_ptr_equal(err.code, &E_TOO_LARGE);
    assert_int_equal(file_replace(path, "", 0, 0644, &err), 0);
    assert_int_equal(file_read(a, path, 0, &text, &len, &err), 0);
    assert_int_equal(len, 0);
    assert_string_equal(text, "");

    size_t big = 100000;
    char *bytes = arena_alloc(a, big);
    memset(bytes, 'z', big);
    assert_int_equal(file_replace(path, bytes, big, 0644, &err), 0);
    assert_int_equal(file_read(a, path, big, &text, &len, &err), 0);
    assert_int_equal(len, big);
    assert_memory_equal(text, bytes, big);
}

static void test_replace_fails_cleanly(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    const char *dir = arena_printf(a, "%s/d", root);
    struct error err = { 0 };

    (void)state;
    assert_int_equal(file_replace(arena_printf(a, "%s/none/f", root), "x", 1, 0644, &err), -1);
    assert_ptr_equal(err.code, &E_INTERNAL);
    /* A directory is not replaced by a file, and no temporary file is left: the directory around it
     * can be removed as empty. */
    assert_int_equal(file_mkdirs(arena_printf(a, "%s/sub", dir), 0755, &err), 0);
    assert_int_equal(file_replace(arena_printf(a, "%s/sub", dir), "x", 1, 0644, &err), -1);
    assert_int_equal(rmdir(arena_printf(a, "%s/sub", dir)), 0);
    assert_int_equal(rmdir(dir), 0);
}

static void test_mkdirs(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    const char *path = arena_printf(a, "%s/x/y/z", root);
    const char *file = arena_printf(a, "%s/x/file", root);
    struct error err = { 0 };

    (void)state;
    assert_int_equal(file_mkdirs(path, 0755, &err), 0);
    assert_int_equal(file_mkdirs(path, 0755, &err), 0);
    assert_int_equal(file_mkdirs(arena_printf(a, "%s//w/", path), 0755, &err), 0);
    assert_true(file_exists(arena_printf(a, "%s/w", path)));
    assert_int_equal(file_replace(file, "", 0, 0644, &err), 0);
    assert_int_equal(file_mkdirs(file, 0755, &err), -1);
    assert_int_equal(file_mkdirs(arena_printf(a, "%s/below", file), 0755, &err), -1);
    assert_int_equal(file_mkdirs("", 0755, &err), -1);
    assert_int_equal(file_fsync_dir(path, &err), 0);
    assert_int_equal(file_fsync_dir(file, &err), -1);
}

static void test_remove_tree(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    const char *tree = arena_printf(a, "%s/tree", root);
    const char *outside = arena_printf(a, "%s/outside", root);
    struct error err = { 0 };

    (void)state;
    assert_int_equal(file_mkdirs(arena_printf(a, "%s/a/b/c", tree), 0755, &err), 0);
    assert_int_equal(file_mkdirs(outside, 0755, &err), 0);
    assert_int_equal(file_replace(arena_printf(a, "%s/kept", outside), "", 0, 0644, &err), 0);
    for (int i = 0; i < 100; i++)
        assert_int_equal(file_replace(arena_printf(a, "%s/a/b/f%d", tree, i), "x", 1, 0444, &err),
                         0);
    assert_int_equal(symlink(outside, arena_printf(a, "%s/a/link", tree)), 0);
    assert_int_equal(symlink(outside, arena_printf(a, "%s/top-link", root)), 0);
    assert_int_equal(file_remove_tree(tree, &err), 0);
    assert_false(file_exists(tree));
    assert_int_equal(file_remove_tree(arena_printf(a, "%s/top-link", root), &err), 0);
    assert_true(file_exists(arena_printf(a, "%s/kept", outside)));
    assert_int_equal(file_remove_tree(tree, &err), 0);
    assert_int_equal(file_remove_tree(arena_printf(a, "%s/kept/below", outside), &err), 0);
    assert_int_equal(file_remove_tree(arena_printf(a, "%s/kept", outside), &err), 0);
    assert_false(file_exists(arena_printf(a, "%s/kept", outside)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replace_and_read),
        cmocka_unit_test(test_replace_fails_cleanly),
        cmocka_unit_test(test_mkdirs),
        cmocka_unit_test(test_remove_tree),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
