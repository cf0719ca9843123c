/* One import: an image, with all it consists of, from another registry into repositories of this
 * one. It goes the way of a push, so what a push may not do an import may not either: locks,
 * storage limits, quarantine and the bin hold. Content comes first and tags last; what an import
 * that failed has brought is collected like that of a push that was broken off. */
#ifndef PORTOLAN_IMPORTS_IMPORT_H
#define PORTOLAN_IMPORTS_IMPORT_H

#include <stdbool.h>

#include "common/base/cleanup.h"

struct arena;
struct client;
struct data_plane;
struct error;
struct import_row;

struct import_run {
    struct data_plane *plane;
    const struct import_row *row;
    const char *owner;  /* of the lease */
    const char *secret; /* unwrapped JSON; NULL: none */
    struct client *own; /* for registries of this installation */
    struct client *abroad;
    bool (*goes_on)(void *ctx); /* false: this process stops */
    void *ctx;
    bool is_lost; /* set: the lease is somebody else's, or the process stops */
};

/* Texts that clients see: the message, and the name of the code. */
MUST_CHECK int import_carry_out(struct import_run *run, struct arena *a, struct error *err);

#endif
