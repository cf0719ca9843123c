/* What an exchange has to do with replies that are sent again. Private to common/http. */
#ifndef PORTOLAN_HTTP_STOCK_H
#define PORTOLAN_HTTP_STOCK_H

#include "common/http/exchange.h"

/* One response with its headers, and what its bytes hang on. */
struct http_stocked {
    struct MHD_Response *response;
    int status;
    uint64_t len;
    void (*release)(void *); /* may be NULL */
    void *owner;
    char id[37]; /* of the request it was sent for last */
};

/* Gives back or frees what the exchange has of a stock. */
void http_stock_settle(struct http_exchange *ex);

#endif
