/* Hashed and wrapped secrets, and the service key file. */
/* links: portolan_base portolan_crypto */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/text.h"
#include "common/crypto/digest.h"
#include "common/crypto/secret.h"

#include <cmocka.h>

static void generated(void **state)
{
    (void)state;
    _cleanup_(arena_freep) struct arena *a = arena_new();
    char *hash = secret_hash_generated(a, "s3cret");
    assert_true(text_starts(hash, "$sha256$"));
    assert_string_not_equal(hash, secret_hash_generated(a, "s3cret"));
    assert_true(secret_verify(hash, "s3cret"));
    assert_false(secret_verify(hash, "s3cre"));
    assert_false(secret_verify(hash, "s3cret "));
    assert_false(secret_verify(hash, ""));
    assert_false(secret_verify_nothing("s3cret"));
    assert_false(secret_verify_nothing(""));
}

static void chosen(void **state)
{
    (void)state;
    _cleanup_(arena_freep) struct arena *a = arena_new();
    struct error err;
    char *hash = NULL;
    assert_int_equal(secret_hash_chosen(a, "pa$$ word", &hash, &err), 0);
    assert_true(text_starts(hash, "$argon2id$v=19$m=19456,t=2,p=1$"));
    assert_true(secret_verify(hash, "pa$$ word"));
    assert_false(secret_verify(hash, "pa$$ Word"));

    char *longest = arena_alloc(a, 4098);
    memset(longest, 'x', 4097);
    assert_int_equal(secret_hash_chosen(a, longest, &hash, &err), -1);
    assert_ptr_equal(err.code, &E_INVALID);
    assert_false(secret_verify(secret_hash_generated(a, longest), longest));
}

static void malformed_hashes(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        "x",
        "$sha256$",
        "$sha256$00000000000000000000000000000000$",
        "$sha256$00000000000000000000000000000000$"
        "000000000000000000000000000000000000000000000000000000000000000",
        "$sha256$0000000000000000000000000000000g$"
        "0000000000000000000000000000000000000000000000000000000000000000",
        "$sha256$00000000000000000000000000000000:"
        "0000000000000000000000000000000000000000000000000000000000000000",
        "$argon2id$",
        "$argon2id$v=19$m=19456,t=2,p=1$",
        "$argon2i$v=19$m=16,t=2,p=1$c2FsdHNhbHQ$x",
        "x\0",
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_false(secret_verify(cases[i], "x"));
    assert_false(secret_verify(NULL, "x"));
    assert_false(secret_verify("$sha256$", NULL));
}

static void wrapping(void **state)
{
    (void)state;
    _cleanup_(arena_freep) struct arena *a = arena_new();
    struct service_key key, other;
    struct error err;
    random_bytes(key.bytes, sizeof(key.bytes));
    random_bytes(other.bytes, sizeof(other.bytes));
    uint8_t secret[1000];
    random_bytes(secret, sizeof(secret));
    static const size_t lengths[] = { 0, 1, 16, 32, 1000 };
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        char *wrapped = secret_wrap(a, &key, "registry/1/key", secret, lengths[i]);
        uint8_t *back = NULL;
        size_t len = 99;
        assert_int_equal(secret_unwrap(a, &key, "registry/1/key", wrapped, &back, &len, &err), 0);
        assert_int_equal(len, lengths[i]);
        assert_memory_equal(back, secret, len);
        assert_int_equal(back[len], 0);
        assert_int_equal(secret_unwrap(a, &key, "registry/2/key", wrapped, &back, &len, &err), -1);
        assert_int_equal(secret_unwrap(a, &key, "", wrapped, &back, &len, &err), -1);
        assert_int_equal(secret_unwrap(a, &other, "registry/1/key", wrapped, &back, &len, &err),
                         -1);
        assert_ptr_equal(err.code, &E_INTERNAL);
        assert_null(strstr(err.message, "registry"));
    }
    assert_string_not_equal(secret_wrap(a, &key, "c", "x", 1), secret_wrap(a, &key, "c", "x", 1));
}

static void every_flipped_byte_is_noticed(void **state)
{
    (void)state;
    _cleanup_(arena_freep) struct arena *a = arena_new();
    struct service_key key = { { 7 } };
    struct error err;
    char *wrapped = secret_wrap(a, &key, "place", "secret", 6);
    size_t box_len = 0, len = 0;
    uint8_t *box = text_unbase64(a, wrapped, strlen(wrapped), &box_len), *back = NULL;
    assert_int_equal(box_len, 1 + 12 + 6 + 16);
    for (size_t i = 0; i < box_len; i++) {
        box[i] ^= 1;
        assert_int_equal(
            secret_unwrap(a, &key, "place", text_base64url(a, box, box_len), &back, &len, &err),
            -1);
        box[i] ^= 1;
    }
    for (size_t cut = 0; cut < box_len; cut++)
        assert_int_equal(
            secret_unwrap(a, &key, "place", text_base64url(a, box, cut), &back, &len, &err), -1);
    assert_int_equal(secret_unwrap(a, &key, "place", "!!!", &back, &len, &err), -1);
    assert_int_equal(secret_unwrap(a, &key, "place", wrapped, &back, &len, &err), 0);
}

struct loader {
    const char *path;
    struct service_key key;
    int rc;
};

static void *load_key(void *arg)
{
    struct loader *l = arg;
    struct error err;
    l->rc = service_key_load(l->path, true, &l->key, &err);
    return NULL;
}

static void service_keys(void **state)
{
    (void)state;
    _cleanup_(arena_freep) struct arena *a = arena_new();
    char dir[] = "/tmp/test_secret.XXXXXX";
    assert_non_null(mkdtemp(dir));
    const char *path = arena_printf(a, "%s/service.key", dir);
    struct error err;
    struct service_key key;

    assert_int_equal(service_key_load(path, false, &key, &err), -1);
    assert_false(file_exists(path));

    /* Many at once agree on one key. */
    struct loader loaders[8] = { 0 };
    pthread_t threads[8];
    for (size_t i = 0; i < 8; i++) {
        loaders[i].path = path;
        assert_int_equal(pthread_create(&threads[i], NULL, load_key, &loaders[i]), 0);
    }
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(service_key_load(path, false, &key, &err), 0);
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(loaders[i].rc, 0);
        assert_memory_equal(loaders[i].key.bytes, key.bytes, SERVICE_KEY_LEN);
    }
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);

    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(service_key_load(path, true, &key, &err), -1);
    assert_non_null(strstr(err.cause, "0600"));

    static const char *const bad[] = { "", "\n", "00", "zz" };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(file_replace(path, bad[i], strlen(bad[i]), 0600, &err), 0);
        assert_int_equal(service_key_load(path, true, &key, &err), -1);
        assert_null(strstr(err.message, dir));
    }
    assert_int_equal(file_remove_tree(dir, &err), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(generated),
        cmocka_unit_test(chosen),
        cmocka_unit_test(malformed_hashes),
        cmocka_unit_test(wrapping),
        cmocka_unit_test(every_flipped_byte_is_noticed),
        cmocka_unit_test(service_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
