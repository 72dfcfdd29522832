/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* key-nodes SEAT: the nodes that keishid would open there, one a line. */

#include <limits.h>
#include <stdio.h>

#include "factor/key-node.h"

int main(int argc, char **argv) {
        int fds[HELPER_FDS_MAX];
        size_t n = 0;

        if (argc != 2 || key_nodes_open(argv[1], fds, &n) < 0)
                return EXIT_FAILURE;
        for (size_t i = 0; i < n; i++) {
                char link[64], path[PATH_MAX];
                ssize_t size;

                snprintf(link, sizeof(link), "/proc/self/fd/%d", fds[i]);
                size = readlink(link, path, sizeof(path) - 1);
                if (size < 0)
                        return EXIT_FAILURE;
                path[size] = 0;
                puts(path);
        }
        key_nodes_close(fds, &n);
        return EXIT_SUCCESS;
}
