/* One ARM request on its way through the pipeline: what each stage found out. Made in admit, lives
 * in the request's arena. */
#ifndef PORTOLAN_API_CALL_H
#define PORTOLAN_API_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/http/server.h"

#include "controlplane/api/arm_id.h"
#include "controlplane/control.h"
#include "controlplane/identity/identity.h"
#include "controlplane/store/resources.h"
#include "controlplane/store/subscriptions.h"
#include "controlplane/types/type.h"

struct pg_result;
struct shown_cache;
struct subscription_cache;
struct rate_limiter;
struct verb;

#define ARM_BODY_MAX_BYTES (4u << 20)

/* The application's own state: app.ctx. */
struct arm {
    struct control *control;
    struct subscription_cache *subscriptions;
    struct shown_cache *shown;
    struct rate_limiter *rate_limiter;
};

struct call {
    struct http_request *req;
    struct arena *arena;
    struct arm *arm;
    struct control *control;
    const char *correlation_id;
    struct caller caller;
    bool is_authenticated;
    const char *challenge; /* for a 401 */
    const char *rule;      /* why it was refused (401, 403), for the log */
    bool is_local;         /* comes from within the process: not counted */
    int retry_after_s;     /* with a 429 or 503; 0: one second */
    const char *api_version;
    const char *provider; /* whose right an endpoint needs, where its row says {provider}; else NULL */
    bool has_subscription;
    struct subscription subscription;

    struct arm_id id;
    const struct resource_type *type;
    const struct action *action; /* NULL unless the path ends in one */
    const struct verb *verb;
    const char *resource_id; /* canonical, casing as written; NULL for collections */
    const char *key;

    struct {
        bool is_wanted, is_there;
        struct pg_result *rows;
    } ahead;                 /* what load_ahead() asked for */
    bool counts_alone;       /* near a quota */
    struct pg_result *hastens; /* affects no row: nothing is to be hastened; NULL: nobody asked */
    struct resource *was;    /* as loaded; NULL: not there */
    struct resource *parent; /* of children; of its JSON, the body */
    enum sku parent_sku;     /* that children are gated by */
    void *was_decoded;
    struct resource *row; /* as it will be written, then shown */
    void *decoded;
    struct json_object *request; /* without what clients cannot set */
    struct json_object *answer;  /* of an action or a list */
    const char *request_location;
    struct json_object *request_tags;
    bool has_tags;
    bool is_at_provider; /* failures are told in the provider's own envelope */
    bool is_partial; /* of a list: the caller may see some rows only */
    bool is_unchanged;
    bool is_gone;
    const char *operation_id; /* opened by this request */
    /* What happens in the place of the commit, or before the row is loaded when is_shallow: for
     * those who only ask what would come of a request. NULL: the request is carried out. */
    int (*instead)(struct call *c, struct error *err);
    bool is_shallow;
};

/* Stages and endpoints return this. */
enum stage_result {
    STAGE_FAILED = -1,
    STAGE_NEXT = 0,
    STAGE_ANSWERED = 1,
    STAGE_AGAIN = 2, /* somebody else changed the row meanwhile: load again */
};

/* Made on first use; headers every answer carries are set with it. */
struct call *call_of(struct http_request *req);

/* Each fails with the documented code and sentence. */
MUST_CHECK int call_authenticate(struct call *c, struct error *err);
/* Of a body, if there is one. */
MUST_CHECK int call_media_type(struct call *c, struct error *err);
MUST_CHECK int call_api_version(struct call *c, const char *const *versions, struct error *err);
/* The text that a $skipToken stands for, which is not trusted to be one of ours; *ret stays as it is when the
 * request has none. */
MUST_CHECK int call_skip_token(struct call *c, const char **ret, struct error *err);
/* Fills c->subscription and counts the request there; E_SUBSCRIPTION_NOT_FOUND also for another
 * tenant's, E_THROTTLED. */
MUST_CHECK int call_subscription(struct call *c, const char *id, struct error *err);

/* Answers. */
void reply_json(struct call *c, int status, const struct json_object *value);
void reply_json_text(struct call *c, int status, const char *text, size_t len);
void reply_failure(struct http_request *req, const struct error *err);
/* "https://management.…" + path + "?api-version=" of this request. */
char *call_url(struct call *c, const char *path);

#endif
