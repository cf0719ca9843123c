/* What deployments and stacks answer alike: the state of what goes on, and pages of lists. */
#ifndef PORTOLAN_DEPLOYMENTS_ANSWERS_H
#define PORTOLAN_DEPLOYMENTS_ANSWERS_H

#include <stdint.h>

#include "common/base/cleanup.h"

#include "controlplane/api/endpoint.h"

struct call;
struct error;
struct json_object;

#define RETRY_AFTER "1"
#define PAGE_MAX    100

/* A row of the API whose right is checked by the handler, at the scope that the path names: its
 * description, and what else there is to say of it. */
#define SCOPED_ENDPOINT(name, known_versions, need, handler, ...)                                  \
    const struct endpoint name = {                                                                 \
        .versions = known_versions, .right = need, .run = handler, .description = __VA_ARGS__      \
    }

#define DEPLOYMENT_ENDPOINT(name, handler, what, ...)                                              \
    SCOPED_ENDPOINT(name, deployment_versions, "Microsoft.Resources/deployments/" what, handler,   \
                    __VA_ARGS__)

#define STACK_ENDPOINT(name, handler, what, ...)                                                   \
    SCOPED_ENDPOINT(name, stack_versions, STACK_RIGHT(what), handler, __VA_ARGS__)

struct progress {
    const char *operation_id, *state;
    int64_t began_us, ended_us; /* ended 0: it goes on */
    struct json_object *error;  /* NULL: none */
};

/* The last segment of the path: of an operation, its id. */
const char *last_segment(const struct call *c);
/* Answers a poll of that operation; E_OPERATION_NOT_FOUND when the path names another one. */
MUST_CHECK int reply_progress(struct call *c, const struct progress *p, struct error *err);
/* The key after which the page asked for begins; NULL: the first page. */
MUST_CHECK int page_after(struct call *c, const char **ret, struct error *err);
/* The query parameter that asks for what comes after the key. */
char *page_token(struct call *c, const char *last);

#endif
