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

static uint32_t convert(locale_t locale, uint32_t c, bool is_upper)
{
    if (c < 0x80) {
        if (is_upper)
            return c >= 'a' && c <= 'z' ? c - 32 : c;
        return c >= 'A' && c <= 'Z' ? c + 32 : c;
    }
    if (!locale)
        return c;
    return (uint32_t)(is_upper ? towupper_l((wint_t)c, locale) : towlower_l((wint_t)c, locale));
}

const char *casing_convert(struct engine *e, const char *s, size_t len, bool is_upper,
                           size_t *ret_len)
{
    bool plain = is_ascii(s, len);
    locale_t locale = plain ? (locale_t)0 : engine_locale(e);
    char *out = arena_alloc(e->arena, plain ? len + 1 : len * 2 + 5);
    size_t n = 0;
    for (size_t i = 0; i < len;) {
        uint32_t c = plain ? (uint32_t)(unsigned char)s[i++] : utf8_next(s, len, &i);
        n += utf8_put(out + n, convert(locale, c, is_upper));
    }
    *ret_len = n;
    return out;
}
