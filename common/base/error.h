/* The one error type. Every function that can fail takes `struct error *err` last and returns
 * 0 (done) or -1 (failed, *err filled); look-ups return 1 found, 0 absent, -1 failed. *err is not
 * touched on success. An error is a plain value: no allocation, nothing to free.
 *
 * `message` and `target` are for the client: one plain sentence, no path, SQL text or secret.
 * `cause` is for the log only: text from libpq, OpenSSL, errno, and where it happened.
 * `code` points at a const row; planes declare their own rows beside the neutral ones below. */
#ifndef PORTOLAN_BASE_ERROR_H
#define PORTOLAN_BASE_ERROR_H

#include "common/base/cleanup.h"

struct error_code {
    const char *name; /* as clients see it, e.g. "ResourceNotFound" */
    int status;       /* HTTP status */
};

/* One entry of a multi-part error; entries live in the arena of the request. */
struct error_detail {
    const struct error_code *code;
    const char *message;
    const char *target;
    struct error_detail *next;
};

struct error {
    const struct error_code *code;
    char message[1024];
    char target[256];
    char cause[1024];
    struct error_detail *details; /* NULL, or arena-owned list */
};

extern const struct error_code E_INTERNAL;        /* 500 our fault, or the world's; cause says */
extern const struct error_code E_INVALID;         /* 400 */
extern const struct error_code E_UNAUTHENTICATED; /* 401 */
extern const struct error_code E_FORBIDDEN;       /* 403 */
extern const struct error_code E_NOT_FOUND;       /* 404 */
extern const struct error_code E_CONFLICT;        /* 409 */
extern const struct error_code E_PRECONDITION;    /* 412 */
extern const struct error_code E_TOO_LARGE;       /* 413 */
extern const struct error_code E_UNSUPPORTED_MEDIA; /* 415 */
extern const struct error_code E_THROTTLED;       /* 429 */
extern const struct error_code E_UNAVAILABLE;     /* 503 */
extern const struct error_code E_TIMEOUT;         /* 504 */
extern const struct error_code E_NO_SPACE;        /* 507 */

/* Each fills *err and returns -1, so a failure is one line: `return fail(err, &E_X, "…");`. */
int fail(struct error *err, const struct error_code *code, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
/* The same, naming what in the request is wrong ("properties.sku.name"). */
int fail_at(struct error *err, const struct error_code *code, const char *target, const char *fmt,
            ...) PRINTF_LIKE(4, 5);
/* A failure whose reason is not for clients: code `code`, a neutral sentence for the client, and
 * fmt as the cause. */
int fail_cause(struct error *err, const struct error_code *code, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
/* E_INTERNAL (E_NO_SPACE for ENOSPC and EDQUOT, E_UNAVAILABLE for EIO: what a device refuses now it
 * may do later) with fmt and strerror(errno) as the cause. */
int fail_errno(struct error *err, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Puts context before the cause of a failure that is already recorded; returns -1. */
int wrap(struct error *err, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
