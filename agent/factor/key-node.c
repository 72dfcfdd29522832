/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "factor/key-node.h"

#include <fcntl.h>
#include <string.h>
#include <systemd/sd-device.h>

#define SEAT_DEFAULT "seat0"

static inline void enumerator_unref_p(sd_device_enumerator **e) {
        sd_device_enumerator_unref(*e);
}

/* A seat is said of the device or of one above it (sd-login(3), multi-seat). */
static bool is_at(sd_device *d, const char *seat) {
        const char *at = NULL;

        while (d && sd_device_get_property_value(d, "ID_SEAT", &at) < 0)
                if (sd_device_get_parent(d, &d) < 0)
                        break;
        return strcmp(at && *at ? at : SEAT_DEFAULT, seat) == 0;
}

int key_nodes_open(const char *seat, int ret_fds[HELPER_FDS_MAX], size_t *ret_n) {
        _cleanup_(enumerator_unref_p) sd_device_enumerator *e = NULL;
        size_t n = 0;
        int r;

        r = sd_device_enumerator_new(&e);
        if (r >= 0)
                r = sd_device_enumerator_add_match_subsystem(e, "hidraw", true);
        if (r >= 0)
                r = sd_device_enumerator_add_match_property(e, "ID_FIDO_TOKEN", "1");
        if (r < 0)
                return r;
        for (sd_device *d = sd_device_enumerator_get_device_first(e); d && n < HELPER_FDS_MAX;
                d = sd_device_enumerator_get_device_next(e)) {
                int fd;

                if (!is_at(d, seat))
                        continue;
                fd = sd_device_open(d, O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
                if (fd >= 0)
                        ret_fds[n++] = fd;
        }
        *ret_n = n;
        return 0;
}

void key_nodes_close(int fds[HELPER_FDS_MAX], size_t *n) {
        while (*n > 0)
                close(fds[--*n]);
}
