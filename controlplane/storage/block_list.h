/* The body of Put Block List: <BlockList> with the ids of blocks in their order. */
#ifndef PORTOLAN_STORAGE_BLOCK_LIST_H
#define PORTOLAN_STORAGE_BLOCK_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/cleanup.h"

struct arena;
struct error;
struct error_code;

#define BLOCKS_MAX       4096
#define BLOCK_ID_MAX     64 /* bytes, decoded */
#define BLOCK_LIST_BYTES (BLOCKS_MAX * 160 + 1024)

extern const struct error_code E_BLOCK_XML;  /* 400 InvalidXmlDocument */
extern const struct error_code E_BLOCK_LIST; /* 400 InvalidBlockList */

/* Base64 of 1 to BLOCK_ID_MAX bytes. */
bool block_id_is_valid(const char *id);
/* The ids, in base64 as they are written. Latest and Uncommitted mean the same here as Committed does: a
 * block that is there. No other element, attribute, entity, comment or document type is known. */
MUST_CHECK int block_list_parse(struct arena *a, const char *xml, size_t len, const char ***ret,
                                size_t *ret_count, struct error *err);

#endif
