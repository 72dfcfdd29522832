/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <malloc.h>
#include <string.h>
#include <sys/statvfs.h>

#include "registry/change.h"
#include "registry/import.h"
#include "registry/restore.h"
#include "util/clock.h"

/* Backup and restore of the directory over the bus; the file itself, its passphrase and its bytes are keishictl's. Rows
 * come and go in pages, one connection at a time; polkit is asked at the beginning. RestoreCommit, whose caller's role
 * is looked at again, makes the directory that of the backup in one transaction, or says why not. */

#define IDLE_USEC    (60 * USEC_PER_SEC)
#define NOUN_SHIFT   48
#define ID_MASK      ((UINT64_C(1) << NOUN_SHIFT) - 1)
#define SHOWN_ROWS   200u /* of each noun and kind of change, in a dry run */
#define ROOM_PER_ROW 2048u
#define ROOM_LEFT    (8u * 1024u * 1024u)

#define ROLES (ROLE_BIT(ROLE_SYSTEM_MANAGER) | ROLE_BIT(ROLE_SYSTEM_OWNER))

struct BackupReader {
        char *sender;
        uint64_t last, generation, used_usec;
};

struct RestoreRun {
        char *sender;
        sd_bus_slot *gone;
        sd_event_source *deadline;
        uint64_t generation, rows;
};

/* ---- backup ---- */

static void backup_drop(Bus *b) {
        if (b->backup)
                free(b->backup->sender);
        free(TAKE_PTR(b->backup));
}

static bool backup_goes_on(const Bus *b, const char *sender, uint64_t after) {
        const struct BackupReader *k = b->backup;

        return after > 0 && k && sender && k->last == after && strcmp(k->sender, sender) == 0 &&
               clock_usec(CLOCK_BOOTTIME) - k->used_usec < IDLE_USEC;
}

/* The reading is recorded before anything is told. */
static int backup_begin(Bus *b, const Caller *caller) {
        _cleanup_(event_free_p) Event *e = bus_event(EVENT_DIRECTORY_BACKED_UP, caller);
        uint64_t rows;
        int r;

        if (!e)
                return -ENOMEM;
        r = backup_count(b->c.registry, &rows);
        if (r != 0)
                return r;
        event_set_uint(e, FIELD_COUNT, rows);
        event_set(e, FIELD_RESULT, "done");
        r = trail_record(b->c.trail, e);
        if (r != 0)
                return r;
        backup_drop(b);
        b->backup = calloc(1, sizeof(*b->backup));
        if (!b->backup || !(b->backup->sender = strdup(caller->sender))) {
                backup_drop(b);
                return -ENOMEM;
        }
        b->backup->generation = restore_generation(b->c.registry);
        return 0;
}

/* The rows behind `after`, of the first noun that still has some: noun and integer key of the last one. */
static int backup_rows(Bus *b, uint64_t after, json_object *page, uint64_t *ret_last) {
        NounId noun = (NounId)(after >> NOUN_SHIFT);
        int64_t id = (int64_t)(after & ID_MASK);
        int r;

        for (; noun < _NOUN_MAX; noun++, id = 0) {
                _cleanup_json_ json_object *rows = NULL;
                int64_t last;

                r = backup_page(b->c.registry, noun, id, BACKUP_PAGE_ROWS, &rows, &last);
                if (r != 0)
                        return r;
                if (last == id)
                        continue;
                if (json_set_string(page, "noun", noun_to_string(noun)) < 0 ||
                        json_set(page, "rows", TAKE_PTR(rows)) < 0)
                        return -ENOMEM;
                *ret_last = (uint64_t)noun << NOUN_SHIFT | (uint64_t)last;
                return 0;
        }
        *ret_last = after;
        return 0;
}

/* What the backup says about itself, at its beginning. */
static int backup_head(Bus *b, json_object *page) {
        _cleanup_json_ json_object *nouns = json_object_new_array();
        _cleanup_(terminal_done) Terminal t = {};
        int r;

        r = registry_terminal_self(b->c.registry, &t);
        if (r != 0 && r != REGISTRY_E_NOT_FOUND)
                return r;
        if (!nouns)
                return -ENOMEM;
        for (NounId n = 0; n < _NOUN_MAX; n++) {
                json_object *name = json_object_new_string(noun_to_string(n));

                if (!name || json_object_array_add(nouns, name) < 0) {
                        json_object_put(name);
                        return -ENOMEM;
                }
        }
        if (json_set_string(page, "terminal", t.name) < 0 || json_set_string(page, "terminal_uuid", t.uuid) < 0 ||
                json_set_uint(page, "made_usec", clock_usec(CLOCK_REALTIME)) < 0 ||
                json_set(page, "nouns", TAKE_PTR(nouns)) < 0)
                return -ENOMEM;
        return 0;
}

static int do_backup(Bus *b, sd_bus_message *m, const Caller *caller) {
        _cleanup_json_ json_object *page = json_object_new_object();
        uint64_t after, last = 0;
        const char *text;
        int r;

        r = sd_bus_message_read(m, "t", &after);
        if (r < 0)
                return r;
        if (!page)
                return -ENOMEM;
        if (after > 0 && !backup_goes_on(b, caller->sender, after))
                return bus_refuse(
                        m, "Refused", N_("There is no backup of this connection that could go on from there"));
        if (import_bus_under_way(b))
                return bus_refuse(m, "Unavailable", N_("An import is being applied; try again in a few seconds"));
        r = after == 0 ? backup_begin(b, caller) : 0;
        if (r == 0 && after == 0)
                r = backup_head(b, page);
        if (r != 0)
                return bus_refuse_registry(m, r, NULL);
        if (b->backup->generation != restore_generation(b->c.registry)) {
                backup_drop(b);
                return bus_refuse(m, "Conflict", N_("The directory was changed while it was read; back it up again"));
        }
        r = backup_rows(b, after, page, &last);
        if (r != 0)
                return bus_refuse_registry(m, r, NULL);
        b->backup->last = last;
        b->backup->used_usec = clock_usec(CLOCK_BOOTTIME);
        text = json_text(page);
        if (!text)
                return -ENOMEM;
        r = sd_bus_reply_method_return(m, "st", text, last);
        if (last == after) {
                backup_drop(b);
                json_object_put(TAKE_PTR(page));
                (void)sqlite3_db_release_memory(registry_db(b->c.registry));
                (void)malloc_trim(0);
        }
        return r;
}

int restore_bus_backup(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Bus *b = userdata;
        uint64_t after;
        int r;

        r = sd_bus_message_read(m, "t", &after);
        if (r < 0)
                return r;
        return authorize(b, m,
                &(Ask){
                        .method = "Backup",
                        .action = backup_goes_on(b, sd_bus_message_get_sender(m), after) ? NULL : ACTION_READ,
                        .roles = ROLES,
                        .noun = "directory",
                        .fn = do_backup,
                });
}

/* ---- restore: staging ---- */

static void restore_end(Bus *b) {
        struct RestoreRun *run = TAKE_PTR(b->restore);

        if (!run)
                return;
        sd_bus_slot_unref(run->gone);
        sd_event_source_disable_unref(run->deadline);
        free(run->sender);
        free(run);
        (void)restore_clear(b->c.registry); /* else at the next one, or at the start */
        registry_hold_more(b->c.registry, false);
}

void restore_bus_done(Bus *b) {
        restore_end(b);
        backup_drop(b);
}

void restore_bus_start(Bus *b) {
        (void)restore_clear(b->c.registry);
}

static int on_gone(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Bus *b = userdata;
        const char *name, *old, *new;

        if (b->restore && sd_bus_message_read(m, "sss", &name, &old, &new) >= 0 &&
                !*new &&strcmp(name, b->restore->sender) == 0)
                restore_end(b);
        return 0;
}

static int on_deadline(sd_event_source *s, uint64_t usec, void *userdata) {
        restore_end(userdata);
        return 0;
}

static int watch(Bus *b, struct RestoreRun *run) {
        char match[256];
        int r;

        (void)snprintf(match, sizeof(match),
                "type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',"
                "member='NameOwnerChanged',arg0='%s'",
                run->sender);
        r = sd_bus_add_match_async(b->bus, &run->gone, match, on_gone, NULL, b);
        if (r >= 0)
                r = sd_event_add_time_relative(
                        b->c.event, &run->deadline, CLOCK_BOOTTIME, IDLE_USEC, USEC_PER_SEC, on_deadline, b);
        return r < 0 ? r : 0;
}

static int do_begin(Bus *b, sd_bus_message *m, const Caller *caller) {
        struct RestoreRun *run;
        int r;

        if (b->restore || import_bus_under_way(b))
                return bus_refuse(m, "Unavailable", N_("Another import or restore is under way; try again later"));
        r = restore_clear(b->c.registry);
        if (r != 0)
                return bus_refuse_registry(m, r, NULL);
        b->restore = run = calloc(1, sizeof(*run));
        if (!run)
                return -ENOMEM;
        run->sender = strdup(caller->sender);
        run->generation = restore_generation(b->c.registry);
        registry_hold_more(b->c.registry, true);
        r = run->sender ? watch(b, run) : -ENOMEM;
        if (r >= 0)
                r = sd_bus_reply_method_return(m, NULL);
        if (r < 0)
                restore_end(b);
        return r;
}

int restore_bus_begin(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return authorize(userdata, m,
                &(Ask){
                        .method = "RestoreBegin",
                        .action = ACTION_CHANGE,
                        .roles = ROLES,
                        .noun = "directory",
                        .fn = do_begin,
                });
}

/* The caller's restore, or NULL. */
static struct RestoreRun *run_of(Bus *b, sd_bus_message *m) {
        const char *sender = sd_bus_message_get_sender(m);

        return b->restore && sender && strcmp(sender, b->restore->sender) == 0 ? b->restore : NULL;
}

static int refuse_no_run(sd_bus_message *m) {
        return bus_refuse(m, "Refused", N_("There is no restore of this connection; it may have been given up"));
}

static int stage_rows(Bus *b, NounId noun, json_object *rows, RegistryError *e) {
        int r;

        r = import_staging_begin(b->c.registry);
        for (size_t i = 0; r == 0 && i < json_object_array_length(rows); i++)
                r = restore_stage(b->c.registry, noun, json_object_array_get_idx(rows, i), e);
        return import_staging_end(b->c.registry, r);
}

/* Whether the disk has room for what is staged to be written, and some is left then. */
static bool has_room(Bus *b, uint64_t rows) {
        const char *path = sqlite3_db_filename(registry_db(b->c.registry), "main");
        struct statvfs st;

        return path && statvfs(path, &st) == 0 &&
               (uint64_t)st.f_bavail * st.f_frsize >= rows * ROOM_PER_ROW + ROOM_LEFT;
}

int restore_bus_rows(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        _cleanup_json_ json_object *rows = NULL;
        const char *noun_text, *text;
        RegistryError e = {};
        Bus *b = userdata;
        struct RestoreRun *run = run_of(b, m);
        NounId noun;
        size_t n;
        int r;

        r = sd_bus_message_read(m, "ss", &noun_text, &text);
        if (r < 0)
                return r;
        if (!run)
                return refuse_no_run(m);
        (void)sd_event_source_set_time_relative(run->deadline, IDLE_USEC);
        noun = noun_from_string(noun_text);
        if (noun == _NOUN_INVALID) {
                restore_end(b);
                return bus_refuse(m, "Invalid", N_("The backup has rows of a kind that this version does not know"));
        }
        if (json_parse_text(text, &rows) < 0 || !json_object_is_type(rows, json_type_array) ||
                json_object_array_length(rows) > RESTORE_BATCH_MAX) {
                restore_end(b);
                return bus_refuse(m, "Invalid", N_("The rows are not a JSON array, or too many at once"));
        }
        n = json_object_array_length(rows);
        if (run->rows + n > RESTORE_ROWS_MAX) {
                restore_end(b);
                return bus_refuse(m, "Invalid", N_("The backup has more rows than a directory can have"));
        }
        r = has_room(b, run->rows + n) ? stage_rows(b, noun, rows, &e) : REGISTRY_E_UNUSABLE;
        if (r != 0) {
                restore_end(b);
                return bus_refuse_registry(m, r, &e);
        }
        run->rows += n;
        return sd_bus_reply_method_return(m, "u", (uint32_t)n);
}

/* ---- restore: the decision ---- */

typedef struct Decision {
        bool dry_run;
        unsigned nouns;
        const char *hash, *terminal;
        uint64_t made_usec;
        json_object *result;
        Event *event; /* the restore's own entry */
        Event *bound; /* of the terminal, when it takes over a row of the backup */
} Decision;

/* NULL, or what is wrong with the document of RestoreCommit. */
static const char *document_wrong(const struct RestoreRun *run, json_object *document, Decision *d) {
        static const char *const names[] = { "dry_run", "hash", "terminal", "made_usec", "nouns", "rows", NULL };
        json_object *nouns = NULL, *value;

        if (!json_only_has(document, names, NULL) || !json_object_object_get_ex(document, "nouns", &nouns) ||
                !json_object_is_type(nouns, json_type_array))
                return N_("The document has an unknown member");
        d->dry_run = json_boolean(document, "dry_run");
        d->hash = json_string(document, "hash");
        d->terminal = json_string(document, "terminal");
        if (!d->hash || strlen(d->hash) != 64 || strspn(d->hash, "0123456789abcdef") != 64)
                return N_("The document has no digest of the file");
        if (json_object_object_get_ex(document, "made_usec", &value))
                d->made_usec = json_object_get_uint64(value);
        for (size_t i = 0; i < json_object_array_length(nouns); i++) {
                NounId noun = noun_from_string(json_object_get_string(json_object_array_get_idx(nouns, i)));

                if (noun == _NOUN_INVALID)
                        return N_("The backup has rows of a kind that this version does not know");
                d->nouns |= NOUN_BIT(noun);
        }
        if ((d->nouns & RESTORE_NOUNS_NEEDED) != RESTORE_NOUNS_NEEDED)
                return N_("The backup does not have every kind of row");
        if (!json_object_object_get_ex(document, "rows", &value) || json_object_get_uint64(value) != run->rows)
                return N_("The backup has not come here whole");
        return NULL;
}

/* What is going to change, in numbers and (in a dry run) row by row, before it does. */
static int tell_changes(Bus *b, const Decision *d) {
        _cleanup_json_ json_object *nouns = json_object_new_object(), *changes = json_object_new_array();
        char text[512] = "";
        uint64_t sum = 0;
        size_t used = 0;

        if (!nouns || !changes)
                return -ENOMEM;
        for (NounId n = 0; n < _NOUN_MAX; n++) {
                json_object *o = NULL;
                RestoreCounts c;
                int r, w;

                if (!(d->nouns & NOUN_BIT(n)))
                        continue;
                r = restore_count(b->c.registry, n, &c);
                if (r == 0 && d->dry_run)
                        r = restore_difference(b->c.registry, n, SHOWN_ROWS, changes);
                if (r != 0)
                        return r;
                sum += c.added + c.changed + c.removed;
                o = json_object_new_object();
                if (json_set_uint(o, "added", c.added) < 0 || json_set_uint(o, "changed", c.changed) < 0 ||
                        json_set_uint(o, "removed", c.removed) < 0 || json_set_uint(o, "unchanged", c.unchanged) < 0 ||
                        json_set_uint(o, "kept", c.kept) < 0 || json_set(nouns, noun_to_string(n), o) < 0)
                        return -ENOMEM;
                w = snprintf(text + used, sizeof(text) - used, "%s%s +%llu ~%llu -%llu =%llu", used > 0 ? ", " : "",
                        noun_to_string(n), (unsigned long long)c.added, (unsigned long long)c.changed,
                        (unsigned long long)c.removed, (unsigned long long)c.unchanged);
                used += w > 0 && (size_t)w < sizeof(text) - used ? (size_t)w : 0;
        }
        event_set_uint(d->event, FIELD_COUNT, sum);
        event_set(d->event, FIELD_HASH, d->hash);
        event_setf(d->event, FIELD_DETAIL, "backup of %s made at %llu: %s", d->terminal ? d->terminal : "-",
                (unsigned long long)d->made_usec, text);
        if (json_set(d->result, "nouns", TAKE_PTR(nouns)) < 0 ||
                (d->dry_run && json_set(d->result, "changes", TAKE_PTR(changes)) < 0))
                return -ENOMEM;
        return 0;
}

/* This terminal is still one: by its own row, or else it takes over the row of its name, in a new epoch. */
static int keep_terminal(Bus *b, const Decision *d, const Terminal *self, RegistryError *e) {
        _cleanup_(terminal_done) Terminal now = {};
        int r;

        r = registry_terminal_self(b->c.registry, &now);
        if (r == 0)
                return 0;
        if (r != REGISTRY_E_NOT_FOUND)
                return r;
        r = registry_terminal(b->c.registry, self->name, &now);
        if (r == REGISTRY_E_NOT_FOUND)
                return registry_error(e, REGISTRY_E_INVALID, "terminal",
                        "the backup has no terminal %s, which this one is: set this one up under a name that it has, "
                        "or register it where the backup is made and back up again",
                        shown(self->name).text);
        if (r != 0)
                return r;
        if (json_set_string(d->result, "took_over", now.name) < 0)
                return -ENOMEM;
        event_set(d->bound, FIELD_DETAIL, "took over the row of its name in a backup");
        return d->dry_run ? registry_meta_set(b->c.registry, "terminal", now.uuid)
                          : identity_write(b->c.identity, b->c.trail, now.uuid, d->bound, e);
}

static bool is_shut_out(Bus *b, const char *account, const void *userdata) {
        _cleanup_(user_done) User u = {};

        if (registry_user(b->c.registry, account, &u) == 0 && u.retired)
                return true;
        return registry_restriction(b->c.registry, account, u.person, 0, NULL, NULL) == 0;
}

/* Somebody is left who can set right what the backup brought: who restores it, a system manager, is as before. */
static int keep_managers(Bus *b, const Caller *caller, RegistryError *e) {
        _cleanup_(user_done) User u = {};
        int r;

        r = registry_user(b->c.registry, caller->user.account, &u);
        if (r != 0 && r != REGISTRY_E_NOT_FOUND)
                return r;
        if (r != 0 || u.retired || u.shared || !caller_is(caller, u.person))
                return registry_error(e, REGISTRY_E_INVALID, "user",
                        "in the backup %s is not registered as the person who restores it, so that no system manager "
                        "would be left for certain: let one restore it who is in it",
                        shown(caller->user.account).text);
        r = registry_restriction(b->c.registry, u.account, u.person, 0, NULL, NULL);
        if (r == 0)
                return registry_error(e, REGISTRY_E_INVALID, "restriction",
                        "the backup restricts %s, who restores it: let another system manager do it",
                        shown(caller->user.account).text);
        if (r != REGISTRY_E_NOT_FOUND)
                return r;
        if (change_break_glass(b, is_shut_out, NULL))
                return registry_error(e, REGISTRY_E_INVALID, "user",
                        "with the backup a break-glass account would be retired or restricted; take it out of "
                        "/etc/keishi/break-glass first");
        return 0;
}

/* Everything, within the open transaction. */
static int decide(Bus *b, const Caller *caller, const Decision *d, RegistryError *e) {
        _cleanup_(terminal_done) Terminal self = {};
        int r;

        if (b->restore->generation != restore_generation(b->c.registry))
                return registry_error(e, REGISTRY_E_CONFLICT, "",
                        "the directory was changed by somebody else meanwhile; nothing was changed, try again");
        r = registry_terminal_self(b->c.registry, &self);
        if (r == 0)
                r = restore_keep_life(b->c.registry, self.uuid);
        if (r == 0)
                r = tell_changes(b, d);
        if (r == 0)
                r = restore_apply(b->c.registry, d->nouns, clock_usec(CLOCK_REALTIME), e);
        if (r == 0)
                r = keep_managers(b, caller, e);
        if (r == 0)
                r = keep_terminal(b, d, &self, e);
        if (r == 0 && !d->dry_run) {
                event_set(d->event, FIELD_RESULT, "done");
                r = trail_append(b->c.trail, d->event);
        }
        return r;
}

static int commit_or_not(Bus *b, const Caller *caller, const Decision *d, RegistryError *e) {
        int r;

        r = registry_begin(b->c.registry);
        if (r != 0)
                return r;
        r = decide(b, caller, d, e);
        if (r == 0 && !d->dry_run)
                r = registry_commit(b->c.registry);
        if (r != 0 || d->dry_run)
                registry_rollback(b->c.registry);
        if (!d->dry_run)
                identity_written(b->c.identity, b->c.trail, r == 0);
        if (r == 0 && !d->dry_run) {
                restore_settle(b->c.registry);
                trail_kick(b->c.trail);
                b->counted = false;
                if (b->c.directory_changed)
                        b->c.directory_changed(_NOUN_INVALID, b->c.userdata);
        }
        return r;
}

static int do_commit(Bus *b, sd_bus_message *m, const Caller *caller) {
        _cleanup_json_ json_object *document = NULL, *result = json_object_new_object();
        _cleanup_(event_free_p) Event *event = bus_event(EVENT_DIRECTORY_RESTORED, caller),
                                      *bound = bus_event(EVENT_IDENTITY_BOUND, caller);
        Decision d = { .result = result, .event = event, .bound = bound };
        struct RestoreRun *run = run_of(b, m);
        const char *text, *wrong;
        RegistryError e = {};
        int r;

        r = sd_bus_message_read(m, "s", &text);
        if (r < 0)
                return r;
        if (!run)
                return refuse_no_run(m);
        if (!result || !event || !bound)
                return -ENOMEM;
        wrong = json_parse_object(text, &document) < 0 ? N_("The document is not a JSON object")
                                                       : document_wrong(run, document, &d);
        if (wrong) {
                restore_end(b);
                return bus_refuse(m, "Invalid", "%s", wrong);
        }
        r = commit_or_not(b, caller, &d, &e);
        restore_end(b);
        if (r == REGISTRY_E_INVALID)
                bus_record_refusal(b, caller, "RestoreCommit", "directory", NULL, "backup", e.text);
        if (r != 0)
                return bus_refuse_registry(m, r, &e);
        if (json_set_boolean(result, "dry_run", d.dry_run) < 0)
                return -ENOMEM;
        return bus_reply_json(m, result);
}

int restore_bus_commit(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        if (!run_of(userdata, m))
                return refuse_no_run(m);
        return authorize(
                userdata, m, &(Ask){ .method = "RestoreCommit", .roles = ROLES, .noun = "directory", .fn = do_commit });
}

int restore_bus_abort(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        if (run_of(userdata, m))
                restore_end(userdata);
        return sd_bus_reply_method_return(m, NULL);
}
