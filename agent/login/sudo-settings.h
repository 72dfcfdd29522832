/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>

/* Whether sudo writes about each command in the form that keishi-admin reads, by the Defaults of sudoers as
 * cvtsudoers(1) tells them in JSON. */

#define SUDO_FINDINGS_MAX 16u

typedef struct SudoFinding {
        char text[160]; /* "!log_allowed for [{"username":"taro"}]" */
} SudoFinding;

typedef struct SudoFindings {
        SudoFinding items[SUDO_FINDINGS_MAX];
        size_t n; /* found; beyond SUDO_FINDINGS_MAX only counted */
} SudoFindings;

/* Adds what is wrong to `ret`. -EBADMSG: the text is no such JSON. */
int sudo_settings_look(json_object *sudoers, SudoFindings *ret);

/* Adds a line of /etc/sudo.conf when it loads another plugin than sudo's own for sudoers: sudo.conf(5). */
void sudo_settings_look_conf(const char *conf, SudoFindings *ret);
