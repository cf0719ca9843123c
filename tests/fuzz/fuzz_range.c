/* Fuzz target: the Range header of a pull. A part lies within the content. */
/* links: portolan_http portolan_base */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/http/range.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[1024];
    uint64_t total = 0, offset = 0, len = 0;

    if (size < sizeof(total) || size - sizeof(total) >= sizeof(text))
        return 0;
    memcpy(&total, data, sizeof(total));
    memcpy(text, data + sizeof(total), size - sizeof(total));
    text[size - sizeof(total)] = '\0';
    if (range_parse(text, total, &offset, &len) == RANGE_PART &&
        (len == 0 || offset >= total || len > total - offset))
        abort();
    return 0;
}
