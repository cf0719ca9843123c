/* Fills the plane's view of a request: names, host, target, peer. Copies are small and live in the
 * arena, because a request outlives its connection when the client breaks off. */
#include "common/http/exchange.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/http/target.h"

#define HOST_MAX 262 /* a name of 255 bytes, a colon, a port, a dot */

/* ::ffff:192.0.2.1 is 192.0.2.1: rules for clients are written in v4. */
static void unmap_v4(struct sockaddr_storage *peer)
{
    struct sockaddr_in6 v6;
    struct sockaddr_in v4 = { .sin_family = AF_INET };

    if (peer->ss_family != AF_INET6)
        return;
    memcpy(&v6, peer, sizeof v6);
    if (!IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr))
        return;
    memcpy(&v4.sin_addr, v6.sin6_addr.s6_addr + 12, 4);
    v4.sin_port = v6.sin6_port;
    memset(peer, 0, sizeof *peer);
    memcpy(peer, &v4, sizeof v4);
}

/* inet_ntop() prints through sprintf(), for every request. */
static void write_v4(char *out, const struct in_addr *address)
{
    const unsigned char *bytes = (const unsigned char *)address;

    for (int i = 0; i < 4; i++) {
        unsigned byte = bytes[i];

        if (byte >= 100)
            *out++ = (char)('0' + byte / 100);
        if (byte >= 10)
            *out++ = (char)('0' + byte / 10 % 10);
        *out++ = (char)('0' + byte % 10);
        *out++ = i < 3 ? '.' : '\0';
    }
}

static void write_peer(struct http_request *req)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)&req->peer;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&req->peer;

    if (req->peer.ss_family == AF_INET)
        write_v4(req->peer_text, &v4->sin_addr);
    else if (req->peer.ss_family != AF_INET6)
        memcpy(req->peer_text, "unix", sizeof "unix");
    else if (!inet_ntop(AF_INET6, &v6->sin6_addr, req->peer_text, sizeof req->peer_text))
        req->peer_text[0] = '\0';
}

static void read_peer(struct http_exchange *ex)
{
    const union MHD_ConnectionInfo *info;
    struct http_request *req = &ex->req;

    info = MHD_get_connection_info(ex->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    req->peer.ss_family = AF_UNIX;
    if (info && info->client_addr && info->client_addr->sa_family == HTTP_EDGE_FAMILY) {
        const struct http_edge_address *edge = (const void *)info->client_addr;

        req->is_via_edge = true;
        req->peer = edge->peer;
        if (edge->has_link_id)
            req->link_id = arena_strdup(req->arena, edge->link_id);
    } else if (info && info->client_addr && info->client_addr->sa_family == AF_INET) {
        memcpy(&req->peer, info->client_addr, sizeof(struct sockaddr_in));
    } else if (info && info->client_addr && info->client_addr->sa_family == AF_INET6) {
        memcpy(&req->peer, info->client_addr, sizeof(struct sockaddr_in6));
    }
    unmap_v4(&req->peer);
    write_peer(req);
}

static bool is_host(const char *s)
{
    size_t len = strlen(s);

    if (len > HOST_MAX)
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = s[i];

        if ((c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' && c != '-' && c != '_' &&
            c != ':' && c != '[' && c != ']')
            return false;
    }
    return true;
}

int http_prepare(struct http_exchange *ex, struct error *err)
{
    struct http_request *req = &ex->req;
    struct http_target target;
    const char *host;

    read_peer(ex);
    if (http_target_parse(req->arena, req->target, ex->uri_len,
                          ex->server->app.takes_encoded_slashes, &target, err) < 0)
        return -1;
    req->path = target.path;
    req->query = target.query;
    host = target.authority ? target.authority : http_header(req, "Host");
    if (host)
        req->host = text_lower(req->arena, host);
    if (!is_host(req->host)) {
        req->host = "";
        return fail(err, &E_INVALID, "The host of the request is malformed.");
    }
    return 0;
}
