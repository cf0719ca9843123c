/* Bodies that a plane makes piece by piece: a worker reads ahead into at most two buffers, the
 * event thread sends from the other. Private to common/http. */
#ifndef PORTOLAN_HTTP_SOURCE_H
#define PORTOLAN_HTTP_SOURCE_H

#include "common/http/exchange.h"

void http_source_attach(struct http_exchange *ex, const struct http_source *source, void *ctx,
                        uint64_t len);
/* The response that sends it; NULL when out of memory. */
struct MHD_Response *http_source_response(struct http_exchange *ex);
/* One buffer, as a job. */
void http_source_fill(struct http_exchange *ex);
/* The job was not taken. */
void http_source_refuse(struct http_exchange *ex);
/* Fills the first buffer at once, on the worker that made the reply. */
void http_source_prefill(struct http_exchange *ex);
/* The connection is over. False when a worker still reads, which then finishes the exchange. */
bool http_source_over(struct http_exchange *ex);
uint64_t http_source_sent(const struct http_exchange *ex);
void http_source_free(struct http_exchange *ex); /* also when there is none */

#endif
