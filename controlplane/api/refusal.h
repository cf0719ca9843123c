/* What was refused is told of in the activity log as well, once it is known who asks for what in which
 * subscription: with the status Failed, and why. */
#ifndef PORTOLAN_API_REFUSAL_H
#define PORTOLAN_API_REFUSAL_H

struct call;
struct json_object;

/* error: the member of that name of the answer. At best: that nobody could be told is logged, and changes
 * nothing about the answer. */
void refusal_note(struct call *c, int status, struct json_object *error);

#endif
