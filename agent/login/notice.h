/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>
#include <systemd/sd-bus.h>

#include "config/config.h"
#include "policy/verdict.h"

/* Telling somebody who is being ended why, on the terminals that they sit at (R4). The agent has no device but its own
 * and waits for nobody: it leaves what is to be said in a file of its own directory and has systemd start
 * keishi-notice@UID.service, which reads it there. Nothing waits for that, and whether it works changes nothing. */

/* Lines "TTY<tab>TEXT", of which keishi-notice takes this much at most. */
#define NOTICE_TEXT_MAX 8192u

/* Has the user told, on each terminal of theirs that logind knows. Whether a moment to read is worth while: one of them
 * is a pseudoterminal, which is gone with the session; a virtual terminal says it again at its next prompt. `directory`
 * is KEISHI_NOTICE_DIR, perhaps with a root prefix; it is made when it is not there. */
bool notice_send(sd_bus *bus, const Config *config, const char *directory, uid_t uid, Reason reason);
