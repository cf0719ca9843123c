/* Fuzz target: references and names. What passes is safe in a path, a header and SQL, and a digest
 * reads back as it was written. */
/* links: portolan_data */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/oci/reference.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_plain(const char *text, const char *allowed)
{
    if (strspn(text, allowed) != strlen(text) || strstr(text, ".."))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct digest digest;
    char text[2048], again[DIGEST_TEXT_MAX];
    uint64_t first = 0, last = 0;

    if (size >= sizeof(text))
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    if (repository_name_is_valid(text)) {
        check_plain(text, "abcdefghijklmnopqrstuvwxyz0123456789./_-");
        if (strlen(text) > REPOSITORY_NAME_MAX || text[0] == '/' || strstr(text, "//"))
            abort();
    }
    if (tag_is_valid(text) && (strpbrk(text, "/:@\r\n \"") || text[0] == '.' || text[0] == '-'))
        abort();
    if (reference_parse(text, &digest) == REFERENCE_DIGEST) {
        digest_text(&digest, again);
        if (strcmp(text, again) != 0)
            abort();
    }
    if (chunk_range_parse(text, &first, &last) && (first > last || last == UINT64_MAX))
        abort();
    return 0;
}
