/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <json-c/json.h>

#include "login/password.h"

/* How passwords stand, for `keishictl status`, `check` and `audit`; nothing of the passwords themselves. */

/* Of one account: state ("unknown", "fine", "warn", "due"), and as far as they are known changed_usec, source, due_usec
 * and, when it is due, reason ("max-age", "member-left"). 0, or as the registry. */
int password_report_account(
        Registry *registry, const Config *config, const User *user, uint64_t now_usec, json_object **ret);

/* Of all: the settings, how many passwords are known, older than MaxDays= and of shared IDs that somebody left, how
 * many are compared by fingerprint, and secret ("none" yet, "right", "lost", "unreadable"). 0, or as the registry. */
int password_report_all(Passwords *p, const Config *config, Registry *registry, uint64_t now_usec, json_object **ret);
