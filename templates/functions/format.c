/* format(): .NET composite formatting of the invariant culture. {index[,width][:spec]}, {{ and }}.
 * Specs for integers: D, N, F, X, G, and custom patterns of 0 and #; other values ignore specs. */
#include <inttypes.h>
#include <math.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/str.h"
#include "templates/functions/collation.h"
#include "templates/functions/families.h"
#include "templates/functions/function.h"

#define WIDTH_MAX  4096
#define DIGITS_MAX 99

static int malformed(struct call *c, struct error *err)
{
    return call_fail(c, err, "the format string is not valid.");
}

/* Digits with a comma before every third, from the right. */
static void put_grouped(struct str *out, const char *digits)
{
    size_t len = strlen(digits);
    for (size_t i = 0; i < len; i++) {
        if (i && (len - i) % 3 == 0)
            str_putc(out, ',');
        str_putc(out, digits[i]);
    }
}

/* Rounds the digits of an exact decimal expansion, halves away from zero, as .NET does. */
static void round_digits(char *text, size_t keep)
{
    bool carry = text[keep] >= '5' && text[keep] <= '9';
    text[keep] = '\0';
    for (size_t i = keep; carry && i-- > 0;) {
        if (text[i] == '.')
            continue;
        carry = text[i] == '9';
        text[i] = carry ? '0' : (char)(text[i] + 1);
    }
}

static void put_fraction(struct str *out, double value, int precision, bool is_grouped)
{
    char text[512];
    int wanted = precision > 60 ? 60 : precision;
    int n = snprintf(text, sizeof(text), "0%.*f", 80, fabs(value)); /* room for a carry */
    char *dot = n > 0 && (size_t)n < sizeof(text) ? strchr(text, '.') : NULL;
    if (!dot)
        return;
    round_digits(text, (size_t)(dot - text) + 1 + (size_t)wanted);
    *dot = '\0';
    const char *whole = text[0] == '0' && text[1] ? text + 1 : text;
    if (value < 0)
        str_putc(out, '-');
    if (is_grouped)
        put_grouped(out, whole);
    else
        str_puts(out, whole);
    if (wanted)
        str_printf(out, ".%s", dot + 1);
}

static void put_whole(struct str *out, int64_t n, int min_digits, bool is_grouped, int decimals)
{
    uint64_t magnitude = n < 0 ? 0 - (uint64_t)n : (uint64_t)n;
    char digits[DIGITS_MAX + 1];
    size_t at = sizeof(digits) - 1, wanted = min_digits > DIGITS_MAX ? 0 : (size_t)min_digits;
    digits[at] = '\0';
    for (; at > 0 && (magnitude || sizeof(digits) - 1 - at < wanted); magnitude /= 10)
        digits[--at] = (char)('0' + magnitude % 10);
    if (n < 0)
        str_putc(out, '-');
    if (is_grouped)
        put_grouped(out, digits + at);
    else
        str_puts(out, digits + at);
    for (int i = 0; i < decimals; i++)
        str_puts(out, i ? "0" : ".0");
}

/* A custom pattern: text around one run of 0 # , and an optional .00 part. */
static void put_custom(struct str *out, const struct value *v, const char *spec, size_t len)
{
    size_t start = 0, end;
    while (start < len && !strchr("0#", spec[start]))
        start++;
    int zeros = 0, decimals = 0;
    bool is_grouped = false, in_fraction = false;
    for (end = start; end < len && strchr("0#,.", spec[end]); end++) {
        if (spec[end] == '.')
            in_fraction = true;
        else if (spec[end] == ',')
            is_grouped = true;
        else if (in_fraction)
            decimals++;
        else if (spec[end] == '0' || zeros)
            zeros++;
    }
    str_append(out, spec, start);
    if (start < len && v->kind == VALUE_INT)
        put_whole(out, v->integer, zeros > DIGITS_MAX ? DIGITS_MAX : zeros, is_grouped, decimals);
    else if (start < len)
        put_fraction(out, strtod(v->text, NULL), decimals, is_grouped);
    str_append(out, spec + end, len - end);
}

static int put_number(struct call *c, struct str *out, const struct value *v, const char *spec,
                      size_t len, struct error *err)
{
    char kind = spec[0];
    int precision = -1;
    bool is_standard = (kind >= 'A' && kind <= 'Z') || (kind >= 'a' && kind <= 'z');
    for (size_t i = 1; i < len && is_standard; i++) {
        is_standard = spec[i] >= '0' && spec[i] <= '9' && i < 3;
        precision = (precision < 0 ? 0 : precision) * 10 + (spec[i] - '0');
    }
    if (!is_standard) {
        put_custom(out, v, spec, len);
        return 0;
    }
    bool is_int = v->kind == VALUE_INT;
    int decimals = precision < 0 ? 2 : precision;
    switch (kind | 0x20) {
    case 'd':
        if (!is_int)
            return malformed(c, err);
        put_whole(out, v->integer, precision < 0 ? 1 : precision, false, 0);
        return 0;
    case 'x':
        if (!is_int)
            return malformed(c, err);
        if (kind == 'x')
            str_printf(out, "%0*" PRIx64, precision < 0 ? 1 : precision, (uint64_t)v->integer);
        else
            str_printf(out, "%0*" PRIX64, precision < 0 ? 1 : precision, (uint64_t)v->integer);
        return 0;
    case 'n':
    case 'f':
        if (is_int)
            put_whole(out, v->integer, 1, (kind | 0x20) == 'n', decimals);
        else
            put_fraction(out, strtod(v->text, NULL), decimals, (kind | 0x20) == 'n');
        return 0;
    case 'g':
    case 'r':
        return call_format(c, out, v, '\'', err);
    case 'p':
        put_fraction(out, (is_int ? (double)v->integer : strtod(v->text, NULL)) * 100, decimals,
                     true);
        str_puts(out, " %");
        return 0;
    default:
        return malformed(c, err);
    }
}

struct hole {
    size_t index;
    int width; /* negative: left aligned */
    const char *spec;
    size_t spec_len;
};

static int read_int(const char **p, const char *end, int max, int *ret)
{
    int n = 0;
    if (*p == end || **p < '0' || **p > '9')
        return -1;
    for (; *p < end && **p >= '0' && **p <= '9'; (*p)++) {
        n = n * 10 + (**p - '0');
        if (n > max)
            return -1;
    }
    *ret = n;
    return 0;
}

/* What stands after '{'; *p ends past '}'. */
static int read_hole(const char **p, const char *end, struct hole *ret)
{
    int n = 0;
    *ret = (struct hole){ 0 };
    if (read_int(p, end, 100000, &n) < 0)
        return -1;
    ret->index = (size_t)n;
    while (*p < end && **p == ' ')
        (*p)++;
    if (*p < end && **p == ',') {
        (*p)++;
        while (*p < end && **p == ' ')
            (*p)++;
        bool is_left = *p < end && **p == '-';
        *p += is_left;
        if (read_int(p, end, WIDTH_MAX, &n) < 0)
            return -1;
        ret->width = is_left ? -n : n;
        while (*p < end && **p == ' ')
            (*p)++;
    }
    if (*p < end && **p == ':') {
        ret->spec = ++*p;
        while (*p < end && **p != '}' && **p != '{')
            (*p)++;
        ret->spec_len = (size_t)(*p - ret->spec);
    }
    if (*p == end || **p != '}')
        return -1;
    (*p)++;
    return 0;
}

static int put_hole(struct call *c, struct str *out, const struct hole *h, struct error *err)
{
    if (h->index + 1 >= c->argc)
        return call_fail(c, err,
                         "the index '%zu' of the format string has no parameter; '%zu' "
                         "were given.",
                         h->index, c->argc - 1);
    const struct value *v = c->args[h->index + 1];
    bool is_number = v->kind == VALUE_INT || v->kind == VALUE_FLOAT;
    size_t before = out->len;
    if (is_number && h->spec_len) {
        if (put_number(c, out, v, h->spec, h->spec_len, err) < 0)
            return -1;
    } else if (call_format(c, out, v, '\'', err) < 0) {
        return -1;
    }
    if (!h->width)
        return 0;
    char *body = arena_strndup(c->arena, out->data + before, out->len - before);
    int units = (int)utf16_length(body, out->len - before);
    int pad = (h->width < 0 ? -h->width : h->width) - units;
    if (pad <= 0)
        return 0;
    out->len = before;
    out->data[before] = '\0';
    if (h->width < 0)
        str_printf(out, "%s%*s", body, pad, "");
    else
        str_printf(out, "%*s%s", pad, "", body);
    return 0;
}

int fn_format(struct call *c, const struct value **ret, struct error *err)
{
    const struct value *text;
    if (arg_text(c, 0, &text, err) < 0)
        return -1;
    struct str s;
    str_init(&s, ENGINE_TEXT_MAX);
    const char *p = text->text, *end = text->text + text->count;
    int rc = 0;
    while (p < end && rc == 0) {
        struct hole hole;
        if (*p != '{' && *p != '}') {
            str_putc(&s, *p++);
        } else if (p + 1 < end && p[1] == *p) {
            str_putc(&s, *p);
            p += 2;
        } else if (*p == '}') {
            rc = malformed(c, err);
        } else {
            p++;
            rc = read_hole(&p, end, &hole) < 0 ? malformed(c, err) : put_hole(c, &s, &hole, err);
        }
    }
    if (rc == 0)
        rc = call_str(c, &s, ret, err);
    str_done(&s);
    return rc;
}
