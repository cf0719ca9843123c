/* The vault hosts, https://<vault>.vault.<domain>: keys and secrets in the form of Key Vault's data
 * plane, versions 7.x. */
#ifndef PORTOLAN_KEYVAULT_KEYVAULT_H
#define PORTOLAN_KEYVAULT_KEYVAULT_H

struct control;
struct http_app;

/* ctx is control. */
void keyvault_app(struct control *control, struct http_app *ret);

#endif
