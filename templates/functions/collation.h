/* Order of texts as the invariant culture has it: punctuation, then digits, then letters by
 * alphabet; of equal letters an unaccented one first, then a small one. Weights follow the root
 * order of the Unicode collation algorithm for Basic Latin and Latin-1; other characters follow
 * all of these, by code point. */
#ifndef PORTOLAN_TEMPLATES_COLLATION_H
#define PORTOLAN_TEMPLATES_COLLATION_H

#include <stddef.h>
#include <stdint.h>

/* <0, 0, >0 */
int collation_compare(const char *x, size_t x_len, const char *y, size_t y_len);

/* One character of UTF-8 at s[*i], which moves on; malformed bytes are taken singly. */
uint32_t utf8_next(const char *s, size_t len, size_t *i);
/* Appends c; returns the number of bytes (at most 4). */
size_t utf8_put(char *out, uint32_t c);
/* Length in UTF-16 code units, as length() counts. */
size_t utf16_length(const char *s, size_t len);
/* The byte offset of a UTF-16 position; past the end gives len. */
size_t utf16_offset(const char *s, size_t len, size_t units);

#endif
