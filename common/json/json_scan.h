/* The check in front of json-c's parser: a text that passes is JSON as RFC 8259 and RFC 7493 have
 * it, within the limits of json.h, so nothing of the parser's leniency is left to meet. */
#ifndef PORTOLAN_JSON_JSON_SCAN_H
#define PORTOLAN_JSON_JSON_SCAN_H

#include <stddef.h>

#include "common/base/cleanup.h"
#include "common/json/json.h"

struct error;
struct str;

#define JSON_TEMPLATE_DEPTH_MAX 128

/* In JSON_TEMPLATE mode the strict form of the text is appended to `strict`, an initialised string
 * whose maximum is at least 2 * len + 16; in JSON_STRICT mode `strict` is not used. */
MUST_CHECK int json_scan(const char *text, size_t len, enum json_mode mode, struct str *strict,
                         struct error *err);

#endif
