/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdarg.h>
#include <string.h>

#include "ctl/ctl.h"
#include "ctl/table.h"
#include "keishi/paths.h"
#include "util/clock.h"
#include "util/json.h"

/* Longer than keishid lets polkit take to ask a person. */
#define CALL_USEC (200 * USEC_PER_SEC)
/* An import that is decided is applied while logins go on, however busy they keep the agent. */
#define WATCHED_USEC (20 * 60 * USEC_PER_SEC)

static const struct {
        const char *error;
        ExitCode code;
        const char *text; /* what happened; the detail follows */
} errors[] = {
        { "org.keishi1.Error.Refused", CTL_REFUSED, N_("refused") },
        { "org.keishi1.Error.NotFound", CTL_NOT_FOUND, N_("not found") },
        { "org.keishi1.Error.Exists", CTL_INVALID, N_("exists already") },
        { "org.keishi1.Error.Invalid", CTL_INVALID, N_("invalid") },
        { "org.keishi1.Error.Outside", CTL_INVALID, N_("outside its scope") },
        { "org.keishi1.Error.InUse", CTL_INVALID, N_("still in use") },
        { "org.keishi1.Error.Conflict", CTL_INVALID, N_("changed meanwhile") },
        { "org.keishi1.Error.Unusable", CTL_UNAVAILABLE, N_("the registry cannot be used") },
        { "org.keishi1.Error.Unavailable", CTL_UNAVAILABLE, N_("not available now") },
        { SD_BUS_ERROR_SERVICE_UNKNOWN, CTL_UNAVAILABLE, N_("keishid is not running") },
        { SD_BUS_ERROR_NAME_HAS_NO_OWNER, CTL_UNAVAILABLE, N_("keishid is not running") },
        { SD_BUS_ERROR_NO_REPLY, CTL_UNAVAILABLE, N_("keishid did not answer") },
        { SD_BUS_ERROR_DISCONNECTED, CTL_UNAVAILABLE, N_("keishid did not answer") },
        { SD_BUS_ERROR_TIMEOUT, CTL_UNAVAILABLE, N_("keishid did not answer") },
        { SD_BUS_ERROR_ACCESS_DENIED, CTL_REFUSED, N_("refused by the bus") },
};

ExitCode client_error_code(const char *name) {
        for (size_t i = 0; i < ELEMENTSOF(errors); i++)
                if (name && strcmp(errors[i].error, name) == 0)
                        return errors[i].code;
        return CTL_FAILED;
}

/* Tells a D-Bus error. The name in --json is the last part of ours in lower case ("not-found"). */
static ExitCode tell(const Ctl *ctl, const sd_bus_error *error) {
        _cleanup_free_ char *detail = NULL;
        const char *text = NULL;
        char name[32] = "";

        if (strncmp(error->name, "org.keishi1.Error.", strlen("org.keishi1.Error.")) == 0) {
                size_t n = 0;

                for (const char *p = error->name + strlen("org.keishi1.Error."); *p && n + 2 < sizeof(name); p++) {
                        bool upper = *p >= 'A' && *p <= 'Z';

                        if (upper && n > 0)
                                name[n++] = '-';
                        name[n++] = upper ? (char)(*p - 'A' + 'a') : *p;
                }
                name[n] = '\0';
        }
        for (size_t i = 0; i < ELEMENTSOF(errors); i++)
                if (strcmp(errors[i].error, error->name) == 0)
                        text = _(errors[i].text);
        detail = text_safe(error->message && *error->message ? gettext(error->message) : error->name);
        if (!detail)
                return ctl_oom(ctl);
        if (!text)
                return ctl_error_named(ctl, client_error_code(error->name), *name ? name : NULL, "%s", detail);
        return ctl_error_named(ctl, client_error_code(error->name), *name ? name : NULL, "%s: %s", text, detail);
}

static int connect_bus(Ctl *ctl) {
        int r;

        if (ctl->bus)
                return 0;
        r = sd_bus_open_system(&ctl->bus);
        if (r < 0)
                return r;
        return sd_bus_set_allow_interactive_authorization(ctl->bus, ctl->ask);
}

int client_agent_runs(Ctl *ctl) {
        int r;

        r = connect_bus(ctl);
        if (r < 0)
                return r;
        r = sd_bus_get_name_creds(ctl->bus, KEISHI_BUS_NAME, 0, NULL);
        return r >= 0 ? 1 : r == -ENXIO || r == -ESRCH ? 0 : r;
}

static ExitCode call(Ctl *ctl, sd_bus_message **ret, const char *method, const char *types, va_list ap) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        int r;

        r = connect_bus(ctl);
        if (r < 0)
                return ctl_error(ctl, CTL_UNAVAILABLE, _("the system bus cannot be reached: %s"), strerror(-r));
        r = sd_bus_message_new_method_call(
                ctl->bus, &m, KEISHI_BUS_NAME, KEISHI_BUS_PATH, KEISHI_BUS_NAME ".Manager", method);
        if (r >= 0 && types)
                r = sd_bus_message_appendv(m, types, ap);
        if (r == -EINVAL)
                return ctl_error(ctl, CTL_USAGE, "%s", _("the arguments are not valid UTF-8"));
        if (r < 0)
                return ctl_error(ctl, CTL_FAILED, "%s", strerror(-r));
        if (strcmp(method, "Status") != 0)
                polkit_agent_open(ctl);
        r = sd_bus_call(ctl->bus, m, CALL_USEC, &error, ret);
        if (r < 0) {
                if (!sd_bus_error_is_set(&error))
                        return ctl_error(ctl, CTL_UNAVAILABLE, "%s", strerror(-r));
                return tell(ctl, &error);
        }
        return CTL_DONE;
}

ExitCode client_call(Ctl *ctl, sd_bus_message **ret, const char *method, const char *types, ...) {
        ExitCode code;
        va_list ap;

        va_start(ap, types);
        code = call(ctl, ret, method, types, ap);
        va_end(ap);
        return code;
}

ExitCode client_call_json(Ctl *ctl, json_object **ret, const char *method, const char *types, ...) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const char *text;
        ExitCode code;
        va_list ap;

        va_start(ap, types);
        code = call(ctl, &reply, method, types, ap);
        va_end(ap);
        if (code != CTL_DONE)
                return code;
        if (sd_bus_message_read(reply, "s", &text) < 0 || !(*ret = json_tokener_parse(text)))
                return ctl_error(ctl, CTL_FAILED, "%s", _("keishid's answer cannot be read"));
        return CTL_DONE;
}

static int on_reply(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        ClientCall *call = userdata;

        call->reply = sd_bus_message_ref(m);
        return 0;
}

ExitCode client_send(Ctl *ctl, ClientCall *c, const char *method, const char *types, ...) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        va_list ap;
        int r;

        *c = (ClientCall){};
        r = connect_bus(ctl);
        if (r >= 0)
                r = sd_bus_message_new_method_call(
                        ctl->bus, &m, KEISHI_BUS_NAME, KEISHI_BUS_PATH, KEISHI_BUS_NAME ".Manager", method);
        if (r >= 0) {
                va_start(ap, types);
                r = sd_bus_message_appendv(m, types, ap);
                va_end(ap);
        }
        if (r >= 0)
                r = sd_bus_call_async(ctl->bus, &c->slot, m, on_reply, c, CALL_USEC);
        if (r >= 0)
                r = sd_bus_flush(ctl->bus);
        return r < 0 ? ctl_error(ctl, CTL_UNAVAILABLE, "%s", strerror(-r)) : CTL_DONE;
}

ExitCode client_wait(Ctl *ctl, ClientCall *c, sd_bus_message **ret) {
        int r = 0;

        while (!c->reply && r >= 0) {
                r = sd_bus_process(ctl->bus, NULL);
                if (r == 0)
                        r = sd_bus_wait(ctl->bus, UINT64_MAX);
        }
        if (!c->reply)
                return ctl_error(ctl, CTL_UNAVAILABLE, "%s", strerror(-r));
        if (sd_bus_message_is_method_error(c->reply, NULL))
                return tell(ctl, sd_bus_message_get_error(c->reply));
        *ret = TAKE_PTR(c->reply);
        return CTL_DONE;
}

void client_call_done(ClientCall *c) {
        c->slot = sd_bus_slot_unref(c->slot);
        c->reply = sd_bus_message_unref(c->reply);
}

/* What is told meanwhile. */
typedef struct Watched {
        client_progress_fn fn;
        void *userdata;
} Watched;

static int on_progress(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Watched *w = userdata;
        uint64_t done, total;

        if (sd_bus_message_read(m, "tt", &done, &total) >= 0)
                w->fn(done, total, w->userdata);
        return 0;
}

ExitCode client_call_followed(Ctl *ctl, json_object **ret, const char *method, const char *secret, const char *signal,
        sd_bus_message_handler_t handler, void *userdata) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
        _cleanup_(sd_bus_slot_unrefp) sd_bus_slot *match = NULL;
        _cleanup_(client_call_done) ClientCall c = {};
        const char *text;
        ExitCode code;
        int r;

        r = connect_bus(ctl);
        if (r >= 0)
                r = sd_bus_match_signal(ctl->bus, &match, KEISHI_BUS_NAME, KEISHI_BUS_PATH, KEISHI_BUS_NAME ".Manager",
                        signal, handler, userdata);
        if (r >= 0)
                r = sd_bus_message_new_method_call(
                        ctl->bus, &m, KEISHI_BUS_NAME, KEISHI_BUS_PATH, KEISHI_BUS_NAME ".Manager", method);
        if (r >= 0)
                r = sd_bus_message_sensitive(m);
        if (r >= 0)
                r = sd_bus_message_append(m, "s", secret);
        if (r >= 0) {
                polkit_agent_open(ctl);
                r = sd_bus_call_async(ctl->bus, &c.slot, m, on_reply, &c, WATCHED_USEC);
        }
        if (r < 0)
                return ctl_error(ctl, CTL_UNAVAILABLE, "%s", strerror(-r));
        code = client_wait(ctl, &c, &reply);
        if (code == CTL_DONE && (sd_bus_message_read(reply, "s", &text) < 0 || !(*ret = json_tokener_parse(text))))
                code = ctl_error(ctl, CTL_FAILED, "%s", _("keishid's answer cannot be read"));
        return code;
}

ExitCode client_call_watched(Ctl *ctl, json_object **ret, const char *method, client_progress_fn fn, void *userdata) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
        _cleanup_(sd_bus_slot_unrefp) sd_bus_slot *match = NULL;
        _cleanup_(client_call_done) ClientCall c = {};
        Watched w = { .fn = fn, .userdata = userdata };
        const char *text;
        ExitCode code;
        int r;

        r = connect_bus(ctl);
        if (r >= 0)
                r = sd_bus_match_signal(ctl->bus, &match, KEISHI_BUS_NAME, KEISHI_BUS_PATH, KEISHI_BUS_NAME ".Manager",
                        "ImportProgress", on_progress, &w);
        if (r >= 0)
                r = sd_bus_message_new_method_call(
                        ctl->bus, &m, KEISHI_BUS_NAME, KEISHI_BUS_PATH, KEISHI_BUS_NAME ".Manager", method);
        if (r >= 0)
                r = sd_bus_call_async(ctl->bus, &c.slot, m, on_reply, &c, WATCHED_USEC);
        if (r < 0)
                return ctl_error(ctl, CTL_UNAVAILABLE, "%s", strerror(-r));
        code = client_wait(ctl, &c, &reply);
        if (code == CTL_DONE && (sd_bus_message_read(reply, "s", &text) < 0 || !(*ret = json_tokener_parse(text))))
                code = ctl_error(ctl, CTL_FAILED, "%s", _("keishid's answer cannot be read"));
        return code;
}

void client_done(Ctl *ctl) {
        ctl->bus = sd_bus_flush_close_unref(ctl->bus);
}
