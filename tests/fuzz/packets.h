/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/socket.h>
#include <unistd.h>

#include "fuzz.h"

/* An input as packets of a SOCK_SEQPACKET socket: two bytes of length (little endian, cut to what is left), then so
 * many bytes. */

#define PACKETS_MAX 32u

/* Calls fn for each packet. */
static inline void packets_each(
        const uint8_t *data, size_t size, void (*fn)(const uint8_t *packet, size_t n, void *userdata), void *userdata) {
        for (unsigned i = 0; i < PACKETS_MAX && size >= 2; i++) {
                size_t n = (size_t)data[0] | (size_t)data[1] << 8;

                data += 2, size -= 2;
                if (n > size)
                        n = size;
                if (n > 0)
                        fn(data, n, userdata);
                data += n, size -= n;
        }
}

static inline void packet_send(const uint8_t *packet, size_t n, void *userdata) {
        (void)!send(*(int *)userdata, packet, n, MSG_DONTWAIT | MSG_NOSIGNAL);
}
