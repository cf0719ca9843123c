/* Request targets (RFC 9112 section 3.2): origin form and absolute form are taken, authority form
 * and asterisk form are refused because nothing here proxies. */
#include "common/http/target.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* One decoded byte at *s, or -1 when the escape is broken. */
static int next_byte(const char **s, const char *end, bool *ret_is_escaped)
{
    const char *p = *s;
    int high, low;

    *ret_is_escaped = *p == '%';
    if (*p != '%') {
        *s = p + 1;
        return (unsigned char)*p;
    }
    if (end - p < 3)
        return -1;
    high = hex_digit(p[1]);
    low = hex_digit(p[2]);
    if (high < 0 || low < 0)
        return -1;
    *s = p + 3;
    return high * 16 + low;
}

static bool is_refused_byte(int byte, bool is_escaped, bool takes_slashes)
{
    if (byte < 0x20 || byte == 0x7f || byte == '\\')
        return true;
    if (is_escaped)
        return byte == '/' && !takes_slashes;
    return byte == '#' || byte == ' ';
}

static bool is_dot_segment(const char *segment, size_t len)
{
    return (len == 1 && segment[0] == '.') || (len == 2 && segment[0] == '.' && segment[1] == '.');
}

static int decode_path(char *out, const char *s, const char *end, bool takes_slashes,
                       size_t *ret_len, struct error *err)
{
    size_t n = 0, segment = 0;

    while (s < end) {
        bool is_escaped;
        int byte = next_byte(&s, end, &is_escaped);

        if (byte < 0)
            return fail(err, &E_INVALID, "The path of the request has a broken percent escape.");
        if (is_refused_byte(byte, is_escaped, takes_slashes))
            return fail(err, &E_INVALID, "The path of the request has a character that is not "
                                         "allowed there.");
        if (byte != '/') {
            out[n++] = (char)byte;
            continue;
        }
        if (is_dot_segment(out + segment, n - segment))
            return fail(err, &E_INVALID, "The path of the request has a dot segment.");
        if (n == 0 || out[n - 1] != '/')
            out[n++] = '/';
        segment = n;
    }
    if (is_dot_segment(out + segment, n - segment))
        return fail(err, &E_INVALID, "The path of the request has a dot segment.");
    out[n] = '\0';
    *ret_len = n;
    return 0;
}

static bool is_query_clean(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];

        if (c <= 0x20 || c == 0x7f || c == '#')
            return false;
    }
    return true;
}

/* Length of "http://" or "https://" at the start, or 0. */
static size_t scheme_length(const char *raw, size_t len)
{
    if (len >= 7 && strncasecmp(raw, "http://", 7) == 0)
        return 7;
    if (len >= 8 && strncasecmp(raw, "https://", 8) == 0)
        return 8;
    return 0;
}

int http_target_parse(struct arena *a, const char *raw, size_t len, bool takes_slashes,
                      struct http_target *ret, struct error *err)
{
    struct http_target t = { .query = "" };
    const char *end = raw + len, *path = raw, *mark;
    size_t scheme, path_len = 0;
    char *decoded;

    if (len > HTTP_TARGET_MAX)
        return fail(err, &E_INVALID, "The target of the request is longer than %d bytes.",
                    HTTP_TARGET_MAX);
    scheme = scheme_length(raw, len);
    mark = memchr(raw, '?', len);
    if (scheme) {
        const char *stop = mark ? mark : end;
        const char *slash = memchr(raw + scheme, '/', (size_t)(stop - raw) - scheme);

        path = slash ? slash : stop;
        t.authority = arena_strndup(a, raw + scheme, (size_t)(path - raw) - scheme);
    } else if (len == 0 || raw[0] != '/') {
        return fail(err, &E_INVALID, "The target of the request is not a path.");
    }
    if (mark) {
        if (!is_query_clean(mark + 1, (size_t)(end - mark) - 1))
            return fail(err, &E_INVALID, "The query of the request has a character that is not "
                                         "allowed there.");
        t.query = arena_strndup(a, mark + 1, (size_t)(end - mark) - 1);
        end = mark;
    }
    decoded = arena_alloc(a, (size_t)(end - path) + 2);
    if (path == end) {
        decoded[0] = '/';
        path_len = 1;
    } else if (decode_path(decoded, path, end, takes_slashes, &path_len, err) < 0) {
        return -1;
    }
    if (!text_is_utf8(decoded, path_len))
        return fail(err, &E_INVALID, "The path of the request is not UTF-8.");
    t.path = decoded;
    *ret = t;
    return 0;
}
