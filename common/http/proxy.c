/* The PROXY v2 reader. Everything that does not add up is refused: a header comes from the edge or
 * from nobody. */
#include "common/http/proxy.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>

#include "common/base/error.h"
#include "common/crypto/digest.h"

#define TLV_CRC32C 0x03
#define TLV_UNIQUE_ID 0x05
#define TLV_CRC32C_LEN 4

static const uint8_t signature[12] = { 0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d,
                                       0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a };

static size_t read_u16(const uint8_t *p)
{
    return (size_t)p[0] << 8 | p[1];
}

/* CRC-32C (Castagnoli), bit by bit: a header is at most 2 KiB and seldom carries one. skip is the
 * place of the checksum itself, which counts as zero. */
static uint32_t crc32c(const uint8_t *bytes, size_t len, size_t skip)
{
    uint32_t crc = 0xffffffffu;

    for (size_t i = 0; i < len; i++) {
        crc ^= i >= skip && i < skip + TLV_CRC32C_LEN ? 0u : bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1u ? 0x82f63b78u : 0u);
    }
    return ~crc;
}

static int read_tlv(const uint8_t *bytes, size_t len, size_t at, struct http_proxy_header *h,
                    struct error *err)
{
    const uint8_t *value = bytes + at + 3;
    size_t value_len = read_u16(bytes + at + 1);

    if (bytes[at] == TLV_UNIQUE_ID) {
        if (h->unique_id || value_len > HTTP_PROXY_ID_MAX)
            return fail(err, &E_INVALID, "PROXY header: bad unique id");
        h->unique_id = value;
        h->unique_id_len = value_len;
    }
    if (bytes[at] == TLV_CRC32C) {
        uint32_t told;

        if (value_len != TLV_CRC32C_LEN)
            return fail(err, &E_INVALID, "PROXY header: bad checksum length");
        told = (uint32_t)value[0] << 24 | (uint32_t)value[1] << 16 | (uint32_t)value[2] << 8 |
               value[3];
        if (told != crc32c(bytes, len, at + 3))
            return fail(err, &E_INVALID, "PROXY header: wrong checksum");
    }
    return 0;
}

static int read_tlvs(const uint8_t *bytes, size_t len, size_t at, struct http_proxy_header *h,
                     struct error *err)
{
    while (at < len) {
        if (len - at < 3 || len - at - 3 < read_u16(bytes + at + 1))
            return fail(err, &E_INVALID, "PROXY header: a TLV runs over the end");
        if (read_tlv(bytes, len, at, h, err) < 0)
            return -1;
        at += 3 + read_u16(bytes + at + 1);
    }
    return 0;
}

/* The source address; returns the bytes all addresses take, or -1 for an unknown family. */
static int read_address(uint8_t family, const uint8_t *p, size_t len, struct sockaddr_storage *ret)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;

    switch (family) {
    case 0x11: /* TCP over IPv4: two addresses, two ports */
        if (len < 12)
            return -1;
        v4->sin_family = AF_INET;
        memcpy(&v4->sin_addr, p, 4);
        memcpy(&v4->sin_port, p + 8, 2);
        return 12;
    case 0x21: /* TCP over IPv6 */
        if (len < 36)
            return -1;
        v6->sin6_family = AF_INET6;
        memcpy(&v6->sin6_addr, p, 16);
        memcpy(&v6->sin6_port, p + 32, 2);
        return 36;
    case 0x31: /* Unix stream: two paths of 108 bytes; the path says nothing about a client */
        if (len < 216)
            return -1;
        ret->ss_family = AF_UNIX;
        return 216;
    default:
        return -1;
    }
}

bool http_proxy_may_begin(const uint8_t *bytes, size_t len)
{
    return memcmp(bytes, signature, len < sizeof signature ? len : sizeof signature) == 0;
}

int http_proxy_length(const uint8_t fixed[HTTP_PROXY_FIXED], size_t *ret, struct error *err)
{
    size_t len = HTTP_PROXY_FIXED + read_u16(fixed + 14);

    if (memcmp(fixed, signature, sizeof signature) != 0)
        return fail(err, &E_INVALID, "PROXY header: no signature");
    if (len > HTTP_PROXY_MAX)
        return fail(err, &E_INVALID, "PROXY header: %zu bytes are too long", len);
    *ret = len;
    return 0;
}

int http_proxy_parse(const uint8_t *bytes, size_t len, struct http_proxy_header *ret,
                     struct error *err)
{
    struct http_proxy_header h = { 0 };
    size_t told = 0, at = HTTP_PROXY_FIXED;
    int taken;

    if (len < HTTP_PROXY_FIXED)
        return fail(err, &E_INVALID, "PROXY header: cut off");
    if (http_proxy_length(bytes, &told, err) < 0)
        return -1;
    if (told != len)
        return fail(err, &E_INVALID, "PROXY header: %zu bytes told, %zu there", told, len);
    if (bytes[12] != 0x20 && bytes[12] != 0x21)
        return fail(err, &E_INVALID, "PROXY header: bad version or command");
    h.is_local = bytes[12] == 0x20;
    taken = read_address(bytes[13], bytes + at, len - at, &h.peer);
    if (taken < 0 && (!h.is_local || bytes[13] != 0x00))
        return fail(err, &E_INVALID, "PROXY header: bad address");
    if (taken > 0)
        at += (size_t)taken;
    if (h.is_local) /* the addresses of a LOCAL connection must be ignored */
        memset(&h.peer, 0, sizeof h.peer);
    if (read_tlvs(bytes, len, at, &h, err) < 0)
        return -1;
    *ret = h;
    return 0;
}

bool http_proxy_has_secret(const struct http_proxy_header *h, const char *secret,
                           const uint8_t **ret_rest, size_t *ret_rest_len)
{
    size_t len = strlen(secret);

    if (len == 0 || !h->unique_id || h->unique_id_len < len ||
        !secret_equal(h->unique_id, secret, len))
        return false;
    *ret_rest = h->unique_id + len;
    *ret_rest_len = h->unique_id_len - len;
    return true;
}
