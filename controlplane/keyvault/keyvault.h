/* The vault hosts, https://<vault>.vault.<domain>: keys and secrets in the form of Key Vault's data
 * plane, versions 7.x. */
#ifndef PORTOLAN_KEYVAULT_KEYVAULT_H
#define PORTOLAN_KEYVAULT_KEYVAULT_H

#include "common/base/cleanup.h"

struct arena;
struct control;
struct error;
struct http_app;

/* ctx is control. */
void keyvault_app(struct control *control, struct http_app *ret);
/* Gives a few of the keys whose rotation policy asks for it their next version; how many got it, or -1. A
 * key that fails is logged, and tried again the next time. */
MUST_CHECK int keyvault_rotate_due(struct control *control, struct arena *a, struct error *err);

#endif
