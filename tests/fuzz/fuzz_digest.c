/* The digest grammar: what parses prints back byte for byte, so a digest has one spelling, and its
 * hex part is a safe file name. */
/* links: portolan_base portolan_crypto */
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/text.h"
#include "common/crypto/digest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    const char *input = arena_strndup(a, (const char *)data, size);
    struct digest d;
    if (!digest_parse(input, &d))
        return 0;
    char text[DIGEST_TEXT_MAX], hex[2 * SHA512_LEN + 1];
    digest_text(&d, text);
    digest_hex(&d, hex);
    if (!text_eq(text, input) || !text_ends(input, hex) ||
        strspn(hex, "0123456789abcdef") != strlen(hex))
        abort();
    return 0;
}
