/* One exchange over a libcurl handle, without redirects; for the files of common/client only. */
#ifndef PORTOLAN_CLIENT_TRANSFER_H
#define PORTOLAN_CLIENT_TRANSFER_H

#include <curl/curl.h>

#include "common/network/address.h"
#include "common/client/client.h"

struct policy {
    enum client_reach reach;
    struct cidr *exceptions;
    size_t nexceptions;
};

/* Sets what never changes on a new handle. */
void transfer_prepare(CURL *handle, const char *ca_file);

/* deadline_ms is monotonic. */
MUST_CHECK int transfer_run(CURL *handle, const struct policy *policy, struct arena *a,
                            const struct client_request *request, int64_t deadline_ms,
                            struct client_response *ret, struct error *err);

#endif
