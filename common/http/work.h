/* The jobs of an exchange: what runs on workers and what happens when it cannot. Private to
 * common/http. */
#ifndef PORTOLAN_HTTP_WORK_H
#define PORTOLAN_HTTP_WORK_H

#include "common/http/exchange.h"

/* For the worker pool. */
void http_work_run(struct http_job *job);
void http_work_refuse(struct http_job *job, enum http_refusal why);
/* Suspends the connection and hands the exchange to a worker. The caller returns to libmicrohttpd
 * and does not touch the exchange again. */
void http_work_suspend(struct http_exchange *ex, enum http_work work);
/* Hands over without suspending; false when the pool takes nothing any more. */
MUST_CHECK bool http_work_submit(struct http_exchange *ex, enum http_work work);

#endif
