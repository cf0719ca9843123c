/* The storage host's parts: signed links, block lists, and sources on the disk, read back with the key
 * that they were sealed with. */
/* links: portolan_control */
#include "controlplane/storage/sources.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <utime.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/str.h"
#include "common/base/text.h"
#include "common/crypto/digest.h"
#include "common/crypto/seal.h"

#include "controlplane/control.h"
#include "controlplane/provision/region.h"
#include "controlplane/storage/block_list.h"
#include "controlplane/storage/link.h"

#include <cmocka.h>

#define NAME "0123456789abcdef0123456789abcdef"
#define CONTAINER "11111111-2222-4333-8444-555555555555"
#define ANSWER_MAX ((size_t)1 << 24)

static const struct control_settings settings = { .domain = (char *)"test.localhost", .port = 8443 };
static struct control control = { .settings = &settings };

static void must(int rc, const struct error *err)
{
    if (rc < 0)
        fail_msg("%s: %s (%s)", err->code->name, err->message, err->cause);
}

/* --- links --------------------------------------------------------------------------------------- */

static struct link_query query_of(struct arena *a, const char *url)
{
    struct link_query q = { 0 };
    const struct {
        const char *name, **value;
    } members[] = { { "sv=", &q.version }, { "sr=", &q.resource }, { "sp=", &q.right },
                    { "se=", &q.expiry }, { "sig=", &q.signature } };
    char **parts = NULL;
    size_t count = text_split(a, strchr(url, '?') + 1, '&', &parts);

    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < ARRAY_LEN(members); k++) {
            const char *value = parts[i] + strlen(members[k].name);

            if (text_starts(parts[i], members[k].name))
                *members[k].value = text_percent_decode(a, value, strlen(value), true);
        }
    }
    return q;
}

static void test_links(void **state)
{
    const struct link link = { CONTAINER, "source/20261129/" NAME ".tar.gz", LINK_WRITE };
    const struct link others[] = {
        { "11111111-2222-4333-8444-555555555556", link.blob, LINK_WRITE },
        { CONTAINER, "source/20261129/" NAME ".tar.g", LINK_WRITE },
        { CONTAINER "/source", "20261129/" NAME ".tar.gz", LINK_WRITE },
    };
    struct arena *a = arena_new();
    const char *url = link_url(a, &control, &link);
    struct link_query q = query_of(a, url), bad;
    struct link reading = link;
    int64_t now = clock_wall_us(), end;
    struct error err;

    (void)state;
    assert_true(text_starts(url, "https://tasks.blob.test.localhost:8443/" CONTAINER "/source/"));
    must(link_check(a, &control, &link, &q, now, &err), &err);
    assert_true(clock_parse(q.expiry, &end));
    must(link_check(a, &control, &link, &q, end - 1, &err), &err);
    assert_int_equal(link_check(a, &control, &link, &q, end, &err), -1);
    assert_ptr_equal(err.code, &E_LINK);
    reading.right = LINK_READ;
    assert_int_equal(link_check(a, &control, &reading, &q, now, &err), -1);
    assert_ptr_equal(err.code, &E_LINK_RIGHT);
    /* A path reads one way only: the third is the same text, cut elsewhere, and is the same blob. */
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(link_check(a, &control, &others[i], &q, now, &err), -1);
    must(link_check(a, &control, &others[2], &q, now, &err), &err);
    for (int i = 0; i < 5; i++) {
        bad = q;
        *(const char **[]){ &bad.version, &bad.resource, &bad.right, &bad.expiry, &bad.signature }[i] = NULL;
        assert_int_equal(link_check(a, &control, &link, &bad, now, &err), -1);
        assert_ptr_equal(err.code, &E_LINK);
    }
    for (size_t i = 0; i < strlen(q.signature) - 1; i++) {
        char *signature = arena_strdup(a, q.signature);

        signature[i] = signature[i] == 'A' ? 'B' : 'A';
        bad = q;
        bad.signature = signature;
        assert_int_equal(link_check(a, &control, &link, &bad, now, &err), -1);
    }
    arena_free(a);
}

static void test_paths(void **state)
{
    static const char *const none[] = { "", "source/", "source/20261129/" NAME,
                                        "source/2026112/" NAME ".tar.gz",
                                        "source/20261129/../x.tar.gz",
                                        "source/20261129/" NAME "0.tar.gz",
                                        "source/20261129/" NAME ".tar.gz/x",
                                        "Source/20261129/" NAME ".tar.gz" };
    struct arena *a = arena_new();
    const char *path = source_path_new(a);

    (void)state;
    assert_int_equal(strlen(source_name_of(a, path)), SOURCE_NAME_CHARS);
    assert_string_not_equal(path, source_path_new(a));
    for (size_t i = 0; i < ARRAY_LEN(none); i++)
        assert_null(source_name_of(a, none[i]));
    arena_free(a);
}

/* --- block lists --------------------------------------------------------------------------------- */

static void test_block_lists(void **state)
{
    static const struct {
        const char *xml, *ids; /* NULL: refused */
    } cases[] = {
        { "<BlockList></BlockList>", "" },
        { "<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList><Latest>YQ==</Latest></BlockList>",
          "YQ==" },
        { "\xef\xbb\xbf<?xml version='1.0'?>\r\n<BlockList>\n  <Committed>YQ==</Committed>\n"
          "  <Uncommitted> Yg== </Uncommitted ></BlockList>\n", "YQ== Yg==" },
        { "", NULL }, { "<BlockList>", NULL }, { "<BlockList/>", NULL }, { "<?xml", NULL },
        { "<BlockList></BlockList><BlockList></BlockList>", NULL },
        { "<BlockList>YQ==</BlockList>", NULL },
        { "<BlockList><latest>YQ==</latest></BlockList>", NULL },
        { "<BlockList><Latest>YQ==</Latest>", NULL },
        { "<BlockList><Latest>YQ==</Uncommitted></BlockList>", NULL },
        { "<BlockList><Latest>Y</Latest></BlockList>", NULL },
        { "<!DOCTYPE BlockList [<!ENTITY a 'b'>]><BlockList></BlockList>", NULL },
        { "<BlockList><![CDATA[]]></BlockList>", NULL },
    };
    struct arena *a = arena_new();
    const char **ids = NULL;
    struct error err;
    size_t count;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int rc = block_list_parse(a, cases[i].xml, strlen(cases[i].xml), &ids, &count, &err);
        char *joined = arena_strdup(a, "");

        assert_int_equal(rc, cases[i].ids ? 0 : -1);
        for (size_t k = 0; rc == 0 && k < count; k++)
            joined = arena_printf(a, "%s%s%s", joined, k ? " " : "", ids[k]);
        if (cases[i].ids)
            assert_string_equal(joined, cases[i].ids);
    }
    assert_int_equal(block_list_parse(a, "<BlockList></BlockList>\0", 24, &ids, &count, &err), -1);
    assert_true(block_id_is_valid("YQ=="));
    assert_false(block_id_is_valid(""));
    assert_false(block_id_is_valid("a_b-"));
    arena_free(a);
}

/* --- sources ------------------------------------------------------------------------------------- */

struct place {
    struct arena *a;
    struct region region;
    struct source source;
    struct error err;
};

static int set_up(void **state)
{
    struct arena *a = arena_new();
    struct place *p = ARENA_NEW(a, struct place);
    char root[] = "/tmp/portolan-storage-XXXXXX";

    p->a = a;
    assert_non_null(mkdtemp(root));
    p->region = (struct region){ .name = "eastus", .blobs_url = arena_strdup(a, root) };
    p->source = (struct source){ &control, &p->region, CONTAINER, NAME };
    *state = p;
    return 0;
}

static int tear_down(void **state)
{
    struct place *p = *state;

    must(file_remove_tree(p->region.blobs_url, &p->err), &p->err);
    arena_free(p->a);
    return 0;
}

static void put(struct place *p, const char *block, const char *bytes, size_t len, size_t step)
{
    struct source_write *w = NULL;

    must(source_begin(&p->source, block, &w, &p->err), &p->err);
    for (size_t at = 0; at < len; at += step)
        must(source_add(w, bytes + at, len - at < step ? len - at : step, &p->err), &p->err);
    must(source_end(w, &p->err), &p->err);
    source_free(w);
}

static void open_block(struct place *p, const char *folder, const char *name, struct str *out)
{
    const char *key_name = "sources of " CONTAINER;
    size_t at = SEAL_HEADER_BYTES, len = 0, full = SEAL_CHUNK_BYTES + SEAL_TAG_BYTES;
    uint8_t key[SHA256_LEN], plain[SEAL_CHUNK_BYTES];
    struct opener *o = NULL;
    char *sealed = NULL;

    must(file_read(p->a, arena_printf(p->a, "%s/%s", folder, name), ANSWER_MAX, &sealed, &len, &p->err),
         &p->err);
    hmac_sha256(control.service_key.bytes, SERVICE_KEY_LEN, key_name, strlen(key_name), key);
    must(opener_new(key, arena_printf(p->a, NAME "/%s", name), (const uint8_t *)sealed, &o, &p->err),
         &p->err);
    for (uint64_t i = 0; at < len; i++) {
        size_t part = len - at < full ? len - at : full;

        must(opener_chunk(o, i, sealed + at, part, at + part == len, plain, &p->err), &p->err);
        str_append(out, plain, part - SEAL_TAG_BYTES);
        at += part;
    }
    opener_free(o);
}

/* All of the source, as whoever builds it would read it. */
static char *content(struct place *p, size_t *ret_len)
{
    const char *folder = arena_printf(p->a, "%s/" NAME, sources_folder(p->a, &p->region, CONTAINER));
    char *list = NULL, **names = NULL, *out;
    struct str s;

    str_init(&s, ANSWER_MAX);
    must(file_read(p->a, arena_printf(p->a, "%s/list", folder), ANSWER_MAX, &list, NULL, &p->err), &p->err);
    for (size_t i = 0, n = text_split(p->a, list, '\n', &names); i + 1 < n; i++)
        open_block(p, folder, names[i], &s);
    out = str_copy(&s, p->a);
    *ret_len = s.len;
    str_done(&s);
    return out;
}

static void test_whole(void **state)
{
    static const size_t sizes[] = { 0, 1, SEAL_CHUNK_BYTES - 1, SEAL_CHUNK_BYTES, SEAL_CHUNK_BYTES + 1,
                                    3 * SEAL_CHUNK_BYTES };
    struct place *p = *state;

    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        char *bytes = arena_alloc(p->a, sizes[i] + 1), *seen;
        size_t len = 0;

        random_bytes(bytes, sizes[i]);
        put(p, NULL, bytes, sizes[i], i % 2 ? 70000 : 1000);
        seen = content(p, &len);
        assert_int_equal(len, sizes[i]);
        assert_memory_equal(seen, bytes, len);
        assert_true(source_exists(p->a, &p->source));
    }
}

static void test_blocks(void **state)
{
    const char *const order[] = { "Yg==", "YQ==", "Yg==" }, *const missing[] = { "YQ==", "Yw==" };
    struct place *p = *state;
    size_t len = 0;

    put(p, "YQ==", "first", 5, 5);
    put(p, "Yg==", "second", 6, 6);
    assert_false(source_exists(p->a, &p->source));
    assert_int_equal(source_commit(p->a, &p->source, missing, 2, &p->err), -1);
    assert_ptr_equal(p->err.code, &E_BLOCK_LIST);
    assert_int_equal(source_commit(p->a, &p->source, order, 0, &p->err), -1);
    must(source_commit(p->a, &p->source, order, 3, &p->err), &p->err);
    must(source_commit(p->a, &p->source, order, 3, &p->err), &p->err);
    assert_string_equal(content(p, &len), "secondfirstsecond");
    put(p, NULL, "whole", 5, 5);
    assert_string_equal(content(p, &len), "whole");
    /* What the list does not name is gone. */
    assert_int_equal(source_commit(p->a, &p->source, order, 3, &p->err), -1);
}

/* NULL when all went well. */
static void *put_again(void *ctx)
{
    static char failed[] = "a source could not be written";
    const struct place *p = ctx;
    struct error err;

    for (int i = 0; i < 25; i++) {
        struct source_write *w = NULL;
        int rc = source_begin(&p->source, NULL, &w, &err) || source_add(w, "same", 4, &err) ||
                 source_end(w, &err);

        source_free(w);
        if (rc)
            return failed;
    }
    return NULL;
}

/* Who writes the list last has all its blocks, and the others' are gone. */
static void test_two_at_once(void **state)
{
    struct place *p = *state;
    void *theirs = NULL;
    pthread_t other;
    size_t len = 0;

    for (int i = 0; i < 8; i++) {
        assert_int_equal(pthread_create(&other, NULL, put_again, p), 0);
        assert_null(put_again(p));
        assert_int_equal(pthread_join(other, &theirs), 0);
        assert_null(theirs);
        assert_string_equal(content(p, &len), "same");
    }
}

static void test_given_up(void **state)
{
    struct place *p = *state;
    struct source_write *w = NULL;
    size_t len = 0;

    put(p, NULL, "kept", 4, 4);
    must(source_begin(&p->source, NULL, &w, &p->err), &p->err);
    must(source_add(w, "other", 5, &p->err), &p->err);
    source_free(w);
    source_free(NULL);
    assert_string_equal(content(p, &len), "kept");
}

static void age(const char *path, int64_t seconds)
{
    struct utimbuf then = { .actime = clock_wall_s() - seconds, .modtime = clock_wall_s() - seconds };

    assert_int_equal(utime(path, &then), 0);
}

static void test_sweep(void **state)
{
    struct place *p = *state;
    const char *above = sources_folder(p->a, &p->region, CONTAINER);
    const char *folder = arena_printf(p->a, "%s/" NAME, above);
    int64_t now = clock_wall_s();

    must(sources_sweep(p->a, &p->region, now, &p->err), &p->err); /* nobody ever sent one */
    put(p, NULL, "kept", 4, 4);
    age(folder, SOURCE_KEPT_S - 60);
    must(sources_sweep(p->a, &p->region, now, &p->err), &p->err);
    assert_true(source_exists(p->a, &p->source));
    age(folder, SOURCE_KEPT_S + 60);
    age(above, SOURCE_KEPT_S + 60);
    must(sources_sweep(p->a, &p->region, now, &p->err), &p->err);
    assert_false(file_exists(folder));
    /* Its folder changed when the source went, and goes in its turn. */
    age(above, SOURCE_KEPT_S + 60);
    must(sources_sweep(p->a, &p->region, now, &p->err), &p->err);
    assert_false(file_exists(above));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_links),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_block_lists),
        cmocka_unit_test_setup_teardown(test_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_blocks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_two_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_given_up, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_sweep, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
