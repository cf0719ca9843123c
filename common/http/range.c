/* Byte ranges (RFC 9110 section 14.1.2). Positions are read saturating, so that a number past
 * 64 bits means "beyond the end" and not a malformed header. */
#include "common/http/range.h"

#include <stdbool.h>
#include <stddef.h>
#include <strings.h>

/* Reads digits at *p; false when there are none. */
static bool read_position(const char **p, uint64_t *ret)
{
    const char *s = *p;
    uint64_t n = 0;

    if (*s < '0' || *s > '9')
        return false;
    for (; *s >= '0' && *s <= '9'; s++) {
        uint64_t digit = (uint64_t)(*s - '0');

        n = n > (UINT64_MAX - digit) / 10 ? UINT64_MAX : n * 10 + digit;
    }
    *p = s;
    *ret = n;
    return true;
}

static enum range_verdict suffix_range(const char *s, uint64_t total, uint64_t *ret_offset,
                                       uint64_t *ret_len)
{
    uint64_t n;

    if (!read_position(&s, &n) || *s != '\0')
        return RANGE_NONE;
    if (n == 0 || total == 0)
        return RANGE_UNSATISFIABLE;
    *ret_len = n < total ? n : total;
    *ret_offset = total - *ret_len;
    return RANGE_PART;
}

enum range_verdict range_parse(const char *header, uint64_t total, uint64_t *ret_offset,
                               uint64_t *ret_len)
{
    uint64_t first, last = UINT64_MAX;
    const char *s;

    if (!header || strncasecmp(header, "bytes=", 6) != 0)
        return RANGE_NONE;
    s = header + 6;
    if (*s == '-')
        return suffix_range(s + 1, total, ret_offset, ret_len);
    if (!read_position(&s, &first) || *s != '-')
        return RANGE_NONE;
    s++;
    if (*s != '\0' && (!read_position(&s, &last) || *s != '\0'))
        return RANGE_NONE;
    /* RFC 9110 would let a range that ends before it begins be ignored; the conformance suite of
     * OCI registries wants it refused. */
    if (first >= total || last < first)
        return RANGE_UNSATISFIABLE;
    *ret_offset = first;
    *ret_len = (last < total ? last + 1 : total) - first;
    return RANGE_PART;
}
