/* The directory by the command line of the control plane's machine, for the first administrator: who may
 * read the service key needs no sign-in. */
#ifndef PORTOLAN_IDENTITY_CONSOLE_H
#define PORTOLAN_IDENTITY_CONSOLE_H

#include <stdio.h>

#include "common/base/cleanup.h"

struct arena;
struct control;
struct error;

extern const char console_usage[];
/* words: what stands behind `directory`, NULL-terminated. Answers on out; E_INVALID for what is no
 * command. The control plane is connected, and need not be serving. */
MUST_CHECK int console_run(struct control *control, struct arena *a, const char *const *words,
                           FILE *out, struct error *err);

#endif
