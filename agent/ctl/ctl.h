/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-bus.h>

#include "ctl/option.h"
#include "util/cleanup.h"
#include "util/i18n.h"

/* keishictl: noun, then verb. A noun is a file with a table of verbs; the tables are gathered in keishictl.c. */

/* Documented in keishictl(1). */
typedef enum ExitCode {
        CTL_DONE = 0,        /* also: `check` says granted */
        CTL_FAILED = 1,      /* anything not named below */
        CTL_USAGE = 2,       /* the command line is wrong */
        CTL_REFUSED = 3,     /* not allowed; also: `check` says refused */
        CTL_NOT_FOUND = 4,   /* no such row */
        CTL_UNAVAILABLE = 5, /* no agent, no bus, or the registry cannot be used */
        CTL_INVALID = 6,     /* malformed, exists already, in use, outside its scope, changed meanwhile */
} ExitCode;

typedef struct Ctl {
        bool json;        /* machine-readable results and errors */
        bool ask;         /* polkit may ask the person */
        const char *root; /* prefix of files, for tests; NULL */
        sd_bus *bus;
        pid_t polkit_agent; /* pkttyagent that we started, or 0 */
} Ctl;

typedef struct Verb Verb;
struct Verb {
        const char *noun;      /* NULL ends a table */
        const char *verb;      /* NULL: the noun is the command ("status") */
        const char *arguments; /* N_("USER"): positional, as shown in the help */
        const char *help;      /* N_() */
        size_t n_min, n_max;   /* positional arguments */
        const OptionSpec *options;
        ExitCode (*run)(Ctl *ctl, const Verb *verb, const Args *args);
        int noun_id; /* NounId of a verb about rows, whose options are then the fields of the noun as well; else
                        _NOUN_INVALID */
};

extern const Verb setup_verbs[], status_verbs[], audit_verbs[], check_verbs[], row_verbs[], staff_verbs[],
        access_verbs[], attempt_verbs[], trail_verbs[], clock_verbs[], import_verbs[], export_verbs[], drift_verbs[],
        life_verbs[], backup_verbs[], restore_verbs[], credential_verbs[];

/* Says on stderr what went wrong ("keishictl: TEXT", with --json {"error":NAME,"message":TEXT}) and returns `code`. The
 * name goes with the code, unless given. */
ExitCode ctl_error(const Ctl *ctl, ExitCode code, const char *format, ...) _printf_(3, 4);
ExitCode ctl_error_named(const Ctl *ctl, ExitCode code, const char *name, const char *format, ...) _printf_(4, 5);
static inline ExitCode ctl_oom(const Ctl *ctl) {
        return ctl_error(ctl, CTL_FAILED, "%s", _("out of memory"));
}
/* Prints a JSON value on one line of stdout. */
ExitCode ctl_print_json(const Ctl *ctl, json_object *o);

/* In how many of common-auth, common-account and common-session pam_keishi stands: it is active with all of them,
 * PROFILE_STAGES, and not at all with none (status.c). */
#define PROFILE_STAGES 3u
unsigned status_profile_stages(const char *root);
/* Whether it stands in common-password. */
bool status_judges_passwords(const char *root);

/* client.c */

/* Calls a method of org.keishi1.Manager, connecting first when needed. `types` and what follows are as for
 * sd_bus_message_append(). Errors are told; CTL_DONE and *ret otherwise. */
ExitCode client_call(Ctl *ctl, sd_bus_message **ret, const char *method, const char *types, ...);
/* The same for a method that answers with one JSON text. */
ExitCode client_call_json(Ctl *ctl, json_object **ret, const char *method, const char *types, ...);
/* The same in two halves, so that the agent works on the answer meanwhile. One at a time. */
typedef struct ClientCall {
        sd_bus_slot *slot;
        sd_bus_message *reply;
} ClientCall;
ExitCode client_send(Ctl *ctl, ClientCall *call, const char *method, const char *types, ...);
ExitCode client_wait(Ctl *ctl, ClientCall *call, sd_bus_message **ret);
void client_call_done(ClientCall *call);
/* As client_call_json(), without arguments; fn is called meanwhile with what the signal ImportProgress tells. */
typedef void (*client_progress_fn)(uint64_t done, uint64_t total, void *userdata);
ExitCode client_call_watched(Ctl *ctl, json_object **ret, const char *method, client_progress_fn fn, void *userdata);
/* As client_call_json(), with one text that is a secret to be wiped from memory; `signal`, sent to us meanwhile, is
 * handed to `handler`. */
ExitCode client_call_followed(Ctl *ctl, json_object **ret, const char *method, const char *secret, const char *signal,
        sd_bus_message_handler_t handler, void *userdata);
/* Whether org.keishi1 has an owner on the bus: 1, 0, or a negative errno when there is no bus. */
int client_agent_runs(Ctl *ctl);
void client_done(Ctl *ctl);
/* The exit code that goes with a D-Bus error name. */
ExitCode client_error_code(const char *name);

/* polkit-agent.c */

/* Starts polkit's text agent for this process, when there is a terminal to ask at and no other agent. */
void polkit_agent_open(Ctl *ctl);
void polkit_agent_close(Ctl *ctl);
