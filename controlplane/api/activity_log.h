/* Microsoft.Insights: the activity log, and diagnostic settings at any scope. */
#ifndef PORTOLAN_API_ACTIVITY_LOG_H
#define PORTOLAN_API_ACTIVITY_LOG_H

#include "controlplane/api/endpoint.h"

extern const char *const activity_log_versions[];
extern const struct endpoint activity_log;
/* diagnostics.c */
extern const char *const diagnostic_versions[];
extern const struct endpoint diagnostics_list, diagnostic_show, diagnostic_write,
    diagnostic_remove, diagnostic_categories;

#endif
