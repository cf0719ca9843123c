/* The registry's network rules, asked for every request before anything else, and again while a long
 * one goes on. */
#ifndef PORTOLAN_AUTH_FIREWALL_H
#define PORTOLAN_AUTH_FIREWALL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "common/network/rules.h"

struct data_plane;
struct http_request;

/* By the request's snapshot, which must be there. False when it has replied 403. has_body: all
 * of the request is there. Before, where only the body could prove a service that bypasses the rules,
 * the call is left pending, to be asked about again. */
bool firewall_admits(struct http_request *req, bool has_body);
/* Replies the refusal. */
void firewall_refuse(struct http_request *req);

/* What is under way: it ends when the rules that let its client in do. Lives apart from the request. */
struct firewall_watch {
    struct data_plane *plane;
    uint64_t serial; /* of the snapshot that admitted last */
    struct sockaddr_storage address;
    enum network_service service;
    char link[130]; /* "": by the public edge */
};
void firewall_watch_init(struct firewall_watch *w, const struct http_request *req);
/* Costs two loads while nothing has changed. Never blocks. */
bool firewall_still_admits(struct firewall_watch *w);

#endif
