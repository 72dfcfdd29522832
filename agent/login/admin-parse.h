/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* What sudo and pkexec write into the system log about the commands that they run. Foreign bytes: the arguments are
 * whatever a user typed. Read in keishi-admin, and handed to keishid as records of fixed size. */

#define ADMIN_COMMAND_MAX 4096u

typedef enum AdminKind {
        ADMIN_ACCEPTED, /* the command was run */
        ADMIN_REFUSED,
        ADMIN_ALERT,    /* sudo's warning, for instance of a sudoers that it cannot read */
        ADMIN_EXITED,   /* a command came to its end (Defaults log_exit_status) */
        ADMIN_UNPARSED, /* about a command, in another form than the one that is asked for; `reason` has its text */
        _ADMIN_KIND_MAX,
} AdminKind;

typedef enum AdminSource {
        ADMIN_SUDO,
        ADMIN_PKEXEC,
        _ADMIN_SOURCE_MAX,
} AdminSource;

/* Strings end with NUL and hold what was logged, any other byte; they are made safe when they are recorded. An empty
 * one is not there. */
typedef struct AdminCommand {
        uint32_t kind, source;
        int32_t exit_status; /* -1: none */
        uint32_t reserved;
        char user[256];   /* who called, as the program says */
        char target[256]; /* as whom it was run */
        char group[256];  /* as which group, when one was asked for */
        char tty[64];     /* without /dev/ */
        char cwd[1024];
        char signal[32];
        char reason[1024];
        char id[40];                     /* sudo's number for it, the same when it comes to its end */
        char command[ADMIN_COMMAND_MAX]; /* quoted for a shell where needed; such that its safe form is not longer than
                                            this */
} AdminCommand;

/* MESSAGE of an entry by sudo with `Defaults log_format=json` (sudoers(5), EVENT LOGGING; RFC 8259): "@cee:" and an
 * object of one event. 0; -ENOMSG: not about a command (PAM modules write under sudo's name, too); never fails
 * otherwise: what cannot be read becomes ADMIN_UNPARSED. `size` is at most ADMIN_MESSAGE_MAX, what is longer is
 * ADMIN_UNPARSED. */
#define ADMIN_MESSAGE_MAX (1024u * 1024u)
int admin_parse_sudo(const char *message, size_t size, AdminCommand *ret);

/* MESSAGE of an entry by pkexec(1): "USER: Executing command [USER=…] [TTY=…] [CWD=…] [COMMAND=…]". -ENOMSG for all
 * others. */
int admin_parse_pkexec(const char *message, size_t size, AdminCommand *ret);
