/* Requests on resources from within the process, in a caller's name and with the caller's rights:
 * authorisation, validation and long-running operations are those of any request. */
#ifndef PORTOLAN_API_LOCAL_H
#define PORTOLAN_API_LOCAL_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/cleanup.h"

struct arena;
struct caller;
struct error;
struct http_app;
struct json_object;

enum arm_depth {
    ARM_DO,      /* carries the request out */
    ARM_CHECK,   /* everything up to the transaction; the answer is {before, after} */
    ARM_SHALLOW, /* rights, type and version only */
};

struct arm_call {
    /* Given. */
    struct arena *arena;
    const struct http_app *app; /* of arm_app() */
    const struct caller *caller;
    const char *correlation_id;
    const char *peer_text;
    const char *method, *path, *api_version;
    const struct json_object *body; /* NULL: none */
    enum arm_depth depth;
    /* Found out. answer is owned by the arena, NULL when there is none; of a failure it is the error
     * object {code, message, …}. ARM_CHECK: before and after are as a GET would show them without
     * what clients cannot set; before is absent for what is not there. */
    int status;
    struct json_object *answer;
    const char *operation_id; /* of a long-running operation that goes on; NULL: it is over */
    bool is_known; /* ARM_CHECK, ARM_SHALLOW: the path could be checked at all */
};

/* -1 only when the reply could not be understood. */
MUST_CHECK int arm_call(struct arm_call *x, struct error *err);
bool arm_call_is_good(const struct arm_call *x);

/* What the tables say of a type's name. */
struct arm_type {
    const char *name; /* canonical; NULL: no such type */
    const char *newest_version;
    bool is_namespace_known;
    bool is_tracked;
    bool has_steps;
};
struct arm_type arm_type_find(const char *name);
/* Every type that lives in groups, in lower case, NULL-terminated; with is_tracked only those with
 * location and tags. */
const char *const *arm_types(struct arena *a, bool is_tracked, size_t *ret_count);

#endif
