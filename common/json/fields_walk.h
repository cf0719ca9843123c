/* What the files behind fields.h share. */
#ifndef PORTOLAN_JSON_FIELDS_WALK_H
#define PORTOLAN_JSON_FIELDS_WALK_H

#include <regex.h>

#include "common/base/cleanup.h"

#define FIELD_TEXT_MAX 4096 /* bytes of a text whose row gives no maximum */

/* Compiles a row's pattern so that it matches whole values; returns what regcomp() returns. */
MUST_CHECK int fields_compile(const char *pattern, regex_t *ret);

#endif
