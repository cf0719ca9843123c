/* Text order and UTF-16 lengths. Comparison has three levels, as the Unicode collation algorithm:
 * letters over the whole text first, accents next, case last. */
#include "templates/functions/collation.h"

#include <stdbool.h>
#include <string.h>

/* Root order of what is neither digit nor letter. */
static const char symbols[] = " _-,;:!?.'\"()[]{}@*/\\&#%`^+<=>|~$";

/* Base letters of U+00C0 to U+00FF; '*' where there is none. */
static const char latin1_base[] =
    "AAAAAA*CEEEEIIIIDNOOOOO*OUUUUY**aaaaaa*ceeeeiiiidnooooo*ouuuuy*y";

enum { WEIGHT_SYMBOL = 1, WEIGHT_DIGIT = 100, WEIGHT_LETTER = 200, WEIGHT_OTHER = 1000 };

struct weight {
    uint32_t primary;
    uint32_t accent;
    uint32_t case_order; /* small before capital */
};

uint32_t utf8_next(const char *s, size_t len, size_t *i)
{
    unsigned char c = (unsigned char)s[(*i)++];
    if (c < 0xc2 || c > 0xf4)
        return c;
    size_t more = c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
    if (*i + more > len)
        return c;
    uint32_t code = c & (0x3fu >> more);
    for (size_t k = 0; k < more; k++)
        code = code << 6 | ((unsigned char)s[(*i)++] & 0x3f);
    return code;
}

size_t utf8_put(char *out, uint32_t c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3f));
        out[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3f));
    out[2] = (char)(0x80 | (c >> 6 & 0x3f));
    out[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

size_t utf16_length(const char *s, size_t len)
{
    size_t units = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];
        units += (c & 0xc0) != 0x80;
        units += c >= 0xf0;
    }
    return units;
}

size_t utf16_offset(const char *s, size_t len, size_t units)
{
    size_t i = 0;
    while (i < len && units > 0) {
        unsigned char c = (unsigned char)s[i];
        size_t take = c >= 0xf0 ? 2 : 1;
        if (take > units)
            break;
        units -= take;
        i++;
        while (i < len && ((unsigned char)s[i] & 0xc0) == 0x80)
            i++;
    }
    return i;
}

static struct weight letter_weight(char c, uint32_t accent)
{
    bool is_capital = c >= 'A' && c <= 'Z';
    uint32_t place = (uint32_t)(is_capital ? c - 'A' : c - 'a');
    return (struct weight){ WEIGHT_LETTER + place * 4, accent, is_capital };
}

static struct weight weight_of(uint32_t c)
{
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
        return letter_weight((char)c, 0);
    if (c >= '0' && c <= '9')
        return (struct weight){ WEIGHT_DIGIT + c - '0', 0, 0 };
    if (c >= 0xc0 && c <= 0xff && latin1_base[c - 0xc0] != '*')
        return letter_weight(latin1_base[c - 0xc0], c & 0xdf);
    if (c == 0xdf || c == 0xc6 || c == 0xe6) { /* after s, after a */
        struct weight w = letter_weight(c == 0xdf ? 's' : c == 0xc6 ? 'A' : 'a', c & 0xdf);
        w.primary++;
        return w;
    }
    const char *symbol = c > 0x20 && c < 0x80 ? strchr(symbols, (int)c) : NULL;
    if (symbol)
        return (struct weight){ WEIGHT_SYMBOL + 10 + (uint32_t)(symbol - symbols), 0, 0 };
    if (c <= 0x20)
        return (struct weight){ WEIGHT_SYMBOL + (c == 0x20 ? 9 : 0), 0, 0 };
    return (struct weight){ WEIGHT_OTHER + c, 0, 0 };
}

int collation_compare(const char *x, size_t x_len, const char *y, size_t y_len)
{
    size_t i = 0, j = 0;
    int accent = 0, casing = 0;
    while (i < x_len && j < y_len) {
        struct weight a = weight_of(utf8_next(x, x_len, &i));
        struct weight b = weight_of(utf8_next(y, y_len, &j));
        if (a.primary != b.primary)
            return a.primary < b.primary ? -1 : 1;
        if (!accent && a.accent != b.accent)
            accent = a.accent < b.accent ? -1 : 1;
        if (!casing && a.case_order != b.case_order)
            casing = a.case_order < b.case_order ? -1 : 1;
    }
    if (i < x_len || j < y_len)
        return i < x_len ? 1 : -1;
    return accent ? accent : casing;
}
