/* Case conversion: ASCII directly, other letters through the system's Unicode tables. */
#include "templates/functions/casing.h"

#include <wctype.h>

#include "common/base/arena.h"
#include "templates/functions/collation.h"
#include "templates/language/engine.h"

static bool is_ascii(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)s[i] >= 0x80)
            return false;
    return true;
}

static char convert_ascii(char c, bool is_upper)
{
    if (is_upper)
        return c >= 'a' && c <= 'z' ? (char)(c - 32) : c;
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static uint32_t convert(locale_t locale, uint32_t c, bool is_upper)
{
    if (c < 0x80)
        return (unsigned char)convert_ascii((char)c, is_upper);
    if (!locale)
        return c;
    return (uint32_t)(is_upper ? towupper_l((wint_t)c, locale) : towlower_l((wint_t)c, locale));
}

static const char *convert_plain(struct arena *a, const char *s, size_t len, bool is_upper)
{
    char *out = arena_alloc(a, len + 1);
    for (size_t i = 0; i < len; i++)
        out[i] = convert_ascii(s[i], is_upper);
    return out;
}

const char *casing_convert(struct engine *e, const char *s, size_t len, bool is_upper,
                           size_t *ret_len)
{
    *ret_len = len;
    if (is_ascii(s, len))
        return convert_plain(e->arena, s, len, is_upper);
    locale_t locale = engine_locale(e);
    char *out = arena_alloc(e->arena, len * 2 + 5);
    size_t n = 0;
    for (size_t i = 0; i < len;)
        n += utf8_put(out + n, convert(locale, utf8_next(s, len, &i), is_upper));
    *ret_len = n;
    return out;
}
