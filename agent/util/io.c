/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "util/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "util/cleanup.h"

int io_read_file(int dir_fd, const char *path, size_t max, char **ret, size_t *ret_size) {
        _cleanup_close_ int fd = -EBADF;
        _cleanup_free_ char *buffer = NULL;
        size_t size = 0, room = 0;

        /* Not to wait should it turn out to be a FIFO. */
        fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (fd < 0)
                return -errno;

        for (;;) {
                ssize_t n;

                if (size == room) {
                        char *grown;

                        room = room == 0 ? 4096 : room * 2;
                        grown = realloc(buffer, room + 1);
                        if (!grown)
                                return -ENOMEM;
                        buffer = grown;
                }
                n = read(fd, buffer + size, room - size);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        break;
                size += (size_t)n;
                if (size > max)
                        return -EFBIG;
        }

        buffer[size] = '\0';
        *ret = TAKE_PTR(buffer);
        if (ret_size)
                *ret_size = size;
        return 0;
}

char *io_prefix(const char *root, const char *path) {
        char *joined;

        if (asprintf(&joined, "%s%s", root ? root : "", path) < 0)
                return NULL;
        return joined;
}
