/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ctl/ctl.h"

/* What `keishictl setup` is told, by a file (setup-file.c) or by answers at the terminal (setup-guide.c). */
typedef struct SetupPlan {
        json_object *document; /* for the agent's method Setup; NULL: only the rest is checked */
        char **break_glass;    /* accounts, NULL-terminated */
        char *try_user;        /* whom to log in for a trial, or NULL */
        char *try_password_file;
} SetupPlan;
void setup_plan_done(SetupPlan *p);

/* Adds a copy to a NULL-terminated list. -ENOMEM. */
int setup_add_account(SetupPlan *p, const char *account);

/* Reads a setup file, keishi-setup(5). -EINVAL and *ret_error ("path:line: what", owned by the caller), or another
 * negative errno. */
int setup_file_read(SetupPlan *ret, const char *path, char **ret_error);

/* Asks for a plan at the terminal. `status` is what Status says: a terminal that is set up is only asked for
 * break-glass accounts. */
ExitCode setup_guide(Ctl *ctl, json_object *status, SetupPlan *ret);
/* Asks for a line at the terminal; `fallback` is shown and taken for an empty answer. -ECANCELED at its end. */
int setup_ask(const char *question, const char *fallback, char **ret);
/* The same without echo. */
int setup_ask_password(const char *question, char **ret);

/* ---- setup-check.c: break-glass accounts ---- */

/* Whether this account could be used when everything else is down: in /etc/passwd, with a shell and a usable password.
 * 0; 1 and *ret_why (English, static, translatable); a negative errno. */
int break_glass_check(const char *root, const char *account, const char **ret_why);
/* Reads /etc/keishi/break-glass as pam_keishi does. -ENOENT. */
int break_glass_read(const char *root, SetupPlan *ret);
/* Writes it, root 0644, complete or not at all. */
int break_glass_write(const char *root, char *const *accounts);

/* Runs a program with an environment of its own, its output on stderr. 0 when it exits with 0, else a negative errno.
 */
int setup_run(char *const *argv);

/* ---- setup-harden.c: what an installed machine can close of what keishi rests on; `undo` opens it again ---- */

ExitCode setup_harden(Ctl *ctl, bool undo);

/* ---- setup-try.c: a login in a stack of our own ---- */

typedef struct TryResult {
        int auth, account; /* what PAM answered */
        char text[512];    /* what the module said last */
} TryResult;
/* Goes through auth and account of a stack that holds nothing but `module`, as the service login. `password` NULL: an
 * empty answer is given. -EIO and others: the stack could not be started. */
int setup_try(const char *root, const char *module, const char *user, const char *password, TryResult *ret);
