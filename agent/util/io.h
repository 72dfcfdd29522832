/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>

/* Reads a whole file of at most `max` bytes, NUL-terminated for convenience (the size does not count it). -EFBIG when
 * it is larger. `dir_fd` as for openat(). */
int io_read_file(int dir_fd, const char *path, size_t max, char **ret, size_t *ret_size);
/* Joins a root prefix (NULL or empty: none) and an absolute path. NULL when out of memory. */
char *io_prefix(const char *root, const char *path);
