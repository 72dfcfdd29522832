/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>

#include "factor/helper.h"

/* The FIDO keys that are plugged in: hidraw nodes whose report descriptor has the usage page of the FIDO Alliance
 * (0xF1D0; CTAP 2.1, 11.2.8.1). Opened here, as the worker has no way to any device but the descriptors that it is
 * passed. */

#define KEY_NAME_MAX 16u

typedef struct KeyDevices {
        int fds[HELPER_FDS_MAX];
        char names[HELPER_FDS_MAX][KEY_NAME_MAX]; /* "hidraw3", in alphabetical order */
        size_t n;
} KeyDevices;

void key_devices_done(KeyDevices *d);
/* What is plugged in below the prefix `root`; fds are -1 unless they are opened. What cannot be opened is left out. 0
 * or a negative errno. */
int key_devices_list(KeyDevices *ret, const char *root, bool open_them);
bool key_devices_same(const KeyDevices *a, const KeyDevices *b);
