/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/ctl.h"
#include "registry/registry.h"

/* keishictl terminal confirm-clock: an administrator has looked at the clock, and it is right. */

static const OptionSpec options[] = {
        { "reason", N_("TEXT"), N_("how it was checked (recorded)") },
        {},
};

static ExitCode confirm(Ctl *ctl, const Verb *verb, const Args *args) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const char *reason = args_get(args, "reason");
        ExitCode code;

        if (!reason || !*reason)
                return ctl_error(ctl, CTL_USAGE, "%s", _("say how it was checked with --reason"));
        code = client_call(ctl, &reply, "ConfirmClock", "s", reason);
        if (code == CTL_DONE)
                (void)puts(ctl->json ? "{\"confirmed\":true}" : _("the clock is trusted again"));
        return code;
}

const Verb clock_verbs[] = {
        { "terminal", "confirm-clock", NULL, N_("say that the clock is right, after keishi stopped trusting it"), 0, 0,
                options, confirm, _NOUN_INVALID },
        {},
};
