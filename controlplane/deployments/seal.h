/* Texts of a deployment at rest, wrapped with the service key and bound to the row they are in. */
#ifndef PORTOLAN_DEPLOYMENTS_SEAL_H
#define PORTOLAN_DEPLOYMENTS_SEAL_H

#include "common/base/cleanup.h"

struct arena;
struct control;
struct error;
struct json_object;

#define SEAL_TEMPLATE "template"
#define SEAL_RUN "run"

char *seal_text(struct arena *a, const struct control *control, const char *uid, const char *what,
                const char *text);
MUST_CHECK int unseal_text(struct arena *a, const struct control *control, const char *uid,
                           const char *what, const char *sealed, char **ret, struct error *err);
/* The template kept in a row, parsed; NULL where none is kept (sealed is NULL). The caller's. */
MUST_CHECK int unseal_template(struct arena *a, const struct control *control, const char *uid,
                               const char *sealed, struct json_object **ret, struct error *err);

#endif
