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

static const char rsa_jwk[] =
    "{\"kty\":\"RSA\",\"n\":\"qJFNhCwQC5vkfhjZouohzA7vWck5HOL_GzlG8FfLHqCkTg6M-NZ117PbplT"
    "qsDzeIFY3jIo4WjgJEoibGwnyuPApNIdccBCeb3j7KPTJT_KA56NdovJWE34vurVPy3DXPZJ_jVLVsBbObfk"
    "qWUj6Mut8wZ-ZqUaTk8CpVXnSyMt7lKx_T1WwiXqNmtBM8P6CWZ1kP9xr-2RqqCDi8DkWcP_uu5Vrt_AeSQS"
    "xnuGg8_QmlUQj-2eOt_fudTei4nUwLmpCq7Rh9ajVfjxc1qDQedMVI0L_fWng7dFKc4yeaBVBijvNT2AzheR"
    "7cnP8b2XY-ZPZ6rkLidDi0qwqpFynTQ\",\"e\":\"AQAB\",\"d\":\"ItsU08lGshfUqgxaaFkQjwDhlkf"
    "JEwOPK6Ju3EDTI-ykvO0-UjAKYwVyXFT_yFx1s-sQBnQITgN7QMVViURH19z1MELzJssQ78zs5l2jiPAEnqF"
    "Fue1xRguYM_vM2azmHPm_fUoNHKHCorPcgWTZM5FFFUZ6wClzV6CFg0KzBsjSwbnN3k4zslq7hV2RbyLxzzU"
    "oJSiDYw7GcqzUr8bDmTLZhA5b59Xd2knbDrSXP5swNNtN6GRGDplR-ngQ1GQqVty-nZyWw7ODDSBmJuiumW0"
    "Lt0tFv8Nggprfb7Jkmeh85nq4L1zzIqg9vHE-21rr5s3i0Wlq-TByDSBuTP7c8w\",\"p\":\"1BrbajfZGW"
    "R2Op2dbXOShvUTZwNbMiNyPt33nIOrcV3JhR3d9wCp20ArArUTNBTpBdAuhZHwcPftxuUcV3p5aQpvgU9b5B"
    "jPlMZaKOPgG8vi0s5UgPbZsqlym-6p3E8pnFxCqC59NnqMouWxG0WOtDeYwGu4g5VNQH46wcsqFP8\",\"q"
    "\":\"y3Pf2AZcWmGGmSENTYQe9JRmVd3SFAD0fplQRL2f4HzVITzFWdSbXJ6Oh1rH0uNJIagpiy_Q-MOhmfX"
    "yVVzM2Tph7amf3SIp39fZEseK_7FzEQK6ZG_HRVe3YhXPfkhkQf5Y1XHx6YwAfxQ_QtFqkp94oJa3E3P0Jzd"
    "tSu-jB7M\",\"dp\":\"hRTU1rBz5xrBk8WRITuClGrw4ZGZhrv20rsywWFcEKVn673xpykjag247tnuUp9M"
    "FfmpNuV6l2b4KfNW9QxDYUTK8bd5UITAufg6Wa2gz8_9YYdUPhakQRVQc8Yrja-dzB2XNS72IViDJTI5DYN3"
    "Jlw723-7JdRnxC9vbmiq3sE\",\"dq\":\"P7lQgEolvQ1U6juG_iOGypZ8oyJyPV-7NLfyg0VdgSO4Ycu2C"
    "Jfl_ZGQFOcjNXOJIWiZcoYMjw4_XIjDWWdSpit6JsV9U_byZLEnxZEIgWPkJYzUMscsBBUgVDF-pxAnjuAKl"
    "Pg2jC8UrLj7w4LyPXCDiNEMEKS98VaT_eenCa8\",\"qi\":\"QizkP9jKcUee6pTx2DEqQYYLRaLzVX3kb4"
    "hKBl3g5NJ9BqIadDL8vAbFy3Ux0H6b71v1E3eZ3dQf831Y16BkKgOVcUCNGCoTY9CkSHEvtQxJXeKp_zQDEd"
    "9k8i7q_cP1G-_HmAOclSVpZCCZu_P-gJ4KASo92R41h9OQ-byTJUM\"}";
/* Its x lacks a leading zero. */
static const char short_jwk[] =
    "{\"kty\":\"EC\",\"crv\":\"P-521\",\"x\":\"TTdZgDb-7IqVNrIQvWyeWj2N8wMhGfrl8I-ImGgOzZ"
    "h2qUdHweTFpFoQXgDOtEuqIXx0KrDpAWKaqnDbkSIMmHU\",\"y\":\"AQAF7JTHjJAmsrL6LxMGIwz5cZ-X"
    "8RDb9COj1gXvjd0P7QRvsU4SKt0e6FuNqp-KVBwSfohJ-2u5xYdZGkFL9MUe\",\"d\":\"AeNjXb4rocQH9"
    "pDnc3YJnifyHv2ZBlM_OHsDRsyMbobrssDZxW5LZb2p0kUfexFjr0cq5EjaX8BqYR9eWlMZB5lw\"}";

static struct json_object *parsed(struct arena *a, const char *text)
{
    struct json_object *value = NULL;
    struct error err;

    assert_int_equal(json_parse_object(text, strlen(text), 65536, &value, &err), 0);
    return json_own(a, value);
}

/* With one member of another key's, or without it, nothing belongs together. */
static void refuse_changed(struct arena *a, const char *text, const char *const *members)
{
    struct key_pair *key = NULL;
    struct error err;

    for (; *members; members++) {
        struct json_object *jwk = parsed(a, text);
        char *value = arena_strdup(a, json_text(jwk, *members));

        value[0] = value[0] == 'A' ? 'B' : 'A';
        json_set_text(jwk, *members, value);
        assert_int_equal(key_pair_of_jwk(a, jwk, &key, &err), -1);
        assert_ptr_equal(err.code, &E_INVALID);
        json_set_text(jwk, *members, NULL);
        assert_int_equal(key_pair_of_jwk(a, jwk, &key, &err), -1);
    }
}

static void test_jwk(void **state)
{
    static const char *const rsa_members[] = { "n", "e", "d", "p", "q", "dp", "dq", "qi", "kty", NULL };
    static const char *const ec_members[] = { "x", "y", "d", "crv", "kty", NULL };
    _cleanup_(arena_freep) struct arena *a = arena_new();
    _cleanup_(key_pair_freep) struct key_pair *rsa = NULL, *curve = NULL;
    uint8_t digest[64] = { 1 };
    struct key_bytes out;
    struct error err;

    (void)state;
    assert_int_equal(key_pair_of_jwk(a, parsed(a, rsa_jwk), &rsa, &err), 0);
    assert_int_equal(key_pair_bits(rsa), 2048);
    assert_string_equal(json_text(json_own(a, key_pair_jwk(a, rsa)), "n"),
                        json_text(parsed(a, rsa_jwk), "n"));
    assert_int_equal(key_pair_sign(a, rsa, "RS256", (struct key_bytes){ digest, 32 }, &out, &err), 0);
    assert_int_equal(key_pair_of_jwk(a, parsed(a, short_jwk), &curve, &err), 0);
    assert_int_equal(key_pair_bits(curve), 0);
    assert_int_equal(key_pair_sign(a, curve, "ES512", (struct key_bytes){ digest, 64 }, &out, &err), 0);
    refuse_changed(a, rsa_jwk, rsa_members);
    refuse_changed(a, short_jwk, ec_members);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_signatures),
        cmocka_unit_test(test_encryption),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_jwk),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
