/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "registry/internal.h"

/* The database on a private directory. Where a test needs a mount of its own (a full or a read-only file system) and
 * may not have one, it is skipped. A killed process stands for a power cut: it shows that nothing depends on an orderly
 * end, not that the disk keeps what it was told to. */

static char directory[64], path[80], other_path[96];

static int setup(void **state) {
        strcpy(directory, "/tmp/test-registry-XXXXXX");
        if (!mkdtemp(directory))
                return -1;
        snprintf(path, sizeof(path), "%s/registry.db", directory);
        return 0;
}

static int teardown(void **state) {
        char command[128];

        snprintf(command, sizeof(command), "rm -rf %s", directory);
        return system(command);
}

static Registry *open_registry(void) {
        RegistryError e = {};
        Registry *r = NULL;
        int q = registry_open(&r, path, &e);

        if (q != 0)
                fail_msg("%d: %s", q, e.text);
        return r;
}

/* Opens and expects a refusal whose text has `expected` in it. */
static void assert_refused(int result, const char *expected) {
        Registry *r = NULL;
        RegistryError e = {};

        assert_int_equal(registry_open(&r, path, &e), result);
        assert_null(r);
        if (!strstr(e.text, expected))
                fail_msg("\"%s\" does not say \"%s\"", e.text, expected);
}

static const char *beside(const char *suffix) {
        snprintf(other_path, sizeof(other_path), "%s%s", path, suffix);
        return other_path;
}

static void sql(sqlite3 *db, const char *text) {
        char *message = NULL;

        if (sqlite3_exec(db, text, NULL, NULL, &message) != SQLITE_OK)
                fail_msg("%s: %s", text, message);
}

static int64_t number(sqlite3 *db, const char *text) {
        sqlite3_stmt *s;
        int64_t n;

        assert_int_equal(sqlite3_prepare_v2(db, text, -1, &s, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_step(s), SQLITE_ROW);
        n = sqlite3_column_int64(s, 0);
        sqlite3_finalize(s);
        return n;
}

static sqlite3 *open_plain(void) {
        sqlite3 *db;

        assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
        return db;
}

/* Runs fn in a process that ends without any clean-up, and gives back its exit code, or minus the signal. */
static int in_killed_process(void (*fn)(void)) {
        pid_t pid = fork();
        int status;

        assert_true(pid >= 0);
        if (pid == 0) {
                fn();
                raise(SIGKILL);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static void must(bool condition) {
        if (!condition)
                _exit(1);
}

/* ---- opening ---- */

static void a_new_registry_is_private_durable_and_complete(void **state) {
        Registry *r = open_registry();
        sqlite3 *db = registry_db(r);
        struct stat st;

        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        assert_int_equal(number(db, "PRAGMA user_version"), registry_n_migrations);
        assert_int_equal(number(db, "PRAGMA application_id"), REGISTRY_APPLICATION_ID);
        assert_int_equal(number(db, "PRAGMA synchronous"), 2);
        assert_int_equal(number(db, "PRAGMA foreign_keys"), 1);
        assert_int_equal(number(db, "PRAGMA secure_delete"), 1);
        assert_int_equal(number(db, "PRAGMA trusted_schema"), 0);
        assert_int_equal(number(db, "PRAGMA busy_timeout"), 0);
        assert_int_equal(number(db, "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name IN ('users',"
                                    " 'members', 'terminals', 'scopes', 'designations', 'restrictions', 'meta',"
                                    " 'attempts', 'sessions', 'outbox', 'here')"),
                11);
        assert_int_not_equal(access(beside(".new"), F_OK), 0);
        assert_int_equal(access(beside("-wal"), F_OK), 0);
        registry_free(r);
        assert_int_not_equal(access(beside("-wal"), F_OK), 0);
}

static void a_commit_does_not_make_the_log_longer(void **state) {
        Registry *r = open_registry();
        struct stat before, after;

        assert_int_equal(stat(beside("-wal"), &before), 0);
        for (int i = 0; i < 50; i++)
                assert_int_equal(registry_meta_set(r, "time", i % 2 ? "later" : "earlier"), 0);
        assert_int_equal(stat(beside("-wal"), &after), 0);
        assert_int_equal(before.st_size, after.st_size);
        registry_free(r);
}

static void what_was_written_is_there_after_reopening(void **state) {
        _cleanup_free_ char *value = NULL;
        Registry *r = open_registry();

        assert_int_equal(registry_begin(r), 0);
        assert_int_equal(registry_meta_set(r, "name", "値"), 0);
        assert_int_equal(registry_commit(r), 0);
        registry_free(r);

        r = open_registry();
        assert_int_equal(registry_meta_get(r, "name", &value), 0);
        assert_string_equal(value, "値");
        registry_free(r);
}

static void a_wider_mode_is_narrowed(void **state) {
        struct stat st;

        registry_free(open_registry());
        assert_int_equal(chmod(path, 0666), 0);
        registry_free(open_registry());
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
}

static void a_file_of_somebody_else_is_refused(void **state) {
        if (geteuid() != 0)
                skip();
        registry_free(open_registry());
        assert_int_equal(chown(path, 12345, 0), 0);
        assert_refused(REGISTRY_E_UNUSABLE, "belongs to uid 12345");
}

static void what_is_not_a_file_is_refused(void **state) {
        assert_int_equal(mkdir(path, 0700), 0);
        assert_refused(REGISTRY_E_UNUSABLE, "not a regular file");
        assert_int_equal(rmdir(path), 0);
        assert_int_equal(symlink("/dev/null", path), 0);
        assert_refused(REGISTRY_E_UNUSABLE, "not a regular file");
}

static void a_directory_that_is_not_there_is_refused(void **state) {
        assert_int_equal(rmdir(directory), 0);
        assert_refused(REGISTRY_E_UNUSABLE, "cannot create");
}

static void an_interrupted_creation_is_begun_again(void **state) {
        FILE *f = fopen(beside(".new"), "we");

        assert_non_null(f);
        fputs("half of a database", f);
        fclose(f);
        registry_free(open_registry());
        assert_int_not_equal(access(beside(".new"), F_OK), 0);
}

static void a_newer_version_is_refused_and_left_as_it_is(void **state) {
        sqlite3 *db;

        registry_free(open_registry());
        db = open_plain();
        sql(db, "PRAGMA user_version = 99");
        sqlite3_close(db);

        assert_refused(REGISTRY_E_NEWER, "newer keishid");
        db = open_plain();
        assert_int_equal(number(db, "PRAGMA user_version"), 99);
        sqlite3_close(db);
}

static void another_database_is_refused(void **state) {
        sqlite3 *db = open_plain();

        sql(db, "CREATE TABLE t (x); INSERT INTO t VALUES (1)");
        sqlite3_close(db);
        assert_refused(REGISTRY_E_UNUSABLE, "not a keishi registry");
}

static void garbage_is_refused(void **state) {
        FILE *f = fopen(path, "we");

        assert_non_null(f);
        for (int i = 0; i < 10000; i++)
                fputs("garbage ", f);
        fclose(f);
        assert_refused(REGISTRY_E_UNUSABLE, "not a database");
}

/* Fills the registry with some pages of rows. */
static void fill(Registry *r) {
        assert_int_equal(registry_begin(r), 0);
        for (int i = 0; i < 2000; i++) {
                char name[32];

                snprintf(name, sizeof(name), "name-%d", i);
                assert_int_equal(registry_meta_set(r, name, "a value of some length, so that there are pages"), 0);
        }
        assert_int_equal(registry_commit(r), 0);
}

static void an_empty_file_is_a_truncated_one(void **state) {
        registry_free(open_registry());
        assert_int_equal(truncate(path, 0), 0);
        assert_refused(REGISTRY_E_UNUSABLE, "truncated");
}

static void a_truncated_file_is_refused(void **state) {
        Registry *r = open_registry();
        struct stat st;

        fill(r);
        registry_free(r);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(truncate(path, st.st_size / 2), 0);
        assert_refused(REGISTRY_E_UNUSABLE, "malformed");
}

static void a_file_truncated_while_open_is_noticed_and_not_written(void **state) {
        Registry *r = open_registry();
        char *value;

        fill(r);
        sql(registry_db(r), "PRAGMA wal_checkpoint(TRUNCATE); PRAGMA shrink_memory");
        assert_int_equal(truncate(path, 8192), 0);
        assert_int_equal(registry_meta_get(r, "name-1999", &value), REGISTRY_E_UNUSABLE);
        registry_free(r);
}

static void fill_and_die(void) {
        Registry *r = NULL;
        RegistryError e;

        must(registry_open(&r, path, &e) == 0);
        must(registry_begin(r) == 0);
        for (int i = 0; i < 2000; i++) {
                char name[32];

                snprintf(name, sizeof(name), "name-%d", i);
                must(registry_meta_set(r, name, "a value of some length, so that there are pages") == 0);
        }
        must(registry_commit(r) == 0);
        must(sqlite3_exec(registry_db(r), "PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL) == SQLITE_OK);
        must(registry_begin(r) == 0 && registry_meta_set(r, "last", "x") == 0 && registry_commit(r) == 0);
}

static void damage_is_found_after_a_stop_that_was_not_orderly(void **state) {
        char zeros[4096] = {};
        struct stat st;
        Registry *r;
        int fd;

        assert_int_equal(in_killed_process(fill_and_die), -SIGKILL);
        r = open_registry();
        registry_free(r);

        assert_int_equal(in_killed_process(fill_and_die), -SIGKILL);
        fd = open(path, O_RDWR | O_CLOEXEC);
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(pwrite(fd, zeros, sizeof(zeros), st.st_size / 4096 / 2 * 4096), sizeof(zeros));
        close(fd);
        assert_refused(REGISTRY_E_UNUSABLE, "is damaged");
}

static void a_log_without_its_database_is_refused(void **state) {
        assert_int_equal(in_killed_process(fill_and_die), -SIGKILL);
        assert_int_equal(unlink(path), 0);
        assert_refused(REGISTRY_E_UNUSABLE, "is missing although its log");
        assert_int_not_equal(access(path, F_OK), 0);
}

static void commit_and_leave_another_open(void) {
        Registry *r = NULL;
        RegistryError e;

        must(registry_open(&r, path, &e) == 0);
        must(registry_begin(r) == 0 && registry_meta_set(r, "committed", "yes") == 0 && registry_commit(r) == 0);
        must(registry_begin(r) == 0 && registry_meta_set(r, "open", "yes") == 0);
}

static void a_kill_keeps_what_was_committed_and_nothing_else(void **state) {
        char *value = NULL;
        Registry *r;

        assert_int_equal(in_killed_process(commit_and_leave_another_open), -SIGKILL);
        r = open_registry();
        assert_int_equal(registry_meta_get(r, "committed", &value), 0);
        free(value);
        assert_int_equal(registry_meta_get(r, "open", &value), REGISTRY_E_NOT_FOUND);
        registry_free(r);
}

static void open_and_die(void) {
        Registry *r = NULL;
        RegistryError e;

        must(registry_open(&r, path, &e) == 0);
}

static void a_kill_during_the_first_start_leaves_a_registry(void **state) {
        for (int i = 0; i < 3; i++) {
                assert_int_equal(in_killed_process(open_and_die), -SIGKILL);
                registry_free(open_registry());
        }
}

/* A database as an older version left it: the first n migrations, and a row or two. */
static void make_version(int n) {
        sqlite3 *db = open_plain();
        char text[96];

        assert_int_equal(chmod(path, 0600), 0);
        for (int i = 0; i < n; i++)
                sql(db, registry_migrations[i]);
        snprintf(
                text, sizeof(text), "PRAGMA application_id = %d; PRAGMA user_version = %d", REGISTRY_APPLICATION_ID, n);
        sql(db, text);
        if (n >= 1)
                sql(db, "INSERT INTO terminals (uuid, name, unit) VALUES ('t-1', 'T01', 'u');"
                        "INSERT INTO scopes (id, uuid, name, business, unit, terminals) VALUES (1, 's-1', 's', 'b', "
                        "'u', 'name:T01');"
                        "INSERT INTO designations (uuid, scope, subject) VALUES ('d-1', 1, 'group:g')");
        if (n >= 2)
                sql(db, "INSERT INTO meta VALUES ('terminal', 't-1');"
                        "INSERT INTO outbox VALUES (1, 7, 0, CAST('KEISHI_RULE=designation:' ||"
                        " '3f2b8c1e-0000-4000-8000-000000000001' || char(10) AS BLOB));"
                        "INSERT INTO outbox VALUES (2, 9, 0, CAST('KEISHI_RULE=designation:' ||"
                        " '3f2b8c1e-0000-4000-8000-000000000001' || char(10) AS BLOB));"
                        "INSERT INTO outbox VALUES (3, 11, 0, CAST('KEISHI_RULE=service:cron' || char(10) AS BLOB))");
        sqlite3_close(db);
}

static void each_older_version_is_brought_up(void **state) {
        for (int n = 0; n <= registry_n_migrations; n++) {
                Registry *r;

                make_version(n);
                r = open_registry();
                assert_int_equal(number(registry_db(r), "PRAGMA user_version"), registry_n_migrations);
                if (n >= 2)
                        assert_int_equal(
                                number(registry_db(r), "SELECT count(*) FROM here WHERE subject = 'group:g'"), 1);
                if (n == 2 || n == 3) { /* what the trail told of the use of designations */
                        assert_int_equal(number(registry_db(r), "SELECT count(*) FROM last_used"), 1);
                        assert_int_equal(
                                number(registry_db(r), "SELECT used FROM last_used"
                                                       " WHERE designation = '3f2b8c1e-0000-4000-8000-000000000001'"),
                                9);
                }
                registry_free(r);
                assert_int_equal(unlink(path), 0);
        }
}

static void a_migration_that_fails_changes_nothing(void **state) {
        sqlite3 *db;

        make_version(1);
        db = open_plain();
        sql(db, "CREATE TABLE outbox (x)"); /* in the way of the last statement of the second migration */
        sqlite3_close(db);

        assert_refused(-EINVAL, "cannot be used");
        db = open_plain();
        assert_int_equal(number(db, "PRAGMA user_version"), 1);
        assert_int_equal(number(db, "SELECT count(*) FROM sqlite_schema WHERE name = 'meta'"), 0);
        sqlite3_close(db);
}

/* ---- transactions ---- */

static void transactions_do_not_nest_and_may_be_rolled_back_at_any_time(void **state) {
        Registry *r = open_registry();
        char *value;

        registry_rollback(r);
        assert_int_equal(registry_commit(r), REGISTRY_E_UNUSABLE);
        assert_int_equal(registry_begin(r), 0);
        assert_true(registry_in_transaction(r));
        assert_int_equal(registry_begin(r), -EBUSY);
        assert_int_equal(registry_meta_set(r, "a", "b"), 0);
        registry_rollback(r);
        registry_rollback(r);
        assert_false(registry_in_transaction(r));
        assert_int_equal(registry_meta_get(r, "a", &value), REGISTRY_E_NOT_FOUND);
        registry_free(r);
}

static void a_lock_of_another_process_refuses_at_once_and_only_writing(void **state) {
        Registry *r = open_registry();
        sqlite3 *locker = open_plain();
        char *value;

        sql(locker, "BEGIN IMMEDIATE");
        assert_int_equal(registry_begin(r), REGISTRY_E_UNUSABLE);
        assert_false(registry_in_transaction(r));
        assert_int_equal(registry_meta_get(r, "a", &value), REGISTRY_E_NOT_FOUND);
        sql(locker, "ROLLBACK");
        assert_int_equal(registry_begin(r), 0);
        assert_int_equal(registry_commit(r), 0);
        sqlite3_close(locker);
        registry_free(r);
}

static void an_exclusive_lock_refuses_opening(void **state) {
        sqlite3 *locker;

        registry_free(open_registry());
        locker = open_plain();
        sql(locker, "PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE");
        assert_refused(REGISTRY_E_UNUSABLE, "locked");
        sql(locker, "ROLLBACK");
        sqlite3_close(locker);
        registry_free(open_registry());
}

static int write_much(Registry *r) {
        int q = registry_begin(r);

        for (int i = 0; q == 0 && i < 5000; i++) {
                char name[32];

                snprintf(name, sizeof(name), "much-%d", i);
                q = registry_meta_set(r, name, "a value of some length, so that there are pages");
        }
        if (q == 0)
                q = registry_commit(r);
        if (q != 0)
                registry_rollback(r);
        return q;
}

static void a_full_database_refuses_and_recovers(void **state) {
        Registry *r = open_registry();
        char *value = NULL;

        assert_int_equal(registry_begin(r), 0);
        assert_int_equal(registry_meta_set(r, "before", "x"), 0);
        assert_int_equal(registry_commit(r), 0);

        sql(registry_db(r), "PRAGMA max_page_count = 1");
        assert_int_equal(write_much(r), REGISTRY_E_UNUSABLE);
        assert_false(registry_in_transaction(r));
        assert_int_equal(registry_meta_get(r, "before", &value), 0);
        free(value);
        assert_int_equal(registry_meta_get(r, "much-0", &value), REGISTRY_E_NOT_FOUND);

        sql(registry_db(r), "PRAGMA max_page_count = 1000000");
        assert_int_equal(write_much(r), 0);
        registry_free(r);
}

/* Exit codes of the children below besides 0 and 1. */
#define NO_MOUNTS 77

static void own_mounts(void) {
        if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
                _exit(NO_MOUNTS);
}

static void use_a_full_disk(void) {
        Registry *r = NULL;
        RegistryError e;
        char *value;
        int q;

        own_mounts();
        if (mount("none", directory, "tmpfs", 0, "size=384k") < 0)
                _exit(NO_MOUNTS);
        must(registry_open(&r, path, &e) == 0);
        must(registry_begin(r) == 0 && registry_meta_set(r, "before", "x") == 0 && registry_commit(r) == 0);
        q = write_much(r);
        must(q == REGISTRY_E_UNUSABLE && !registry_in_transaction(r));
        must(registry_meta_get(r, "before", &value) == 0);
        must(registry_meta_get(r, "much-0", &value) == REGISTRY_E_NOT_FOUND);
        must(mount("none", directory, "tmpfs", MS_REMOUNT, "size=8m") == 0);
        must(write_much(r) == 0);
}

static void use_a_read_only_disk(void) {
        Registry *r = NULL;
        RegistryError e = {};

        must(registry_open(&r, path, &e) == 0);
        registry_free(r);
        own_mounts();
        if (mount(directory, directory, NULL, MS_BIND, NULL) < 0 ||
                mount(NULL, directory, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) < 0)
                _exit(NO_MOUNTS);
        must(registry_open(&r, path, &e) == REGISTRY_E_UNUSABLE);
        must(e.text[0] != '\0');
}

static void create_on_a_full_disk(void) {
        Registry *r = NULL;
        RegistryError e = {};

        own_mounts();
        if (mount("none", directory, "tmpfs", 0, "size=32k") < 0)
                _exit(NO_MOUNTS);
        must(registry_open(&r, path, &e) == REGISTRY_E_UNUSABLE);
        must(strstr(e.text, "full") != NULL);
        must(access(path, F_OK) < 0);
        must(mount("none", directory, "tmpfs", MS_REMOUNT, "size=8m") == 0);
        must(registry_open(&r, path, &e) == 0);
}

static void with_own_mounts(void (*fn)(void)) {
        int code = in_killed_process(fn);

        if (code == NO_MOUNTS)
                skip();
        assert_int_equal(code, -SIGKILL);
}

static void a_full_disk_refuses_and_recovers(void **state) {
        with_own_mounts(use_a_full_disk);
}

static void a_full_disk_leaves_no_half_registry(void **state) {
        with_own_mounts(create_on_a_full_disk);
}

static void a_read_only_disk_is_refused(void **state) {
        with_own_mounts(use_a_read_only_disk);
}

static void results_are_mapped(void **state) {
        assert_int_equal(registry_result(SQLITE_OK), 0);
        assert_int_equal(registry_result(SQLITE_ROW), 0);
        assert_int_equal(registry_result(SQLITE_DONE), 0);
        assert_int_equal(registry_result(SQLITE_BUSY), REGISTRY_E_UNUSABLE);
        assert_int_equal(registry_result(SQLITE_BUSY_SNAPSHOT), REGISTRY_E_UNUSABLE);
        assert_int_equal(registry_result(SQLITE_FULL), REGISTRY_E_UNUSABLE);
        assert_int_equal(registry_result(SQLITE_IOERR_FSYNC), REGISTRY_E_UNUSABLE);
        assert_int_equal(registry_result(SQLITE_CORRUPT_INDEX), REGISTRY_E_UNUSABLE);
        assert_int_equal(registry_result(SQLITE_NOMEM), -ENOMEM);
        assert_int_equal(registry_result(SQLITE_IOERR_NOMEM), -ENOMEM);
        assert_int_equal(registry_result(SQLITE_CONSTRAINT_UNIQUE), -EINVAL);
        assert_int_equal(registry_result(SQLITE_MISUSE), -EINVAL);
}

static void meta_is_set_replaced_and_removed(void **state) {
        Registry *r = open_registry();
        char *value = NULL;

        assert_int_equal(registry_meta_get(r, "a", &value), REGISTRY_E_NOT_FOUND);
        assert_int_equal(registry_meta_set(r, "a", "1"), 0);
        assert_int_equal(registry_meta_set(r, "a", "2"), 0);
        assert_int_equal(registry_meta_get(r, "a", &value), 0);
        assert_string_equal(value, "2");
        free(value);
        assert_int_equal(registry_meta_set(r, "a", NULL), 0);
        assert_int_equal(registry_meta_get(r, "a", &value), REGISTRY_E_NOT_FOUND);
        registry_free(r);
}

static void statements_are_prepared_once_and_come_back_clean(void **state) {
        static const char text[] = "SELECT ?1";
        Registry *r = open_registry();
        sqlite3_stmt *first, *second;

        assert_int_equal(registry_statement(r, text, &first), 0);
        sqlite3_bind_int(first, 1, 7);
        assert_int_equal(sqlite3_step(first), SQLITE_ROW);
        second = first;
        registry_statement_done(&second);
        assert_null(second);
        assert_int_equal(registry_statement(r, text, &second), 0);
        assert_ptr_equal(first, second);
        assert_int_equal(sqlite3_step(second), SQLITE_ROW);
        assert_int_equal(sqlite3_column_type(second, 0), SQLITE_NULL);
        registry_statement_done(&second);
        assert_int_equal(registry_statement(r, "no SQL", &second), -EINVAL);
        registry_free(r);
}

int main(void) {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        const struct CMUnitTest tests[] = {
                T(a_new_registry_is_private_durable_and_complete),
                T(a_commit_does_not_make_the_log_longer),
                T(what_was_written_is_there_after_reopening),
                T(a_wider_mode_is_narrowed),
                T(a_file_of_somebody_else_is_refused),
                T(what_is_not_a_file_is_refused),
                T(a_directory_that_is_not_there_is_refused),
                T(an_interrupted_creation_is_begun_again),
                T(a_newer_version_is_refused_and_left_as_it_is),
                T(another_database_is_refused),
                T(garbage_is_refused),
                T(an_empty_file_is_a_truncated_one),
                T(a_truncated_file_is_refused),
                T(a_file_truncated_while_open_is_noticed_and_not_written),
                T(damage_is_found_after_a_stop_that_was_not_orderly),
                T(a_log_without_its_database_is_refused),
                T(a_kill_keeps_what_was_committed_and_nothing_else),
                T(a_kill_during_the_first_start_leaves_a_registry),
                T(each_older_version_is_brought_up),
                T(a_migration_that_fails_changes_nothing),
                T(transactions_do_not_nest_and_may_be_rolled_back_at_any_time),
                T(a_lock_of_another_process_refuses_at_once_and_only_writing),
                T(an_exclusive_lock_refuses_opening),
                T(a_full_database_refuses_and_recovers),
                T(a_full_disk_refuses_and_recovers),
                T(a_full_disk_leaves_no_half_registry),
                T(a_read_only_disk_is_refused),
                T(results_are_mapped),
                T(meta_is_set_replaced_and_removed),
                T(statements_are_prepared_once_and_come_back_clean),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
