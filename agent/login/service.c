/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "login/service.h"

#include <string.h>

static const Service services[] = {
        /* A person in front, who starts a session. Autologin services have no row on purpose. */
        { "login", FAMILY_CONSOLE, .needs_auth = true, .own_session = true, .changes_password = true },
        { "gdm-password", FAMILY_CONSOLE, .needs_auth = true, .patient = true, .own_session = true,
                .changes_password = true },
        { "lightdm", FAMILY_CONSOLE, .needs_auth = true, .patient = true, .hides_errors = true, .own_session = true,
                .changes_password = true },
        { "sddm", FAMILY_CONSOLE, .needs_auth = true, .patient = true, .own_session = true, .changes_password = true },

        /* The greeters' own accounts. */
        { "gdm-launch-environment", FAMILY_GREETER },
        { "lightdm-greeter", FAMILY_GREETER },
        { "sddm-greeter", FAMILY_GREETER },

        /* The person of an open session is still there. These run as the person, and most call nothing but auth. */
        { "swaylock", FAMILY_LOCKER, .needs_auth = true, .any_caller = true, .one_text = true },
        { "i3lock", FAMILY_LOCKER, .needs_auth = true, .any_caller = true, .one_text = true },
        { "xscreensaver", FAMILY_LOCKER, .needs_auth = true, .any_caller = true, .one_text = true },
        { "xfce4-screensaver", FAMILY_LOCKER, .needs_auth = true, .any_caller = true, .one_text = true },
        { "vlock", FAMILY_LOCKER, .needs_auth = true, .any_caller = true },

        /* An actor acts as a target. su asks for the target's password, sudo for the actor's; both are checked. */
        { "su", FAMILY_ADMIN, .actor_is_caller = true, .needs_auth = true, .root_free = true, .own_session = true,
                .changes_password = true },
        { "su-l", FAMILY_ADMIN, .actor_is_caller = true, .needs_auth = true, .root_free = true, .own_session = true,
                .changes_password = true },
        { "sudo", FAMILY_ADMIN, .actor_is_caller = true, .actor_is_ruser = true, .needs_auth = true, .root_free = true,
                .tells_command = true, .own_session = true },
        { "sudo-i", FAMILY_ADMIN, .actor_is_caller = true, .actor_is_ruser = true, .needs_auth = true,
                .root_free = true, .tells_command = true, .own_session = true },
        { "polkit-1", FAMILY_ADMIN, .actor_is_caller = true, .needs_auth = true, .self_is_proof = true,
                .by_agent = true, .tells_command = true, .own_session = true },

        /* From another machine. sshd with a key has no auth stage and is refused; with passwords the auth stage runs in
           sshd's monitor or in a child of it. */
        { "sshd", FAMILY_REMOTE, .needs_auth = true, .own_session = true, .changes_password = true },
        { "cockpit", FAMILY_REMOTE, .needs_auth = true, .own_session = true, .changes_password = true },

        /* Nobody in front; root alone may ask. */
        { "cron", FAMILY_UNATTENDED },
        { "atd", FAMILY_UNATTENDED },
        { "systemd-user", FAMILY_UNATTENDED },
        { "runuser", FAMILY_UNATTENDED },
        { "runuser-l", FAMILY_UNATTENDED },

        /* A person changes something of their own. */
        { "passwd", FAMILY_SELF, .actor_is_caller = true, .needs_auth = true, .root_free = true, .root_changes = true },
        { "chfn", FAMILY_SELF, .actor_is_caller = true, .needs_auth = true, .root_free = true, .root_changes = true },
        { "chsh", FAMILY_SELF, .actor_is_caller = true, .needs_auth = true, .root_free = true, .root_changes = true },

        /* root changes passwords of others, by list. */
        { "chpasswd", FAMILY_UNATTENDED, .root_changes = true, .batch = true },
        { "newusers", FAMILY_UNATTENDED, .root_changes = true, .batch = true },
        {},
};

const Service *service_find(const char *name) {
        for (const Service *s = services; s->name; s++)
                if (strcmp(s->name, name) == 0)
                        return s;
        return NULL;
}

const Service *service_table(void) {
        return services;
}
