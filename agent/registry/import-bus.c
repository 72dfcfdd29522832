/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "registry/change.h"
#include "registry/import-run.h"
#include "util/clock.h"

/* An import over the bus: ImportBegin, ImportRows as often as needed, ImportCommit. There is one at a time; it belongs
 * to the connection that began it, and is given up when that goes away, is silent for IDLE_USEC, or takes longer than
 * TOTAL_USEC. polkit is asked once, at the beginning; role and person are looked at again before the decision, and
 * every row that is added, changed or removed is one that the caller could have written with Add, Change or Remove.
 * For the last of these rules, that only a system owner takes rights from a system owner, NSS is asked about the people
 * concerned before the decision. */

#define IDLE_USEC  (60 * USEC_PER_SEC)
#define TOTAL_USEC (20 * 60 * USEC_PER_SEC)

#define ERRORS_MAX     100u /* of one answer */
#define NAME_MAX_BYTES 255u

/* ---- beginning and staging ---- */

static int on_gone(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        struct ImportRun *run = userdata;
        const char *name, *old, *new;

        if (sd_bus_message_read(m, "sss", &name, &old, &new) < 0 || *new || !run->sender ||
                strcmp(name, run->sender) != 0)
                return 0;
        if (import_undecided(run))
                import_run_end(run);
        return 0;
}

static int on_deadline(sd_event_source *s, uint64_t usec, void *userdata) {
        import_run_end(userdata);
        return 0;
}

static int watch(struct ImportRun *run) {
        char match[256];
        int r;

        (void)snprintf(match, sizeof(match),
                "type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',"
                "member='NameOwnerChanged',arg0='%s'",
                run->sender);
        r = sd_bus_add_match_async(run->bus->bus, &run->gone, match, on_gone, NULL, run);
        if (r >= 0)
                r = sd_event_add_time_relative(
                        run->bus->c.event, &run->deadline, CLOCK_BOOTTIME, IDLE_USEC, USEC_PER_SEC, on_deadline, run);
        return r < 0 ? r : 0;
}

static int do_begin(Bus *b, sd_bus_message *m, const Caller *caller) {
        static const char *const names[] = { "columns", "replace", "dry_run", "file", NULL };
        const char *noun_text, *text, *unknown = NULL, *file;
        _cleanup_json_ json_object *options = NULL;
        struct ImportRun *run = b->import;
        json_object *columns = NULL;
        RegistryError e = {};
        int r;

        r = sd_bus_message_read(m, "ss", &noun_text, &text);
        if (r < 0)
                return r;
        if (run->state != STATE_NONE)
                return bus_refuse(m, "Unavailable", N_("Another import is under way; try again later"));
        if (json_parse_object(text, &options) < 0 || !json_only_has(options, names, &unknown))
                return bus_refuse(m, "Invalid", N_("The options of the import cannot be read"));
        file = json_string(options, "file");
        if (file && strlen(file) > NAME_MAX_BYTES)
                return bus_refuse(m, "Invalid", N_("The name of the file is too long"));
        (void)json_object_object_get_ex(options, "columns", &columns);

        run->noun = noun_from_string(noun_text);
        run->replace = json_boolean(options, "replace");
        run->dry_run = json_boolean(options, "dry_run");
        run->failed = false;
        run->told_usec = run->began_usec = clock_usec(CLOCK_BOOTTIME);
        r = import_new(&run->import, b->c.registry, run->noun, columns, clock_usec(CLOCK_REALTIME), &e);
        if (r != 0)
                return bus_refuse_registry(m, r, &e);
        run->state = STATE_STAGING;
        run->sender = strdup(caller->sender);
        run->removed = json_object_new_array();
        run->screen = json_object_new_array();
        run->screened = 0;
        r = run->sender && run->removed && run->screen ? import_caller_copy(caller, run->sender, &run->caller)
                                                       : -ENOMEM;
        if (r == 0)
                r = import_who(caller, file, &run->who);
        if (r == 0)
                r = watch(run);
        if (r == 0)
                r = sd_bus_reply_method_return(m, NULL);
        if (r < 0)
                import_run_end(run);
        return r;
}

int import_bus_begin(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *noun_text;
        NounId noun;
        int r;

        r = sd_bus_message_read(m, "s", &noun_text);
        if (r < 0)
                return r;
        noun = noun_from_string(noun_text);
        if (noun == _NOUN_INVALID)
                return bus_refuse(m, "Invalid", N_("There is no such kind of row"));
        return authorize(userdata, m,
                &(Ask){
                        .method = "ImportBegin",
                        .action = ACTION_CHANGE,
                        .roles = change_roles(noun),
                        .noun = noun_text,
                        .others = noun == NOUN_DESIGNATION,
                        .fn = do_begin,
                });
}

/* The caller's import that rows can be added to, or NULL. */
static struct ImportRun *run_of(Bus *b, sd_bus_message *m) {
        const char *sender = sd_bus_message_get_sender(m);
        struct ImportRun *run = b->import;

        return run->state == STATE_STAGING && sender && run->sender && strcmp(sender, run->sender) == 0 ? run : NULL;
}

static int add_error(json_object *errors, json_object *cells, const RegistryError *e, const char *text) {
        json_object *line = json_object_is_type(cells, json_type_array) ? json_object_array_get_idx(cells, 0) : NULL;
        _cleanup_json_ json_object *o = json_object_new_object();

        if (!o || json_set_uint(o, "line", (unsigned long long)json_object_get_int64(line)) < 0 ||
                json_set_string(o, "field", e->field) < 0 || json_set_string(o, "text", text ? text : e->text) < 0 ||
                json_object_array_add(errors, o) < 0)
                return -ENOMEM;
        TAKE_PTR(o);
        return 0;
}

static int add_change(json_object *changes, json_object *cells, const ImportRow *row) {
        _cleanup_json_ json_object *o = json_object_new_object();

        if (!o ||
                json_set_uint(o, "line",
                        (unsigned long long)json_object_get_int64(json_object_array_get_idx(cells, 0))) < 0 ||
                (row->before && json_set(o, "before", json_object_get(row->before)) < 0) ||
                json_set(o, "after", json_object_get(row->after)) < 0 || json_object_array_add(changes, o) < 0)
                return -ENOMEM;
        TAKE_PTR(o);
        return 0;
}

/* One row: staged, or its error added. Negative, or REGISTRY_E_UNUSABLE: the import cannot go on. */
static int take_row(
        struct ImportRun *run, json_object *cells, json_object *errors, json_object *changes, Asking *asking) {
        _cleanup_(import_row_done) ImportRow row = {};
        RegistryError e = {};
        int r;

        asking->text = NULL;
        r = import_stage(run->import, cells, import_permit_row, asking, &row, &e);
        if ((r < 0 && !asking->text) || r == REGISTRY_E_UNUSABLE) {
                asking->unusable = e;
                return r;
        }
        if (r == REGISTRY_E_OUTSIDE)
                import_refusal_note(&asking->refusals, NULL, "outside", e.text);
        if (r != 0) {
                run->failed = true;
                return json_object_array_length(errors) < ERRORS_MAX ? add_error(errors, cells, &e, asking->text) : 0;
        }
        return run->dry_run && row.outcome != IMPORT_UNCHANGED ? add_change(changes, cells, &row) : 0;
}

static int take_rows(
        struct ImportRun *run, json_object *rows, json_object *errors, json_object *changes, RegistryError *ret_error) {
        Registry *registry = run->bus->c.registry;
        Asking asking = { .run = run };
        int r;

        r = import_staging_begin(registry);
        for (size_t i = 0; r == 0 && i < json_object_array_length(rows); i++)
                r = take_row(run, json_object_array_get_idx(rows, i), errors, changes, &asking);
        r = import_staging_end(registry, r);
        import_refusals_record(run, "ImportRows", &asking.refusals);
        *ret_error = asking.unusable;
        return r;
}

int import_bus_rows(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        _cleanup_json_ json_object *rows = NULL, *errors = json_object_new_array(), *changes = json_object_new_array(),
                                   *result = NULL;
        struct ImportRun *run = run_of(userdata, m);
        RegistryError e = {};
        const char *text;
        int r;

        r = sd_bus_message_read(m, "s", &text);
        if (r < 0)
                return r;
        if (!run)
                return bus_refuse(m, "Refused", N_("There is no import of this connection; it may have been given up"));
        if (clock_usec(CLOCK_BOOTTIME) - run->began_usec > TOTAL_USEC) {
                import_run_end(run);
                return bus_refuse(m, "Unavailable", N_("The import took too long and was given up"));
        }
        (void)sd_event_source_set_time_relative(run->deadline, IDLE_USEC);
        if (json_parse_text(text, &rows) < 0 || !json_object_is_type(rows, json_type_array) ||
                json_object_array_length(rows) > IMPORT_BATCH_MAX)
                return bus_refuse(m, "Invalid", N_("The rows are not a JSON array, or too many at once"));
        r = errors && changes ? take_rows(run, rows, errors, changes, &e) : -ENOMEM;
        if (r != 0) {
                import_run_end(run);
                return bus_refuse_registry(m, r, &e);
        }
        result = import_result(run);
        if (!result || json_set(result, "errors", TAKE_PTR(errors)) < 0 ||
                (run->dry_run && json_set(result, "changes", TAKE_PTR(changes)) < 0))
                return -ENOMEM;
        return bus_reply_json(m, result);
}

static int do_commit(Bus *b, sd_bus_message *m, const Caller *caller) {
        struct ImportRun *run = run_of(b, m);
        Caller fresh;
        int r;

        if (!run)
                return bus_refuse(m, "Refused", N_("There is no import of this connection; it may have been given up"));
        if (run->failed) {
                import_run_end(run);
                return bus_refuse(m, "Invalid", N_("Rows of the import were refused; nothing was changed"));
        }
        if (!caller_has(caller, change_roles(run->noun))) {
                import_run_end(run);
                return bus_refuse(m, "Refused", N_("The caller holds none of the roles that may do this"));
        }
        r = import_caller_copy(caller, run->sender, &fresh);
        if (r < 0)
                return r;
        import_caller_done(&run->caller);
        run->caller = fresh;
        run->deadline = sd_event_source_disable_unref(run->deadline);
        run->committer = sd_bus_message_ref(m);
        if (run->replace)
                import_run_work(run, STATE_SCANNING);
        else {
                run->state = STATE_SCREENING;
                import_run_screen(run);
        }
        return 1;
}

int import_bus_commit(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        struct ImportRun *run = run_of(userdata, m);

        if (!run)
                return bus_refuse(m, "Refused", N_("There is no import of this connection; it may have been given up"));
        return authorize(userdata, m,
                &(Ask){
                        .method = "ImportCommit",
                        .roles = change_roles(run->noun),
                        .noun = noun_to_string(run->noun),
                        .others = run->noun == NOUN_DESIGNATION,
                        .fn = do_commit,
                });
}

int import_bus_abort(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        struct ImportRun *run = run_of(userdata, m);

        if (run)
                import_run_end(run);
        return sd_bus_reply_method_return(m, NULL);
}

/* ---- with the bus ---- */

bool import_bus_under_way(const Bus *b) {
        return b->import && b->import->state != STATE_NONE && b->import->state != STATE_PURGING;
}

int import_bus_start(Bus *b) {
        struct ImportRun *run = calloc(1, sizeof(*run));
        int r;

        if (!run)
                return -ENOMEM;
        b->import = run;
        run->bus = b;
        r = sd_event_add_defer(b->c.event, &run->work, import_run_on_work, run);
        if (r >= 0)
                r = sd_event_source_set_priority(run->work, SD_EVENT_PRIORITY_IDLE);
        if (r < 0)
                return r;
        r = import_resume(&run->import, b->c.registry, &run->who);
        if (r == 0) {
                run->noun = import_noun(run->import);
                import_run_work(run, STATE_APPLYING);
        } else
                import_run_work(run, STATE_PURGING);
        return 0;
}

void import_bus_disconnected(Bus *b) {
        struct ImportRun *run = b->import;

        if (!run)
                return;
        run->committer = sd_bus_message_unref(run->committer);
        if (import_undecided(run))
                import_run_end(run);
        run->gone = sd_bus_slot_unref(run->gone);
}

void import_bus_done(Bus *b) {
        struct ImportRun *run = b->import;

        if (!run)
                return;
        import_run_end(run);
        sd_event_source_disable_unref(run->work);
        sd_event_source_disable_unref(run->retry);
        free(run);
        b->import = NULL;
}
