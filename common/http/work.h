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
/* The full chunk goes to the sink, on a worker, while another one is filled. None is out. */
void http_work_feed(struct http_exchange *ex);
/* False when no piece is out. Else the connection is suspended until the sink has taken it, and the
 * caller returns to libmicrohttpd. */
bool http_work_awaits(struct http_exchange *ex);
/* The connection is over: true when a piece is out, whose worker ends the exchange then. */
bool http_work_orphan(struct http_exchange *ex);
/* Hands over without suspending; false when the pool takes nothing any more. */
MUST_CHECK bool http_work_submit(struct http_exchange *ex, enum http_work work);

#endif
