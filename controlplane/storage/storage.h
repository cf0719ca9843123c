/* The storage host, https://tasks.blob.<domain>: where the sources of runs go and their logs come from,
 * by signed URLs and in the form of a storage account's blob service, as clients of registries expect
 * both (docs/decisions/0018). */
#ifndef PORTOLAN_STORAGE_STORAGE_H
#define PORTOLAN_STORAGE_STORAGE_H

struct control;
struct http_app;

/* ctx is control. */
void storage_app(struct control *control, struct http_app *ret);

#endif
