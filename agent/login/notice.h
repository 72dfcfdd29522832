/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include "config/config.h"
#include "policy/verdict.h"

/* Telling somebody who is being ended why, on the terminals that they sit at (R4). The agent has no device but its own
 * and waits for nobody: it leaves what is to be said in a file of its own directory and has systemd start
 * keishi-notice@UID.service, which reads it there. Nothing waits for that, and whether it works changes nothing. */

/* Lines "TTY<tab>TEXT", of which keishi-notice takes this much at most. */
#define NOTICE_TEXT_MAX 8192u
#define NOTICE_UNIT     "keishi-notice@%u.service"

typedef enum Notice {
        NOTICE_NONE,     /* no terminal, or the file could not be written */
        NOTICE_STAYS,    /* on virtual terminals, which say it again at the next prompt */
        NOTICE_VANISHES, /* on a pseudoterminal at least, which is gone with the session */
} Notice;

/* Writes what to say on each terminal of the user's that logind knows. `directory` is KEISHI_NOTICE_DIR, perhaps with a
 * root prefix; it is made when it is not there. */
Notice notice_leave(const Config *config, const char *directory, uid_t uid, Reason reason);
