/* The token endpoints of the registry (docker token auth, and ACR's exchange). */
#ifndef PORTOLAN_AUTH_OAUTH_H
#define PORTOLAN_AUTH_OAUTH_H

struct http_request;

void oauth_exchange(struct http_request *req);   /* POST /oauth2/exchange */
void oauth_token_get(struct http_request *req);  /* GET /oauth2/token */
void oauth_token_post(struct http_request *req); /* POST /oauth2/token */

#endif
