/* Where the settings say that regions keep their things. */
/* links: portolan_control */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "controlplane/control.h"
#include "controlplane/provision/region.h"
#include "controlplane/store/regions.h"

/* Behind error.h, as cmocka has a macro called fail. */
#include <cmocka.h>

static const struct control_settings plain = {
    .regions = "westus westus2  eastus",
    .region_db = "postgresql:///portolan_{region}",
    .region_blobs = "/blobs/{region}/of {region}",
};

static void test_patterns_and_exceptions(void **state)
{
    static const char *const expected[][3] = {
        { "westus", "postgres://db.example/west", "/blobs/westus/of westus" },
        { "westus2", "postgresql:///portolan_westus2", "/mnt/blobs" },
        { "eastus", "postgresql:///portolan_eastus", "/blobs/eastus/of eastus" },
    };
    struct control_settings s = plain;
    struct arena *a = arena_new();
    struct region_row *rows;
    struct error err;
    size_t count;

    (void)state;
    s.region_db_of = "westus=postgres://db.example/west";
    s.region_blobs_of = " westus2=/mnt/blobs ";
    assert_int_equal(regions_wanted(&s, a, &rows, &count, &err), 0);
    assert_int_equal(count, 3);
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(rows[i].name, expected[i][0]);
        assert_string_equal(rows[i].metadata_url, expected[i][1]);
        assert_string_equal(rows[i].blobs_url, expected[i][2]);
    }
    arena_free(a);
}

static void test_mistakes(void **state)
{
    static const char *const lists[] = { "mars=postgres://secret@x/y", "westus", "westus=",
                                         "=x", "westus3=/x", "west=/x" };
    struct arena *a = arena_new();
    struct region_row *rows;
    size_t count;

    (void)state;
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        struct control_settings s = plain;
        struct error err = { 0 };

        s.region_db_of = (char *)(uintptr_t)lists[i];
        assert_int_equal(regions_wanted(&s, a, &rows, &count, &err), -1);
        assert_non_null(strstr(err.message, "region-db-of"));
        assert_null(strstr(err.message, "secret"));
    }
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_patterns_and_exceptions),
        cmocka_unit_test(test_mistakes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
