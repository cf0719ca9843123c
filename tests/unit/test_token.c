/* Tokens: what is signed verifies, and every known way to talk a verifier into accepting something
 * else is refused. Forgeries are made here with OpenSSL, independently of the code under test. */
/* links: portolan_base portolan_json portolan_crypto */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/crypto/digest.h"
#include "common/crypto/token.h"
#include "common/json/json.h"

#include <cmocka.h>

#define NOW 1800000000
#define CLAIMS                                                                                     \
    "{\"iss\":\"https://login.example/t\",\"aud\":\"https://management.example/\",\"sub\":\"me\"," \
    "\"nbf\":1799999990,\"exp\":1800000100}"
#define LIVE "\"nbf\":1799999990,\"exp\":1800000100"

static struct arena *a;
static struct token_key *key, *second, *stranger;
static const struct token_key *keys[2];
static const char *const audiences[] = { "https://management.example", "urn:other", NULL };
static struct token_policy policy;

static int set_up(void **state)
{
    (void)state;
    a = arena_new();
    key = token_key_new();
    second = token_key_new();
    stranger = token_key_new();
    keys[0] = second;
    keys[1] = key;
    policy = (struct token_policy){ .keys = keys,
                                    .key_count = 2,
                                    .issuer = "https://login.example/t",
                                    .audiences = audiences,
                                    .now_s = NOW };
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    token_key_free(key);
    token_key_free(second);
    token_key_free(stranger);
    arena_free(a);
    return 0;
}

static char *part(const char *text)
{
    return text_base64url(a, text, strlen(text));
}

/* A correctly signed ES256 token with header and claims just as given. */
static char *forge(const struct token_key *with, const char *header, const char *claims)
{
    char *input = arena_printf(a, "%s.%s", part(header), part(claims));
    char *pem = token_key_pem(a, with);
    BIO *bio = BIO_new_mem_buf(pem, -1);
    EVP_PKEY *pkey = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    uint8_t der[128], raw[64];
    size_t len = sizeof(der);
    assert_int_equal(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, pkey), 1);
    assert_int_equal(EVP_DigestSign(ctx, der, &len, (const uint8_t *)input, strlen(input)), 1);
    const uint8_t *at = der;
    ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &at, (long)len);
    assert_non_null(sig);
    assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_r(sig), raw, 32), 32);
    assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_s(sig), raw + 32, 32), 32);
    ECDSA_SIG_free(sig);
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(pkey);
    BIO_free(bio);
    return arena_printf(a, "%s.%s", input, text_base64url(a, raw, sizeof(raw)));
}

static char *header_of(const char *alg, const char *kid, const char *more)
{
    return arena_printf(a, "{\"alg\":\"%s\",\"typ\":\"JWT\",\"kid\":\"%s\"%s}", alg, kid, more);
}

static char *live(const char *header)
{
    return forge(key, header, CLAIMS);
}

/* NULL when accepted, else the message. */
static const char *verdict(const char *token, const struct error_code **ret_code)
{
    struct error err = { 0 };
    struct json_object *claims = NULL;
    if (token_verify(a, &policy, token, &claims, &err) == 0) {
        assert_non_null(claims);
        return NULL;
    }
    assert_null(claims);
    assert_int_equal(err.code->status, 401);
    if (ret_code)
        *ret_code = err.code;
    return arena_strdup(a, err.message);
}

static void accept(const char *token)
{
    const char *message = verdict(token, NULL);
    if (message)
        fail_msg("refused: %s", message);
}

static void refuse(const char *what, const char *token)
{
    const struct error_code *code = NULL;
    if (!verdict(token, &code))
        fail_msg("accepted %s", what);
    assert_ptr_equal(code, &E_UNAUTHENTICATED);
}

static void signed_is_verified(void **state)
{
    (void)state;
    struct error err;
    struct json_object *claims = NULL, *back = NULL;
    assert_int_equal(json_parse_object(CLAIMS, strlen(CLAIMS), 4096, &claims, &err), 0);
    json_set(claims, "access", json_new_array());
    json_set_text(claims, "text", "a/b \"q\" \xc3\xa9");
    char *token = NULL;
    assert_int_equal(token_sign(a, key, json_print(a, claims), &token, &err), 0);
    assert_int_equal(token_verify(a, &policy, token, &back, &err), 0);
    assert_true(json_equal(claims, back));

    size_t len = 0;
    const char *dot = strchr(token, '.');
    char *text = (char *)text_unbase64(a, token, (size_t)(dot - token), &len);
    struct json_object *header = NULL;
    assert_int_equal(json_parse_object(text, len, 4096, &header, &err), 0);
    assert_string_equal(json_text(header, "alg"), "ES256");
    assert_string_equal(json_text(header, "typ"), "JWT");
    assert_string_equal(json_text(header, "kid"), token_key_id(key));
    assert_int_equal(json_count(header), 3);

    assert_int_equal(token_sign(a, stranger, json_print(a, claims), &token, &err), 0);
    refuse("a stranger's token", token);
    json_put(header);
    json_put(claims);
    accept(live(header_of("ES256", token_key_id(key), "")));
    accept(forge(second, header_of("ES256", token_key_id(second), ""), CLAIMS));
    assert_string_equal(token_peek_kid(a, token), token_key_id(stranger));
    assert_null(token_peek_kid(a, live("{\"alg\":\"ES256\"}")));
    assert_null(token_peek_kid(a, "x"));
    assert_null(token_peek_kid(a, NULL));
}

static void other_algorithms(void **state)
{
    (void)state;
    const char *kid = token_key_id(key);
    static const char *const names[] = { "none",  "None",  "NONE",  "",      "es256", "ES256K",
                                         "ES384", "ES512", "RS256", "PS256", "EdDSA", "HS384" };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char *header = header_of(names[i], kid, "");
        char *input = arena_printf(a, "%s.%s", part(header), part(CLAIMS));
        refuse(names[i], live(header)); /* signed well, but named otherwise */
        refuse(names[i], arena_printf(a, "%s.", input));
        refuse(names[i], input);
    }
    /* The public key as the secret of an HMAC. */
    char *input = arena_printf(a, "%s.%s", part(header_of("HS256", kid, "")), part(CLAIMS));
    char *pem = token_key_public_pem(a, key);
    uint8_t mac[SHA256_LEN];
    hmac_sha256(pem, strlen(pem), input, strlen(input), mac);
    refuse("HS256", arena_printf(a, "%s.%s", input, text_base64url(a, mac, sizeof(mac))));
    input = arena_printf(a, "%s.%s", part(header_of("ES256", kid, "")), part(CLAIMS));
    hmac_sha256(pem, strlen(pem), input, strlen(input), mac);
    refuse("an HMAC as ES256",
           arena_printf(a, "%s.%s", input, text_base64url(a, mac, sizeof(mac))));
    /* r = s = 0, CVE-2022-21449. */
    uint8_t zero[64] = { 0 };
    refuse("a zero signature",
           arena_printf(a, "%s.%s", input, text_base64url(a, zero, sizeof(zero))));
}

static void headers(void **state)
{
    (void)state;
    const char *kid = token_key_id(key);
    /* Keys inside the token are never used: with a known kid they change nothing, and a stranger's
     * token stays a stranger's. */
    const char *jwk = json_print(a, json_own(a, token_key_jwk(stranger)));
    const char *smuggled[] = {
        arena_printf(a, ",\"jwk\":%s", jwk),
        ",\"jku\":\"https://evil.example/keys\"",
        ",\"x5u\":\"https://evil.example/cert\"",
        ",\"x5c\":[\"MIIB\"]",
    };
    for (size_t i = 0; i < ARRAY_LEN(smuggled); i++) {
        accept(live(header_of("ES256", kid, smuggled[i])));
        refuse(smuggled[i], forge(stranger, header_of("ES256", kid, smuggled[i]), CLAIMS));
        refuse(smuggled[i],
               forge(stranger, header_of("ES256", token_key_id(stranger), smuggled[i]), CLAIMS));
    }
    static const char *const crits[] = { "[\"exp\"]", "[\"b64\"],\"b64\":false", "[]", "null",
                                         "\"x\"" };
    for (size_t i = 0; i < ARRAY_LEN(crits); i++)
        refuse("crit", live(header_of("ES256", kid, arena_printf(a, ",\"crit\":%s", crits[i]))));

    const char *kids[] = { "",
                           "../../../dev/null",
                           "' or 1=1 --",
                           "*",
                           token_key_id(second),
                           arena_printf(a, "%s\\u0000", kid),
                           arena_printf(a, "%s ", kid),
                           arena_strndup(a, kid, strlen(kid) - 1) };
    for (size_t i = 0; i < ARRAY_LEN(kids); i++)
        refuse(kids[i], live(header_of("ES256", kids[i], "")));

    const char *whole[] = {
        "{\"alg\":\"ES256\",\"typ\":\"JWT\"}",
        "{\"alg\":\"ES256\",\"kid\":1}",
        "{\"alg\":\"ES256\",\"kid\":null}",
        "{\"alg\":[\"ES256\"],\"kid\":\"x\"}",
        arena_printf(a, "{\"kid\":\"%s\"}", kid),
        arena_printf(a, "{\"alg\":\"ES256\",\"typ\":\"JWE\",\"kid\":\"%s\"}", kid),
        arena_printf(a, "{\"alg\":\"ES256\",\"typ\":1,\"kid\":\"%s\"}", kid),
        arena_printf(a, "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"%s\"}", kid),
        arena_printf(a, "{\"alg\":\"ES256\",\"alg\":\"none\",\"kid\":\"%s\"}", kid),
        arena_printf(a, "{\"alg\":\"none\",\"alg\":\"ES256\",\"kid\":\"%s\"}", kid),
        arena_printf(a, "[\"ES256\",\"%s\"]", kid),
        "null",
        "1",
        "",
    };
    for (size_t i = 0; i < ARRAY_LEN(whole); i++)
        refuse(whole[i], live(whole[i]));
    accept(live(arena_printf(a, "{\"alg\":\"ES256\",\"kid\":\"%s\"}", kid)));
    accept(live(arena_printf(a, "{\"alg\":\"ES256\",\"typ\":\"jwt\",\"kid\":\"%s\"}", kid)));
}

static char *with_claims(const char *claims)
{
    return forge(key, header_of("ES256", token_key_id(key), ""), claims);
}

#define ISS "\"iss\":\"https://login.example/t\""
#define AUD "\"aud\":\"urn:other\""

static void times(void **state)
{
    (void)state;
    static const struct {
        const char *times;
        const struct error_code *code; /* NULL: accepted */
    } cases[] = {
        { "\"exp\":1800000001", NULL },
        { "\"exp\":1800000000", &E_TOKEN_EXPIRED },
        { "\"exp\":1799999999", &E_TOKEN_EXPIRED },
        { "\"exp\":0", &E_TOKEN_EXPIRED },
        { "\"exp\":-1", &E_TOKEN_EXPIRED },
        { "\"exp\":9223372036854775807", NULL },
        { "\"exp\":9223372036854775808", &E_UNAUTHENTICATED },
        { "\"exp\":\"1800000100\"", &E_UNAUTHENTICATED },
        { "\"exp\":1e300", &E_UNAUTHENTICATED },
        { "\"exp\":null", &E_UNAUTHENTICATED },
        { "\"exp\":true", &E_UNAUTHENTICATED },
        { "\"exp\":{}", &E_UNAUTHENTICATED },
        { "\"nbf\":1", &E_UNAUTHENTICATED },
        { "\"exp\":1800000100,\"exp\":1", &E_UNAUTHENTICATED },
        { "\"exp\":1,\"exp\":1800000100", &E_UNAUTHENTICATED },
        { "\"exp\":1800009999,\"nbf\":1800000300", NULL },
        { "\"exp\":1800009999,\"nbf\":1800000301", &E_UNAUTHENTICATED },
        { "\"exp\":1800009999,\"nbf\":\"1\"", &E_UNAUTHENTICATED },
        { "\"exp\":1800009999,\"nbf\":null", &E_UNAUTHENTICATED },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct error_code *code = NULL;
        const char *message =
            verdict(with_claims(arena_printf(a, "{" ISS "," AUD ",%s}", cases[i].times)), &code);
        if ((message != NULL) != (cases[i].code != NULL) || code != cases[i].code)
            fail_msg("%s: %s", cases[i].times, message ? message : "accepted");
    }
    /* The clock is used when the policy names no time: NOW is 2027. */
    policy.now_s = 0;
    refuse("a token that is years old or young",
           with_claims("{" ISS "," AUD ",\"nbf\":9999999999,\"exp\":99999999999}"));
    policy.now_s = NOW;
}

static void audience(void **state)
{
    (void)state;
    static const struct {
        const char *aud;
        int is_ok;
    } cases[] = {
        { "\"https://management.example\"", 1 },
        { "\"https://management.example/\"", 1 },
        { "\"urn:other\"", 1 },
        { "\"urn:other/\"", 1 },
        { "[\"x\",\"urn:other\"]", 1 },
        { "[\"https://management.example/\"]", 1 },
        { "\"https://management.example//\"", 0 },
        { "\"https://management.example.evil\"", 0 },
        { "\"https://management.exampl\"", 0 },
        { "\"HTTPS://MANAGEMENT.EXAMPLE\"", 0 },
        { "\"\"", 0 },
        { "\"/\"", 0 },
        { "[]", 0 },
        { "[[\"urn:other\"]]", 0 },
        { "[1,null,{}]", 0 },
        { "{\"urn:other\":1}", 0 },
        { "null", 0 },
        { "1", 0 },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char *token = with_claims(arena_printf(a, "{" ISS "," LIVE ",\"aud\":%s}", cases[i].aud));
        if ((verdict(token, NULL) == NULL) != cases[i].is_ok)
            fail_msg("audience %s", cases[i].aud);
    }
    refuse("no audience", with_claims("{" ISS "," LIVE "}"));
    policy.audiences = NULL;
    accept(with_claims("{" ISS "," LIVE "}"));
    policy.audiences = audiences;
}

static void issuer(void **state)
{
    (void)state;
    refuse("no issuer", with_claims("{" AUD "," LIVE "}"));
    refuse("another issuer", with_claims("{\"iss\":\"https://login.example/u\"," AUD "," LIVE "}"));
    refuse("an issuer list",
           with_claims("{\"iss\":[\"https://login.example/t\"]," AUD "," LIVE "}"));
    refuse("an issuer with slash",
           with_claims("{\"iss\":\"https://login.example/t/\"," AUD "," LIVE "}"));
    policy.issuer = NULL;
    accept(with_claims("{" AUD "," LIVE "}"));
    policy.issuer = "https://login.example/t";
}

static void claims_json(void **state)
{
    (void)state;
    char *deep = arena_alloc(a, 8000);
    memset(deep, '[', 3000);
    memset(deep + 3000, ']', 3000);
    const char *cases[] = {
        "[]",
        "null",
        "\"x\"",
        "{",
        "",
        "{" ISS "," AUD "," LIVE "} x",
        "{" ISS "," AUD "," LIVE ",}",
        "{'iss':'https://login.example/t'," AUD "," LIVE "}",
        "{" ISS "," ISS "," AUD "," LIVE "}",
        "{" ISS "," AUD "," AUD "," LIVE "}",
        "{" ISS "," AUD "," LIVE ",\"x\":NaN}",
        "{" ISS "," AUD "," LIVE ",\"x\":\"\\u0000\"}",
        "{" ISS "," AUD "," LIVE ",\"x\":\"\xff\"}",
        arena_printf(a, "{" ISS "," AUD "," LIVE ",\"x\":%s}", deep),
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        refuse(cases[i], with_claims(cases[i]));
}

static void text_form(void **state)
{
    (void)state;
    char *good = live(header_of("ES256", token_key_id(key), ""));
    size_t len = strlen(good);
    /* Every character counts; a change of the last one's unused bits aside, which base64 allows. */
    for (size_t i = 0; i < len - 1; i++) {
        char *bad = arena_strdup(a, good);
        bad[i] = bad[i] == 'A' ? 'B' : 'A';
        if (!verdict(bad, NULL))
            fail_msg("accepted with character %zu changed", i);
    }
    for (size_t cut = 0; cut < len; cut += 7)
        refuse("a cut token", arena_strndup(a, good, cut));

    char *dots = arena_alloc(a, (1 << 20) + 1), *letters = arena_alloc(a, (1 << 20) + 1);
    memset(dots, '.', 1 << 20);
    memset(letters, 'A', 1 << 20);
    const char *cases[] = {
        "",
        ".",
        "..",
        "...",
        "a.b.c",
        "e30.e30.",
        dots,
        letters,
        "Bearer x",
        arena_strndup(a, dots, TOKEN_MAX_BYTES),
        arena_strndup(a, letters, TOKEN_MAX_BYTES),
        arena_printf(a, "%s.", good),
        arena_printf(a, "%s.x", good),
        arena_printf(a, "%s=", good),
        arena_printf(a, "%s==", good),
        arena_printf(a, " %s", good),
        arena_printf(a, "%s\n", good),
        arena_printf(a, ".%s", good),
        "\xff\xfe.\x80.\x01",
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        refuse("a malformed token", cases[i]);
    refuse("no token", NULL);

    char *padded = arena_strdup(a, good);
    char *dot = strrchr(padded, '.');
    for (char *c = dot; *c; c++) /* the other alphabet is not the token's */
        *c = (char)(*c == '-' ? '+' : *c == '_' ? '/' : *c);
    if (!text_eq(padded, good))
        refuse("plain base64", padded);
    policy.key_count = 0;
    refuse("any token without keys", good);
    policy.key_count = 2;
    accept(good);
}

static void longest(void **state)
{
    (void)state;
    struct error err;
    char *filler = arena_alloc(a, 13001), *token = NULL;
    memset(filler, 'x', 13000);
    struct json_object *claims = json_new_object();
    json_set_text(claims, "filler", filler);
    assert_int_equal(token_sign(a, key, json_print(a, claims), &token, &err), -1);
    filler[11000] = '\0';
    json_set_text(claims, "filler", filler);
    json_set_int(claims, "exp", NOW + 1);
    json_set_text(claims, "iss", policy.issuer);
    json_set_text(claims, "aud", "urn:other");
    assert_int_equal(token_sign(a, key, json_print(a, claims), &token, &err), 0);
    accept(token);
    json_put(claims);
}

static void key_forms(void **state)
{
    (void)state;
    struct error err;
    struct token_key *copy = NULL, *public_half = NULL;
    assert_int_equal(token_key_parse(token_key_pem(a, key), &copy, &err), 0);
    assert_int_equal(token_key_parse(token_key_public_pem(a, key), &public_half, &err), 0);
    assert_string_equal(token_key_id(copy), token_key_id(key));
    assert_string_equal(token_key_id(public_half), token_key_id(key));
    assert_string_equal(token_key_pem(a, copy), token_key_pem(a, key));
    assert_null(token_key_pem(a, public_half));
    struct json_object *claims = json_new_object();
    char *token = NULL;
    assert_int_equal(token_sign(a, public_half, json_print(a, claims), &token, &err), -1);
    assert_ptr_equal(err.code, &E_INTERNAL);
    json_put(claims);

    struct json_object *jwk = json_own(a, token_key_jwk(key));
    assert_string_equal(json_text(jwk, "kid"), token_key_id(key));
    assert_string_equal(json_text(jwk, "kty"), "EC");
    assert_string_equal(json_text(jwk, "crv"), "P-256");
    assert_string_equal(json_text(jwk, "use"), "sig");
    assert_string_equal(json_text(jwk, "alg"), "ES256");
    assert_null(json_text(jwk, "d"));
    size_t len = 0;
    assert_non_null(text_unbase64(a, json_text(jwk, "x"), strlen(json_text(jwk, "x")), &len));
    assert_int_equal(len, 32);
    token_key_free(copy);
    token_key_free(public_half);
    token_key_free(NULL);
}

/* The key of RFC 7515 appendix A.3, whose thumbprint an independent implementation computed. */
static void thumbprint(void **state)
{
    (void)state;
    static const char pem[] = "-----BEGIN PUBLIC KEY-----\n"
                              "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEf83OJ3D2xF1Bg8vub9tLe1gHMzV7\n"
                              "6e8Tus9uPHvRVEXH8UTNG72bfocs3+257rn0s2ldbqkLJK2KRiMohYjlrQ==\n"
                              "-----END PUBLIC KEY-----\n";
    struct error err;
    struct token_key *k = NULL;
    assert_int_equal(token_key_parse(pem, &k, &err), 0);
    struct json_object *jwk = json_own(a, token_key_jwk(k));
    assert_string_equal(json_text(jwk, "x"), "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU");
    assert_string_equal(json_text(jwk, "y"), "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0");
    assert_string_equal(token_key_id(k), "oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U");
    token_key_free(k);
}

#define PUB(body) "-----BEGIN PUBLIC KEY-----\n" body "-----END PUBLIC KEY-----\n"

static void other_keys(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        "x",
        "-----BEGIN PUBLIC KEY-----",
        PUB("AAAA\n"),
        PUB("!!!!\n"),
        /* P-384 */
        PUB("MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAExu+KUeGoOVFmYeXoc6wrILkKCla7IKcv\n"
            "VwKKWWBZKYCxm32pytIde3npgfQTvUrdXo6/iB5A0nsDok/J0ks17+ynwU1wBXVR\n"
            "mR3LeTS90ad//2dIsRln8mLJ0jiWkgPI\n"),
        /* secp256k1 */
        PUB("MFYwEAYHKoZIzj0CAQYFK4EEAAoDQgAEFlkuXycOly9wKu6/uaBTku98AmJNE6k/\n"
            "LfnkZL4ccPayux1Weojonf0taX9/T4DYGOGMYxq5WsHh4CBJVFLJ+w==\n"),
        /* Ed25519 */
        PUB("MCowBQYDK2VwAyEAZXoaVU6ddIeNSg6Kr4vTDYMJWr5IqCPiUilgWqk6AZg=\n"),
        /* RSA */
        PUB("MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDGmC+K5QccM0PTgnF6MP/DykAZ\n"
            "JixCE64CJoBbb8gMFiWBiYL1nx4rbwYgFiwALTU1r1/DJtCXxv50z5BZbz8UVOPM\n"
            "DNAkXgVDzHPeCESWU/m1KCyUnvYsqvYg/ULQ0TG1JlkYDo7jELpSgKrkzaZFUfza\n"
            "uhQCfffXEJ+fhYIa2QIDAQAB\n"),
        /* P-256 with its parameters written out */
        PUB("MIIBSzCCAQMGByqGSM49AgEwgfcCAQEwLAYHKoZIzj0BAQIhAP////8AAAABAAAA\n"
            "AAAAAAAAAAAA////////////////MFsEIP////8AAAABAAAAAAAAAAAAAAAA////\n"
            "///////////8BCBaxjXYqjqT57PrvVV2mIa8ZR0GsMxTsPY7zjw+J9JgSwMVAMSd\n"
            "NgiG5wSTamZ44ROdJreBn36QBEEEaxfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5\n"
            "RdiYwpZP40Li/hp/m47n60p8D54WK84zV2sxXs7LtkBoN79R9QIhAP////8AAAAA\n"
            "//////////+85vqtpxeehPO5ysL8YyVRAgEBA0IABGZSAgy+q37pD6O9wPiLsAcT\n"
            "Po4soLUbgTEqS6/PjLA78qZxMZUnS9zSuhyemkadPJR46O5130r8M0Jrowy928c=\n"),
        /* a point that is not on the curve */
        PUB("MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEf83OJ3D2xF1Bg8vub9tLe1gHMzV7\n"
            "6e8Tus9uPHvRVEXH8UTNG72bfocs3+257rn0s2ldbqkLJK2KRiMohYjlrA==\n"),
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIHs\n-----END ENCRYPTED PRIVATE KEY-----\n",
        "-----BEGIN EC PRIVATE KEY-----\nMHcC\n-----END EC PRIVATE KEY-----\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct error err;
        struct token_key *k = NULL;
        if (token_key_parse(cases[i], &k, &err) == 0)
            fail_msg("accepted key %zu", i);
        assert_null(k);
    }
    /* A compressed point is the same key written shorter. */
    struct error err;
    struct token_key *k = NULL;
    assert_int_equal(
        token_key_parse(PUB("MDkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDIgAD8Ss9JhLGw1KzfpteX8Yt1+ZjJ8Aw\n"
                            "xaHdyGzK6W5CBwY=\n"),
                        &k, &err),
        0);
    token_key_free(k);
    char *huge = arena_alloc(a, 100001);
    memset(huge, 'A', 100000);
    assert_int_equal(token_key_parse(huge, &k, &err), -1);
    assert_int_equal(token_key_parse(NULL, &k, &err), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signed_is_verified),
        cmocka_unit_test(other_algorithms),
        cmocka_unit_test(headers),
        cmocka_unit_test(times),
        cmocka_unit_test(audience),
        cmocka_unit_test(issuer),
        cmocka_unit_test(claims_json),
        cmocka_unit_test(text_form),
        cmocka_unit_test(longest),
        cmocka_unit_test(key_forms),
        cmocka_unit_test(thumbprint),
        cmocka_unit_test(other_keys),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
