/* Fuzz target: the body of Put Block List. Every id that is read is one that a block may have, there are
 * not too many, and a list written from them reads as the same again. */
/* links: portolan_control */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/str.h"
#include "controlplane/storage/block_list.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(struct arena *a, const char **ids, size_t count)
{
    const char **again = NULL;
    struct error err;
    struct str xml;
    size_t seen = 0;

    str_init(&xml, BLOCK_LIST_BYTES);
    str_puts(&xml, "<BlockList>");
    for (size_t i = 0; i < count; i++) {
        if (!block_id_is_valid(ids[i]))
            abort();
        str_printf(&xml, "<Latest>%s</Latest>", ids[i]);
    }
    str_puts(&xml, "</BlockList>");
    if (count > BLOCKS_MAX || block_list_parse(a, xml.data, xml.len, &again, &seen, &err) ||
        seen != count)
        abort();
    for (size_t i = 0; i < count; i++) {
        if (strcmp(ids[i], again[i]) != 0)
            abort();
    }
    str_done(&xml);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new();
    const char **ids = NULL;
    struct error err;
    size_t count = 0;

    if (size <= BLOCK_LIST_BYTES &&
        block_list_parse(a, (const char *)data, size, &ids, &count, &err) == 0)
        check(a, ids, count);
    arena_free(a);
    return 0;
}
