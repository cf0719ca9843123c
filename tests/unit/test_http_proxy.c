/* The PROXY v2 reader on good, cut-off and forged headers. */
/* links: portolan_http portolan_base */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "common/base/error.h"
#include "common/http/proxy.h"

#include <cmocka.h>

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define V4 "\x0a\x01\x02\x03\x7f\x00\x00\x01\x30\x39\x01\xbb"
#define V6                                                                                         \
    "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x12\x34\x01\xbb"
#define ID "\x05\x00\x0bsecretlink1"
#define RAW(text) (const uint8_t *)(text), sizeof(text) - 1

static const struct {
    const char *what;
    const uint8_t *bytes;
    size_t len;
    bool is_good;
    bool is_local;
    const char *peer; /* NULL: none told */
    const char *id;   /* NULL: none */
} cases[] = {
    { "v4", RAW(SIGNATURE "\x21\x11\x00\x0c" V4), true, false, "10.1.2.3", NULL },
    { "v4 and id", RAW(SIGNATURE "\x21\x11\x00\x1a" V4 ID), true, false, "10.1.2.3",
      "secretlink1" },
    { "v6 and id", RAW(SIGNATURE "\x21\x21\x00\x32" V6 ID), true, false, "2001:db8::5",
      "secretlink1" },
    { "other TLVs", RAW(SIGNATURE "\x21\x11\x00\x21" V4 "\x04\x00\x01\x00\xe0\x00\x00" ID), true,
      false, "10.1.2.3", "secretlink1" },
    { "empty id", RAW(SIGNATURE "\x21\x11\x00\x0f" V4 "\x05\x00\x00"), true, false, "10.1.2.3",
      "" },
    { "local", RAW(SIGNATURE "\x20\x00\x00\x00"), true, true, NULL, NULL },
    { "local and id", RAW(SIGNATURE "\x20\x00\x00\x0e" ID), true, true, NULL, "secretlink1" },
    { "local with addresses", RAW(SIGNATURE "\x20\x11\x00\x0c" V4), true, true, NULL, NULL },
    { "nothing", RAW(""), false, false, NULL, NULL },
    { "cut in the fixed part", RAW(SIGNATURE "\x21\x11\x00"), false, false, NULL, NULL },
    { "cut in the address", RAW(SIGNATURE "\x21\x11\x00\x0c\x0a\x01"), false, false, NULL, NULL },
    { "longer than told", RAW(SIGNATURE "\x21\x11\x00\x0c" V4 "x"), false, false, NULL, NULL },
    { "address does not fit", RAW(SIGNATURE "\x21\x11\x00\x04\x0a\x01\x02\x03"), false, false,
      NULL, NULL },
    { "v6 with a v4 length", RAW(SIGNATURE "\x21\x21\x00\x0c" V4), false, false, NULL, NULL },
    { "wrong signature", RAW("\r\n\r\n\0\r\nQUIT\r\x21\x11\x00\x0c" V4), false, false, NULL,
      NULL },
    { "version 1", RAW(SIGNATURE "\x11\x11\x00\x0c" V4), false, false, NULL, NULL },
    { "unknown command", RAW(SIGNATURE "\x22\x11\x00\x0c" V4), false, false, NULL, NULL },
    { "UDP", RAW(SIGNATURE "\x21\x12\x00\x0c" V4), false, false, NULL, NULL },
    { "unspecified family", RAW(SIGNATURE "\x21\x00\x00\x00"), false, false, NULL, NULL },
    { "TLV cut", RAW(SIGNATURE "\x21\x11\x00\x0e" V4 "\x05\x00"), false, false, NULL, NULL },
    { "TLV over the end", RAW(SIGNATURE "\x21\x11\x00\x10" V4 "\x05\x00\x02x"), false, false,
      NULL, NULL },
    { "two ids", RAW(SIGNATURE "\x21\x11\x00\x14" V4 "\x05\x00\x01x\x05\x00\x01y"), false, false,
      NULL, NULL },
    { "wrong checksum", RAW(SIGNATURE "\x21\x11\x00\x13" V4 "\x03\x00\x04\x01\x02\x03\x04"), false,
      false, NULL, NULL },
    { "checksum of wrong length", RAW(SIGNATURE "\x21\x11\x00\x11" V4 "\x03\x00\x02\x01\x02"),
      false, false, NULL, NULL },
};

static void check_peer(const struct sockaddr_storage *peer, const char *want)
{
    char text[INET6_ADDRSTRLEN] = "";

    if (peer->ss_family == AF_INET)
        inet_ntop(AF_INET, &((const struct sockaddr_in *)peer)->sin_addr, text, sizeof text);
    if (peer->ss_family == AF_INET6)
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)peer)->sin6_addr, text, sizeof text);
    assert_string_equal(text, want ? want : "");
}

static void test_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct http_proxy_header h;
        struct error err;
        int rc = http_proxy_parse(cases[i].bytes, cases[i].len, &h, &err);

        if ((rc == 0) != cases[i].is_good)
            fail_msg("%s: %s", cases[i].what, rc == 0 ? "was taken" : err.message);
        if (rc != 0)
            continue;
        assert_int_equal(h.is_local, cases[i].is_local);
        check_peer(&h.peer, cases[i].peer);
        assert_int_equal(h.unique_id != NULL, cases[i].id != NULL);
        if (cases[i].id) {
            assert_int_equal(h.unique_id_len, strlen(cases[i].id));
            assert_memory_equal(h.unique_id, cases[i].id, h.unique_id_len);
        }
    }
}

static void test_checksum(void **state)
{
    uint8_t good[] = SIGNATURE "\x21\x11\x00\x13" V4 "\x03\x00\x04\0\0\0";
    size_t len = sizeof good;
    uint32_t crc = 0xffffffffu;
    struct http_proxy_header h;
    struct error err;

    (void)state;
    for (size_t i = 0; i < len; i++) { /* the field itself counts as zero, and is */
        crc ^= good[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1u ? crc >> 1 ^ 0x82f63b78u : crc >> 1;
    }
    crc = htonl(~crc);
    memcpy(good + len - 4, &crc, 4);
    assert_int_equal(http_proxy_parse(good, len, &h, &err), 0);
    good[20] ^= 1;
    assert_int_equal(http_proxy_parse(good, len, &h, &err), -1);
}

static void test_length(void **state)
{
    uint8_t fixed[] = SIGNATURE "\x21\x11\x07\xf0";
    struct error err;
    size_t len;

    (void)state;
    assert_int_equal(http_proxy_length(fixed, &len, &err), 0);
    assert_int_equal(len, 2048);
    fixed[15] = 0xf1;
    assert_int_equal(http_proxy_length(fixed, &len, &err), -1);
    fixed[3] = 'x';
    assert_true(http_proxy_may_begin(fixed, 3));
    assert_false(http_proxy_may_begin(fixed, 4));
}

static void test_secret(void **state)
{
    static const uint8_t id[] = "secretlink1";
    struct http_proxy_header h = { .unique_id = id, .unique_id_len = sizeof id - 1 };
    const uint8_t *rest;
    size_t len;

    (void)state;
    assert_true(http_proxy_has_secret(&h, "secret", &rest, &len));
    assert_int_equal(len, 5);
    assert_memory_equal(rest, "link1", 5);
    assert_true(http_proxy_has_secret(&h, "secretlink1", &rest, &len));
    assert_int_equal(len, 0);
    assert_false(http_proxy_has_secret(&h, "secretlink12", &rest, &len));
    assert_false(http_proxy_has_secret(&h, "Secret", &rest, &len));
    assert_false(http_proxy_has_secret(&h, "secreT", &rest, &len));
    assert_false(http_proxy_has_secret(&h, "", &rest, &len));
    h.unique_id = NULL;
    assert_false(http_proxy_has_secret(&h, "secret", &rest, &len));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_checksum),
        cmocka_unit_test(test_length),
        cmocka_unit_test(test_secret),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
