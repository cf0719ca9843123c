/* Recursive descent over the text, without building anything. Duplicate names are found by sorting
 * the decoded names of each object when it closes: no hash a client could aim collisions at. In
 * template mode the text is copied on the way, with comments, raw line ends and unquoted names
 * replaced, so that errors still name places in the text as it was sent. */
#include "common/json/json_scan.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/error.h"
#include "common/base/str.h"
#include "common/base/text.h"

#define NUMBER_LEN_MAX 1000
#define SHOWN_LEN_MAX  64

struct name {
    size_t offset; /* of the decoded bytes in `pool` */
    size_t len;
    size_t at; /* place in the text */
};

struct scan {
    const char *text;
    size_t len;
    size_t at;
    size_t copied; /* the text before this is in `strict` */
    size_t members;
    int depth;
    bool is_template;
    struct str *strict;
    struct str names; /* struct name of every open object, outermost first */
    struct str pool;
    struct error *err;
};

static int scan_value(struct scan *s);

static int PRINTF_LIKE(3, 4) bad(struct scan *s, size_t at, const char *fmt, ...)
{
    char what[256];
    size_t line = 1, column = 1;
    va_list ap;

    for (size_t i = 0; i < at && i < s->len; i++) {
        if (s->text[i] == '\n') {
            line++;
            column = 1;
        } else if (((unsigned char)s->text[i] & 0xC0) != 0x80) {
            column++;
        }
    }
    va_start(ap, fmt);
    if (vsnprintf(what, sizeof(what), fmt, ap) < 0)
        what[0] = '\0';
    va_end(ap);
    return fail(s->err, &E_INVALID, "The JSON text is not valid at line %zu, column %zu: %s.", line,
                column, what);
}

/* The byte at `ahead` places from here; 0 behind the end. NUL bytes in the text fail like it, as
 * no rule accepts one. */
static char peek(const struct scan *s, size_t ahead)
{
    return s->len - s->at > ahead ? s->text[s->at + ahead] : '\0';
}

/* Template mode: replaces the next `skipped` bytes. */
static void replace(struct scan *s, size_t skipped, const char *by)
{
    str_append(s->strict, s->text + s->copied, s->at - s->copied);
    str_puts(s->strict, by);
    s->at += skipped;
    s->copied = s->at;
}

static int skip_comment(struct scan *s)
{
    const char *rest = s->text + s->at;
    size_t left = s->len - s->at;
    const char *end;

    if (rest[1] == '/') {
        end = memchr(rest, '\n', left);
        replace(s, end ? (size_t)(end - rest) : left, " ");
        return 0;
    }
    end = memmem(rest + 2, left - 2, "*/", 2);
    if (!end)
        return bad(s, s->at, "the comment does not end");
    replace(s, (size_t)(end - rest) + 2, " ");
    return 0;
}

static int skip_space(struct scan *s)
{
    for (;;) {
        char c = peek(s, 0);
        if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
            s->at++;
        } else if (s->is_template && c == '/' && (peek(s, 1) == '/' || peek(s, 1) == '*')) {
            if (skip_comment(s) < 0)
                return -1;
        } else {
            return 0;
        }
    }
}

static int hex4(const struct scan *s, size_t ahead)
{
    uint8_t bytes[2];

    if (s->len - s->at < ahead + 4 || !text_unhex(s->text + s->at + ahead, 4, bytes, 2))
        return -1;
    return bytes[0] << 8 | bytes[1];
}

static void put_code_point(struct str *to, uint32_t c)
{
    if (c < 0x80) {
        str_putc(to, (char)c);
        return;
    }
    if (c < 0x800) {
        str_putc(to, (char)(0xC0 | c >> 6));
    } else {
        if (c < 0x10000) {
            str_putc(to, (char)(0xE0 | c >> 12));
        } else {
            str_putc(to, (char)(0xF0 | c >> 18));
            str_putc(to, (char)(0x80 | (c >> 12 & 63)));
        }
        str_putc(to, (char)(0x80 | (c >> 6 & 63)));
    }
    str_putc(to, (char)(0x80 | (c & 63)));
}

/* At "\u": the escape, or the pair of them that makes one character. */
static int scan_unicode(struct scan *s, struct str *decoded)
{
    int high = hex4(s, 2);

    if (high < 0)
        return bad(s, s->at, "\\u needs four hexadecimal digits");
    if (high == 0)
        return bad(s, s->at, "the character U+0000 is not accepted");
    if (high >= 0xDC00 && high <= 0xDFFF)
        return bad(s, s->at, "half of a surrogate pair");
    uint32_t point = (uint32_t)high;
    s->at += 6;
    if (high >= 0xD800 && high <= 0xDBFF) {
        int low = peek(s, 0) == '\\' && peek(s, 1) == 'u' ? hex4(s, 2) : -1;
        if (low < 0xDC00 || low > 0xDFFF)
            return bad(s, s->at - 6, "half of a surrogate pair");
        point = 0x10000 + (((uint32_t)high - 0xD800) << 10) + ((uint32_t)low - 0xDC00);
        s->at += 6;
    }
    if (decoded)
        put_code_point(decoded, point);
    return 0;
}

static int scan_escape(struct scan *s, struct str *decoded)
{
    static const char from[] = "\"\\/bfnrt";
    static const char to[] = "\"\\/\b\f\n\r\t";
    char c = peek(s, 1);
    const char *known = c ? strchr(from, c) : NULL;

    if (c == 'u')
        return scan_unicode(s, decoded);
    if (!known)
        return bad(s, s->at, "unknown escape in a string");
    if (decoded)
        str_putc(decoded, to[known - from]);
    s->at += 2;
    return 0;
}

/* A byte that stands for itself in no string; template mode takes line ends and tabs. */
static int scan_control(struct scan *s, struct str *decoded)
{
    char c = peek(s, 0);
    bool is_line = c == '\n' || c == '\r' || c == '\t';

    if (s->at >= s->len)
        return bad(s, s->at, "the string does not end");
    if (!s->is_template || !is_line)
        return bad(s, s->at, "a control character in a string has to be escaped");
    if (decoded)
        str_putc(decoded, c);
    replace(s, 1, c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t");
    return 0;
}

static int scan_beyond_ascii(struct scan *s, struct str *decoded)
{
    unsigned char lead = (unsigned char)peek(s, 0);
    size_t n = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;

    if (s->len - s->at < n || !text_is_utf8(s->text + s->at, n))
        return bad(s, s->at, "the text is not valid UTF-8");
    if (decoded)
        str_append(decoded, s->text + s->at, n);
    s->at += n;
    return 0;
}

/* At the opening quote. */
static int scan_string(struct scan *s, struct str *decoded)
{
    s->at++;
    for (;;) {
        size_t start = s->at;
        while (peek(s, 0) >= 0x20 && peek(s, 0) != '"' && peek(s, 0) != '\\')
            s->at++;
        if (decoded)
            str_append(decoded, s->text + start, s->at - start);
        char c = peek(s, 0);
        int rc = 0;
        if (c == '"') {
            s->at++;
            return 0;
        }
        if (c == '\\')
            rc = scan_escape(s, decoded);
        else if ((unsigned char)c >= 0x80)
            rc = scan_beyond_ascii(s, decoded);
        else
            rc = scan_control(s, decoded);
        if (rc < 0)
            return -1;
    }
}

static size_t skip_digits(struct scan *s)
{
    size_t start = s->at;

    while (peek(s, 0) >= '0' && peek(s, 0) <= '9')
        s->at++;
    return s->at - start;
}

static int check_number(struct scan *s, size_t start, bool is_integer)
{
    char digits[NUMBER_LEN_MAX + 1];
    size_t len = s->at - start;
    int64_t integer;

    if (len > NUMBER_LEN_MAX)
        return bad(s, start, "the number is too long");
    memcpy(digits, s->text + start, len);
    digits[len] = '\0';
    if (is_integer)
        return text_parse_i64(digits, &integer)
                   ? 0
                   : bad(s, start, "the number does not fit a 64-bit integer");
    return isfinite(strtod(digits, NULL)) ? 0 : bad(s, start, "the number is too large");
}

static int scan_number(struct scan *s)
{
    size_t start = s->at;
    bool is_integer = true;

    if (peek(s, 0) == '-')
        s->at++;
    bool is_zero = peek(s, 0) == '0';
    size_t digits = skip_digits(s);
    if (digits == 0)
        return bad(s, s->at, "expected a digit");
    if (is_zero && digits > 1)
        return bad(s, start, "a number does not start with zeros");
    if (peek(s, 0) == '.') {
        is_integer = false;
        s->at++;
        if (skip_digits(s) == 0)
            return bad(s, s->at, "expected a digit");
    }
    if (peek(s, 0) == 'e' || peek(s, 0) == 'E') {
        is_integer = false;
        s->at++;
        if (peek(s, 0) == '+' || peek(s, 0) == '-')
            s->at++;
        if (skip_digits(s) == 0)
            return bad(s, s->at, "expected a digit");
    }
    return check_number(s, start, is_integer);
}

static int scan_word(struct scan *s)
{
    static const char *const words[] = { "true", "false", "null" };

    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        size_t len = strlen(words[i]);
        if (s->len - s->at >= len && memcmp(s->text + s->at, words[i], len) == 0) {
            s->at += len;
            return 0;
        }
    }
    if (peek(s, 0) == '\'')
        return bad(s, s->at, "a string starts with a double quote");
    if (s->at >= s->len)
        return bad(s, s->at, "the text ends where a value is expected");
    return bad(s, s->at, "expected a value");
}

static bool is_name_char(char c, bool is_first)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$' ||
           (!is_first && c >= '0' && c <= '9');
}

/* Template mode, at the first character of an unquoted name. */
static void scan_bare_name(struct scan *s)
{
    size_t start = s->at;

    replace(s, 0, "\"");
    while (is_name_char(peek(s, 0), false))
        s->at++;
    str_append(&s->pool, s->text + start, s->at - start);
    replace(s, 0, "\"");
}

static int scan_name(struct scan *s)
{
    struct name name = { .offset = s->pool.len, .at = s->at };

    if (peek(s, 0) == '"') {
        if (scan_string(s, &s->pool) < 0)
            return -1;
    } else if (s->is_template && is_name_char(peek(s, 0), true)) {
        scan_bare_name(s);
    } else {
        return bad(s, s->at, "expected a member name in double quotes");
    }
    name.len = s->pool.len - name.offset;
    str_append(&s->names, &name, sizeof(name));
    if (skip_space(s) < 0)
        return -1;
    if (peek(s, 0) != ':')
        return bad(s, s->at, "expected ':' after the member name");
    s->at++;
    return 0;
}

static int compare_names(const void *x, const void *y, void *pool)
{
    const struct name *a = x;
    const struct name *b = y;
    size_t shorter = a->len < b->len ? a->len : b->len;
    int order = memcmp((char *)pool + a->offset, (char *)pool + b->offset, shorter);

    if (order != 0)
        return order;
    if (a->len != b->len)
        return a->len < b->len ? -1 : 1;
    return a->at < b->at ? -1 : a->at > b->at;
}

/* Checks the names from byte `names_start` of the names on, and forgets them. */
static int close_names(struct scan *s, size_t names_start, size_t pool_start)
{
    struct name *names = (struct name *)(void *)(s->names.data + names_start);
    size_t count = (s->names.len - names_start) / sizeof(*names);

    if (count > 1)
        qsort_r(names, count, sizeof(*names), compare_names, s->pool.data);
    for (size_t i = 1; i < count; i++) {
        const char *bytes = s->pool.data + names[i].offset;
        size_t shown = names[i].len;
        if (names[i - 1].len != shown ||
            memcmp(s->pool.data + names[i - 1].offset, bytes, shown) != 0)
            continue;
        if (shown > SHOWN_LEN_MAX || !text_is_utf8(bytes, shown))
            return bad(s, names[i].at, "the member name appears twice in one object");
        return bad(s, names[i].at, "the member name '%.*s' appears twice in one object", (int)shown,
                   bytes);
    }
    s->names.len = names_start;
    s->pool.len = pool_start;
    return 0;
}

static int scan_member(struct scan *s, bool is_object)
{
    if (++s->members > JSON_MEMBERS_MAX)
        return bad(s, s->at, "there are more than %d members", JSON_MEMBERS_MAX);
    if (is_object && (scan_name(s) < 0 || skip_space(s) < 0))
        return -1;
    return scan_value(s) < 0 || skip_space(s) < 0 ? -1 : 0;
}

/* At the opening brace or bracket. */
static int scan_members(struct scan *s, bool is_object)
{
    char close = is_object ? '}' : ']';
    size_t names_start = s->names.len;
    size_t pool_start = s->pool.len;

    if (s->depth == (s->is_template ? JSON_TEMPLATE_DEPTH_MAX : JSON_DEPTH_MAX))
        return bad(s, s->at, "the nesting is deeper than %d levels", s->depth);
    s->depth++;
    s->at++;
    if (skip_space(s) < 0)
        return -1;
    bool is_first = true;
    while (!is_first || peek(s, 0) != close) {
        if (scan_member(s, is_object) < 0)
            return -1;
        is_first = false;
        if (peek(s, 0) == close)
            break;
        if (peek(s, 0) != ',')
            return bad(s, s->at, "expected ',' or '%c'", close);
        s->at++;
        if (skip_space(s) < 0)
            return -1;
    }
    s->at++;
    s->depth--;
    return close_names(s, names_start, pool_start);
}

static int scan_value(struct scan *s)
{
    char c = peek(s, 0);

    if (c == '{' || c == '[')
        return scan_members(s, c == '{');
    if (c == '"')
        return scan_string(s, NULL);
    if (c == '-' || (c >= '0' && c <= '9'))
        return scan_number(s);
    return scan_word(s);
}

static int scan_text(struct scan *s)
{
    static const char byte_order_mark[] = "\xEF\xBB\xBF";

    if (s->is_template && s->len >= 3 && memcmp(s->text, byte_order_mark, 3) == 0)
        replace(s, 3, "");
    if (skip_space(s) < 0)
        return -1;
    if (s->at == s->len)
        return fail(s->err, &E_INVALID, "The JSON text is empty.");
    if (scan_value(s) < 0 || skip_space(s) < 0)
        return -1;
    if (s->at < s->len)
        return bad(s, s->at, "there is text behind the value");
    if (!s->is_template)
        return 0;
    replace(s, 0, "");
    return str_check(s->strict, s->err);
}

int json_scan(const char *text, size_t len, enum json_mode mode, struct str *strict,
              struct error *err)
{
    struct scan s = {
        .text = text, .len = len, .is_template = mode == JSON_TEMPLATE, .strict = strict, .err = err
    };

    /* A name decodes to no more bytes than it is written with. */
    str_init(&s.pool, len);
    str_init(&s.names, (JSON_MEMBERS_MAX + 1) * sizeof(struct name));
    int rc = scan_text(&s);
    str_done(&s.pool);
    str_done(&s.names);
    return rc;
}
