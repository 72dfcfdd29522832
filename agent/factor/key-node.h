/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>

#include "factor/helper.h"

/* Opens the hidraw nodes of the FIDO keys at a seat, for the worker: those that udev has recognised (ID_FIDO_TOKEN, by
 * its fido_id), so that keishid reads no report descriptor itself; of a device without a seat of its own, seat0. In the
 * order of their names, at most HELPER_FDS_MAX. One that cannot be opened, has just left above all, is left out. The
 * caller closes them. -errno when udev's database cannot be read. */
int key_nodes_open(const char *seat, int ret_fds[HELPER_FDS_MAX], size_t *ret_n);
/* Closes them and forgets them. */
void key_nodes_close(int fds[HELPER_FDS_MAX], size_t *n);
