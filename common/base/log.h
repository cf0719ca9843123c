/* Log lines on stderr: `time=… level=… event=… key=value …`, one write(2) a line. Values are quoted
 * and escaped when they hold anything but plain characters, so no client can forge a line. Code in
 * common/ logs nothing above debug; the pipeline, the reconcile loop and main log a failure once. */
#ifndef PORTOLAN_BASE_LOG_H
#define PORTOLAN_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"

struct error;

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_LEVEL_MAX };

/* A line being built; anything past its size is cut and marked. */
struct log_line {
    char data[4096];
    size_t len;
    bool is_on;
};

void log_set_level(enum log_level level);
MUST_CHECK bool log_parse_level(const char *name, enum log_level *ret);
void log_start(struct log_line *l, enum log_level level, const char *event);
void log_text(struct log_line *l, const char *key, const char *value); /* NULL: key is left out */
void log_int(struct log_line *l, const char *key, int64_t value);
void log_end(struct log_line *l);
/* A whole line whose only value is one message. */
void log_note(enum log_level level, const char *event, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* code, message and cause of err. */
void log_failure(enum log_level level, const char *event, const struct error *err);

#endif
