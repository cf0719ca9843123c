/* Tokens beside an independent implementation: libjwt accepts what is signed here, and what libjwt
 * signs is accepted here. Threads share a key. */
/* links: portolan_base portolan_json portolan_crypto */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <pthread.h>

#include <jwt.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/crypto/token.h"
#include "common/json/json.h"

#include <cmocka.h>

#define ROUNDS  64 /* one signature in 128 has a half with a leading zero byte */
#define THREADS 4
#define CLAIMS  "{\"iss\":\"i\",\"sub\":\"me\",\"exp\":4102444800,\"n\":%d}"

static struct arena *a;
static struct token_key *key, *other;

static int set_up(void **state)
{
    (void)state;
    a = arena_new();
    key = token_key_new();
    other = token_key_new();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    token_key_free(key);
    token_key_free(other);
    arena_free(a);
    return 0;
}

static char *sign_ours(struct arena *own, int n)
{
    struct json_object *claims = NULL;
    char *text = arena_printf(own, CLAIMS, n), *token = NULL;
    struct error err;
    if (json_parse_object(text, strlen(text), 1024, &claims, &err) != 0 ||
        token_sign(own, key, json_print(own, json_own(own, claims)), &token, &err) != 0)
        return NULL;
    return token;
}

static bool accepted_here(struct arena *own, const char *token)
{
    const struct token_key *keys[] = { key };
    const struct token_policy policy = { .keys = keys, .key_count = 1, .issuer = "i" };
    struct json_object *claims = NULL;
    struct error err;
    return token_verify(own, &policy, token, &claims, &err) == 0;
}

static bool accepted_by_libjwt(const char *token, const struct token_key *by)
{
    const char *pem = token_key_public_pem(a, by);
    jwt_t *jwt = NULL;
    bool is_good = jwt_decode(&jwt, token, (const unsigned char *)pem, (int)strlen(pem)) == 0 &&
                   jwt_get_alg(jwt) == JWT_ALG_ES256;
    jwt_free(jwt);
    return is_good;
}

static void libjwt_accepts_ours(void **state)
{
    (void)state;
    for (int i = 0; i < ROUNDS; i++) {
        char *token = sign_ours(a, i);
        assert_non_null(token);
        assert_true(accepted_by_libjwt(token, key));
        assert_false(accepted_by_libjwt(token, other));
    }
}

static void we_accept_libjwts(void **state)
{
    (void)state;
    const char *pem = token_key_pem(a, key);
    for (int i = 0; i < ROUNDS; i++) {
        jwt_t *jwt = NULL;
        assert_int_equal(jwt_new(&jwt), 0);
        assert_int_equal(jwt_add_header(jwt, "kid", token_key_id(key)), 0);
        assert_int_equal(jwt_add_grants_json(jwt, arena_printf(a, CLAIMS, i)), 0);
        assert_int_equal(
            jwt_set_alg(jwt, JWT_ALG_ES256, (const unsigned char *)pem, (int)strlen(pem)), 0);
        char *token = jwt_encode_str(jwt);
        assert_non_null(token);
        assert_true(accepted_here(a, token));
        free(token);
        jwt_free(jwt);
    }
}

/* Every byte of the signature counts: r or s of zero, of the group's order, or one bit off. */
static void broken_signatures(void **state)
{
    (void)state;
    static const uint8_t order[32] = { 0xff, 0xff, 0xff, 0xff, 0,    0,    0,    0,
                                       0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                       0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84,
                                       0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51 };
    char *token = sign_ours(a, 0), *dot = strrchr(token, '.');
    size_t len = 0;
    const uint8_t *raw = text_unbase64(a, dot + 1, strlen(dot + 1), &len);
    assert_int_equal(len, 64);
    assert_true(accepted_here(a, token));
    for (size_t bit = 0; bit < 512; bit++) {
        uint8_t bad[64];
        memcpy(bad, raw, 64);
        bad[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_false(accepted_here(
            a, arena_printf(a, "%.*s.%s", (int)(dot - token), token, text_base64url(a, bad, 64))));
    }
    for (int half = 0; half < 2; half++) {
        uint8_t zero[64], full[64];
        memcpy(zero, raw, 64);
        memcpy(full, raw, 64);
        memset(zero + 32 * half, 0, 32);
        memcpy(full + 32 * half, order, 32);
        assert_false(accepted_here(
            a, arena_printf(a, "%.*s.%s", (int)(dot - token), token, text_base64url(a, zero, 64))));
        assert_false(accepted_here(
            a, arena_printf(a, "%.*s.%s", (int)(dot - token), token, text_base64url(a, full, 64))));
    }
}

static void *sign_and_verify(void *ret_failures)
{
    size_t *failures = ret_failures;
    for (int i = 0; i < ROUNDS; i++) {
        struct arena *own = arena_new();
        char *token = sign_ours(own, i);
        *failures += !token || !accepted_here(own, token);
        arena_free(own);
    }
    return NULL;
}

static void threads_share_a_key(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    size_t failures[THREADS] = { 0 };
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, sign_and_verify, &failures[i]), 0);
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(failures[i], 0);
    }
}

/* What cannot sign says so. */
static void public_half(void **state)
{
    (void)state;
    struct error err;
    struct token_key *half = NULL;
    struct json_object *claims = json_own(a, json_new_object());
    char *token = NULL;
    assert_int_equal(token_key_parse(token_key_public_pem(a, key), &half, &err), 0);
    assert_string_equal(token_key_id(half), token_key_id(key));
    assert_int_equal(token_sign(a, half, json_print(a, claims), &token, &err), -1);
    assert_ptr_equal(err.code, &E_INTERNAL);
    token_key_free(half);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(libjwt_accepts_ours), cmocka_unit_test(we_accept_libjwts),
        cmocka_unit_test(broken_signatures),   cmocka_unit_test(threads_share_a_key),
        cmocka_unit_test(public_half),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
