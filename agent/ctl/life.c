/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "ctl/ctl.h"
#include "ctl/table.h"
#include "registry/registry.h"
#include "util/json.h"

/* keishictl terminal enrol and retire: the life of this terminal. */

static const OptionSpec options[] = {
        { "reason", N_("TEXT"), N_("why (recorded)") },
        {},
};

static ExitCode need_reason(const Ctl *ctl, const Args *args) {
        const char *reason = args_get(args, "reason");

        return reason && *reason ? CTL_DONE : ctl_error(ctl, CTL_USAGE, "%s", _("say why with --reason"));
}

static ExitCode enrol(Ctl *ctl, const Verb *verb, const Args *args) {
        _cleanup_json_ json_object *identity = NULL;
        const char *epoch;
        ExitCode code;

        code = need_reason(ctl, args);
        if (code == CTL_DONE)
                code = client_call_json(ctl, &identity, "Enrol", "ss",
                        args->n_positional > 0 ? args->positional[0] : "", args_get(args, "reason"));
        if (code != CTL_DONE)
                return code;
        if (ctl->json)
                return ctl_print_json(ctl, identity);
        epoch = json_string(identity, "epoch");
        (void)printf(_("this machine is enrolled; epoch %s of the trail has begun\n"), epoch ? epoch : "?");
        return CTL_DONE;
}

static ExitCode retire(Ctl *ctl, const Verb *verb, const Args *args) {
        _cleanup_json_ json_object *result = NULL;
        _cleanup_free_ char *name = NULL;
        bool this;
        ExitCode code;

        code = need_reason(ctl, args);
        if (code == CTL_DONE)
                code = client_call_json(
                        ctl, &result, "RetireTerminal", "ss", args->positional[0], args_get(args, "reason"));
        if (code != CTL_DONE)
                return code;
        if (ctl->json)
                return ctl_print_json(ctl, result);
        name = text_safe(args->positional[0]);
        this = json_boolean(result, "this");
        (void)printf(_("%s is retired\n"), name ? name : "");
        if (!this) {
                (void)puts(_("what is to do: change or remove the scopes and designations that name it"));
                return CTL_DONE;
        }
        (void)puts(json_boolean(result, "key_erased")
                           ? _("its key is erased; from now on nobody but a system manager or system owner gets in")
                           : _("from now on nobody but a system manager or system owner gets in; its key could not be "
                               "erased, which is tried again at the next start"));
        (void)puts(_("what is to do: see that the trail has left (keishictl status), back up the directory (keishictl "
                     "backup), change or remove the scopes and designations that name it, erase the disk"));
        (void)puts(_("to take it back: keishictl terminal enrol"));
        return CTL_DONE;
}

const Verb life_verbs[] = {
        { "terminal", "enrol", N_("[NAME]"), N_("say that this machine is the terminal, in a new epoch of the trail"),
                0, 1, options, enrol, _NOUN_INVALID },
        { "terminal", "retire", N_("NAME"), N_("take a terminal out of use for good"), 1, 1, options, retire,
                _NOUN_INVALID },
        {},
};
