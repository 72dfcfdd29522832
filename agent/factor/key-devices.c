/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "factor/key-devices.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/io.h"

#define CLASS_DIR      "/sys/class/hidraw"
#define DESCRIPTOR_MAX 4096u

void key_devices_done(KeyDevices *d) {
        for (size_t i = 0; i < d->n; i++)
                if (d->fds[i] >= 0)
                        close(d->fds[i]);
        *d = (KeyDevices){};
}

/* HID 1.11, 6.2.2: short items only, which is all that FIDO keys have; a long one ends the search. */
static bool is_fido(const unsigned char *p, size_t size) {
        while (size > 0) {
                size_t n = p[0] & 3u;

                n = n == 3 ? 4 : n;
                if (p[0] == 0xfe || n + 1 > size)
                        return false;
                /* global item "usage page" */
                if ((p[0] & 0xfcu) == 0x04 && n >= 2)
                        return p[1] == 0xd0 && p[2] == 0xf1;
                p += n + 1;
                size -= n + 1;
        }
        return false;
}

static bool node_is_fido(int dir, const char *name) {
        unsigned char descriptor[DESCRIPTOR_MAX];
        _cleanup_close_ int fd = -EBADF;
        char path[64];
        ssize_t n;

        (void)snprintf(path, sizeof(path), "%s/device/report_descriptor", name);
        fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        if (fd < 0)
                return false;
        n = read(fd, descriptor, sizeof(descriptor));
        return n > 0 && is_fido(descriptor, (size_t)n);
}

static int open_node(const char *root, const char *name) {
        _cleanup_free_ char *path = NULL;

        if (asprintf(&path, "%s/dev/%s", root, name) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        return open(path, O_RDWR | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW);
}

static int is_hidraw(const struct dirent *d) {
        return strncmp(d->d_name, "hidraw", 6) == 0 && strlen(d->d_name) < KEY_NAME_MAX &&
               d->d_name[6 + strspn(d->d_name + 6, "0123456789")] == '\0';
}

int key_devices_list(KeyDevices *ret, const char *root, bool open_them) {
        _cleanup_free_ char *path = io_prefix(root, CLASS_DIR);
        _cleanup_close_ int dir = -EBADF;
        struct dirent **names = NULL;
        KeyDevices d = {};
        int n;

        if (!path)
                return -ENOMEM;
        dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        n = dir < 0 ? 0 : scandir(path, &names, is_hidraw, alphasort);
        for (int i = 0; i < n; i++) {
                const char *name = names[i]->d_name;

                if (d.n < HELPER_FDS_MAX && node_is_fido(dir, name)) {
                        d.fds[d.n] = open_them ? open_node(root, name) : -1;
                        if (!open_them || d.fds[d.n] >= 0)
                                memcpy(d.names[d.n++], name, strlen(name) + 1);
                }
                free(names[i]);
        }
        free(names);
        *ret = d;
        return 0;
}

bool key_devices_same(const KeyDevices *a, const KeyDevices *b) {
        if (a->n != b->n)
                return false;
        for (size_t i = 0; i < a->n; i++)
                if (strcmp(a->names[i], b->names[i]) != 0)
                        return false;
        return true;
}
