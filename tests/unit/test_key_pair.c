/* links: portolan_base portolan_json portolan_crypto */
/* Key pairs of vaults: every algorithm there and back, and what does not fit refused. */
#include "common/crypto/key_pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/json/json.h"

#include <cmocka.h>

static const struct row {
    const char *curve; /* NULL: RSA */
    const char *algorithm;
    size_t digest_len;
} signatures[] = {
    { NULL, "RS256", 32 },      { NULL, "RS384", 48 },      { NULL, "RS512", 64 },
    { NULL, "PS256", 32 },      { NULL, "PS384", 48 },      { NULL, "PS512", 64 },
    { "P-256", "ES256", 32 },   { "P-384", "ES384", 48 },   { "P-521", "ES512", 64 },
    { "P-256K", "ES256K", 32 },
};

static struct key_pair *make(const char *curve)
{
    struct key_pair *key = curve ? key_pair_new_ec(curve) : key_pair_new_rsa(2048);

    assert_non_null(key);
    return key;
}

static void test_signatures(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    uint8_t digest[64];

    (void)state;
    memset(digest, 7, sizeof(digest));
    for (size_t i = 0; i < ARRAY_LEN(signatures); i++) {
        const struct row *row = &signatures[i];
        _cleanup_(key_pair_freep) struct key_pair *key = make(row->curve);
        struct key_bytes in = { digest, row->digest_len }, out, other = { digest, 5 };
        struct error err;

        assert_int_equal(key_pair_sign(a, key, row->algorithm, in, &out, &err), 0);
        assert_int_equal(key_pair_verify(a, key, row->algorithm, in, out, &err), 1);
        ((uint8_t *)out.data)[out.len - 1] ^= 1;
        assert_int_equal(key_pair_verify(a, key, row->algorithm, in, out, &err), 0);
        assert_int_equal(key_pair_verify(a, key, row->algorithm, in, other, &err), 0);
        assert_int_equal(key_pair_sign(a, key, row->algorithm, other, &out, &err), -1);
        assert_ptr_equal(err.code, &E_INVALID);
        assert_int_equal(key_pair_sign(a, key, "HS256", in, &out, &err), -1);
        assert_int_equal(key_pair_sign(a, key, NULL, in, &out, &err), -1);
    }
}

static void test_encryption(void **state)
{
    static const char *const names[] = { "RSA-OAEP", "RSA-OAEP-256" };
    _cleanup_(arena_freep) struct arena *a = arena_new();
    _cleanup_(key_pair_freep) struct key_pair *key = make(NULL), *curve = make("P-256");
    struct key_bytes plain = { (const uint8_t *)"data key", 8 }, sealed, opened;
    uint8_t large[512] = { 0 };
    struct error err;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        assert_int_equal(key_pair_encrypt(a, key, names[i], plain, &sealed, &err), 0);
        assert_int_equal(key_pair_decrypt(a, key, names[i], sealed, &opened, &err), 0);
        assert_int_equal(opened.len, 8);
        assert_memory_equal(opened.data, "data key", 8);
        ((uint8_t *)sealed.data)[0] ^= 1;
        assert_int_equal(key_pair_decrypt(a, key, names[i], sealed, &opened, &err), -1);
        assert_ptr_equal(err.code, &E_INVALID);
        assert_int_equal(key_pair_encrypt(a, key, names[i],
                                          (struct key_bytes){ large, sizeof(large) }, &sealed, &err),
                         -1);
        assert_int_equal(key_pair_encrypt(a, curve, names[i], plain, &sealed, &err), -1);
    }
    assert_int_equal(key_pair_encrypt(a, key, "RSA1_5", plain, &sealed, &err), -1);
}

static void test_round_trip(void **state)
{
    static const char *const curves[] = { NULL, "P-256", "P-384", "P-521", "P-256K" };
    _cleanup_(arena_freep) struct arena *a = arena_new();
    struct error err;

    (void)state;
    assert_null(key_pair_new_ec("P-1"));
    assert_int_equal(key_pair_parse("nonsense", &(struct key_pair *){ NULL }, &err), -1);
    for (size_t i = 0; i < ARRAY_LEN(curves); i++) {
        _cleanup_(key_pair_freep) struct key_pair *key = make(curves[i]), *again = NULL;
        struct json_object *one, *two;

        assert_int_equal(key_pair_parse(key_pair_pem(a, key), &again, &err), 0);
        one = json_own(a, key_pair_jwk(a, key));
        two = json_own(a, key_pair_jwk(a, again));
        assert_true(json_equal(one, two));
        assert_string_equal(json_text(one, "kty"), curves[i] ? "EC" : "RSA");
        assert_int_equal(json_count(one), curves[i] ? 4 : 3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_signatures),
        cmocka_unit_test(test_encryption),
        cmocka_unit_test(test_round_trip),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
