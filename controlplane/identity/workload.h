/* Tokens of managed identities for workloads on this machine. */
#ifndef PORTOLAN_IDENTITY_WORKLOAD_H
#define PORTOLAN_IDENTITY_WORKLOAD_H

struct control;
struct http_app;

/* What the workload listener serves. ctx is control. */
void workload_app(struct control *control, struct http_app *ret);

#endif
