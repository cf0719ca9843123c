/* The ARM edge as an HTTP application: routes, headers of every answer, the ARM error envelope, one
 * access-log line a request. */
#ifndef PORTOLAN_API_ARM_H
#define PORTOLAN_API_ARM_H

struct control;
struct http_app;

/* Fills *ret; control must outlive it. arm_app_done() releases what it holds, after its server has
 * stopped. */
void arm_app(struct control *control, struct http_app *ret);
void arm_app_done(struct http_app *app);

#endif
