/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <string.h>

#include "ctl/ctl.h"
#include "registry/registry.h"
#include "util/json.h"

/* keishictl terminal accept-drift: an administrator has looked at what changed in the configuration, and it is meant to
 * be so. What is accepted is what status told just now; the agent refuses when it is no longer that. */

static const OptionSpec options[] = {
        { "reason", N_("TEXT"), N_("why it changed (recorded)") },
        {},
};

static ExitCode accept_drift(Ctl *ctl, const Verb *verb, const Args *args) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_json_ json_object *status = NULL, *result = NULL;
        const char *reason = args_get(args, "reason"), *state;
        json_object *configuration;
        ExitCode code;
        uint32_t n;

        if (!reason || !*reason)
                return ctl_error(ctl, CTL_USAGE, "%s", _("say why it changed with --reason"));
        code = client_call_json(ctl, &status, "Status", NULL);
        if (code != CTL_DONE)
                return code;
        state = json_object_object_get_ex(status, "configuration", &configuration) ? json_string(configuration, "state")
                                                                                   : NULL;
        if (!state)
                return ctl_error(ctl, CTL_FAILED, "%s", _("the agent does not tell the state of the configuration"));
        code = client_call(ctl, &reply, "AcceptDrift", "ss", state, reason);
        if (code != CTL_DONE)
                return code;
        if (sd_bus_message_read(reply, "u", &n) < 0)
                return ctl_error(ctl, CTL_FAILED, "%s", _("the agent's answer cannot be read"));
        if (!ctl->json) {
                (void)printf(_("the configuration is accepted as it is; files that had changed: %" PRIu32 "\n"), n);
                return CTL_DONE;
        }
        result = json_object_new_object();
        if (!result || json_set_uint(result, "accepted", n) < 0)
                return ctl_oom(ctl);
        return ctl_print_json(ctl, result);
}

const Verb drift_verbs[] = {
        { "terminal", "accept-drift", NULL, N_("accept the configuration as it is, after a change"), 0, 0, options,
                accept_drift, _NOUN_INVALID },
        {},
};
