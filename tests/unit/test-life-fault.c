/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "keishi/paths.h"
#include "login/identity.h"
#include "registry/import.h"
#include "registry/restore.h"
#include "util/clock.h"

/* Enrolment and restore when an allocation, a write or a sync fails, each once, ours and those of SQLite, json-c and
 * libcrypto: this program's own malloc(), pwrite(), fsync() and fdatasync() stand before libc's. Whatever fails, the
 * next start finds a terminal that is whole, and a directory as before or as the backup. With a sanitizer, which brings
 * its own malloc(), this is not built. */

typedef enum Fault { FAULT_MEMORY, FAULT_WRITE, FAULT_SYNC, _FAULT_MAX } Fault;

static unsigned countdown[_FAULT_MAX]; /* 0: nothing fails */

static bool fails(Fault fault) {
        return countdown[fault] > 0 && --countdown[fault] == 0;
}

#define EXPORTED __attribute__((visibility("default")))

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);

EXPORTED void *malloc(size_t size) {
        if (!fails(FAULT_MEMORY))
                return __libc_malloc(size);
        errno = ENOMEM;
        return NULL;
}

EXPORTED void *calloc(size_t n, size_t size) {
        if (!fails(FAULT_MEMORY))
                return __libc_calloc(n, size);
        errno = ENOMEM;
        return NULL;
}

EXPORTED void *realloc(void *p, size_t size) {
        if (!fails(FAULT_MEMORY))
                return __libc_realloc(p, size);
        errno = ENOMEM;
        return NULL;
}

static ssize_t checked_pwrite(int fd, const void *data, size_t size, off_t at) {
        if (!fails(FAULT_WRITE))
                return syscall(SYS_pwrite64, fd, data, size, at);
        errno = ENOSPC;
        return -1;
}

#undef pwrite
#undef pwrite64
ssize_t own_pwrite(int fd, const void *data, size_t size, off_t at) __asm__("pwrite") EXPORTED;
ssize_t own_pwrite(int fd, const void *data, size_t size, off_t at) {
        return checked_pwrite(fd, data, size, at);
}

ssize_t own_pwrite64(int fd, const void *data, size_t size, off_t at) __asm__("pwrite64") EXPORTED;
ssize_t own_pwrite64(int fd, const void *data, size_t size, off_t at) {
        return checked_pwrite(fd, data, size, at);
}

EXPORTED int fdatasync(int fd) {
        if (!fails(FAULT_SYNC))
                return (int)syscall(SYS_fdatasync, fd);
        errno = EIO;
        return -1;
}

EXPORTED int fsync(int fd) {
        if (!fails(FAULT_SYNC))
                return (int)syscall(SYS_fsync, fd);
        errno = EIO;
        return -1;
}

/* Whether the armed fault has happened; disarms. */
static bool disarm(Fault fault) {
        bool happened = countdown[fault] == 0;

        countdown[fault] = 0;
        return happened;
}

/* ---- a terminal in a directory ---- */

#define NOW (UINT64_C(1790000000) * USEC_PER_SEC)

static char root[64];
static Registry *registry;
static Trail *trail;
static char *terminal_uuid;

static char *at(const char *path) {
        char *joined = NULL;

        assert_true(asprintf(&joined, "%s%s", root, path) > 0);
        return joined;
}

static void make_directory(const char *path) {
        _cleanup_free_ char *copy = at(path);

        for (char *p = copy + strlen(root) + 1; (p = strchr(p, '/')); *p++ = '/') {
                *p = '\0';
                (void)mkdir(copy, 0755);
        }
        (void)mkdir(copy, 0755);
}

static void add(NounId noun, const char *text) {
        json_object *fields = json_tokener_parse(text), *row = NULL, *uuid = NULL;
        RegistryError e = {};

        if (registry_row_add(registry, noun, fields, NOW, &row, &e) != 0)
                fail_msg("%s: %s", text, e.text);
        if (noun == NOUN_TERMINAL && json_object_object_get_ex(row, "uuid", &uuid))
                terminal_uuid = strdup(json_object_get_string(uuid));
        json_object_put(fields);
        json_object_put(row);
}

static void fill(void) {
        assert_int_equal(registry_begin(registry), 0);
        add(NOUN_TERMINAL, "{'name':'KEIRI-01','unit':'会計課'}");
        add(NOUN_USER, "{'account':'hanako','person':'1001','name':'山田花子','unit':'会計課'}");
        add(NOUN_USER, "{'account':'madoguchi','person':'9001','name':'窓口','unit':'会計課','shared':true}");
        add(NOUN_MEMBER, "{'account':'madoguchi','person':'1001'}");
        add(NOUN_SCOPE, "{'name':'会計','business':'会計事務','unit':'会計課','terminals':'pattern:KEIRI-*'}");
        add(NOUN_DESIGNATION, "{'scope':'会計','subject':'user:hanako','until':'2099-12-31'}");
        add(NOUN_RESTRICTION, "{'person':'1001','reason':'調査'}");
        add(NOUN_DEPUTY, "{'unit':'会計課','role':'unit-head','person':'1001','until':'2099-12-31'}");
        assert_int_equal(registry_meta_set(registry, "terminal", terminal_uuid), 0);
        assert_int_equal(registry_meta_set(registry, "setup", "1"), 0);
        assert_int_equal(registry_commit(registry), 0);
}

static int setup(void **state) {
        _cleanup_free_ char *database = NULL, *machine_id = NULL, *reserve = NULL, *spool = NULL, *journal = NULL;
        FILE *f;

        snprintf(root, sizeof(root), "%s", access("/dev/shm", W_OK) == 0 ? "/dev/shm/life-XXXXXX" : "/tmp/life-XXXXXX");
        assert_non_null(mkdtemp(root));
        make_directory("/etc");
        make_directory(KEISHI_STATE_DIR);
        machine_id = at(KEISHI_MACHINE_ID);
        f = fopen(machine_id, "we");
        assert_non_null(f);
        assert_true(fputs("0123456789abcdef0123456789abcdef\n", f) >= 0 && fclose(f) == 0);
        database = at(KEISHI_REGISTRY_FILE);
        reserve = at(KEISHI_RESERVE_FILE);
        spool = at(KEISHI_BREAK_GLASS_SPOOL);
        journal = at("/journal");
        assert_int_equal(registry_open(&registry, database, NULL), 0);
        fill();
        assert_int_equal(trail_new(&trail, NULL, registry,
                                 &(TrailOptions){ .reserve_path = reserve,
                                         .break_glass_spool_path = spool,
                                         .journal_socket_path = journal,
                                         .syslog_socket_path = journal }),
                0);
        return 0;
}

static int teardown(void **state) {
        char command[128];

        trail = trail_free(trail);
        registry = registry_free(registry);
        free(TAKE_PTR(terminal_uuid));
        snprintf(command, sizeof(command), "rm -rf '%s'", root);
        return system(command);
}

/* ---- enrolment ---- */

static int enrol(Identity *i) {
        Event *e = NULL;
        int r;

        r = identity_prepare(i);
        if (r != 0)
                return r;
        r = event_new(&e, EVENT_IDENTITY_BOUND);
        if (r == 0)
                r = registry_begin(registry);
        if (r == 0)
                r = identity_write(i, trail, terminal_uuid, e, NULL);
        if (r == 0)
                r = registry_commit(registry);
        if (r != 0)
                registry_rollback(registry);
        identity_written(i, trail, r == 0);
        event_free(e);
        return r;
}

static bool key_left_over(void) {
        _cleanup_free_ char *path = at(KEISHI_KEY_FILE_NEW);

        return access(path, F_OK) == 0;
}

static void enrol_with_each(Fault fault) {
        Identity *i = NULL;
        unsigned failed = 0;

        assert_int_equal(identity_new(&i, registry, root), 0);
        assert_int_equal(identity_start(i, trail), 0); /* bound once, as after an upgrade */
        assert_int_equal(identity_state(i), IDENTITY_RIGHT);
        for (unsigned n = 1;; n++) {
                bool happened;
                int r;

                countdown[fault] = n;
                r = enrol(i);
                happened = disarm(fault);
                failed += r != 0;
                i = identity_free(i);
                assert_int_equal(identity_new(&i, registry, root), 0);
                if (identity_state(i) != IDENTITY_RIGHT || key_left_over())
                        fail_msg("fault %u: %s", n, identity_state_to_string(identity_state(i)));
                if (!happened) {
                        assert_int_equal(r, 0);
                        break;
                }
                assert_true(n < 100000);
        }
        assert_true(failed > 0);
        identity_free(i);
}

static void an_enrolment_without_memory_leaves_a_whole_terminal(void **state) {
        enrol_with_each(FAULT_MEMORY);
}

static void an_enrolment_on_a_full_disk_leaves_a_whole_terminal(void **state) {
        enrol_with_each(FAULT_WRITE);
}

static void an_enrolment_whose_sync_fails_leaves_a_whole_terminal(void **state) {
        enrol_with_each(FAULT_SYNC);
}

/* ---- restore ---- */

/* All rows as they travel, but for their versions, which only ever grow. */
static char *dump(void) {
        json_object *all = json_object_new_array();
        char *text;

        for (NounId n = 0; n < _NOUN_MAX; n++) {
                json_object *rows = NULL;
                int64_t last;

                assert_int_equal(backup_page(registry, n, 0, 100, &rows, &last), 0);
                for (size_t k = 0; k < json_object_array_length(rows); k++)
                        json_object_object_del(json_object_array_get_idx(rows, k), "version");
                json_object_array_add(all, rows);
        }
        text = strdup(json_object_to_json_string_ext(all, JSON_C_TO_STRING_PLAIN));
        json_object_put(all);
        assert_non_null(text);
        return text;
}

static void stage_all(void) {
        assert_int_equal(import_staging_begin(registry), 0);
        for (NounId n = 0; n < _NOUN_MAX; n++) {
                json_object *rows = NULL;
                RegistryError e = {};
                int64_t last;

                assert_int_equal(backup_page(registry, n, 0, 100, &rows, &last), 0);
                for (size_t k = 0; k < json_object_array_length(rows); k++)
                        if (restore_stage(registry, n, json_object_array_get_idx(rows, k), &e) != 0)
                                fail_msg("%s", e.text);
                json_object_put(rows);
        }
        assert_int_equal(import_staging_end(registry, 0), 0);
}

static void change_something_of_everything(void) {
        static const char *const statements[] = {
                "UPDATE users SET name = '別人', version = version + 1 WHERE account = 'hanako'",
                "UPDATE members SET deleted = 5",
                "UPDATE designations SET hours = 'mon-fri 08:00-17:00'",
                "UPDATE scopes SET name = '庶務'",
                "UPDATE deputies SET deleted = 5",
                "INSERT OR REPLACE INTO terminals (uuid, name, unit) VALUES ('00000000-0000-4000-8000-000000000001', "
                "'T9', '会計課')",
                "INSERT OR REPLACE INTO users (uuid, account, person, name, unit) VALUES"
                " ('00000000-0000-4000-8000-000000000002', 'jiro', '1002', '次郎', '会計課')",
        };

        for (size_t k = 0; k < ELEMENTSOF(statements); k++)
                assert_int_equal(sqlite3_exec(registry_db(registry), statements[k], NULL, NULL, NULL), SQLITE_OK);
}

static int apply(void) {
        int r;

        r = registry_begin(registry);
        if (r == 0)
                r = restore_apply(registry, RESTORE_NOUNS_ALL, NOW, NULL);
        if (r == 0)
                r = registry_commit(registry);
        registry_rollback(registry);
        return r;
}

static void restore_with_each(Fault fault) {
        _cleanup_free_ char *wanted = dump(), *before = NULL;
        unsigned failed = 0;

        stage_all();
        change_something_of_everything();
        before = dump();
        assert_string_not_equal(before, wanted);
        for (unsigned n = 1;; n++) {
                _cleanup_free_ char *now = NULL;
                bool happened;
                int r;

                countdown[fault] = n;
                r = apply();
                happened = disarm(fault);
                failed += r != 0;
                now = dump();
                if (strcmp(now, r == 0 ? wanted : before) != 0)
                        fail_msg("fault %u: %d, and the directory is %s", n, r, now);
                if (r == 0 && !happened)
                        break;
                if (r == 0) { /* the fault was one that nothing hangs on */
                        change_something_of_everything();
                        free(before);
                        before = dump();
                }
                assert_true(n < 100000);
        }
        assert_true(failed > 0);
        assert_int_equal(restore_clear(registry), 0);
}

static void a_restore_without_memory_is_whole_or_not_at_all(void **state) {
        restore_with_each(FAULT_MEMORY);
}

static void a_restore_on_a_full_disk_is_whole_or_not_at_all(void **state) {
        restore_with_each(FAULT_WRITE);
}

static void a_restore_whose_sync_fails_is_whole_or_not_at_all(void **state) {
        restore_with_each(FAULT_SYNC);
}

static void what_is_staged_and_the_same_is_left_alone(void **state) {
        _cleanup_free_ char *before = dump(), *after = NULL;

        stage_all();
        for (NounId n = 0; n < _NOUN_MAX; n++) {
                RestoreCounts c;

                assert_int_equal(restore_count(registry, n, &c), 0);
                assert_int_equal(c.added + c.changed + c.removed + c.kept, 0);
        }
        assert_int_equal(apply(), 0);
        after = dump();
        assert_string_equal(before, after);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                T(an_enrolment_without_memory_leaves_a_whole_terminal),
                T(an_enrolment_on_a_full_disk_leaves_a_whole_terminal),
                T(an_enrolment_whose_sync_fails_leaves_a_whole_terminal),
                T(a_restore_without_memory_is_whole_or_not_at_all),
                T(a_restore_on_a_full_disk_is_whole_or_not_at_all),
                T(a_restore_whose_sync_fails_is_whole_or_not_at_all),
                T(what_is_staged_and_the_same_is_left_alone),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
