/* What a deployment's request names instead of holding it: linked templates and parameter files,
 * template specs, secrets of key vaults. */
#ifndef PORTOLAN_DEPLOYMENTS_CONTENT_H
#define PORTOLAN_DEPLOYMENTS_CONTENT_H

#include "common/base/cleanup.h"

struct error;
struct json_object;
struct submission;

/* Fills s->template_text and s->template_link. */
MUST_CHECK int content_template(struct submission *s, const struct json_object *properties,
                                struct error *err);
/* {name: {value}}, owned by the arena; of key vault references also s->fetched, s->references. */
MUST_CHECK int content_parameters(struct submission *s, const struct json_object *properties,
                                  struct json_object **ret, struct error *err);

#endif
