/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "fuzz.h"
#include "login/admin-parse.h"
#include "util/text.h"

/* What sudo and pkexec write. Whatever the bytes: each field ends, the command's safe form is not longer than the
 * trail's field (so that the count of what was cut is never cut off itself), and a line is read in one way. */

static void check(const AdminCommand *c) {
        char *safe;

        require(c->kind < _ADMIN_KIND_MAX && c->source < _ADMIN_SOURCE_MAX && c->exit_status >= -1);
        require(memchr(c->user, '\0', sizeof(c->user)) && memchr(c->target, '\0', sizeof(c->target)));
        require(memchr(c->group, '\0', sizeof(c->group)) && memchr(c->tty, '\0', sizeof(c->tty)));
        require(memchr(c->cwd, '\0', sizeof(c->cwd)) && memchr(c->signal, '\0', sizeof(c->signal)));
        require(memchr(c->reason, '\0', sizeof(c->reason)) && memchr(c->id, '\0', sizeof(c->id)));
        require(memchr(c->command, '\0', sizeof(c->command)));
        if (c->kind == ADMIN_UNPARSED)
                require(!*c->user && !*c->command);
        if (c->kind == ADMIN_ACCEPTED || c->kind == ADMIN_REFUSED)
                require(*c->user && *c->command);
        safe = text_escape(c->command, strlen(c->command), 4 * sizeof(c->command));
        require(safe && strlen(safe) <= ADMIN_COMMAND_MAX);
        free(safe);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static AdminCommand c, again;
        int r;

        r = admin_parse_sudo((const char *)data, size, &c);
        require(r == 0 || r == -ENOMSG);
        if (r == 0) {
                check(&c);
                require(c.source == ADMIN_SUDO && admin_parse_sudo((const char *)data, size, &again) == 0 &&
                        memcmp(&c, &again, sizeof(c)) == 0);
        }
        r = admin_parse_pkexec((const char *)data, size, &c);
        require(r == 0 || r == -ENOMSG);
        if (r == 0) {
                check(&c);
                require(c.source == ADMIN_PKEXEC && c.kind == ADMIN_ACCEPTED && account_valid(c.user));
        }
        return 0;
}
