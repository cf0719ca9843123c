/* Digests against published vectors, the strict digest grammar, HMAC, comparison, random text. */
/* links: portolan_base portolan_crypto */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/text.h"
#include "common/crypto/digest.h"

#include <cmocka.h>

#define ABC256   "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define EMPTY256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define ABC512                                                                                     \
    "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"                             \
    "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"

static void vectors(void **state)
{
    (void)state;
    static const struct {
        enum digest_algorithm algorithm;
        const char *bytes, *text;
    } cases[] = {
        { DIGEST_SHA256, "abc", "sha256:" ABC256 },
        { DIGEST_SHA256, "", "sha256:" EMPTY256 },
        { DIGEST_SHA512, "abc", "sha512:" ABC512 },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct digest d;
        char text[DIGEST_TEXT_MAX], hex[2 * SHA512_LEN + 1];
        digest_of(cases[i].algorithm, cases[i].bytes, strlen(cases[i].bytes), &d);
        digest_text(&d, text);
        digest_hex(&d, hex);
        assert_string_equal(text, cases[i].text);
        assert_string_equal(hex, cases[i].text + 7);
        struct digest parsed;
        assert_true(digest_parse(text, &parsed));
        assert_true(digest_equal(&parsed, &d));
    }
    struct digest d;
    digest_of(DIGEST_SHA256, NULL, 0, &d);
    char text[DIGEST_TEXT_MAX];
    digest_text(&d, text);
    assert_string_equal(text, "sha256:" EMPTY256);
}

static void grammar_refuses(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        "sha256",
        "sha256:",
        ABC256,
        "SHA256:" ABC256,
        "sha-256:" ABC256,
        "sha256:" ABC256 "0",
        "sha256:" ABC256 "\n",
        "sha256: " ABC256,
        "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015a",
        "sha256:BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD",
        "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ag",
        "sha256:../../../../../../../../../../../../../../../../../etc/passwd00000",
        "sha512:" ABC256,
        "sha256:" ABC512,
        "sha384:" ABC256,
        "md5:d41d8cd98f00b204e9800998ecf8427e",
        "sha256:\xef\xbc\x91" ABC256,
        "sha256+b64:" ABC256,
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct digest d;
        if (digest_parse(cases[i], &d))
            fail_msg("accepted '%s'", cases[i]);
    }
    struct digest d;
    assert_false(digest_parse(NULL, &d));
}

static void algorithms_differ(void **state)
{
    (void)state;
    struct digest x = { .algorithm = DIGEST_SHA256 }, y = { .algorithm = DIGEST_SHA512 };
    assert_false(digest_equal(&x, &y));
    y.algorithm = DIGEST_SHA256;
    assert_true(digest_equal(&x, &y));
    y.bytes[SHA256_LEN] = 1; /* past the end of a sha256 */
    assert_true(digest_equal(&x, &y));
    y.bytes[SHA256_LEN - 1] = 1;
    assert_false(digest_equal(&x, &y));
}

static void running_hash(void **state)
{
    (void)state;
    static const char all[] = "the quick brown fox jumps over the lazy dog";
    for (int algorithm = 0; algorithm < DIGEST_ALGORITHM_MAX; algorithm++) {
        _cleanup_(hasher_freep) struct hasher *h = hasher_new((enum digest_algorithm)algorithm);
        for (size_t len = 0; len < sizeof(all); len++) {
            struct digest want, got;
            digest_of((enum digest_algorithm)algorithm, all, len, &want);
            hasher_peek(h, &got);
            assert_true(digest_equal(&want, &got));
            hasher_update(h, all + len, 1);
        }
        hasher_update(h, NULL, 0);
    }
    hasher_free(NULL);
}

/* RFC 4231, test cases 1, 2 and 6. */
static void hmac_vectors(void **state)
{
    (void)state;
    uint8_t key1[20], key6[131], mac[SHA256_LEN];
    memset(key1, 0x0b, sizeof(key1));
    memset(key6, 0xaa, sizeof(key6));
    static const char text6[] = "Test Using Larger Than Block-Size Key - Hash Key First";
    const struct {
        const void *key;
        size_t key_len;
        const char *text, *want;
    } cases[] = {
        { key1, 20, "Hi There",
          "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7" },
        { "Jefe", 4, "what do ya want for nothing?",
          "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843" },
        { key6, 131, text6, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54" },
        { "", 0, "", "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad" },
    };
    _cleanup_(arena_freep) struct arena *a = arena_new();
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        hmac_sha256(cases[i].key, cases[i].key_len, cases[i].text, strlen(cases[i].text), mac);
        assert_string_equal(text_hex(a, mac, sizeof(mac)), cases[i].want);
    }
}

static void comparison(void **state)
{
    (void)state;
    static const struct {
        const char *x, *y;
        bool is_equal;
    } cases[] = {
        { "", "", true },       { "a", "a", true },     { "abc", "abc", true },
        { "", "a", false },     { "a", "", false },     { "abc", "abd", false },
        { "ab", "abc", false }, { "abc", "ab", false }, { "\xff", "\x7f", false },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(secret_equal_text(cases[i].x, cases[i].y), cases[i].is_equal);
    assert_true(secret_equal("ab\0c", "ab\0c", 4));
    assert_false(secret_equal("ab\0c", "ab\0d", 4));
    /* A difference in any one byte, of any length. */
    for (size_t len = 1; len < 40; len++) {
        unsigned char x[40] = { 0 }, y[40] = { 0 };
        assert_true(secret_equal(x, y, len));
        for (size_t i = 0; i < len; i++) {
            y[i] = 0x80;
            assert_false(secret_equal(x, y, len));
            y[i] = 0;
        }
        y[len] = 1; /* len is below 40 */
        assert_true(secret_equal(x, y, len));
        y[len] = 0;
    }
    assert_true(secret_equal("a", "b", 0));
}

static void randomness(void **state)
{
    (void)state;
    _cleanup_(arena_freep) struct arena *a = arena_new();
    size_t seen[128] = { 0 };
    const char *text = random_text(a, 62000);
    assert_int_equal(strlen(text), 62000);
    for (const char *c = text; *c; c++) {
        assert_true((*c >= '0' && *c <= '9') || (*c >= 'A' && *c <= 'Z') ||
                    (*c >= 'a' && *c <= 'z'));
        seen[(unsigned char)*c]++;
    }
    /* 1000 expected each, deviation 31: 750 to 1250 is eight deviations. A biased modulo would put
     * the first letters at 1210 and the others at 968, which the sum of A…H shows. */
    size_t first_eight = 0;
    for (int c = 0; c < 128; c++)
        assert_true(seen[c] == 0 || (seen[c] > 750 && seen[c] < 1250));
    for (int c = 'A'; c <= 'H'; c++)
        first_eight += seen[c];
    assert_true(first_eight > 7300 && first_eight < 8700);
    assert_string_not_equal(random_text(a, 22), random_text(a, 22));
    assert_string_equal(random_text(a, 0), "");

    uint8_t bytes[32] = { 0 }, zero[32] = { 0 };
    random_bytes(bytes, sizeof(bytes));
    assert_memory_not_equal(bytes, zero, sizeof(bytes));
    secret_cleanse(bytes, sizeof(bytes));
    assert_memory_equal(bytes, zero, sizeof(bytes));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors),           cmocka_unit_test(grammar_refuses),
        cmocka_unit_test(algorithms_differ), cmocka_unit_test(running_hash),
        cmocka_unit_test(hmac_vectors),      cmocka_unit_test(comparison),
        cmocka_unit_test(randomness),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
