/* Running data-plane processes through an existing supervisor, behind one driver table. A service
 * is a name, a command and a configuration file; the supervisor restarts it when it dies, whether
 * the control plane lives or not. All calls are idempotent and may come from several control
 * planes at once. */
#ifndef PORTOLAN_PROVISION_SUPERVISOR_H
#define PORTOLAN_PROVISION_SUPERVISOR_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/cleanup.h"

struct arena;
struct control;
struct error;

struct service {
    const char *name;      /* "dataplane-<registry uid>-<region>" */
    const char *program;
    const char *config;    /* text of the configuration file, mode 0600 */
};

enum service_health { SERVICE_ABSENT, SERVICE_STARTING, SERVICE_READY };

struct supervisor_driver {
    const char *name;
    /* Writes the definition (restarting the service when the text changed) and starts it. */
    int (*ensure)(struct control *control, struct arena *a, const struct service *service,
                  struct error *err);
    /* Waits up to wait_ms for readiness. */
    int (*health)(struct control *control, struct arena *a, const char *name, int wait_ms,
                  enum service_health *ret, struct error *err);
    /* Stops the process for good and removes the definition; absent is success. Returns once the
     * process is gone. */
    int (*remove)(struct control *control, struct arena *a, const char *name, struct error *err);
    /* Names of the services defined at least min_age_s ago, half-removed ones included; debris of
     * interrupted definitions is cleared on the way. */
    int (*list)(struct control *control, struct arena *a, int min_age_s, char ***ret_names,
                size_t *ret_count, struct error *err);
};

extern const struct supervisor_driver s6_driver;
const struct supervisor_driver *supervisor_find(const char *name);

#endif
