/* What a run needs of a submission, as JSON: see submission.h for reading it back. */
#ifndef PORTOLAN_DEPLOYMENTS_PAYLOAD_H
#define PORTOLAN_DEPLOYMENTS_PAYLOAD_H

#include <stddef.h>

#include "controlplane/control.h"

struct arena;
struct error;
struct json_object;
struct template_context;

/* The caller's reference. */
struct json_object *context_json(const struct template_context *context);
/* What environment() gives on this installation; owned by the arena. */
struct json_object *environment_json(struct arena *a, const struct control *control);
/* {minifiedTemplate, templateHash}, owned by the arena. */
MUST_CHECK int payload_hash(struct arena *a, const char *text, size_t len,
                            struct json_object **ret, struct error *err);

#endif
