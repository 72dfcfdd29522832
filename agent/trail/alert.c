/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>

#include "trail/trail-internal.h"

/* Not by syslog(3), which waits when the log daemon does not read. */
static int send_syslog(const char *path, const char *line, size_t size) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        _cleanup_close_ int fd = -EBADF;

        if (strlen(path) >= sizeof(address.sun_path))
                return -ENAMETOOLONG;
        memcpy(address.sun_path, path, strlen(path) + 1);
        fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return -errno;
        if (sendto(fd, line, size, MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&address, sizeof(address)) < 0)
                return -errno;
        return 0;
}

void alert_send(const char *socket_path, const char *text, size_t size) {
        char line[ENTRY_MESSAGE_MAX + 64];
        int prefix;

        prefix = snprintf(line, sizeof(line), "<%d>keishid[%d]: ", LOG_AUTHPRIV | LOG_ALERT, (int)getpid());
        memcpy(line + prefix, text, size);
        size += (size_t)prefix;
        if (send_syslog(socket_path, line, size) < 0) {
                _cleanup_close_ int fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
                ssize_t n;

                n = fd >= 0 ? write(fd, line, size) : -1;
                (void)n;
        }
}
