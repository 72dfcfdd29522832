/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "ctl/credential.h"
#include "ctl/ctl.h"
#include "factor/factor-wire.h"
#include "util/json.h"
#include "util/secret.h"

/* keishictl biometric register, re-register: a key and a finger. */

#define BAR_WIDTH 20u

const OptionSpec biometric_options[] = {
        { "label", N_("TEXT"), N_("what is written on it, for instance") },
        { "until", N_("TIME"), N_("not after, e.g. 2027-03-31") },
        { "unattested", N_("TEXT"), N_("take a key that no manufacturer stands behind, and why (recorded)") },
        {},
};

static const char *hint_text(unsigned sample) {
        static const char *const texts[_SAMPLE_MAX] = {
                [SAMPLE_GOOD] = N_("good"),
                [SAMPLE_TOO_HIGH] = N_("too high; put the finger lower"),
                [SAMPLE_TOO_LOW] = N_("too low; put the finger higher"),
                [SAMPLE_TOO_LEFT] = N_("too far left; put the finger more to the right"),
                [SAMPLE_TOO_RIGHT] = N_("too far right; put the finger more to the left"),
                [SAMPLE_TOO_FAST] = N_("too fast"),
                [SAMPLE_TOO_SLOW] = N_("too slow"),
                [SAMPLE_POOR] = N_("poor; dry or clean the finger"),
                [SAMPLE_TOO_SKEWED] = N_("too skewed; put the finger straight"),
                [SAMPLE_TOO_SHORT] = N_("too short; leave the finger longer"),
                [SAMPLE_MERGE_FAILURE] = N_("does not fit the ones before; the same finger again"),
                [SAMPLE_EXISTS] = N_("this finger is registered already"),
                [SAMPLE_NO_TOUCH] = N_("no finger"),
                [SAMPLE_NO_TRANSITION] = N_("lift the finger in between"),
        };

        return sample < _SAMPLE_MAX && texts[sample] ? _(texts[sample]) : "";
}

typedef struct Progress {
        unsigned total; /* samples; 0: not known yet */
        bool shown;
} Progress;

static void show_bar(Progress *p, unsigned sample, unsigned remaining) {
        unsigned done, filled;

        if (remaining > p->total && remaining < 256)
                p->total = remaining;
        done = p->total >= remaining ? p->total - remaining : 0;
        filled = p->total > 0 ? BAR_WIDTH * done / p->total : 0;
        fprintf(stderr, "  [");
        for (unsigned i = 0; i < BAR_WIDTH; i++)
                fputc(i < filled ? '#' : '.', stderr);
        fprintf(stderr, "] %u/%u %s\n", done, p->total, hint_text(sample));
}

static int on_progress(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        uint32_t sample, remaining;
        Progress *p = userdata;
        const char *step;

        if (!p->shown || sd_bus_message_read(m, "suu", &step, &sample, &remaining) < 0)
                return 0;
        if (strcmp(step, "sample") == 0)
                show_bar(p, sample, remaining);
        else if (strcmp(step, "enroll") == 0)
                fprintf(stderr, "%s\n", _("Put the finger on the key, again and again."));
        else if (strcmp(step, "touch") == 0)
                fprintf(stderr, "%s\n", _("Touch the key once more."));
        return 0;
}

/* The one key that can be registered. */
static ExitCode find_key(Ctl *ctl, json_object **ret) {
        _cleanup_json_ json_object *found = NULL;
        json_object *keys, *one = NULL;
        size_t n = 0;
        ExitCode code;

        code = client_call_json(ctl, &found, "KeyLook", "");
        if (code != CTL_DONE)
                return code;
        if (!json_object_object_get_ex(found, "keys", &keys))
                return ctl_error(ctl, CTL_FAILED, "%s", _("keishid's answer cannot be read"));
        for (size_t i = 0; i < json_object_array_length(keys); i++) {
                json_object *key = json_object_array_get_idx(keys, i);

                if (!json_boolean(key, "biometric"))
                        continue;
                one = key;
                n++;
        }
        if (n == 0)
                return ctl_error_named(ctl, CTL_NOT_FOUND, "no-key", "%s",
                        json_object_array_length(keys) == 0
                                ? _("no key is plugged in")
                                : _("the key that is plugged in has no fingerprint reader, or does not say so"));
        if (n > 1)
                return ctl_error_named(ctl, CTL_NOT_FOUND, "several-keys", "%s",
                        _("there are several keys; leave only one plugged in"));
        if (!json_boolean(one, "pin"))
                return ctl_error_named(ctl, CTL_INVALID, "no-pin", "%s",
                        _("the key has no PIN yet; its holder sets one first (fido2-token -S)"));
        *ret = json_object_get(one);
        return CTL_DONE;
}

/* One line without echo, or of standard input where that is no terminal. */
static ExitCode read_pin(const Ctl *ctl, json_object *key, Secret *ret) {
        struct termios before, quiet;
        bool terminal = tcgetattr(STDIN_FILENO, &before) == 0;
        json_object *tries;
        ssize_t n;

        if (terminal) {
                quiet = before;
                quiet.c_lflag &= ~(tcflag_t)ECHO;
                (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
                if (json_object_object_get_ex(key, "pin_tries", &tries))
                        fprintf(stderr, _("PIN of the key, typed by its holder (tries left: %d): "),
                                json_object_get_int(tries));
                else
                        fprintf(stderr, "%s", _("PIN of the key, typed by its holder: "));
        }
        n = read(STDIN_FILENO, ret->bytes, sizeof(ret->bytes) - 1);
        if (terminal) {
                (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
                fputc('\n', stderr);
        }
        if (n <= 0)
                return ctl_error(ctl, CTL_USAGE, "%s", _("no PIN was typed"));
        ret->size = strcspn(ret->bytes, "\n") < (size_t)n ? strcspn(ret->bytes, "\n") : (size_t)n;
        ret->bytes[ret->size] = '\0';
        if (ret->size == 0)
                return ctl_error(ctl, CTL_USAGE, "%s", _("no PIN was typed"));
        return CTL_DONE;
}

static const char *make_document(
        const Args *args, json_object *key, const Secret *pin, bool again, json_object *document) {
        if (json_set_string(document, "user", args->positional[0]) < 0 ||
                json_set_string(document, "device", json_string(key, "device")) < 0 ||
                json_set_string(document, "pin", pin->bytes) < 0 ||
                json_set_string(document, "label", args_get(args, "label")) < 0 ||
                json_set_string(document, "until", args_get(args, "until")) < 0 ||
                json_set_string(document, "unattested", args_get(args, "unattested")) < 0 ||
                (again && json_set_boolean(document, "again", true) < 0))
                return NULL;
        return json_text(document);
}

ExitCode biometric_register(Ctl *ctl, const Verb *verb, const Args *args) {
        _cleanup_json_ json_object *key = NULL, *document = json_object_new_object(), *row = NULL;
        bool again = strcmp(verb->verb, "re-register") == 0;
        _cleanup_(secret_done) Secret pin = {};
        Progress progress = { .shown = !ctl->json };
        const char *text;
        ExitCode code;

        code = find_key(ctl, &key);
        if (code == CTL_DONE)
                code = read_pin(ctl, key, &pin);
        if (code != CTL_DONE)
                return code;
        text = document ? make_document(args, key, &pin, again, document) : NULL;
        if (!text)
                return ctl_oom(ctl);
        code = client_call_followed(ctl, &row, "KeyRegister", text, "KeyProgress", on_progress, &progress);
        explicit_bzero((char *)text, strlen(text)); /* json-c's own copy */
        if (code != CTL_DONE)
                return code;
        if (ctl->json)
                return ctl_print_json(ctl, row);
        (void)puts(_("The key and the finger are registered."));
        credential_show_row(row);
        return CTL_DONE;
}
