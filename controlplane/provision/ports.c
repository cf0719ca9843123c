/* Reading a port range, and asking the kernel whether a port is free. */
#include "controlplane/provision/ports.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "common/base/error.h"
#include "common/base/text.h"

int ports_parse(const char *range, int64_t *ret_first, int64_t *ret_last, struct error *err)
{
    const char *dash = strchr(range, '-');
    char first[8] = "";

    if (dash && (size_t)(dash - range) < sizeof(first)) {
        memcpy(first, range, (size_t)(dash - range));
        if (text_parse_i64(first, ret_first) && text_parse_i64(dash + 1, ret_last) &&
            *ret_first >= 1 && *ret_first <= *ret_last && *ret_last <= 65535)
            return 0;
    }
    return fail(err, &E_INVALID, "'%s' is not a range of ports such as 20000-29999.", range);
}

bool port_is_free(const char *address, int port)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    _cleanup_(closep) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || inet_pton(AF_INET, address, &at.sin_addr) != 1)
        return false;
    return bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0;
}
