/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <string.h>

#include "login/bus-internal.h"
#include "util/clock.h"
#include "util/text.h"

/* Accounts that verdicts are given on. */
#define VERDICTS_MAX 1024u
/* Of the registered ones, when nothing is written (verify). */
#define VERIFY_MAX 64u

/* The first rows of a terminal, written by root, once: afterwards root is refused like anyone. The document is a JSON
 * object of `terminal` (its fields), `users`, `members`, `scopes` and `designations` (arrays of fields), `break_glass`
 * (account names) and `dry_run`. Either all of it is written, with its trail, in one transaction, or nothing is. The
 * answer tells the verdict on a login of each user, and which break-glass accounts are registered. With `verify`
 * instead of rows nothing is written, and root may ask at any time. */

static const char *const document_fields[] = { "terminal", "users", "members", "scopes", "designations", "break_glass",
        "dry_run", "verify", NULL };

/* In this order: later ones refer to earlier ones. */
static const struct {
        const char *member;
        NounId noun;
} parts[] = {
        { "users", NOUN_USER },
        { "members", NOUN_MEMBER },
        { "scopes", NOUN_SCOPE },
        { "designations", NOUN_DESIGNATION },
};

/* Adds one row and (unless it is a dry run) its entry. On a refusal `e` says which row and what. */
static int add_row(Bus *b, const Caller *caller, NounId noun, size_t index, json_object *fields, uint64_t now,
        bool record, json_object **ret_row, RegistryError *e) {
        _cleanup_(event_free_p) Event *event = NULL;
        _cleanup_json_ json_object *row = NULL;
        RegistryError why = {};
        int r;

        if (!json_object_is_type(fields, json_type_object)) {
                (void)snprintf(e->text, sizeof(e->text), "%s %zu is not an object", noun_to_string(noun), index);
                return REGISTRY_E_INVALID;
        }
        r = registry_row_add(b->c.registry, noun, fields, now, &row, &why);
        if (r != 0) {
                (void)snprintf(e->text, sizeof(e->text), "%s %zu: %.200s", noun_to_string(noun), index,
                        *why.text ? why.text : "refused");
                return r;
        }
        if (record) {
                event = bus_event(EVENT_DIRECTORY_CHANGED, caller);
                if (!event)
                        return -ENOMEM;
                event_set(event, FIELD_NOUN, noun_to_string(noun));
                event_set(event, FIELD_OBJECT, json_string(row, "uuid"));
                event_set(event, FIELD_TARGET, json_string(row, "account"));
                event_set(event, FIELD_RESULT, "done");
                event_set(event, FIELD_AFTER, json_text(row));
                event_set(event, FIELD_DETAIL, "setup");
                r = trail_append(b->c.trail, event);
                if (r != 0)
                        return r;
        }
        if (ret_row)
                *ret_row = TAKE_PTR(row);
        return 0;
}

/* Makes the new terminal this one, and records that. From here on entries carry its name. */
static int become(Bus *b, const Caller *caller, json_object *terminal, bool record, RegistryError *e) {
        _cleanup_(event_free_p) Event *event = NULL, *bound = NULL;
        int r;

        if (!record)
                return registry_meta_set(b->c.registry, "terminal", json_string(terminal, "uuid"));
        bound = bus_event(EVENT_IDENTITY_BOUND, caller);
        event = bus_event(EVENT_SETUP, caller);
        if (!bound || !event)
                return -ENOMEM;
        event_set(bound, FIELD_DETAIL, "setup");
        r = identity_write(b->c.identity, b->c.trail, json_string(terminal, "uuid"), bound, e);
        if (r != 0)
                return r;
        event_set(event, FIELD_RESULT, "done");
        return trail_append(b->c.trail, event);
}

/* Adds the rows of one member of the document; their number goes into `result`. */
static int write_part(Bus *b, const Caller *caller, json_object *document, size_t part, uint64_t now, bool record,
        json_object *result, RegistryError *e) {
        json_object *array;
        size_t n = 0;
        int r;

        if (json_object_object_get_ex(document, parts[part].member, &array)) {
                if (!json_object_is_type(array, json_type_array)) {
                        (void)snprintf(e->text, sizeof(e->text), "%s is not an array", parts[part].member);
                        return REGISTRY_E_INVALID;
                }
                n = json_object_array_length(array);
        }
        for (size_t i = 0; i < n; i++) {
                r = add_row(
                        b, caller, parts[part].noun, i + 1, json_object_array_get_idx(array, i), now, record, NULL, e);
                if (r != 0)
                        return r;
        }
        return json_set_uint(result, parts[part].member, n);
}

/* Everything that a document asks for, within the open transaction. */
static int write_document(
        Bus *b, const Caller *caller, json_object *document, json_object *result, bool record, RegistryError *e) {
        _cleanup_json_ json_object *terminal = NULL;
        uint64_t now = clock_usec(CLOCK_REALTIME);
        json_object *fields;
        char when[32];
        int r;

        if (!json_object_object_get_ex(document, "terminal", &fields)) {
                (void)snprintf(e->text, sizeof(e->text), "the document has no terminal");
                return REGISTRY_E_INVALID;
        }
        r = add_row(b, caller, NOUN_TERMINAL, 1, fields, now, record, &terminal, e);
        if (r == 0)
                r = become(b, caller, terminal, record, e);
        for (size_t i = 0; r == 0 && i < ELEMENTSOF(parts); i++)
                r = write_part(b, caller, document, i, now, record, result, e);
        if (r != 0)
                return r;
        (void)snprintf(when, sizeof(when), "%" PRIu64, now);
        r = registry_meta_set(b->c.registry, "setup", when);
        return r != 0 ? r : json_set(result, "terminal", TAKE_PTR(terminal));
}

/* Who of the break-glass accounts is registered: none of them should be. */
static int add_registered(Bus *b, json_object *document, json_object *result) {
        _cleanup_json_ json_object *registered = json_object_new_array();
        json_object *accounts;

        if (!registered)
                return -ENOMEM;
        if (!json_object_object_get_ex(document, "break_glass", &accounts))
                return json_set(result, "break_glass_registered", TAKE_PTR(registered));
        for (size_t i = 0; i < json_object_array_length(accounts); i++) {
                json_object *account = json_object_array_get_idx(accounts, i);
                _cleanup_(user_done) User u = {};
                int r;

                r = registry_user(b->c.registry, json_object_get_string(account), &u);
                if (r == REGISTRY_E_NOT_FOUND)
                        continue;
                if (r != 0)
                        return r;
                if (json_object_array_add(registered, json_object_get(account)) < 0)
                        return -ENOMEM;
        }
        return json_set(result, "break_glass_registered", TAKE_PTR(registered));
}

static int add_verdicts(
        Bus *b, const Resolved *found, size_t n, uint64_t now, bool clock_trusted, json_object *result) {
        _cleanup_json_ json_object *verdicts = json_object_new_array();

        if (!verdicts)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                json_object *verdict;
                int r;

                r = check_verdict(b,
                        &(CheckQuery){
                                .account = found[i].name,
                                .nss = found[i].account,
                                .service = "login",
                                .now_usec = now,
                                .clock_trusted = clock_trusted,
                        },
                        &verdict);
                if (r != 0)
                        return r;
                if (json_object_array_add(verdicts, verdict) < 0) {
                        json_object_put(verdict);
                        return -ENOMEM;
                }
        }
        return json_set(result, "verdicts", TAKE_PTR(verdicts));
}

static int add_self(Bus *b, json_object *result) {
        _cleanup_(terminal_done) Terminal t = {};
        json_object *o;
        int r;

        r = registry_terminal_self(b->c.registry, &t);
        if (r == REGISTRY_E_NOT_FOUND)
                return json_object_object_add(result, "terminal", NULL) < 0 ? -ENOMEM : 0;
        if (r != 0)
                return r;
        o = json_object_new_object();
        if (json_set(result, "terminal", o) < 0 || json_set_string(o, "name", t.name) < 0 ||
                json_set_string(o, "unit", t.unit) < 0)
                return -ENOMEM;
        return 0;
}

/* The key is made, and the machine looked at, before anything is written. */
static int prepare_identity(Bus *b, RegistryError *e) {
        int r = identity_prepare(b->c.identity);

        if (r != IDENTITY_E_NO_MACHINE)
                return r == -ENOSPC || r == -EROFS || r == -EDQUOT ? REGISTRY_E_UNUSABLE : r;
        (void)snprintf(e->text, sizeof(e->text),
                "/etc/machine-id is missing or holds none; systemd-machine-id-setup makes one");
        return REGISTRY_E_INVALID;
}

/* Writes the document (unless it is to be verified only) and judges, within one transaction. */
static int apply(
        Bus *b, json_object *document, const Resolved *found, size_t n, json_object *result, RegistryError *e) {
        static const Caller root = { .sender = "", .uid = 0 };
        bool verify = json_boolean(document, "verify"), keep = !verify && !json_boolean(document, "dry_run");
        bool clock_trusted = !b->c.clock_trusted || b->c.clock_trusted(b->c.userdata);
        uint64_t now = clock_usec(CLOCK_REALTIME);
        int r;

        r = keep ? prepare_identity(b, e) : 0;
        if (r != 0)
                return r;
        r = registry_begin(b->c.registry);
        if (r != 0) {
                if (keep)
                        identity_written(b->c.identity, b->c.trail, false);
                return r;
        }
        r = verify ? add_self(b, result) : write_document(b, &root, document, result, keep, e);
        if (r == 0)
                r = add_registered(b, document, result);
        if (r == 0)
                r = add_verdicts(b, found, n, now, clock_trusted, result);
        if (r == 0 && keep)
                r = registry_commit(b->c.registry);
        if (r != 0 || !keep)
                registry_rollback(b->c.registry);
        if (keep)
                identity_written(b->c.identity, b->c.trail, r == 0);
        if (r == 0 && keep) {
                trail_kick(b->c.trail);
                b->counted = false;
                if (b->c.directory_changed)
                        b->c.directory_changed(_NOUN_INVALID, b->c.userdata);
        }
        return r;
}

static int on_resolved(Bus *b, sd_bus_message *m, json_object *document, const Resolved *found, size_t n) {
        _cleanup_json_ json_object *result = json_object_new_object();
        _cleanup_free_ char *already = NULL;
        RegistryError e = {};
        int r;

        if (!result)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++)
                if (found[i].r == LOOKUP_E_UNAVAILABLE)
                        return bus_refuse(m, "Unavailable", N_("The name service does not answer; try again later"));
        r = registry_meta_get(b->c.registry, "setup", &already);
        if (r != 0 && r != REGISTRY_E_NOT_FOUND)
                return bus_refuse_registry(m, r, NULL);
        if (r == 0 && !json_boolean(document, "verify")) { /* another call was faster */
                static const Caller root = { .sender = "", .uid = 0 };

                bus_record_refusal(b, &root, "Setup", NULL, NULL, "done-already", "root asked for the setup again");
                return bus_refuse(m, "Refused",
                        N_("This terminal is set up; from now on people with a role change the directory"));
        }
        r = apply(b, document, found, n, result, &e);
        return r != 0 ? bus_refuse_registry(m, r, &e) : bus_reply_json(m, result);
}

/* NULL, or what is wrong with the form of the document. */
static const char *document_wrong(json_object *document) {
        json_object *value;

        if (!json_only_has(document, document_fields, NULL))
                return N_("The document has an unknown member");
        if (json_boolean(document, "verify"))
                for (size_t i = 0; document_fields[i]; i++)
                        if (strcmp(document_fields[i], "verify") != 0 &&
                                strcmp(document_fields[i], "break_glass") != 0 &&
                                json_object_object_get_ex(document, document_fields[i], NULL))
                                return N_("A document to verify has no rows");
        if (!json_object_object_get_ex(document, "break_glass", &value))
                return NULL;
        if (!json_object_is_type(value, json_type_array))
                return N_("break_glass is not an array of account names");
        for (size_t i = 0; i < json_object_array_length(value); i++)
                if (!json_object_is_type(json_object_array_get_idx(value, i), json_type_string))
                        return N_("break_glass is not an array of account names");
        return NULL;
}

/* Names of the users that verdicts are given on: those of the document, or (verify) the first registered ones. `rows`
 * holds the texts. */
static int collect_names(
        Bus *b, json_object *document, json_object **ret_rows, const char *names[static VERDICTS_MAX], size_t *ret_n) {
        json_object *users = NULL;
        size_t n = 0;
        int r;

        if (json_boolean(document, "verify")) {
                r = registry_row_list(b->c.registry, NOUN_USER, NULL, VERIFY_MAX, ret_rows, NULL);
                if (r != 0)
                        return r;
                users = *ret_rows;
        } else if (!json_object_object_get_ex(document, "users", &users) ||
                   !json_object_is_type(users, json_type_array))
                users = NULL;
        for (size_t i = 0; users && i < json_object_array_length(users) && n < VERDICTS_MAX; i++) {
                const char *account = json_string(json_object_array_get_idx(users, i), "account");

                if (account && account_valid(account))
                        names[n++] = account;
        }
        *ret_n = n;
        return 0;
}

static int do_setup(Bus *b, sd_bus_message *m, const Caller *caller) {
        _cleanup_json_ json_object *document = NULL, *rows = NULL;
        const char *names[VERDICTS_MAX], *text, *wrong;
        size_t n;
        int r;

        r = sd_bus_message_read(m, "s", &text);
        if (r < 0)
                return r;
        if (json_parse_object(text, &document) < 0)
                return bus_refuse(m, "Invalid", N_("The document is not a JSON object"));
        wrong = document_wrong(document);
        if (wrong)
                return bus_refuse(m, "Invalid", "%s", wrong);
        r = collect_names(b, document, &rows, names, &n);
        if (r != 0)
                return bus_refuse_registry(m, r, NULL);
        return resolve(b, m, document, names, n, on_resolved);
}

int setup_bus_setup(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return authorize(userdata, m, &(Ask){ .method = "Setup", .noun = "setup", .root = true, .fn = do_setup });
}
