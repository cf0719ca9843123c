/* Hand-written matchers, linear in the length: these run on every request. */
#include "dataplane/oci/reference.h"

#include <string.h>

#include "common/base/text.h"

static bool is_lower_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* Length of the separator at s ('.', '_', '__' or any number of '-'); 0 when there is none. */
static size_t separator_len(const char *s)
{
    if (*s == '.')
        return 1;
    if (*s == '_')
        return s[1] == '_' ? 2 : 1;
    return strspn(s, "-");
}

/* One path component; returns its end, or NULL. */
static const char *skip_component(const char *s)
{
    for (;;) {
        if (!is_lower_alnum(*s))
            return NULL;
        while (is_lower_alnum(*s))
            s++;
        size_t len = separator_len(s);
        if (len == 0)
            return s;
        s += len;
    }
}

bool repository_name_is_valid(const char *name)
{
    if (!name || strnlen(name, REPOSITORY_NAME_MAX + 1) > REPOSITORY_NAME_MAX)
        return false;
    for (const char *s = name;; s++) {
        s = skip_component(s);
        if (!s)
            return false;
        if (*s == '\0')
            return true;
        if (*s != '/')
            return false;
    }
}

static bool is_tag_char(char c)
{
    return is_lower_alnum(c) || (c >= 'A' && c <= 'Z') || c == '_';
}

bool tag_is_valid(const char *tag)
{
    if (!tag || !is_tag_char(*tag) || strnlen(tag, TAG_MAX + 1) > TAG_MAX)
        return false;
    for (const char *s = tag; *s; s++) {
        if (!is_tag_char(*s) && *s != '.' && *s != '-')
            return false;
    }
    return true;
}

enum reference_kind reference_parse(const char *text, struct digest *ret_digest)
{
    if (!text)
        return REFERENCE_INVALID;
    if (strchr(text, ':'))
        return digest_parse(text, ret_digest) ? REFERENCE_DIGEST : REFERENCE_INVALID;
    return tag_is_valid(text) ? REFERENCE_TAG : REFERENCE_INVALID;
}

bool chunk_range_parse(const char *text, uint64_t *ret_first, uint64_t *ret_last)
{
    char first[24];
    const char *dash = text ? strchr(text, '-') : NULL;

    if (!dash || (size_t)(dash - text) >= sizeof(first))
        return false;
    memcpy(first, text, (size_t)(dash - text));
    first[dash - text] = '\0';
    return text_parse_u64(first, ret_first) && text_parse_u64(dash + 1, ret_last) &&
           *ret_first <= *ret_last && *ret_last < UINT64_MAX;
}
