/* Inside of the client library: what its files share. Functions here speak arenas and struct error,
 * as the rest of the tree; the public ones turn both into what portolan.h promises. */
#ifndef PORTOLAN_SDK_INTERNAL_H
#define PORTOLAN_SDK_INTERNAL_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/cleanup.h"

#include "portolan.h"

struct arena;
struct client;
struct client_response;
struct error;
struct error_code;
struct json_object;

#define SDK_REPLY_MAX_BYTES ((size_t)64 << 20)

extern const struct error_code SDK_E_SIGN_IN; /* the login host refused, or answered nonsense */

struct sdk_versions; /* versions.c: one namespace's list */

struct portolan {
    struct arena *arena; /* the texts below; they do not change */
    struct client *http;
    const char *management, *login, *tenant, *subscription, *client_id, *client_secret;
    int64_t patience_ms, operation_ms;
    pthread_mutex_t lock; /* guards what follows */
    char *token;
    int64_t token_until_ms; /* by clock_mono_ms() */
    struct sdk_versions *versions;
};

/* sign_in.c: a token that is good for a while, in the arena. not_this: one that the service did not
 * take, so another is asked for. */
MUST_CHECK int sdk_token(struct portolan *p, struct arena *a, const char *not_this, char **ret,
                         struct error *err);

/* send.c: one request to the management host, again while the service is away; a reply of 400 and
 * more is an error. url is whole. */
MUST_CHECK int sdk_exchange(struct portolan *p, struct arena *a, const char *method,
                            const char *url, const char *body, struct client_response *ret,
                            struct error *err);
/* The error that the body of a reply tells. */
int sdk_fail_reply(struct arena *a, int status, const char *body, struct error *err);
/* Waits before trying something again: first_ms at first, then twice as long each time, never over
 * most_ms. */
int64_t sdk_pause(int64_t last_ms, int64_t first_ms, int64_t most_ms);
/* Whether the token may be sent there. */
bool sdk_is_own(const struct portolan *p, const char *url);

/* operation.c: follows what a reply says is going on to its end; *reply becomes the last word. */
MUST_CHECK int sdk_follow(struct portolan *p, struct arena *a, const char *method, const char *url,
                          struct client_response *reply, struct error *err);

/* versions.c: the newest released api-version the service lists for what a path names. */
MUST_CHECK int sdk_api_version(struct portolan *p, struct arena *a, const char *path,
                               const char **ret, struct error *err);
/* Namespace and type path ("registries/tokens/generateCredentials": an action's name is part of it)
 * of what a path names; false when it names nothing under a provider. */
bool sdk_type_of(struct arena *a, const char *path, char **ret_namespace, char **ret_type);
/* Of an array of versions: the newest, released ones before previews; NULL when there is none. */
const char *sdk_newest(const struct json_object *versions);
void sdk_versions_free(struct sdk_versions *list);

/* call.c: a request, waited for; result in the arena. */
MUST_CHECK int sdk_run(struct portolan *p, struct arena *a, const struct portolan_request *request,
                       char **ret, struct error *err);

/* report.c: the ends of public functions. sdk_report() copies err out and returns -1; sdk_give()
 * hands out a copy of text and returns 0. */
int sdk_report(const struct error *from, struct portolan_error *err);
int sdk_give(const char *text, char **ret);

#endif
