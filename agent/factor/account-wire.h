/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>

#include "factor/lookup.h"

/* Takes a reply of keishi-lookup apart (lookup-wire.h). 0 and *ret with one reference; LOOKUP_E_UNKNOWN; -EPROTO;
 * -ENOMEM. */
int account_parse(Account **ret, const char *reply, size_t size);
