/* One request as the data plane sees it: who calls, what it may do, what it is about; and the rows
 * that say for each route what access it needs. */
#ifndef PORTOLAN_DATAPLANE_CALL_H
#define PORTOLAN_DATAPLANE_CALL_H

#include <stdbool.h>

#include "common/http/server.h"
#include "common/network/rules.h"
#include "dataplane/auth/identity.h"
#include "dataplane/auth/rate.h"

struct bearer;
struct data_plane;
struct firewall_watch;
struct push;
struct snapshot;

enum access_kind {
    ACCESS_OPEN,       /* the token endpoints */
    ACCESS_ANY,        /* whoever has a token */
    ACCESS_REPOSITORY, /* actions on the repository named by the first parameter */
    ACCESS_SESSION,    /* the same; a token that expired since the upload began will do */
    ACCESS_CATALOG,
    ACCESS_DELETED_CATALOG,
    ACCESS_LINK, /* a signed link to the data endpoint stands for sign-in and scope */
    ACCESS_KIND_MAX
};

/* What http_route.plane points at. Only one of run and sink is set. */
struct data_route {
    enum access_kind access;
    unsigned actions;
    enum http_verdict (*fast)(struct http_request *req);
    void (*run)(struct http_request *req);
    const struct http_sink *sink;
    enum rate_class rate;
};

struct call {
    struct data_plane *plane;
    struct snapshot *snapshot;
    struct bearer *bearer;        /* NULL: not by a remembered token */
    struct identity identity;     /* name NULL: not signed in */
    const struct scopes *granted; /* by the token; NULL: all that is allowed */
    const struct scopes *allowed; /* to the identity, now */
    bool is_pending;              /* to be checked on a worker first */
    enum network_service service; /* that bypasses the network rules */
    const char *rule;             /* why it was refused, for the log */
    struct firewall_watch *watch; /* of the routes that stream a body in */
    struct push *push;            /* of the routes that stream a body in */
};

static inline struct call *call_of(const struct http_request *req)
{
    return req->plane;
}

/* The gate stands before every handler: it signs in, authorises, and answers 401 and 403 itself. */
void gate_admit(struct http_request *req);
enum http_verdict gate_fast(struct http_request *req);
void gate_run(struct http_request *req);
extern const struct http_sink gate_sink;
void gate_done(struct http_request *req); /* the access log line; releases what the call holds */

/* Whether the identity itself, beyond this token's scopes, may do that to a repository now. */
bool call_may(const struct call *call, const char *repository, unsigned actions);

#endif
