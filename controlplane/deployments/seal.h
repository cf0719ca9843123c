/* Texts of a deployment at rest, wrapped with the service key and bound to the row they are in. */
#ifndef PORTOLAN_DEPLOYMENTS_SEAL_H
#define PORTOLAN_DEPLOYMENTS_SEAL_H

#include "common/base/cleanup.h"

struct arena;
struct control;
struct error;

#define SEAL_TEMPLATE "template"
#define SEAL_RUN "run"

char *seal_text(struct arena *a, const struct control *control, const char *uid, const char *what,
                const char *text);
MUST_CHECK int unseal_text(struct arena *a, const struct control *control, const char *uid,
                           const char *what, const char *sealed, char **ret, struct error *err);

#endif
