/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "util/cleanup.h"

/* The PAM stacks of this machine, as libpam reads them (pam.d(5)): files of /etc/pam.d, or of /usr/lib/pam.d when there
 * is none of that name; @include, include and substack followed. */

typedef struct PamLine {
        const char *type;    /* auth, account, session, password */
        const char *control; /* as written */
        const char *module;  /* file name without directory */
        const char *arguments;
        const char *file; /* name of the stack file that the line is in */
} PamLine;

/* Called for each line of a service's stack, in order, included ones too. True ends the reading. Strings live during
 * the call. */
typedef bool (*pam_line_fn)(const PamLine *line, void *userdata);

/* 0, or a negative errno (-ENOENT: there is no such service; -ELOOP: includes nested too deep). */
int pam_stack_read(const char *root, const char *service, pam_line_fn fn, void *userdata);

/* Names of all services, sorted, NULL-terminated, owned by the caller (strings_free()). Leaves out backups of package
 * tools and editors, as libpam would not be asked for them. */
int pam_services(const char *root, char ***ret);
char **strings_free(char **list);
DEFINE_CLEANUP(char **, strings_free)
