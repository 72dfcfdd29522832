/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <fido.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "factor/factor-wire.h"
#include "util/cleanup.h"

/* A FIDO2 key behind a hidraw descriptor that somebody else has opened: libfido2's reports go through here, no path is
 * ever opened. For the worker, and for its fuzzer. */

#define KEY_QUICK_MSEC 1500u  /* for what needs nobody's finger; each key */
#define KEY_TOUCH_MSEC 30000u /* for what does; CTAP keys themselves give up after about as long */

typedef struct KeyDevice KeyDevice;

/* `watched_fd`: what happens there, its end above all, stops the key (CTAPHID_CANCEL) and everything else with
 * FACTOR_CANCELLED; -1: nothing. Both descriptors stay the caller's. FACTOR_OK, and the key has said what it is, within
 * KEY_QUICK_MSEC; else the status and nothing. At most HELPER_FDS_MAX at a time. */
FactorStatus key_open(KeyDevice **ret, int fd, int watched_fd);
KeyDevice *key_close(KeyDevice *d);
DEFINE_CLEANUP(KeyDevice *, key_close)

fido_dev_t *key_fido(KeyDevice *d);
/* Gives what follows so many milliseconds, all of it together. */
void key_set_limit(KeyDevice *d, unsigned msec);
/* What an error of libfido2 (FIDO_ERR_…) means, where it does not depend on what was asked. */
FactorStatus key_status(const KeyDevice *d, int r);
/* Whether the transport has failed: the key is not to be asked any more. */
bool key_has_ended(const KeyDevice *d);
