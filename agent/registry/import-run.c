/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <malloc.h>
#include <string.h>

#include "keishi/paths.h"
#include "registry/change.h"
#include "registry/import-run.h"
#include "util/clock.h"

/* An import on its way: who it is for, what they may, and its work behind everything else that the loop has to do. */

#define RETRY_USEC       (2 * USEC_PER_SEC)
#define PROGRESS_USEC    (200 * USEC_PER_MSEC)
#define REMOVED_ROWS_MAX 1000u /* that a dry run tells, besides their number */
#define SCAN_ROWS        500u
#define SCREEN_ACCOUNTS  64u /* that NSS is asked about at once */
#define PURGE_ROWS       500u

/* ---- the caller ---- */

void import_caller_done(Caller *c) {
        account_unref(c->account);
        for (Account **o = c->others; o && *o; o++)
                account_unref(*o);
        free(c->others);
        for (size_t i = 0; i < c->n_deputies; i++) {
                free(c->deputies[i].unit);
                free(c->deputies[i].uuid);
        }
        free(c->deputies);
        user_done(&c->user);
        *c = (Caller){};
}

static int copy_text(char **ret, const char *text) {
        *ret = text ? strdup(text) : NULL;
        return text && !*ret ? -ENOMEM : 0;
}

int import_caller_copy(const Caller *from, const char *sender, Caller *ret) {
        Caller c = { .sender = sender, .uid = from->uid, .roles = from->roles, .own = from->own };
        size_t n = 0;

        while (from->others && from->others[n])
                n++;
        c.account = account_ref(from->account);
        c.user.shared = from->user.shared;
        c.user.retired = from->user.retired;
        c.others = calloc(n + 1, sizeof(*c.others));
        if (!c.others || copy_text(&c.user.uuid, from->user.uuid) < 0 ||
                copy_text(&c.user.account, from->user.account) < 0 ||
                copy_text(&c.user.person, from->user.person) < 0 || copy_text(&c.user.name, from->user.name) < 0 ||
                copy_text(&c.user.unit, from->user.unit) < 0) {
                import_caller_done(&c);
                return -ENOMEM;
        }
        for (size_t i = 0; i < n; i++)
                c.others[i] = account_ref(from->others[i]);
        c.deputies = calloc(from->n_deputies + 1, sizeof(*c.deputies));
        for (size_t i = 0; c.deputies && i < from->n_deputies; i++) {
                c.deputies[i].role = from->deputies[i].role;
                c.n_deputies++;
                if (copy_text(&c.deputies[i].unit, from->deputies[i].unit) < 0 ||
                        copy_text(&c.deputies[i].uuid, from->deputies[i].uuid) < 0) {
                        import_caller_done(&c);
                        return -ENOMEM;
                }
        }
        if (!c.deputies) {
                import_caller_done(&c);
                return -ENOMEM;
        }
        *ret = c;
        return 0;
}

int import_who(const Caller *c, const char *file, json_object **ret) {
        _cleanup_json_ json_object *o = json_object_new_object();

        if (!o || json_set_uint(o, "uid", c->uid) < 0 || json_set_string(o, "account", c->account->name) < 0 ||
                json_set_string(o, "person", c->user.person) < 0 || json_set_string(o, "name", c->user.name) < 0 ||
                json_set_string(o, "unit", c->user.unit) < 0 || json_set_string(o, "file", file) < 0)
                return -ENOMEM;
        *ret = TAKE_PTR(o);
        return 0;
}

/* Starts an entry of the import. It may go on after a restart, when no Caller is there any more. */
static Event *import_event(const struct ImportRun *run, EventKind kind) {
        json_object *uid;
        Event *e;

        if (event_new(&e, kind) < 0)
                return NULL;
        if (json_object_object_get_ex(run->who, "uid", &uid))
                event_set_uint(e, FIELD_UID, (uint64_t)json_object_get_int64(uid));
        event_set(e, FIELD_ACCOUNT, json_string(run->who, "account"));
        event_set(e, FIELD_PERSON, json_string(run->who, "person"));
        event_set(e, FIELD_NAME, json_string(run->who, "name"));
        event_set(e, FIELD_USER_UNIT, json_string(run->who, "unit"));
        event_set(e, FIELD_NOUN, noun_to_string(run->noun));
        return e;
}

/* ---- end ---- */

void import_run_work(struct ImportRun *run, State state) {
        run->state = state;
        (void)sd_event_source_set_enabled(run->work, SD_EVENT_ON);
}

/* Forgets the caller's side. */
static void run_detach(struct ImportRun *run) {
        run->gone = sd_bus_slot_unref(run->gone);
        run->deadline = sd_event_source_disable_unref(run->deadline);
        import_caller_done(&run->caller);
        json_object_put(run->removed);
        json_object_put(run->screen);
        run->removed = run->screen = NULL;
        if (run->query)
                run->query = lookup_query_cancel(run->query);
}

bool import_undecided(const struct ImportRun *run) {
        return run->state == STATE_STAGING || run->state == STATE_SCANNING || run->state == STATE_SCREENING;
}

void import_run_end(struct ImportRun *run) {
        bool purge = import_undecided(run);

        run_detach(run);
        run->import = import_free(run->import);
        run->committer = sd_bus_message_unref(run->committer);
        json_object_put(run->who);
        run->who = NULL;
        free(run->sender);
        run->sender = NULL;
        (void)malloc_trim(0);
        if (purge) {
                import_run_work(run, STATE_PURGING);
                return;
        }
        run->state = STATE_NONE;
        (void)sd_event_source_set_enabled(run->work, SD_EVENT_OFF);
}

static int on_retry(sd_event_source *s, uint64_t usec, void *userdata) {
        struct ImportRun *run = userdata;

        run->retry = sd_event_source_unref(run->retry);
        (void)sd_event_source_set_enabled(run->work, SD_EVENT_ON);
        return 0;
}

static void run_later(struct ImportRun *run) {
        (void)sd_event_source_set_enabled(run->work, SD_EVENT_OFF);
        run->retry = sd_event_source_disable_unref(run->retry);
        (void)sd_event_add_time_relative(
                run->bus->c.event, &run->retry, CLOCK_BOOTTIME, RETRY_USEC, USEC_PER_SEC / 4, on_retry, run);
}

/* ---- committing ---- */

json_object *import_result(const struct ImportRun *run) {
        static const char *const names[_IMPORT_OUTCOME_MAX] = {
                [IMPORT_REMOVED] = "removed",
                [IMPORT_CHANGED] = "changed",
                [IMPORT_ADDED] = "added",
                [IMPORT_UNCHANGED] = "unchanged",
        };
        json_object *o = json_object_new_object();

        for (ImportOutcome i = 0; o && i < _IMPORT_OUTCOME_MAX; i++)
                if (json_set_uint(o, names[i], import_count(run->import, i)) < 0) {
                        json_object_put(o);
                        return NULL;
                }
        return o;
}

static void answer(struct ImportRun *run) {
        _cleanup_json_ json_object *o = import_result(run);

        if (!run->committer)
                return;
        if (o && run->dry_run && run->removed)
                (void)json_set(o, "removed_rows", json_object_get(run->removed));
        if (!o || bus_reply_json(run->committer, o) < 0)
                (void)sd_bus_reply_method_errnof(run->committer, ENOMEM, "Internal error");
        run->committer = sd_bus_message_unref(run->committer);
}

static void answer_refused(struct ImportRun *run, int r, const RegistryError *e) {
        if (!run->committer)
                return;
        r = bus_refuse_registry(run->committer, r, e);
        if (r < 0)
                (void)sd_bus_reply_method_errnof(run->committer, r, "Internal error");
        run->committer = sd_bus_message_unref(run->committer);
}

static void tell_progress(struct ImportRun *run) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *signal = NULL;
        uint64_t now = clock_usec(CLOCK_BOOTTIME);

        if (!run->committer || now - run->told_usec < PROGRESS_USEC)
                return;
        run->told_usec = now;
        if (sd_bus_message_new_signal(
                    run->bus->bus, &signal, KEISHI_BUS_PATH, KEISHI_BUS_NAME ".Manager", "ImportProgress") >= 0 &&
                sd_bus_message_append(signal, "tt", import_applied(run->import), import_total(run->import)) >= 0)
                (void)sd_bus_send_to(run->bus->bus, signal, run->sender, NULL);
}

/* The import's own entry, in the open transaction. */
static int record_import(struct ImportRun *run, const char *result) {
        _cleanup_(event_free_p) Event *e = import_event(run, EVENT_DIRECTORY_IMPORTED);
        const Import *i = run->import;
        const char *file = json_string(run->who, "file");

        if (!e)
                return -ENOMEM;
        event_set(e, FIELD_OBJECT, import_uuid(i));
        event_set(e, FIELD_RESULT, result);
        event_set_uint(e, FIELD_COUNT, import_total(i));
        event_setf(e, FIELD_DETAIL, "%s: %llu added, %llu changed, %llu removed, %llu unchanged", file ? file : "-",
                (unsigned long long)import_count(i, IMPORT_ADDED), (unsigned long long)import_count(i, IMPORT_CHANGED),
                (unsigned long long)import_count(i, IMPORT_REMOVED),
                (unsigned long long)import_count(i, IMPORT_UNCHANGED));
        return trail_append(run->bus->c.trail, e);
}

static int record_row(const ImportChange *c, void *userdata) {
        struct ImportRun *run = userdata;
        _cleanup_(event_free_p) Event *e = import_event(run, EVENT_DIRECTORY_CHANGED);

        if (!e)
                return -ENOMEM;
        event_set(e, FIELD_OBJECT, c->uuid);
        if (c->noun == NOUN_USER || c->noun == NOUN_MEMBER)
                event_set(e, FIELD_TARGET, c->first);
        event_set(e, FIELD_RESULT, "done");
        event_set(e, FIELD_DEPUTY, c->deputy);
        event_set(e, FIELD_BEFORE, c->before);
        event_set(e, FIELD_AFTER, c->after);
        event_setf(e, FIELD_DETAIL, "import %s", import_uuid(run->import));
        return trail_append(run->bus->c.trail, e);
}

static void applied(struct ImportRun *run) {
        Bus *b = run->bus;

        b->counted = false;
        answer(run);
        import_run_end(run);
        if (b->c.directory_changed)
                b->c.directory_changed(run->noun, b->c.userdata);
}

/* One slice, in one transaction; with `decide` the decision before it. 0, or what hindered. */
static int apply_slice(struct ImportRun *run, bool decide, bool *ret_done, RegistryError *e) {
        Bus *b = run->bus;
        bool done = false;
        int r;

        r = registry_begin(b->c.registry);
        if (r != 0)
                return r;
        if (decide)
                r = import_decide(run->import, run->who, e);
        if (r == 0 && decide && import_total(run->import) >= IMPORT_SLICE)
                r = record_import(run, "begun");
        if (r == 0)
                r = import_apply(run->import, IMPORT_SLICE, record_row, run, &done);
        if (r == 0 && done && import_total(run->import) > 0)
                r = record_import(run, "done");
        if (r == 0)
                r = registry_commit(b->c.registry);
        if (r != 0)
                registry_rollback(b->c.registry);
        import_settle(run->import, r == 0);
        if (r != 0)
                return r;
        trail_kick(b->c.trail);
        *ret_done = done;
        return 0;
}

/* Everything is staged: the decision, or the answer to a dry run. */
static void decide(struct ImportRun *run) {
        RegistryError e = {};
        bool done = false;
        int r;

        if (run->dry_run) {
                answer(run);
                import_run_end(run);
                return;
        }
        r = apply_slice(run, true, &done, &e);
        if (r != 0) {
                answer_refused(run, r, &e);
                import_run_end(run);
                return;
        }
        run_detach(run);
        if (done) {
                run->state = STATE_NONE;
                applied(run);
        } else
                import_run_work(run, STATE_APPLYING);
}

/* What was checked cannot be written all the same. That is told, instead of trying for ever. */
static void give_up(struct ImportRun *run, int why) {
        Registry *registry = run->bus->c.registry;
        int r;

        r = registry_begin(registry);
        if (r == 0)
                r = record_import(run, "failed");
        if (r == 0)
                r = import_give_up(run->import);
        if (r == 0)
                r = registry_commit(registry);
        if (r != 0) {
                registry_rollback(registry);
                run_later(run);
                return;
        }
        trail_kick(run->bus->c.trail);
        answer_refused(run, why, NULL);
        run->state = STATE_SCANNING; /* what is staged is thrown away */
        import_run_end(run);
}

static void go_on_applying(struct ImportRun *run) {
        bool done = false;
        int r;

        r = apply_slice(run, false, &done, NULL);
        if (r == REGISTRY_E_UNUSABLE || r == -ENOMEM) { /* a full disk, a lock: it is decided, so it is tried again */
                run_later(run);
                return;
        }
        if (r != 0) {
                give_up(run, r);
                return;
        }
        if (done) {
                run->state = STATE_NONE;
                applied(run);
        } else
                tell_progress(run);
}

void import_refusal_note(Refusals *f, const char *uuid, const char *reason, const char *text) {
        if (f->n == REFUSALS_MAX)
                return;
        (void)snprintf(f->refused[f->n].uuid, sizeof(f->refused[f->n].uuid), "%s", uuid ? uuid : "");
        (void)snprintf(f->refused[f->n].text, sizeof(f->refused[f->n].text), "%s", text);
        f->refused[f->n++].reason = reason;
}

void import_refusals_record(struct ImportRun *run, const char *method, const Refusals *f) {
        for (unsigned i = 0; i < f->n; i++)
                bus_record_refusal(run->bus, &run->caller, method, noun_to_string(run->noun), f->refused[i].uuid,
                        f->refused[i].reason, f->refused[i].text);
}

/* Notes all accounts of a person that rights are taken from. */
static int screen_add(struct ImportRun *run, const char *person) {
        _cleanup_json_ json_object *filter = json_object_new_object(), *rows = NULL;
        int r;

        if (!filter || json_set_string(filter, "person", person) < 0)
                return -ENOMEM;
        r = registry_row_list(run->bus->c.registry, NOUN_USER, filter, 0, &rows, NULL);
        if (r != 0)
                return r < 0 ? r : -EIO;
        for (size_t i = 0; i < json_object_array_length(rows); i++) {
                json_object *account;

                if (!json_object_object_get_ex(json_object_array_get_idx(rows, i), "account", &account))
                        continue;
                if (json_object_array_add(run->screen, json_object_get(account)) < 0) {
                        json_object_put(account);
                        return -ENOMEM;
                }
        }
        return 0;
}

int import_permit_row(json_object *before, json_object *after, void *userdata, char deputy[static 37]) {
        Asking *a = userdata;
        struct ImportRun *run = a->run;
        bool takes = run->noun == NOUN_USER && before && change_takes_rights(before, after);
        const char *by = NULL, *person = before ? json_string(before, "person") : NULL;

        a->text = change_refused(run->bus, &run->caller, run->noun, before, after, &a->reason, &by);
        if (a->text && a->scanning && strcmp(a->reason, "unit") == 0) {
                a->text = NULL;
                return 1;
        }
        if (!a->text && takes)
                a->text = change_shuts_out(run->bus, &run->caller, json_string(before, "account"), person, &a->reason);
        if (a->text) {
                import_refusal_note(&a->refusals, before ? json_string(before, "uuid") : NULL, a->reason, a->text);
                return -EACCES;
        }
        if (by)
                (void)snprintf(deputy, 37, "%s", by);
        if (takes && person && !caller_has_own(&run->caller, ROLE_BIT(ROLE_SYSTEM_OWNER))) {
                int r = screen_add(run, person);

                if (r < 0)
                        return r;
        }
        if (a->scanning && run->dry_run && json_object_array_length(run->removed) < REMOVED_ROWS_MAX &&
                json_object_array_add(run->removed, json_object_get(before)) < 0) {
                json_object_put(before);
                return -ENOMEM;
        }
        return 0;
}

static void refuse_commit(struct ImportRun *run, const char *error, const char *reason, const char *text) {
        bus_record_refusal(run->bus, &run->caller, "ImportCommit", noun_to_string(run->noun), NULL, reason, text);
        if (run->committer)
                (void)bus_refuse(run->committer, error, "%s", text);
        run->committer = sd_bus_message_unref(run->committer);
        import_run_end(run);
}

static void on_screened(int r, Account *account, void *userdata) {
        struct ImportRun *run = userdata;
        const char *owners = run->bus->c.config->role_groups[ROLE_SYSTEM_OWNER];

        run->query = NULL;
        run->answered = true;
        if (r == 0 && owners && account_in_group(account, owners)) {
                refuse_commit(run, "Refused", "system-owner",
                        N_("Only another system owner takes rights from a system owner: so the last one cannot be "
                           "shut out"));
                return;
        }
        if (r != 0 && r != LOOKUP_E_UNKNOWN) {
                refuse_commit(run, "Unavailable", "lookup", N_("The name service does not answer; try again later"));
                return;
        }
        run->screened++;
        if (!run->starting) /* else import_run_screen() goes on */
                import_run_work(run, STATE_SCREENING);
}

/* Asks NSS about the next accounts that rights are taken from; the decision when there are no more. */
void import_run_screen(struct ImportRun *run) {
        (void)sd_event_source_set_enabled(run->work, SD_EVENT_OFF);
        for (unsigned n = 0; run->screened < json_object_array_length(run->screen); n++) {
                json_object *account = json_object_array_get_idx(run->screen, run->screened);
                LookupQuery *query = NULL;
                int r;

                if (n == SCREEN_ACCOUNTS) {
                        import_run_work(run, STATE_SCREENING);
                        return;
                }
                run->starting = true;
                run->answered = false;
                r = lookup_name(run->bus->c.lookup, json_object_get_string(account), on_screened, run, &query);
                run->starting = false;
                if (run->state != STATE_SCREENING)
                        return;
                if (r < 0) {
                        answer_refused(run, r, NULL);
                        import_run_end(run);
                        return;
                }
                if (!run->answered) {
                        run->query = query;
                        return;
                }
        }
        decide(run);
}

static void go_on_scanning(struct ImportRun *run) {
        Registry *registry = run->bus->c.registry;
        Asking asking = { .run = run, .scanning = true };
        RegistryError e = {};
        bool done = false;
        int r;

        r = import_staging_begin(registry);
        if (r == 0)
                r = import_scan(run->import, SCAN_ROWS, import_permit_row, &asking, &done, &e);
        r = import_staging_end(registry, r);
        if (r == 0 && done) {
                run->state = STATE_SCREENING;
                import_run_screen(run);
        }
        if (r == 0)
                return;
        import_refusals_record(run, "ImportCommit", &asking.refusals);
        if (asking.text && run->committer) {
                (void)bus_refuse(run->committer, "Refused", "%s", asking.text);
                run->committer = sd_bus_message_unref(run->committer);
        }
        answer_refused(run, r, &e);
        import_run_end(run);
}

static void go_on_purging(struct ImportRun *run) {
        bool done = false;

        if (import_purge(run->bus->c.registry, PURGE_ROWS, &done) != 0)
                run_later(run);
        else if (done) {
                run->state = STATE_NONE;
                (void)sd_event_source_set_enabled(run->work, SD_EVENT_OFF);
        }
}

/* Behind everything else that the loop has to do: logins come first. */
int import_run_on_work(sd_event_source *s, void *userdata) {
        struct ImportRun *run = userdata;

        switch (run->state) {
        case STATE_SCANNING:
                go_on_scanning(run);
                break;
        case STATE_SCREENING:
                import_run_screen(run);
                break;
        case STATE_APPLYING:
                go_on_applying(run);
                break;
        case STATE_PURGING:
                go_on_purging(run);
                break;
        default:
                (void)sd_event_source_set_enabled(run->work, SD_EVENT_OFF);
        }
        return 0;
}
