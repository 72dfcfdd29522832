/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl/credential.h"
#include "ctl/ctl.h"
#include "ctl/moment.h"
#include "ctl/row.h"
#include "ctl/table.h"
#include "registry/credential.h"
#include "util/json.h"
#include "util/text.h"

/* keishictl card, biometric, substitute: enrolment of cards and keys, loss and return. */

#define WAIT_SEC 60u

static const OptionSpec register_options[] = {
        { "label", N_("TEXT"), N_("what is written on it, for instance") },
        { "until", N_("TIME"), N_("not after, e.g. 2027-03-31") },
        { "wait", N_("SECONDS"), N_("how long to wait for a card (60)") },
        {},
};

static const OptionSpec substitute_options[] = {
        { "label", N_("TEXT"), N_("what is written on it, for instance") },
        { "wait", N_("SECONDS"), N_("how long to wait for a card (60)") },
        {},
};

static const OptionSpec reason_options[] = {
        { "reason", N_("TEXT"), N_("why (recorded)") },
        {},
};

static const OptionSpec list_options[] = {
        { "user", N_("USER"), N_("of this user") },
        { "all", NULL, N_("returned and removed ones too") },
        {},
};

static const char *kind_of(const Verb *verb) {
        return strcmp(verb->noun, "biometric") == 0 ? "key" : "card";
}

static json_object *member(json_object *o, const char *name) {
        json_object *value;

        return json_object_object_get_ex(o, name, &value) ? value : NULL;
}

/* ---- waiting for the card ---- */

static const char *reader_text(json_object *found) {
        json_object *readers = member(found, "readers");
        const char *status = json_string(found, "status");

        if (status && strcmp(status, "no-service") == 0)
                return _("the card service does not answer");
        if (!readers || json_object_array_length(readers) == 0)
                return _("there is no card reader");
        for (size_t i = 0; i < json_object_array_length(readers); i++) {
                const char *state = json_string(json_object_array_get_idx(readers, i), "state");

                if (state && strcmp(state, "mute") == 0)
                        return _("the card does not answer; insert it the other way round");
                if (state && strcmp(state, "busy") == 0)
                        return _("the card is in use by another program");
                if (state && strcmp(state, "card") == 0)
                        return _("the card in the reader is registered already, or of a kind that is not known");
        }
        return _("insert the card that is to be registered");
}

/* The one card that is nobody's. NULL: none, or several (*ret_n). */
static json_object *free_card(json_object *found, size_t *ret_n) {
        json_object *cards = member(found, "cards"), *one = NULL;

        *ret_n = 0;
        for (size_t i = 0; cards && i < json_object_array_length(cards); i++) {
                json_object *card = json_object_array_get_idx(cards, i);

                if (json_boolean(card, "registered"))
                        continue;
                one = card;
                (*ret_n)++;
        }
        return *ret_n == 1 ? one : NULL;
}

static ExitCode wait_for_card(Ctl *ctl, unsigned seconds, json_object **ret) {
        const char *told = NULL;

        for (unsigned i = 0;; i++) {
                _cleanup_json_ json_object *found = NULL;
                json_object *card;
                const char *text;
                ExitCode code;
                size_t n;

                code = client_call_json(ctl, &found, "CardLook", "");
                if (code != CTL_DONE)
                        return code;
                card = free_card(found, &n);
                if (card) {
                        *ret = json_object_get(card);
                        return CTL_DONE;
                }
                text = n > 1 ? _("there are several cards that are not registered; leave only one in the readers")
                             : reader_text(found);
                if (i >= seconds)
                        return ctl_error_named(ctl, CTL_NOT_FOUND, "no-card", "%s", text);
                if (!ctl->json && (!told || strcmp(told, text) != 0))
                        fprintf(stderr, _("%s (waiting; Ctrl-C ends)\n"), text);
                told = text;
                sleep(1);
        }
}

static ExitCode read_wait(const Ctl *ctl, const Args *args, unsigned *ret) {
        const char *text = args_get(args, "wait");
        uint64_t seconds = WAIT_SEC;

        if (text && parse_uint64(text, 0, 3600, &seconds) < 0)
                return ctl_error(ctl, CTL_USAGE, "%s", _("--wait takes seconds, at most 3600"));
        *ret = (unsigned)seconds;
        return CTL_DONE;
}

void credential_show_row(json_object *row) {
        static const char *const names[] = { "uuid", "person", "state", "label", "until", "replaces" };

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                const char *value = json_string(row, names[i]);
                _cleanup_free_ char *safe = value ? text_safe(value) : NULL;

                if (safe)
                        (void)printf("%s: %s\n", names[i], safe);
        }
}

static ExitCode register_card(Ctl *ctl, const Verb *verb, const Args *args) {
        _cleanup_json_ json_object *card = NULL, *document = json_object_new_object(), *row = NULL;
        bool substitute = strcmp(verb->noun, "substitute") == 0;
        unsigned seconds = 0;
        const char *text;
        ExitCode code;

        code = read_wait(ctl, args, &seconds);
        if (code == CTL_DONE)
                code = wait_for_card(ctl, seconds, &card);
        if (code != CTL_DONE)
                return code;
        if (!document || json_set_string(document, "user", args->positional[0]) < 0 ||
                json_set_string(document, "key", json_string(card, "key")) < 0 ||
                json_set_string(document, "label", args_get(args, "label")) < 0 ||
                (!substitute && json_set_string(document, "until", args_get(args, "until")) < 0) ||
                (substitute && json_set_boolean(document, "substitute", true) < 0) || !(text = json_text(document)))
                return ctl_oom(ctl);
        code = client_call_json(ctl, &row, "CardRegister", "s", text);
        if (code != CTL_DONE)
                return code;
        if (ctl->json)
                return ctl_print_json(ctl, row);
        (void)puts(substitute ? _("The stand-in is valid until the end of the day.") : _("The card is registered."));
        credential_show_row(row);
        return CTL_DONE;
}

/* ---- states ---- */

static ExitCode act(Ctl *ctl, const Verb *verb, const Args *args) {
        const char *reason = args_get(args, "reason");
        _cleanup_json_ json_object *row = NULL;
        ExitCode code;

        if (!reason || !*reason)
                return ctl_error(ctl, CTL_USAGE, "%s", _("say why with --reason"));
        code = client_call_json(
                ctl, &row, "CredentialAct", "ssss", verb->verb, kind_of(verb), args->positional[0], reason);
        if (code != CTL_DONE)
                return code;
        if (ctl->json)
                return ctl_print_json(ctl, row);
        credential_show_row(row);
        return CTL_DONE;
}

static const char *state_text(const char *state) {
        static const struct {
                const char *state, *text;
        } texts[] = {
                { "active", N_("active") },
                { "suspended", N_("stopped") },
                { "returned", N_("returned") },
                { "removed", N_("removed") },
        };

        for (size_t i = 0; state && i < ELEMENTSOF(texts); i++)
                if (strcmp(texts[i].state, state) == 0)
                        return _(texts[i].text);
        return state ? state : "";
}

static bool is_over(json_object *row) {
        const char *state = json_string(row, "state");

        return state && (strcmp(state, "returned") == 0 || strcmp(state, "removed") == 0);
}

static ExitCode print_rows(const Ctl *ctl, json_object *rows, bool all) {
        _cleanup_(table_free_p) Table *t = NULL;

        if (table_new(&t,
                    (const char *const[]){ _("ID"), _("PERSON"), _("STATE"), _("APPLICATION"), _("LABEL"), _("UNTIL"),
                            _("STANDS IN FOR") },
                    7) < 0)
                return ctl_oom(ctl);
        for (size_t i = 0; i < json_object_array_length(rows); i++) {
                json_object *row = json_object_array_get_idx(rows, i);

                if (is_over(row) && !all)
                        continue;
                if (table_add(t, (const char *const[]){ json_string(row, "uuid"), json_string(row, "person"),
                                         state_text(json_string(row, "state")), json_string(row, "application"),
                                         json_string(row, "label"), json_string(row, "until"),
                                         json_string(row, "replaces") }) < 0)
                        return ctl_oom(ctl);
        }
        return table_print(t, stdout) < 0 ? CTL_FAILED : CTL_DONE;
}

static ExitCode list(Ctl *ctl, const Verb *verb, const Args *args) {
        _cleanup_json_ json_object *filter = json_object_new_object(), *rows = NULL, *user = NULL;
        const char *account = args_get(args, "user"), *text;
        ExitCode code;

        if (!filter || json_set_string(filter, "kind", kind_of(verb)) < 0)
                return ctl_oom(ctl);
        if (account) {
                code = client_call_json(ctl, &user, "Get", "ss", "user", account);
                if (code != CTL_DONE)
                        return code;
                if (json_set_string(filter, "person", json_string(user, "person")) < 0)
                        return ctl_oom(ctl);
        }
        text = json_text(filter);
        if (!text)
                return ctl_oom(ctl);
        code = client_call_json(ctl, &rows, "List", "ss", "credential", text);
        if (code != CTL_DONE)
                return code;
        return ctl->json ? ctl_print_json(ctl, rows) : print_rows(ctl, rows, args_has(args, "all"));
}

/* ---- what lies at the terminal ---- */

static const char *reader_state_text(const char *state) {
        static const struct {
                const char *state, *text;
        } texts[] = {
                { "empty", N_("empty") },
                { "card", N_("a card") },
                { "mute", N_("a card that does not answer") },
                { "busy", N_("a card in use by another program") },
                { "misbehaved", N_("a card that answers wrongly") },
        };

        for (size_t i = 0; state && i < ELEMENTSOF(texts); i++)
                if (strcmp(texts[i].state, state) == 0)
                        return _(texts[i].text);
        return state ? state : "";
}

static ExitCode readers(Ctl *ctl, const Verb *verb, const Args *args) {
        _cleanup_json_ json_object *found = NULL;
        _cleanup_(table_free_p) Table *t = NULL;
        json_object *list_of, *cards;
        ExitCode code;

        code = client_call_json(ctl, &found, "CardLook", "");
        if (code != CTL_DONE)
                return code;
        if (ctl->json)
                return ctl_print_json(ctl, found);
        list_of = member(found, "readers");
        cards = member(found, "cards");
        if (!list_of || json_object_array_length(list_of) == 0)
                return ctl_error_named(ctl, CTL_NOT_FOUND, "no-reader", "%s", reader_text(found));
        if (table_new(&t, (const char *const[]){ _("READER"), _("STATE"), _("APPLICATION"), _("SUBJECT") }, 4) < 0)
                return ctl_oom(ctl);
        for (size_t i = 0; i < json_object_array_length(list_of); i++) {
                json_object *reader = json_object_array_get_idx(list_of, i);
                const char *name = json_string(reader, "name"), *state = json_string(reader, "state");
                bool told = false;

                for (size_t k = 0; cards && k < json_object_array_length(cards); k++) {
                        json_object *card = json_object_array_get_idx(cards, k);
                        const char *in = json_string(card, "reader");

                        if (!in || !name || strcmp(in, name) != 0)
                                continue;
                        told = true;
                        if (table_add(
                                    t, (const char *const[]){ name,
                                               json_boolean(card, "registered") ? _("registered") : _("not registered"),
                                               json_string(card, "application"), json_string(card, "subject") }) < 0)
                                return ctl_oom(ctl);
                }
                if (!told && table_add(t, (const char *const[]){ name, reader_state_text(state), NULL, NULL }) < 0)
                        return ctl_oom(ctl);
        }
        return table_print(t, stdout) < 0 ? CTL_FAILED : CTL_DONE;
}

static ExitCode keys(Ctl *ctl, const Verb *verb, const Args *args) {
        _cleanup_json_ json_object *found = NULL;
        _cleanup_(table_free_p) Table *t = NULL;
        json_object *list_of;
        ExitCode code;

        code = client_call_json(ctl, &found, "KeyLook", "");
        if (code != CTL_DONE)
                return code;
        if (ctl->json)
                return ctl_print_json(ctl, found);
        list_of = member(found, "keys");
        if (!list_of || json_object_array_length(list_of) == 0)
                return ctl_error_named(ctl, CTL_NOT_FOUND, "no-key", "%s", _("no key is plugged in"));
        if (table_new(&t,
                    (const char *const[]){ _("DEVICE"), _("MODEL"), _("FINGERPRINT READER"), _("FINGER"), _("PIN") },
                    5) < 0)
                return ctl_oom(ctl);
        for (size_t i = 0; i < json_object_array_length(list_of); i++) {
                json_object *key = json_object_array_get_idx(list_of, i);

                if (table_add(t, (const char *const[]){ json_string(key, "device"), json_string(key, "model"),
                                         json_boolean(key, "biometric") ? _("yes") : _("no"),
                                         json_boolean(key, "finger") ? _("yes") : _("no"),
                                         json_boolean(key, "pin") ? _("yes") : _("no") }) < 0)
                        return ctl_oom(ctl);
        }
        return table_print(t, stdout) < 0 ? CTL_FAILED : CTL_DONE;
}

const Verb credential_verbs[] = {
        { "card", "register", N_("USER"), N_("register the card in the reader for a user"), 1, 1, register_options,
                register_card, _NOUN_INVALID },
        { "card", "suspend", N_("USER"), N_("stop a lost card at once"), 1, 1, reason_options, act, _NOUN_INVALID },
        { "card", "resume", N_("USER"), N_("let a stopped card go on; not by who stopped it"), 1, 1, reason_options,
                act, _NOUN_INVALID },
        { "card", "return", N_("USER"), N_("take a card back, for good"), 1, 1, reason_options, act, _NOUN_INVALID },
        { "card", "remove", N_("USER"), N_("take a broken card off, for good"), 1, 1, reason_options, act,
                _NOUN_INVALID },
        { "card", "list", NULL, N_("list cards"), 0, 0, list_options, list, _NOUN_INVALID },
        { "card", "readers", NULL, N_("show what lies in the card readers"), 0, 0, NULL, readers, _NOUN_INVALID },
        { "substitute", NULL, N_("USER"), N_("give a stand-in for a forgotten card, until the end of the day"), 1, 1,
                substitute_options, register_card, _NOUN_INVALID },
        { "biometric", "register", N_("USER"), N_("register a user's key with a finger"), 1, 1, biometric_options,
                biometric_register, _NOUN_INVALID },
        { "biometric", "re-register", N_("USER"), N_("the same in the place of the key registered before"), 1, 1,
                biometric_options, biometric_register, _NOUN_INVALID },
        { "biometric", "suspend", N_("USER"), N_("stop a lost key at once"), 1, 1, reason_options, act, _NOUN_INVALID },
        { "biometric", "resume", N_("USER"), N_("let a stopped key go on; not by who stopped it"), 1, 1, reason_options,
                act, _NOUN_INVALID },
        { "biometric", "remove", N_("USER"), N_("take a key off, for good"), 1, 1, reason_options, act, _NOUN_INVALID },
        { "biometric", "keys", NULL, N_("show the keys that are plugged in"), 0, 0, NULL, keys, _NOUN_INVALID },
        { "biometric", "list", NULL, N_("list keys"), 0, 0, list_options, list, _NOUN_INVALID },
        {},
};
