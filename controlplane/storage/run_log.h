/* Where the log of a run is found on the storage host. */
#ifndef PORTOLAN_STORAGE_RUN_LOG_H
#define PORTOLAN_STORAGE_RUN_LOG_H

struct arena;
struct resource;

/* The blob's name in the container of the run's registry. */
char *run_log_path(struct arena *a, const struct resource *run);

#endif
