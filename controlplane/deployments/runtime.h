/* What reference() and list*() see while a deployment runs: the caller's own view of the resources.
 * Also used by what-if, where only what is there already can be seen. */
#ifndef PORTOLAN_DEPLOYMENTS_RUNTIME_H
#define PORTOLAN_DEPLOYMENTS_RUNTIME_H

#include "common/base/cleanup.h"

struct arena;
struct caller;
struct error;
struct http_app;
struct json_object;
struct secrets;
struct template_context;
struct value;

struct asker {
    const struct http_app *app;
    const struct caller *caller;
    const char *correlation_id, *peer_text;
    struct arena *arena;     /* of the evaluation under way */
    struct secrets *secrets; /* what list*() gives goes there too; NULL: nowhere */
    struct json_object *failure; /* of the resource that was asked; owned by arena */
    const char *asked;           /* ids that list*() was called on, a line each */
};

/* Finishes a body of a plan: expressions that waited for run time are evaluated. A template inside
 * stays as it is, to be planned when it is deployed itself. The result is owned by asker->arena. */
MUST_CHECK int runtime_body(struct asker *asker, const struct template_context *context,
                            const struct value *body, struct json_object **ret,
                            struct error *err);
/* Any other value. *ret_secure: how many secrets of list*() are inside, at *ret_paths. */
MUST_CHECK int runtime_value(struct asker *asker, const struct template_context *context,
                             const struct value *value, struct json_object **ret,
                             char ***ret_paths, size_t *ret_secure, struct error *err);

#endif
