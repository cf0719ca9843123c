/* uniqueString, guid and newGuid. SHA-1 stands here because RFC 4122 version 5 names are made with
 * it; it guards nothing. */
#include "templates/functions/hashes.h"

#include <inttypes.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/str.h"
#include "templates/functions/families.h"
#include "templates/functions/function.h"
#include "templates/language/template.h"

static uint32_t rotl(uint32_t x, int n)
{
    return x << n | x >> (32 - n);
}

static uint32_t le32(const uint8_t *p, size_t n)
{
    uint32_t x = 0;
    for (size_t i = 0; i < n && i < 4; i++)
        x |= (uint32_t)p[i] << (8 * i);
    return x;
}

static uint32_t final_mix(uint32_t h)
{
    h ^= h >> 16;
    h *= 0x85ebca6bu;
    h ^= h >> 13;
    h *= 0xc2b2ae35u;
    return h ^ h >> 16;
}

uint64_t hash_template(const void *bytes, size_t len)
{
    const uint32_t c1 = 0x239b961bu, c2 = 0xab0e9789u;
    const uint8_t *p = bytes;
    uint32_t h1 = 0, h2 = 0;
    size_t i = 0;
    for (; i + 8 <= len; i += 8) {
        h1 ^= rotl(le32(p + i, 4) * c1, 15) * c2;
        h1 = (rotl(h1, 19) + h2) * 5 + 0x561ccd1bu;
        h2 ^= rotl(le32(p + i + 4, 4) * c2, 17) * c1;
        h2 = (rotl(h2, 13) + h1) * 5 + 0x0bcaa747u;
    }
    size_t tail = len - i;
    if (tail) {
        h1 ^= rotl(le32(p + i, tail) * c1, 15) * c2;
        if (tail > 4)
            h2 ^= rotl(le32(p + i + 4, tail - 4) * c2, 17) * c1;
    }
    h1 ^= (uint32_t)len;
    h2 ^= (uint32_t)len;
    h1 += h2;
    h2 += h1;
    h1 = final_mix(h1);
    h2 = final_mix(h2);
    h1 += h2;
    h2 += h1;
    return (uint64_t)h2 << 32 | h1;
}

static void sha1_block(uint32_t h[5], const uint8_t *p)
{
    uint32_t w[80];
    for (size_t i = 0; i < 16; i++)
        w[i] = (uint32_t)p[4 * i] << 24 | (uint32_t)p[4 * i + 1] << 16 |
               (uint32_t)p[4 * i + 2] << 8 | p[4 * i + 3];
    for (size_t i = 16; i < 80; i++)
        w[i] = rotl(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    uint32_t a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
    for (size_t i = 0; i < 80; i++) {
        uint32_t f, k;
        if (i < 20) {
            f = (b & c) | (~b & d);
            k = 0x5a827999u;
        } else if (i < 40) {
            f = b ^ c ^ d;
            k = 0x6ed9eba1u;
        } else if (i < 60) {
            f = (b & c) | (b & d) | (c & d);
            k = 0x8f1bbcdcu;
        } else {
            f = b ^ c ^ d;
            k = 0xca62c1d6u;
        }
        uint32_t t = rotl(a, 5) + f + e + k + w[i];
        e = d;
        d = c;
        c = rotl(b, 30);
        b = a;
        a = t;
    }
    h[0] += a;
    h[1] += b;
    h[2] += c;
    h[3] += d;
    h[4] += e;
}

void hash_sha1(const void *bytes, size_t len, uint8_t ret[20])
{
    uint32_t h[5] = { 0x67452301u, 0xefcdab89u, 0x98badcfeu, 0x10325476u, 0xc3d2e1f0u };
    const uint8_t *p = bytes;
    size_t left = len;
    for (; left >= 64; left -= 64, p += 64)
        sha1_block(h, p);
    uint8_t block[128] = { 0 };
    if (left)
        memcpy(block, p, left);
    block[left] = 0x80;
    size_t total = left < 56 ? 64 : 128;
    for (size_t i = 0; i < 8; i++)
        block[total - 1 - i] = (uint8_t)((uint64_t)len * 8 >> (8 * i));
    sha1_block(h, block);
    if (total == 128)
        sha1_block(h, block + 64);
    for (size_t i = 0; i < 20; i++)
        ret[i] = (uint8_t)(h[i / 4] >> (24 - 8 * (i % 4)));
}

/* All arguments, which must be strings, joined by dashes after the prefix. */
static int join_args(struct call *c, struct str *out, struct error *err)
{
    for (size_t i = 0; i < c->argc; i++) {
        const struct value *s;
        if (arg_text(c, i, &s, err) < 0)
            return -1;
        if (i)
            str_putc(out, '-');
        str_append(out, s->text, s->count);
    }
    return engine_bytes(c->env->engine, out->len, err);
}

int fn_unique_string(struct call *c, const struct value **ret, struct error *err)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz234567";
    struct str s;
    str_init(&s, ENGINE_TEXT_MAX);
    int rc = join_args(c, &s, err);
    if (rc == 0)
        rc = str_check(&s, err);
    if (rc == 0) {
        char text[14] = { 0 };
        uint64_t h = hash_template(s.data, s.len);
        for (size_t i = 0; i < 13; i++, h <<= 5)
            text[i] = letters[h >> 59];
        *ret = value_text_len(c->arena, text, 13);
    }
    str_done(&s);
    return rc;
}

static const struct value *uuid_value(struct arena *a, const uint8_t *hash, unsigned version)
{
    uint8_t b[16];
    memcpy(b, hash, 16);
    b[6] = (uint8_t)((b[6] & 0x0f) | version << 4);
    b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
    char *text = arena_printf(a,
                              "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-"
                              "%02x%02x%02x%02x%02x%02x",
                              b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10],
                              b[11], b[12], b[13], b[14], b[15]);
    return value_text_own(a, text, 36);
}

int fn_guid(struct call *c, const struct value **ret, struct error *err)
{
    static const uint8_t space[16] = { 0x11, 0xfb, 0x06, 0xfb, 0x71, 0x2d, 0x4d, 0xdd,
                                       0x98, 0xc7, 0xe7, 0x1b, 0xbd, 0x58, 0x88, 0x30 };
    struct str s;
    uint8_t hash[20];
    str_init(&s, ENGINE_TEXT_MAX);
    str_append(&s, space, sizeof(space));
    int rc = join_args(c, &s, err);
    if (rc == 0)
        rc = str_check(&s, err);
    if (rc == 0) {
        hash_sha1(s.data, s.len, hash);
        *ret = uuid_value(c->arena, hash, 5);
    }
    str_done(&s);
    return rc;
}

/* From the deployment's seed, so that running a stored deployment again gives the same. */
int fn_new_guid(struct call *c, const struct value **ret, struct error *err)
{
    (void)err;
    const char *seed = c->env->scope->seed;
    char *name =
        arena_printf(c->arena, "%s/newGuid/%d", seed ? seed : "", c->env->engine->guid_count++);
    uint8_t hash[20];
    hash_sha1(name, strlen(name), hash);
    *ret = uuid_value(c->arena, hash, 4);
    return 0;
}
