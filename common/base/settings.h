/* A program's settings from one const table. Every setting has a flag (--control-db), an
 * environment variable (PORTOLAN_CONTROL_DB) and a line in the configuration file
 * (control-db = …); the flag wins over the environment, the environment over the file, the file
 * over the default. A secret has no flag: what stands on a command line is seen by everyone on the
 * machine. The table also prints --help. */
#ifndef PORTOLAN_BASE_SETTINGS_H
#define PORTOLAN_BASE_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"

struct arena;
struct error;

enum setting_kind { SETTING_TEXT, SETTING_INT, SETTING_BOOL, SETTING_KIND_MAX };

/* Rows end with a zeroed one. `offset` is of a char *, int64_t or bool in the settings struct. */
struct setting {
    const char *name; /* flag without the dashes */
    enum setting_kind kind;
    size_t offset;
    const char *def; /* NULL: stays NULL, 0 or false */
    int64_t min, max; /* for SETTING_INT; both 0: no range */
    bool is_required;
    bool is_secret;       /* no flag */
    const char *variable; /* NULL: PORTOLAN_ and the name in capitals */
    const char *help; /* one sentence */
};

/* Reads argv[first…], the environment and the file named by --config (or PORTOLAN_CONFIG) into
 * *out; what argv holds beside flags is returned as ret_args (NULL-terminated). Unknown flags and
 * keys are errors that name the nearest known one. */
MUST_CHECK int settings_load(struct arena *a, const struct setting *table, int argc, char **argv,
                             int first, void *out, char ***ret_args, struct error *err);
/* The --help text of the table. */
char *settings_help(struct arena *a, const struct setting *table);

#endif
