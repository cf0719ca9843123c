/* Rows that tasks and requests for runs share. */
#ifndef PORTOLAN_TYPES_TASK_ROWS_H
#define PORTOLAN_TYPES_TASK_ROWS_H

#include "controlplane/types/rows.h"

#define TIMEOUT_ROW(p)                                                                             \
    { ROW(p "timeout", FIELD_INT), RW, .def = "3600", .min = 300, .max = 28800 }
#define PLATFORM_ROWS(p)                                                                           \
    { ROW(p "platform.os", FIELD_TEXT), RW_NOCASE, .oneof = task_systems },                        \
    { ROW(p "platform.architecture", FIELD_TEXT), RW_NOCASE, .oneof = task_architectures },        \
    { ROW(p "platform.variant", FIELD_TEXT), RW_NOCASE, .oneof = task_variants }
#define AGENT_ROWS(p)                                                                              \
    { ROW(p "agentConfiguration.cpu", FIELD_INT), RW, .min = 1, .max = 256 },                      \
    { ROW(p "agentPoolName", FIELD_TEXT), RW, .max = 20 }
#define CREDENTIAL_ROWS(p)                                                                         \
    { ROW(p "credentials.sourceRegistry.identity", FIELD_TEXT), RW, .max = 1024 },                 \
    { ROW(p "credentials.sourceRegistry.loginMode", FIELD_TEXT), RW_NOCASE,                        \
      .oneof = task_login_modes },                                                                 \
    { ROW(p "credentials.customRegistries", FIELD_JSON), RW_SECRET }
/* What is built or run; which of them belong to a kind says the kind's checker. */
#define WORK_ROWS(p)                                                                               \
    { ROW(p "imageNames", FIELD_TEXT_LIST), RW, .max = 100 },                                      \
    { ROW(p "isPushEnabled", FIELD_BOOL), RW },                                                    \
    { ROW(p "noCache", FIELD_BOOL), RW },                                                          \
    { ROW(p "dockerFilePath", FIELD_TEXT), RW, .max = 1024 },                                      \
    { ROW(p "target", FIELD_TEXT), RW, .max = 256 },                                               \
    { ROW(p "arguments", FIELD_LIST), RW, .of = task_arguments, .max = 200 },                      \
    { ROW(p "taskFilePath", FIELD_TEXT), RW, .max = 1024 },                                        \
    { ROW(p "valuesFilePath", FIELD_TEXT), RW, .max = 1024 },                                      \
    { ROW(p "encodedTaskContent", FIELD_TEXT), RW, .max = 262144 },                                \
    { ROW(p "encodedValuesContent", FIELD_TEXT), RW, .max = 262144 },                              \
    { ROW(p "values", FIELD_LIST), RW, .of = task_arguments, .max = 200 }

/* A request for a run. */
#define REQUEST_ROWS(p)                                                                            \
    { ROW(p "type", FIELD_TEXT), .flags = FIELD_RW | FIELD_REQUIRED | FIELD_NOCASE,                \
      .oneof = task_request_types },                                                               \
    { ROW(p "isArchiveEnabled", FIELD_BOOL), RW, .def = "false" },                                 \
    { ROW(p "logTemplate", FIELD_TEXT), RW, .max = 1024 },                                         \
    { ROW(p "sourceLocation", FIELD_TEXT), RW, .max = 2048 },                                      \
    { ROW(p "taskId", FIELD_TEXT), RW, .max = ID_MAX_BYTES },                                      \
    { ROW(p "overrideTaskStepProperties", FIELD_JSON), RW_SECRET },                                \
    AGENT_ROWS(p),                                                                                 \
    TIMEOUT_ROW(p),                                                                                \
    PLATFORM_ROWS(p),                                                                              \
    CREDENTIAL_ROWS(p),                                                                            \
    WORK_ROWS(p)

extern const char *const task_request_types[];
extern const char *const task_systems[];
extern const char *const task_architectures[];
extern const char *const task_variants[];
extern const char *const task_login_modes[];
extern const struct field task_arguments[];

/* One kind of work: what it needs, and what of WORK_ROWS it may have. */
struct task_kind {
    const char *name;     /* value of `type` */
    const char *needs;    /* member */
    const char *members[8]; /* that belong to it, NULL-terminated */
};
extern const struct task_kind task_step_kinds[];    /* ended by a NULL name */
extern const struct task_kind task_request_kinds[];

struct arena;
struct error;
struct json_object;

/* Of the object at `path` ("properties.step"): its type is one of the kinds and it has what that
 * needs. */
MUST_CHECK int task_kind_check(struct arena *a, const struct task_kind *kinds,
                               const struct json_object *body, const char *path,
                               struct error *err);
/* Takes away what belongs to other kinds, and puts the defaults of this one. */
void task_kind_settle(struct arena *a, const struct task_kind *kinds, struct json_object *body,
                      const char *path);
/* Empties the values of secret arguments, for what a GET shows. */
void task_arguments_hide(struct arena *a, struct json_object *shown, const char *path);

#endif
