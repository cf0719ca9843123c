/* Byte ranges of a request (RFC 9110 section 14): one range is honoured; several ranges and
 * malformed headers read as no range, which the RFC allows. */
#ifndef PORTOLAN_HTTP_RANGE_H
#define PORTOLAN_HTTP_RANGE_H

#include <stdint.h>

enum range_verdict { RANGE_NONE, RANGE_PART, RANGE_UNSATISFIABLE };

/* Reads header (may be NULL) against a body of total bytes. RANGE_PART fills *ret_offset and
 * *ret_len (len >= 1). */
enum range_verdict range_parse(const char *header, uint64_t total, uint64_t *ret_offset,
                               uint64_t *ret_len);

#endif
