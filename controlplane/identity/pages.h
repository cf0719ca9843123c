/* How the login host speaks to people: plain HTML without script. */
#ifndef PORTOLAN_IDENTITY_PAGES_H
#define PORTOLAN_IDENTITY_PAGES_H

struct arena;
struct http_request;

/* Replies with a page around this body. */
void page_reply(struct http_request *req, int status, const char *body);
/* A page of one sentence; with 401 and 403 it is also the rule in the log. */
void page_note(struct http_request *req, int status, const char *title, const char *text);
/* Text of an element, or of an attribute in double quotes. */
const char *page_escape(struct arena *a, const char *text);

#endif
