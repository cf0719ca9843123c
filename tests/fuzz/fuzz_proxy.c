/* Fuzz target: PROXY v2 headers. What is taken must point inside the input. */
/* links: portolan_http portolan_base */
#include <stdint.h>
#include <stdlib.h>

#include "common/base/error.h"
#include "common/http/proxy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_proxy_header h;
    const uint8_t *rest;
    size_t rest_len;
    struct error err;

    if (http_proxy_parse(data, size, &h, &err) < 0)
        return 0;
    if (h.unique_id && (h.unique_id < data || h.unique_id_len > HTTP_PROXY_ID_MAX ||
                        h.unique_id + h.unique_id_len > data + size))
        abort();
    if (http_proxy_has_secret(&h, "secret", &rest, &rest_len) &&
        rest + rest_len != h.unique_id + h.unique_id_len)
        abort();
    return 0;
}
