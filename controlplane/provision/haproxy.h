/* Telling a running HAProxy through its admin socket. */
#ifndef PORTOLAN_PROVISION_HAPROXY_H
#define PORTOLAN_PROVISION_HAPROXY_H

#include "common/base/cleanup.h"

struct arena;
struct error;

/* Sends one command. 1 with the reply, its last newlines cut off; 0 when no HAProxy listens there. */
MUST_CHECK int haproxy_tell(struct arena *a, const char *socket_path, const char *command,
                            char **ret_reply, struct error *err);
/* A command that answers nothing when it worked. */
MUST_CHECK int haproxy_do(struct arena *a, const char *socket_path, const char *command,
                          struct error *err);
/* Makes the running map of that file hold exactly the entries of `text`, a "key value" a line. What
 * stands there already is left alone. */
MUST_CHECK int haproxy_map_sync(struct arena *a, const char *socket_path, const char *map_path,
                                const char *text, struct error *err);

/* Where an ingress that many identities share keeps a row "identity|address:port" for each of its
 * connections, by where it came from (./dev attach). */
#define HAPROXY_CONNECTIONS "connections"

/* Ends the connections that came to one of the addresses, or with one of the identities (a line
 * each). */
MUST_CHECK int haproxy_cut(struct arena *a, const char *socket_path, const char *names,
                           struct error *err);

#endif
