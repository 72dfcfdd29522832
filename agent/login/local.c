/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "login/local.h"

#include <string.h>
#include <systemd/sd-login.h>

#include "util/cleanup.h"

bool local_decide(const LocalFacts *f) {
        if (f->remote)
                return false;
        if (f->in_session)
                return f->active_seat && (f->on_vt || !f->user_remote);
        if (f->in_manager)
                return f->user_on_seat && !f->user_remote;
        /* Outside of every session only what runs as root before one is opened: getty's login, and greeters. */
        return f->root && (f->on_vt || (f->greeter && f->console_family));
}

static const char *const greeters[] = { "gdm.service", "gdm3.service", "lightdm.service", "sddm.service",
        "display-manager.service" };

static bool is_greeter(const char *unit) {
        for (size_t i = 0; i < ELEMENTSOF(greeters); i++)
                if (strcmp(unit, greeters[i]) == 0)
                        return true;
        return false;
}

static bool on_active_seat(const char *session) {
        _cleanup_free_ char *seat = NULL;

        return sd_session_get_seat(session, &seat) >= 0 && seat && *seat && sd_session_is_active(session) > 0;
}

static void look_at_user(uid_t uid, LocalFacts *f) {
        char **sessions = NULL;
        int n;

        n = sd_uid_get_sessions(uid, 0, &sessions);
        /* What logind cannot tell is taken for far. */
        if (n < 0)
                f->user_remote = true;
        for (int i = 0; i < n; i++) {
                if (sd_session_is_remote(sessions[i]) != 0)
                        f->user_remote = true;
                else if (on_active_seat(sessions[i]))
                        f->user_on_seat = true;
                free(sessions[i]);
        }
        free(sessions);
}

bool local_proved(const Peer *peer, const Service *service, bool remote) {
        _cleanup_free_ char *unit = NULL;
        LocalFacts f = {
                .remote = remote || peer->remote,
                .root = peer->uid == 0,
                .on_vt = peer->vt > 0,
                .in_session = peer->session != NULL,
                .console_family = service && service->family == FAMILY_CONSOLE,
        };
        uid_t uid;

        if (f.remote)
                return false;
        if (f.in_session) {
                f.active_seat = on_active_seat(peer->session);
                if (sd_session_get_uid(peer->session, &uid) >= 0)
                        look_at_user(uid, &f);
                else
                        f.user_remote = true;
        } else if (sd_pid_get_unit(peer->process.pid, &unit) >= 0 && unit) {
                f.greeter = is_greeter(unit);
                f.in_manager = strncmp(unit, "user@", strlen("user@")) == 0;
                if (f.in_manager && sd_pid_get_owner_uid(peer->process.pid, &uid) >= 0)
                        look_at_user(uid, &f);
        }
        return local_decide(&f);
}
