/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <security/pam_modules.h>
#include <stdbool.h>
#include <stddef.h>

#include "keishi/protocol.h"

/* One PAM call carried to keishid and back. `root` is the prefix of all paths. Returns a PAM code other than
 * PAM_IGNORE. *ret_absent is set when there was no agent to decide: the socket refused, it never answered, or it said
 * that it cannot decide; *ret_heard when it said anything, and so has told the person why. */
int relay_call(pam_handle_t *pamh, Stage stage, int flags, const char *root, bool *ret_absent, bool *ret_heard);

/* Shows a text through the application, unless it asked for silence. */
void relay_show(pam_handle_t *pamh, int flags, int style, const char *text, size_t size);
