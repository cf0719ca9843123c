/* What is accepted as a manifest, what is read from it, and what is refused. */
/* links: portolan_data */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "dataplane/acr/render.h"
#include "dataplane/oci/errors.h"
#include "dataplane/oci/manifest.h"

#include <cmocka.h>

#define HEX64   "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define D       "sha256:" HEX64
#define OCI     "application/vnd.oci.image.manifest.v1+json"
#define INDEX   "application/vnd.oci.image.index.v1+json"
#define DOCKER  "application/vnd.docker.distribution.manifest.v2+json"
#define LIST    "application/vnd.docker.distribution.manifest.list.v2+json"
#define FOREIGN "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
#define CONFIG  "\"config\":{\"mediaType\":\"c/c\",\"digest\":\"" D "\",\"size\":7}"
#define LAYER   "{\"mediaType\":\"l/l\",\"digest\":\"" D "\",\"size\":100}"

static const struct {
    const char *type, *text;
    const char *stored; /* NULL: refused */
    size_t blobs, optional, children;
    int64_t size;
    const char *artifact;
} cases[] = {
    { OCI, "{\"schemaVersion\":2,\"mediaType\":\"" OCI "\"," CONFIG ",\"layers\":[" LAYER "]}", OCI,
      2, 0, 0, 107, "c/c" },
    { NULL, "{\"schemaVersion\":2,\"mediaType\":\"" DOCKER "\"," CONFIG ",\"layers\":[]}", DOCKER,
      1, 0, 0, 7, "c/c" },
    { OCI "; charset=utf-8", "{\"schemaVersion\":2," CONFIG ",\"layers\":[]}", OCI, 1, 0, 0, 7,
      "c/c" },
    { "application/json", "{\"schemaVersion\":2,\"mediaType\":\"" OCI "\"," CONFIG "}", OCI, 1, 0,
      0, 7, "c/c" },
    { OCI, "{\"schemaVersion\":2,\"artifactType\":\"x/y\"," CONFIG ",\"unknown\":{\"a\":[1]}}", OCI,
      1, 0, 0, 7, "x/y" },
    { OCI,
      "{\"schemaVersion\":2," CONFIG ",\"layers\":[{\"mediaType\":\"" FOREIGN "\",\"digest\":\"" D
      "\",\"size\":5,\"urls\":[\"https://x.test/\"]}," LAYER "]}",
      OCI, 2, 1, 0, 112, "c/c" },
    { INDEX, "{\"schemaVersion\":2,\"manifests\":[]}", INDEX, 0, 0, 0, 0, NULL },
    { INDEX, "{\"schemaVersion\":2,\"artifactType\":\"x/y\",\"manifests\":[" LAYER "," LAYER "]}",
      INDEX, 0, 0, 2, 200, "x/y" },
    { LIST, "{\"schemaVersion\":2,\"mediaType\":\"" LIST "\",\"manifests\":[" LAYER "]}", LIST, 0,
      0, 1, 100, NULL },
    { NULL, "{\"schemaVersion\":2,\"manifests\":[" LAYER "]}", INDEX, 0, 0, 1, 100, NULL },
    { "application/vnd.oci.artifact.manifest.v1+json",
      "{\"mediaType\":\"application/vnd.oci.artifact.manifest.v1+json\",\"artifactType\":\"x/y\","
      "\"blobs\":[" LAYER "]}",
      "application/vnd.oci.artifact.manifest.v1+json", 1, 0, 0, 100, "x/y" },

    { OCI, "", NULL, 0, 0, 0, 0, NULL },
    { OCI, "[]", NULL, 0, 0, 0, 0, NULL },
    { OCI, "{}", NULL, 0, 0, 0, 0, NULL },
    { OCI, "{\"schemaVersion\":1," CONFIG "}", NULL, 0, 0, 0, 0, NULL },
    { OCI, "{\"schemaVersion\":2,\"schemaVersion\":2," CONFIG "}", NULL, 0, 0, 0, 0, NULL },
    { OCI, "{\"schemaVersion\":2,\"layers\":[" LAYER "]}", NULL, 0, 0, 0, 0, NULL },
    { OCI, "{\"schemaVersion\":2," CONFIG ",\"manifests\":[" LAYER "]}", NULL, 0, 0, 0, 0, NULL },
    { INDEX, "{\"schemaVersion\":2,\"manifests\":[],\"layers\":[" LAYER "]}", NULL, 0, 0, 0, 0,
      NULL },
    { INDEX, "{\"schemaVersion\":2,\"manifests\":[]," CONFIG "}", NULL, 0, 0, 0, 0, NULL },
    { DOCKER, "{\"schemaVersion\":2,\"mediaType\":\"" OCI "\"," CONFIG "}", NULL, 0, 0, 0, 0,
      NULL },
    { "text/plain", "{\"schemaVersion\":2," CONFIG "}", NULL, 0, 0, 0, 0, NULL },
    { OCI, "{\"schemaVersion\":2,\"config\":{\"digest\":\"sha256:zz\",\"size\":7}}", NULL, 0, 0, 0,
      0, NULL },
    { OCI, "{\"schemaVersion\":2," CONFIG ",\"layers\":[{\"mediaType\":\"l/l\",\"size\":1}]}", NULL,
      0, 0, 0, 0, NULL },
    { OCI, "{\"schemaVersion\":2," CONFIG ",\"layers\":[{\"digest\":\"" D "\",\"size\":-1}]}", NULL,
      0, 0, 0, 0, NULL },
    { OCI, "{\"schemaVersion\":2," CONFIG ",\"layers\":[{\"digest\":\"" D "\",\"size\":1e400}]}",
      NULL, 0, 0, 0, 0, NULL },
    { OCI, "{\"schemaVersion\":2," CONFIG ",\"layers\":{}}", NULL, 0, 0, 0, 0, NULL },
    { OCI, "{\"schemaVersion\":2," CONFIG ",\"annotations\":{\"a\":1}}", NULL, 0, 0, 0, 0, NULL },
    { OCI, "{\"schemaVersion\":2," CONFIG ",\"subject\":{\"digest\":\"x\"}}", NULL, 0, 0, 0, 0,
      NULL },
    { OCI, "{\"schemaVersion\":2," CONFIG "} trailing", NULL, 0, 0, 0, 0, NULL },
    { OCI, "{\"schemaVersion\":2,'a':1," CONFIG "}", NULL, 0, 0, 0, 0, NULL },
};

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        _cleanup_(arena_freep) struct arena *a = arena_new();
        struct manifest m;
        struct error err = { 0 };
        int status =
            manifest_decode(a, cases[i].type, cases[i].text, strlen(cases[i].text), &m, &err);
        if (!cases[i].stored) {
            if (status != -1)
                fail_msg("case %zu was accepted", i);
            assert_ptr_equal(err.code, &E_MANIFEST_INVALID);
            continue;
        }
        if (status != 0)
            fail_msg("case %zu: %s", i, err.message);
        assert_string_equal(m.media_type, cases[i].stored);
        assert_int_equal(m.blobs.count, cases[i].blobs);
        assert_int_equal(m.optional.count, cases[i].optional);
        assert_int_equal(m.children.count, cases[i].children);
        assert_int_equal(m.image_size, cases[i].size);
        assert_true(text_eq(m.artifact_type, cases[i].artifact));
    }
}

static void test_subject(void **state)
{
    (void)state;
    _cleanup_(arena_freep) struct arena *a = arena_new();
    const char *text = "{\"schemaVersion\":2," CONFIG ",\"subject\":" LAYER
                       ",\"annotations\":{\"a\":\"b\",\"c\":\"\"}}";
    struct manifest m;
    struct error err = { 0 };
    char digest[DIGEST_TEXT_MAX];
    assert_int_equal(manifest_decode(a, OCI, text, strlen(text), &m, &err), 0);
    assert_true(m.has_subject);
    digest_text(&m.subject, digest);
    assert_string_equal(digest, D);
    assert_string_equal(m.annotations, "{\"a\":\"b\",\"c\":\"\"}");
}

static void test_platform(void **state)
{
    (void)state;
    _cleanup_(arena_freep) struct arena *a = arena_new();
    struct image_platform p = { 0 };
    const char *good = "{\"architecture\":\"arm64\",\"os\":\"linux\",\"rootfs\":{}}";
    const char *odd = "{\"architecture\":5,\"os\":\"linux\"}";
    image_config_decode(a, odd, strlen(odd), &p);
    assert_null(p.os);
    image_config_decode(a, "not json", 8, &p);
    assert_null(p.architecture);
    image_config_decode(a, good, strlen(good), &p);
    assert_string_equal(p.architecture, "arm64");
    assert_string_equal(p.os, "linux");
}

static void test_tables(void **state)
{
    (void)state;
    struct error err = { 0 };
    assert_int_equal(fields_table_check(manifest_fields, manifest_fields_size(), &err), 0);
    assert_int_equal(fields_table_check(image_config_fields, sizeof(struct image_platform), &err),
                     0);
    assert_int_equal(fields_table_check(acr_change_fields, acr_change_size(), &err), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_subject),
        cmocka_unit_test(test_platform),
        cmocka_unit_test(test_tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
