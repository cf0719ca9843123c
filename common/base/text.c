/* ASCII text checks and the small codecs. Character classes are spelled out here because those of
 * <ctype.h> follow the locale and take negative chars badly. */
#include "common/base/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/base/arena.h"

/* getrandom() delivers up to 256 bytes at once or not at all. */
#define UUID_STOCK ((size_t)16)

static const char hex_digits[] = "0123456789abcdef";
static const char upper_hex_digits[] = "0123456789ABCDEF";
static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char base64url_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_unreserved(char c)
{
    return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z') || c == '-' || c == '.' ||
           c == '_' || c == '~';
}

bool text_eq(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

bool text_eq_nocase(const char *a, const char *b)
{
    if (!a || !b)
        return a == b;
    while (*a && lower(*a) == lower(*b)) {
        a++;
        b++;
    }
    return lower(*a) == lower(*b);
}

bool text_starts(const char *s, const char *prefix)
{
    return s && strncmp(s, prefix, strlen(prefix)) == 0;
}

bool text_has_line(const char *text, const char *line, size_t len)
{
    for (const char *p = text; *p; p += strcspn(p, "\n"), p += *p == '\n')
        if (strcspn(p, "\n") == len && memcmp(p, line, len) == 0)
            return true;
    return false;
}

bool text_starts_nocase(const char *s, const char *prefix)
{
    if (!s)
        return false;
    while (*prefix && lower(*s) == lower(*prefix)) {
        s++;
        prefix++;
    }
    return *prefix == '\0';
}

bool text_ends(const char *s, const char *suffix)
{
    size_t len = s ? strlen(s) : 0;
    size_t want = strlen(suffix);

    return s && len >= want && memcmp(s + len - want, suffix, want) == 0;
}

char *text_lower(struct arena *a, const char *s)
{
    char *copy = arena_strdup(a, s);

    for (char *p = copy; p && *p; p++)
        *p = lower(*p);
    return copy;
}

size_t text_split(struct arena *a, const char *s, char sep, char ***ret_parts)
{
    size_t count = 1;

    for (const char *p = s; *p; p++)
        count += *p == sep;
    char **parts = arena_array(a, count + 1, sizeof(*parts));
    char *copy = arena_strdup(a, s);
    for (size_t i = 0; i < count; i++) {
        parts[i] = copy;
        copy = strchrnul(copy, sep);
        *copy++ = '\0';
    }
    *ret_parts = parts;
    return count;
}

bool text_parse_u64(const char *s, uint64_t *ret)
{
    uint64_t n = 0;

    if (!s || !*s)
        return false;
    for (; *s; s++) {
        if (*s < '0' || *s > '9' || __builtin_mul_overflow(n, (uint64_t)10, &n) ||
            __builtin_add_overflow(n, (uint64_t)(*s - '0'), &n))
            return false;
    }
    *ret = n;
    return true;
}

bool text_parse_i64(const char *s, int64_t *ret)
{
    bool is_negative = s && *s == '-';
    uint64_t n;

    if (!text_parse_u64(is_negative ? s + 1 : s, &n) || n > (uint64_t)INT64_MAX + is_negative)
        return false;
    if (is_negative)
        *ret = n == 0 ? 0 : -(int64_t)(n - 1) - 1;
    else
        *ret = (int64_t)n;
    return true;
}

/* Bytes of the well-formed character at s, 0 when there is none (Unicode table 3-7). */
static size_t utf8_char(const unsigned char *s, size_t len)
{
    unsigned char c = s[0];
    unsigned char low = 0x80, high = 0xBF;
    size_t more;

    if (c < 0x80)
        return 1;
    if (c >= 0xC2 && c <= 0xDF)
        more = 1;
    else if (c >= 0xE0 && c <= 0xEF)
        more = 2;
    else if (c >= 0xF0 && c <= 0xF4)
        more = 3;
    else
        return 0;
    if (c == 0xE0)
        low = 0xA0;
    else if (c == 0xED)
        high = 0x9F;
    else if (c == 0xF0)
        low = 0x90;
    else if (c == 0xF4)
        high = 0x8F;
    if (len <= more || s[1] < low || s[1] > high)
        return 0;
    for (size_t i = 2; i <= more; i++)
        if ((s[i] & 0xC0) != 0x80)
            return 0;
    return more + 1;
}

/* Whether one of the eight bytes is below 0x20 or is 0x7f. */
static bool has_control(uint64_t word)
{
    const uint64_t ones = 0x0101010101010101u, tops = 0x8080808080808080u;
    uint64_t deleted = word ^ (ones * 0x7f);

    return (((word - ones * 0x20) & ~word) | ((deleted - ones) & ~deleted)) & tops;
}

static bool is_field_text(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];

        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

bool text_is_field_value(const char *s, size_t len)
{
    uint64_t word;

    for (; len >= sizeof(word); s += sizeof(word), len -= sizeof(word)) {
        memcpy(&word, s, sizeof(word));
        if (has_control(word) && !is_field_text(s, sizeof(word)))
            return false;
    }
    return is_field_text(s, len);
}

/* Whether there are eight more bytes, all of them characters of their own. */
static bool is_ascii(const unsigned char *s, size_t len)
{
    uint64_t word;

    if (len < sizeof(word))
        return false;
    memcpy(&word, s, sizeof(word));
    return !(word & 0x8080808080808080u);
}

bool text_is_utf8(const char *s, size_t len)
{
    const unsigned char *p = (const unsigned char *)s;

    while (len > 0) {
        size_t n = is_ascii(p, len) ? sizeof(uint64_t) : utf8_char(p, len);
        if (n == 0)
            return false;
        p += n;
        len -= n;
    }
    return true;
}

size_t text_keep_utf8(char *s, size_t len)
{
    size_t kept = 0;

    for (size_t i = 0; i < len;) {
        size_t n = utf8_char((const unsigned char *)s + i, len - i);

        if (n > 0)
            memmove(s + kept, s + i, n);
        kept += n;
        i += n > 0 ? n : 1;
    }
    return kept;
}

char *text_hex(struct arena *a, const void *bytes, size_t len)
{
    const unsigned char *p = bytes;
    char *text = arena_array(a, len + 1, 2);

    for (size_t i = 0; i < len; i++) {
        text[2 * i] = hex_digits[p[i] >> 4];
        text[2 * i + 1] = hex_digits[p[i] & 15];
    }
    return text;
}

bool text_unhex(const char *hex, size_t hex_len, uint8_t *ret, size_t len)
{
    if (hex_len % 2 != 0 || hex_len / 2 != len)
        return false;
    for (size_t i = 0; i < len; i++) {
        int high = hex_value(hex[2 * i]);
        int low = hex_value(hex[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        ret[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static char *encode64(struct arena *a, const char *digits, bool is_padded, const unsigned char *p,
                      size_t len)
{
    char *text = arena_array(a, len / 3 + 2, 4);
    char *to = text;

    for (size_t i = 0; i < len; i += 3) {
        size_t n = len - i < 3 ? len - i : 3;
        unsigned bits = (unsigned)p[i] << 16;
        bits |= n > 1 ? (unsigned)p[i + 1] << 8 : 0;
        bits |= n > 2 ? (unsigned)p[i + 2] : 0;
        for (size_t k = 0; k <= n; k++)
            *to++ = digits[bits >> (18 - 6 * k) & 63];
        for (size_t k = n; is_padded && k < 3; k++)
            *to++ = '=';
    }
    return text;
}

char *text_base64(struct arena *a, const void *bytes, size_t len)
{
    return encode64(a, base64_digits, true, bytes, len);
}

char *text_base64url(struct arena *a, const void *bytes, size_t len)
{
    return encode64(a, base64url_digits, false, bytes, len);
}

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+' || c == '-')
        return 62;
    return c == '/' || c == '_' ? 63 : -1;
}

uint8_t *text_unbase64(struct arena *a, const char *s, size_t len, size_t *ret_len)
{
    if (len > 0 && len % 4 == 0 && s[len - 1] == '=')
        len -= s[len - 2] == '=' ? 2 : 1;
    if (len % 4 == 1)
        return NULL;
    uint8_t *bytes = arena_alloc(a, len / 4 * 3 + 3);
    size_t n = 0;
    uint32_t bits = 0;
    unsigned held = 0;
    for (size_t i = 0; i < len; i++) {
        int value = base64_value(s[i]);
        if (value < 0)
            return NULL;
        bits = bits << 6 | (uint32_t)value;
        held += 6;
        if (held < 8)
            continue;
        held -= 8;
        bytes[n++] = (uint8_t)(bits >> held);
        bits &= (1u << held) - 1;
    }
    /* Left-over bits must be zero, so that one value has one spelling. */
    if (bits != 0)
        return NULL;
    *ret_len = n;
    return bytes;
}

char *text_percent_encode(struct arena *a, const char *s)
{
    char *text = arena_array(a, strlen(s) + 1, 3);
    char *to = text;

    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (is_unreserved(*s)) {
            *to++ = *s;
            continue;
        }
        *to++ = '%';
        *to++ = upper_hex_digits[c >> 4];
        *to++ = upper_hex_digits[c & 15];
    }
    return text;
}

char *text_percent_decode(struct arena *a, const char *s, size_t len, bool plus_is_space)
{
    char *text = arena_alloc(a, len + 1);
    char *to = text;

    for (size_t i = 0; i < len; i++) {
        char c = s[i];
        if (c == '+' && plus_is_space) {
            c = ' ';
        } else if (c == '%') {
            int high = len - i > 2 ? hex_value(s[i + 1]) : -1;
            int low = len - i > 2 ? hex_value(s[i + 2]) : -1;
            if (high < 0 || low < 0)
                return NULL;
            c = (char)(high << 4 | low);
            i += 2;
        }
        if (c == '\0')
            return NULL;
        *to++ = c;
    }
    return text;
}

/* Sixteen random bytes; the kernel is asked for several at a time. Each is given out once. */
static void random_uuid(uint8_t ret[UUID_BYTES])
{
    static _Thread_local uint8_t stock[UUID_STOCK * UUID_BYTES];
    static _Thread_local size_t left;

    if (left == 0) {
        /* Up to 256 bytes are never delivered in part; only an interrupt before seeding is
         * retried. */
        while (getrandom(stock, sizeof(stock), 0) != (ssize_t)sizeof(stock))
            if (errno != EINTR)
                abort();
        left = UUID_STOCK;
    }
    left--;
    memcpy(ret, stock + left * UUID_BYTES, UUID_BYTES);
    explicit_bzero(stock + left * UUID_BYTES, UUID_BYTES);
}

void uuid_text(const uint8_t bytes[UUID_BYTES], char ret[UUID_TEXT_LEN + 1])
{
    char *to = ret;

    for (size_t i = 0; i < UUID_BYTES; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *to++ = '-';
        *to++ = hex_digits[bytes[i] >> 4];
        *to++ = hex_digits[bytes[i] & 15];
    }
    *to = '\0';
}

void uuid_new(char ret[UUID_TEXT_LEN + 1])
{
    uint8_t bytes[UUID_BYTES];

    random_uuid(bytes);
    bytes[6] = (uint8_t)((bytes[6] & 0x0F) | 0x40);
    bytes[8] = (uint8_t)((bytes[8] & 0x3F) | 0x80);
    uuid_text(bytes, ret);
}

bool uuid_is_valid(const char *s)
{
    if (!s || strlen(s) != UUID_TEXT_LEN)
        return false;
    for (size_t i = 0; i < UUID_TEXT_LEN; i++) {
        bool is_dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (is_dash ? s[i] != '-' : hex_value(s[i]) < 0)
            return false;
    }
    return true;
}
