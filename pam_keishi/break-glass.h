/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <security/pam_modules.h>
#include <stdbool.h>

#include "keishi/protocol.h"

/* Law 1, the module's one way past an absent agent: whether this call may be left to the modules after us. All of these
 * must hold: root's own /etc/keishi/break-glass names the account; the account is a local one; the service is login or
 * a display manager; the caller is root; its controlling terminal is a virtual terminal of seat0, as the kernel says;
 * PAM_RHOST is empty; and the use could be written durably to the spool. */
bool break_glass_allowed(pam_handle_t *pamh, Stage stage, const char *root);
