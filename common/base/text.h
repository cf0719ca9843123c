/* Text checks and codecs that know no protocol: ASCII case, numbers, hex, base64, percent
 * encoding, UTF-8, UUIDs. */
#ifndef PORTOLAN_BASE_TEXT_H
#define PORTOLAN_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"

struct arena;

bool text_eq(const char *a, const char *b);       /* NULL equals only NULL */
bool text_eq_nocase(const char *a, const char *b); /* ASCII case folded; NULL equals only NULL */
bool text_starts(const char *s, const char *prefix);
bool text_has_line(const char *text, const char *line, size_t len); /* exactly these len bytes */
bool text_starts_nocase(const char *s, const char *prefix);
bool text_ends(const char *s, const char *suffix);
char *text_lower(struct arena *a, const char *s); /* ASCII */
/* Splits a copy of s at every sep; empty parts are kept. Returns the number of parts. */
size_t text_split(struct arena *a, const char *s, char sep, char ***ret_parts);
/* Decimal, whole string, no sign or space for u64; false on anything else or overflow. */
MUST_CHECK bool text_parse_i64(const char *s, int64_t *ret);
MUST_CHECK bool text_parse_u64(const char *s, uint64_t *ret);
/* Takes out every byte that is part of no character; the length of what is left. */
size_t text_keep_utf8(char *s, size_t len);
bool text_is_utf8(const char *s, size_t len); /* RFC 3629: no overlong, no surrogates */
/* No control characters but tabs: what the value of a header may hold (RFC 9110 section 5.5). */
bool text_is_field_value(const char *s, size_t len);

char *text_hex(struct arena *a, const void *bytes, size_t len); /* lower case */
/* Exactly len bytes from 2*len hex digits (either case). */
MUST_CHECK bool text_unhex(const char *hex, size_t hex_len, uint8_t *ret, size_t len);
char *text_base64(struct arena *a, const void *bytes, size_t len);    /* RFC 4648 section 4 */
char *text_base64url(struct arena *a, const void *bytes, size_t len); /* section 5, unpadded */
/* Either alphabet, padded or not; NULL when malformed. Result is NUL-terminated. */
uint8_t *text_unbase64(struct arena *a, const char *s, size_t len, size_t *ret_len);
/* RFC 3986: escapes all but unreserved characters. */
char *text_percent_encode(struct arena *a, const char *s);
/* NULL when malformed or when it decodes to NUL. plus_is_space for form bodies and queries. */
char *text_percent_decode(struct arena *a, const char *s, size_t len, bool plus_is_space);

#define UUID_TEXT_LEN 36
#define UUID_BYTES    16
void uuid_text(const uint8_t bytes[UUID_BYTES], char ret[UUID_TEXT_LEN + 1]); /* lower case */
void uuid_new(char ret[UUID_TEXT_LEN + 1]);               /* version 4, lower case */
MUST_CHECK bool uuid_is_valid(const char *s);             /* 8-4-4-4-12, either case */

#endif
