/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "trail/trail-internal.h"
#include "util/clock.h"
#include "util/io.h"

/* The trail on a real registry and a real event loop. A datagram socket bound by the test stands for journald's and one
 * for /dev/log: it shows what is sent and in which order, and blocks as theirs do when nobody reads; it cannot show
 * that journald accepts an entry (the scenarios in tests/vm do). A second SQLite connection that holds the write lock,
 * or a limit on the number of pages, stands for a registry that cannot be written. */

typedef struct Fixture {
        char *directory, *registry_path, *reserve_path, *spool_path, *journal_path, *syslog_path;
        sd_event *event;
        Registry *registry;
        Trail *trail;
        sqlite3 *locker;
        int journal, syslog;
        bool by_memfd; /* how the last entry was received */
} Fixture;

static char *path_in(const Fixture *f, const char *name) {
        char *path = NULL;

        assert_true(asprintf(&path, "%s/%s", f->directory, name) > 0);
        return path;
}

static int bind_socket(const char *path) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd;

        assert_true(strlen(path) < sizeof(address.sun_path));
        strcpy(address.sun_path, path);
        fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        assert_true(fd >= 0);
        assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
        return fd;
}

static void fixture_open(Fixture *f) {
        const TrailOptions options = {
                .reserve_path = f->reserve_path,
                .break_glass_spool_path = f->spool_path,
                .journal_socket_path = f->journal_path,
                .syslog_socket_path = f->syslog_path,
                .pause_min_usec = 2 * USEC_PER_MSEC,
        };
        RegistryError error = {};

        if (registry_open(&f->registry, f->registry_path, &error) != 0)
                fail_msg("%s", error.text);
        assert_int_equal(trail_new(&f->trail, f->event, f->registry, &options), 0);
        trail_set_terminal(f->trail, "T01", "uuid-1", "総務課");
}

static void fixture_close(Fixture *f) {
        f->trail = trail_free(f->trail);
        f->registry = registry_free(f->registry);
}

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        /* In memory where there is such a place: hundreds of syncs on a busy disk take long and show nothing more. */
        f->directory =
                strdup(access("/dev/shm", W_OK) == 0 ? "/dev/shm/keishi-trail-XXXXXX" : "/tmp/keishi-trail-XXXXXX");
        assert_non_null(mkdtemp(f->directory));
        f->registry_path = path_in(f, "registry.db");
        f->reserve_path = path_in(f, "reserve");
        f->spool_path = path_in(f, "break-glass.spool");
        f->journal_path = path_in(f, "journal");
        f->syslog_path = path_in(f, "log");
        f->journal = bind_socket(f->journal_path);
        f->syslog = bind_socket(f->syslog_path);
        assert_int_equal(sd_event_new(&f->event), 0);
        fixture_open(f);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;
        char *command = NULL;

        fixture_close(f);
        sqlite3_close(f->locker);
        sd_event_unref(f->event);
        close(f->syslog);
        if (f->journal >= 0)
                close(f->journal);
        assert_true(asprintf(&command, "rm -rf %s", f->directory) > 0);
        assert_int_equal(system(command), 0);
        free(command);
        free(f->directory);
        free(f->registry_path);
        free(f->reserve_path);
        free(f->spool_path);
        free(f->journal_path);
        free(f->syslog_path);
        free(f);
        return 0;
}

/* ---- the registry cannot be written ---- */

static void lock_registry(Fixture *f) {
        assert_int_equal(sqlite3_open(f->registry_path, &f->locker), SQLITE_OK);
        assert_int_equal(sqlite3_exec(f->locker, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
}

static void unlock_registry(Fixture *f) {
        assert_int_equal(sqlite3_exec(f->locker, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_close(f->locker), SQLITE_OK);
        f->locker = NULL;
}

/* ---- recording ---- */

static Event *new_event(EventKind kind, unsigned n) {
        Event *e = NULL;

        assert_int_equal(event_new(&e, kind), 0);
        event_setf(e, FIELD_ACCOUNT, "user%u", n);
        event_set_uint(e, FIELD_COUNT, n);
        return e;
}

static void record(Fixture *f, unsigned n) {
        _cleanup_(event_free_p) Event *e = new_event(EVENT_LOGIN_GRANTED, n);

        assert_int_equal(trail_record(f->trail, e), 0);
}

static void record_closing(Fixture *f, unsigned n) {
        _cleanup_(event_free_p) Event *e = new_event(EVENT_SESSION_CLOSED, n);

        trail_record_closing(f->trail, e);
}

static json_object *list(Fixture *f, const char *filter) {
        json_object *parsed = filter ? json_tokener_parse(filter) : NULL, *entries = NULL;
        uint64_t last;

        assert_true(!filter || parsed);
        assert_int_equal(trail_list(f->trail, 0, 10000, parsed, &entries, &last), 0);
        json_object_put(parsed);
        return entries;
}

static const char *text_of(json_object *entries, size_t i, const char *key) {
        return json_object_get_string(json_object_object_get(json_object_array_get_idx(entries, i), key));
}

static uint64_t number_of(json_object *entries, size_t i, const char *key) {
        return (uint64_t)json_object_get_int64(json_object_object_get(json_object_array_get_idx(entries, i), key));
}

static size_t count(Fixture *f, const char *filter) {
        json_object *entries = list(f, filter);
        size_t n = json_object_array_length(entries);

        json_object_put(entries);
        return n;
}

/* All entries: numbers from 1 on, none missing, none twice. */
static void assert_no_holes(Fixture *f, size_t n) {
        json_object *entries = list(f, NULL);

        assert_int_equal(json_object_array_length(entries), n);
        for (size_t i = 0; i < n; i++)
                assert_int_equal(number_of(entries, i, "seq"), i + 1);
        json_object_put(entries);
}

static TrailStatus status(Fixture *f) {
        TrailStatus s;

        assert_int_equal(trail_status(f->trail, &s), 0);
        return s;
}

/* ---- journald ---- */

/* Takes one datagram, or the memfd that came with it, and returns its KEISHI_SEQ; 0 when there is none. */
static uint64_t receive(Fixture *f) {
        static char data[65536];
        union {
                struct cmsghdr header;
                char space[CMSG_SPACE(sizeof(int))];
        } control = {};
        struct iovec iov = { data, sizeof(data) };
        struct msghdr message = {
                .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
        };
        ssize_t n;
        Entry entry;

        n = recvmsg(f->journal, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (n < 0) {
                assert_int_equal(errno, EAGAIN);
                return 0;
        }
        f->by_memfd = message.msg_controllen > 0;
        if (f->by_memfd) {
                int fd;

                assert_int_equal(n, 0);
                memcpy(&fd, CMSG_DATA(&control.header), sizeof(fd));
                assert_int_equal(fcntl(fd, F_GET_SEALS), F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
                n = pread(fd, data, sizeof(data), 0);
                assert_true(n > 0);
                close(fd);
        }
        assert_int_equal(entry_parse(data, (size_t)n, &entry), 0);
        return entry.seq;
}

/* Runs the loop until `done` says so; a test that would hang is ended by its harness. */
static void run_until(Fixture *f, bool (*done)(Fixture *f)) {
        while (!done(f))
                assert_true(sd_event_run(f->event, 10 * USEC_PER_MSEC) >= 0);
}

static bool everything_sent(Fixture *f) {
        return status(f).unsent_to_journal == 0;
}

static bool reserve_empty(Fixture *f) {
        return status(f).reserve_used == 0;
}

static bool nothing_to_tell(Fixture *f) {
        return f->trail->told_by_syslog == 0;
}

/* ---- outbox ---- */

static void test_entries_are_numbered_without_holes(void **state) {
        Fixture *f = *state;

        for (unsigned i = 1; i <= 20; i++)
                record(f, i);
        assert_no_holes(f, 20);
        fixture_close(f);
        fixture_open(f);
        record(f, 21);
        assert_no_holes(f, 21);
}

static void test_a_transaction_that_is_rolled_back_leaves_neither_entry_nor_hole(void **state) {
        Fixture *f = *state;
        _cleanup_(event_free_p) Event *e = new_event(EVENT_DIRECTORY_CHANGED, 2);

        record(f, 1);
        assert_int_equal(registry_begin(f->registry), 0);
        assert_int_equal(trail_append(f->trail, e), 0);
        assert_int_equal(trail_append(f->trail, e), 0);
        registry_rollback(f->registry);
        trail_kick(f->trail);
        assert_no_holes(f, 1);
        record(f, 3);
        assert_no_holes(f, 2);

        assert_int_equal(registry_begin(f->registry), 0);
        assert_int_equal(trail_append(f->trail, e), 0);
        assert_int_equal(trail_append(f->trail, e), 0);
        assert_int_equal(registry_commit(f->registry), 0);
        trail_kick(f->trail);
        assert_no_holes(f, 4);
        for (uint64_t seq = 1; seq <= 4; seq++)
                assert_int_equal(receive(f), seq);
        assert_int_equal(receive(f), 0);
}

static void test_appending_needs_a_transaction_and_recording_makes_its_own(void **state) {
        Fixture *f = *state;
        _cleanup_(event_free_p) Event *e = new_event(EVENT_DIRECTORY_CHANGED, 1);

        assert_int_equal(trail_append(f->trail, e), -EINVAL);
        assert_int_equal(registry_begin(f->registry), 0);
        assert_int_equal(trail_record(f->trail, e), -EINVAL);
        registry_rollback(f->registry);
        assert_no_holes(f, 0);
}

static void test_numbers_and_the_floor_outlive_the_entries(void **state) {
        Fixture *f = *state;
        uint64_t floor;

        assert_int_equal(trail_floor(f->trail), 0);
        for (unsigned i = 1; i <= 3; i++)
                record(f, i);
        floor = trail_floor(f->trail);
        assert_true(floor > 0 && floor <= clock_usec(CLOCK_REALTIME));

        /* as the receipts of the archive will do */
        assert_int_equal(sqlite3_exec(registry_db(f->registry), "DELETE FROM outbox", NULL, NULL, NULL), SQLITE_OK);
        fixture_close(f);
        fixture_open(f);
        assert_int_equal(trail_floor(f->trail), floor);
        record(f, 4);
        assert_int_equal(status(f).last_seq, 4);
        assert_int_equal(status(f).outbox_entries, 1);
        assert_true(trail_floor(f->trail) >= floor);
}

static void test_what_opens_is_refused_while_the_registry_is_locked(void **state) {
        Fixture *f = *state;
        _cleanup_(event_free_p) Event *e = new_event(EVENT_LOGIN_GRANTED, 2);

        record(f, 1);
        assert_true(status(f).outbox_writable);
        lock_registry(f);
        assert_int_equal(trail_record(f->trail, e), REGISTRY_E_UNUSABLE);
        assert_false(status(f).outbox_writable);
        assert_int_equal(status(f).reserve_used, 0);
        unlock_registry(f);
        assert_true(status(f).outbox_writable);
        record(f, 3);
        assert_no_holes(f, 2);
}

static void test_what_opens_is_refused_when_the_disk_is_full(void **state) {
        Fixture *f = *state;
        unsigned n = 0;
        int r = 0;

        assert_int_equal(
                sqlite3_exec(registry_db(f->registry), "PRAGMA max_page_count = 1", NULL, NULL, NULL), SQLITE_OK);
        while (r == 0 && n < 1000) {
                _cleanup_(event_free_p) Event *e = new_event(EVENT_LOGIN_GRANTED, ++n);

                r = trail_record(f->trail, e);
        }
        assert_int_equal(r, REGISTRY_E_UNUSABLE);
        assert_no_holes(f, n - 1);
        record_closing(f, n);
        assert_int_equal(status(f).reserve_used, 1);
        assert_int_equal(
                sqlite3_exec(registry_db(f->registry), "PRAGMA max_page_count = 100000", NULL, NULL, NULL), SQLITE_OK);
        run_until(f, reserve_empty);
        assert_no_holes(f, n + 1); /* with the one that tells of the import */
}

static void test_listing_filters_by_the_names_of_the_fields(void **state) {
        Fixture *f = *state;
        _cleanup_(event_free_p) Event *e = new_event(EVENT_LOGIN_REFUSED, 9);
        json_object *entries = NULL, *filter;
        uint64_t last, since;

        record(f, 1);
        record(f, 2);
        event_set(e, FIELD_SERVICE, "lo\ngin");
        assert_int_equal(trail_record(f->trail, e), 0);

        assert_int_equal(count(f, "{\"account\": \"user2\"}"), 1);
        assert_int_equal(count(f, "{\"event\": \"login-granted\"}"), 2);
        assert_int_equal(count(f, "{\"service\": \"lo\\ngin\"}"), 1);
        assert_int_equal(count(f, "{\"count\": 9}"), 1);
        assert_int_equal(count(f, "{\"unit\": \"総務課\", \"terminal\": \"T01\"}"), 3);
        assert_int_equal(count(f, "{\"unit\": \"他課\"}"), 0);
        assert_int_equal(count(f, "{\"person\": \"1\"}"), 0);

        entries = list(f, NULL);
        since = number_of(entries, 1, "time");
        assert_string_equal(
                text_of(entries, 2, "message"), "login-refused: user9 on T01 by lo\\x0agin: access refused (9)");
        assert_string_equal(text_of(entries, 2, "event"), "login-refused");
        json_object_put(entries);

        filter = json_object_new_object();
        json_object_object_add(filter, "since", json_object_new_int64((int64_t)since));
        json_object_object_add(filter, "until", json_object_new_int64((int64_t)since));
        assert_int_equal(trail_list(f->trail, 0, 10, filter, &entries, &last), 0);
        assert_int_equal(json_object_array_length(entries), 1);
        assert_int_equal(number_of(entries, 0, "seq"), 2);
        assert_int_equal(last, 3);
        json_object_put(entries);
        json_object_put(filter);

        assert_int_equal(trail_list(f->trail, 0, 2, NULL, &entries, &last), 0);
        assert_int_equal(json_object_array_length(entries), 2);
        assert_int_equal(last, 2);
        json_object_put(entries);
        assert_int_equal(trail_list(f->trail, 3, 2, NULL, &entries, &last), 0);
        assert_int_equal(json_object_array_length(entries), 0);
        assert_int_equal(last, 3);
        json_object_put(entries);
}

static void test_a_filter_that_cannot_match_anything_is_an_error(void **state) {
        static const char *const bad[] = { "{\"acount\": \"x\"}", "{\"ACCOUNT\": \"x\"}", "{\"event\": \"nothing\"}",
                "{\"account\": [1]}", "{\"account\": null}", "{\"since\": \"yesterday\"}", "[]",
                "{\"message\": \"x\"}" };
        Fixture *f = *state;

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                json_object *filter = json_tokener_parse(bad[i]), *entries = NULL;
                uint64_t last;

                assert_non_null(filter);
                assert_int_equal(trail_list(f->trail, 0, 10, filter, &entries, &last), -EINVAL);
                assert_null(entries);
                json_object_put(filter);
        }
}

/* ---- journald ---- */

static void test_journald_gets_entries_in_order_without_waiting(void **state) {
        Fixture *f = *state;

        for (unsigned i = 1; i <= 5; i++) {
                record(f, i);
                assert_int_equal(receive(f), i);
        }
        assert_int_equal(status(f).unsent_to_journal, 0);
}

static void test_nothing_is_lost_while_journald_is_away(void **state) {
        Fixture *f = *state;

        record(f, 1);
        assert_int_equal(receive(f), 1);
        close(f->journal);
        f->journal = -1;
        record(f, 2); /* ECONNREFUSED */
        assert_int_equal(unlink(f->journal_path), 0);
        for (unsigned i = 3; i <= 100; i++)
                record(f, i); /* ENOENT */
        assert_int_equal(status(f).unsent_to_journal, 99);

        f->journal = bind_socket(f->journal_path);
        for (uint64_t seq = 2; seq <= 100;) {
                uint64_t received = receive(f);

                if (received == 0) {
                        assert_true(sd_event_run(f->event, UINT64_MAX) >= 0);
                        continue;
                }
                assert_int_equal(received, seq);
                seq++;
        }
        assert_int_equal(status(f).unsent_to_journal, 0);
}

static void test_nothing_is_lost_while_journald_does_not_read(void **state) {
        Fixture *f = *state;
        unsigned n = 0;

        while (status(f).unsent_to_journal == 0)
                record(f, ++n); /* until its queue is full */
        for (unsigned i = 0; i < 10; i++)
                record(f, ++n);
        for (uint64_t seq = 1; seq <= n;) {
                uint64_t received = receive(f);

                if (received == 0) {
                        assert_true(sd_event_run(f->event, UINT64_MAX) >= 0);
                        continue;
                }
                assert_int_equal(received, seq);
                seq++;
        }
        assert_int_equal(receive(f), 0);
}

static void test_the_loop_sleeps_when_nothing_is_pending(void **state) {
        Fixture *f = *state;

        close(f->journal);
        f->journal = -1;
        record(f, 1);
        assert_true(f->trail->journal.pause.armed);
        assert_int_equal(unlink(f->journal_path), 0);
        f->journal = bind_socket(f->journal_path);
        run_until(f, everything_sent);
        assert_int_equal(receive(f), 1);
        /* neither a timer nor anything else wakes the loop up */
        assert_int_equal(sd_event_prepare(f->event), 0);
        assert_int_equal(sd_event_wait(f->event, 100 * USEC_PER_MSEC), 0);
}

static void test_an_entry_too_large_for_a_datagram_goes_as_a_sealed_memfd(void **state) {
        Fixture *f = *state;
        _cleanup_(event_free_p) Event *e = new_event(EVENT_DIRECTORY_CHANGED, 1);
        _cleanup_free_ char *text = malloc(4001);
        int room = 1;

        assert_non_null(text);
        memset(text, 'x', 4000);
        text[4000] = '\0';
        event_set(e, FIELD_BEFORE, text);
        event_set(e, FIELD_AFTER, text);
        assert_int_equal(setsockopt(f->trail->journal.fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room)), 0);
        assert_int_equal(trail_record(f->trail, e), 0);
        assert_int_equal(status(f).unsent_to_journal, 0);
        assert_int_equal(receive(f), 1);
        assert_true(f->by_memfd);
        record(f, 2);
        assert_int_equal(receive(f), 2);
        assert_false(f->by_memfd);
}

/* Runs fn in a child that ends at once, as by a power cut, with the registry as it was then. */
static void crash_after(Fixture *f, void (*fn)(Fixture *f)) {
        int code;
        pid_t pid;

        fixture_close(f);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                sd_event_unref(f->event);
                assert_int_equal(sd_event_new(&f->event), 0);
                fixture_open(f);
                fn(f);
                _exit(0);
        }
        assert_int_equal(waitpid(pid, &code, 0), pid);
        assert_true(WIFEXITED(code) && WEXITSTATUS(code) == 0);
}

static void record_three(Fixture *f) {
        for (unsigned i = 1; i <= 3; i++)
                record(f, i);
}

static void test_after_a_crash_entries_may_come_twice_but_none_is_missing(void **state) {
        Fixture *f = *state;
        uint64_t seq, seen = 0, highest = 0;

        crash_after(f, record_three);
        fixture_open(f);
        record(f, 4);
        run_until(f, everything_sent);
        while ((seq = receive(f)) > 0) {
                assert_true(seq <= highest + 1);
                highest = seq > highest ? seq : highest;
                seen |= UINT64_C(1) << seq;
        }
        assert_int_equal(seen, 0x1e);
        assert_no_holes(f, 4);
}

static void test_an_orderly_stop_leaves_nothing_to_send_twice(void **state) {
        Fixture *f = *state;

        record_three(f);
        for (uint64_t seq = 1; seq <= 3; seq++)
                assert_int_equal(receive(f), seq);
        fixture_close(f);
        fixture_open(f);
        assert_int_equal(receive(f), 0);
        assert_int_equal(status(f).unsent_to_journal, 0);
}

/* ---- reserve ---- */

static void test_what_closes_goes_to_the_reserve_and_is_imported_once(void **state) {
        Fixture *f = *state;
        uint64_t before, after;
        json_object *entries;

        record(f, 1);
        lock_registry(f);
        before = clock_usec(CLOCK_REALTIME);
        record_closing(f, 2);
        record_closing(f, 3);
        after = clock_usec(CLOCK_REALTIME);
        assert_int_equal(status(f).reserve_used, 2);
        assert_int_equal(status(f).reserve_slots, KEISHI_SPOOL_SLOTS);
        unlock_registry(f);
        run_until(f, reserve_empty);

        assert_no_holes(f, 4);
        entries = list(f, NULL);
        for (size_t i = 1; i <= 2; i++) {
                assert_string_equal(text_of(entries, i, "event"), "session-closed");
                assert_string_equal(text_of(entries, i, "account"), i == 1 ? "user2" : "user3");
                assert_string_equal(text_of(entries, i, "via"), "reserve");
                assert_string_equal(text_of(entries, i, "boot_id"), text_of(entries, 0, "boot_id"));
                assert_in_range(number_of(entries, i, "time"), before, after);
        }
        assert_string_equal(text_of(entries, 3, "event"), "reserve-imported");
        assert_string_equal(text_of(entries, 3, "count"), "2");
        assert_int_equal(trail_floor(f->trail), number_of(entries, 3, "time"));
        json_object_put(entries);

        fixture_close(f);
        fixture_open(f);
        assert_no_holes(f, 4);
}

static void test_a_crash_between_import_and_freeing_imports_nothing_twice(void **state) {
        Fixture *f = *state;
        _cleanup_free_ char *saved = NULL;
        size_t size = 0;
        int fd;

        lock_registry(f);
        record_closing(f, 1);
        record_closing(f, 2);
        assert_int_equal(io_read_file(AT_FDCWD, f->reserve_path, 1 << 20, &saved, &size), 0);
        unlock_registry(f);
        run_until(f, reserve_empty);
        assert_no_holes(f, 3);
        fixture_close(f);

        fd = open(f->reserve_path, O_WRONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        assert_int_equal(pwrite(fd, saved, size, 0), size);
        close(fd);
        fixture_open(f);
        assert_int_equal(status(f).reserve_used, 0);
        assert_no_holes(f, 3);
}

static void test_a_reserve_that_was_used_before_a_crash_is_imported_at_the_next_start(void **state) {
        Fixture *f = *state;

        lock_registry(f);
        record_closing(f, 1);
        fixture_close(f);
        unlock_registry(f);
        fixture_open(f);
        assert_no_holes(f, 2);
        assert_int_equal(count(f, "{\"via\": \"reserve\", \"account\": \"user1\"}"), 1);
}

static void test_what_closes_inside_a_transaction_survives_its_rollback(void **state) {
        Fixture *f = *state;

        assert_int_equal(registry_begin(f->registry), 0);
        record_closing(f, 1);
        registry_rollback(f->registry);
        run_until(f, reserve_empty);
        assert_int_equal(count(f, "{\"account\": \"user1\"}"), 1);
}

static void test_hostile_text_passes_the_reserve_unchanged(void **state) {
        Fixture *f = *state;
        _cleanup_(event_free_p) Event *e = new_event(EVENT_LOGIN_REFUSED, 1);

        event_set(e, FIELD_ACCOUNT, "a\nRESULT=granted\\\xff");
        lock_registry(f);
        trail_record_closing(f->trail, e);
        unlock_registry(f);
        run_until(f, reserve_empty);
        assert_int_equal(count(f, "{\"account\": \"a\\nRESULT=granted\\\\\xff\", \"via\": \"reserve\"}"), 1);
}

static void test_an_event_too_large_for_a_slot_is_marked_as_cut(void **state) {
        Fixture *f = *state;
        _cleanup_(event_free_p) Event *e = new_event(EVENT_DIRECTORY_CHANGED, 1);
        char text[2001];

        memset(text, 'x', 2000);
        text[2000] = '\0';
        event_set(e, FIELD_BEFORE, text);
        event_set(e, FIELD_DETAIL, "kept");
        lock_registry(f);
        trail_record_closing(f->trail, e);
        unlock_registry(f);
        run_until(f, reserve_empty);
        assert_int_equal(count(f, "{\"via\": \"reserve-cut\", \"account\": \"user1\", \"detail\": \"kept\"}"), 1);
}

/* Takes all slots but some, as entries of earlier would. */
static void fill_reserve(Fixture *f, unsigned free_slots) {
        static const char text[] = "EVENT=session-closed\nACCOUNT=earlier\n";
        SpoolSlotHeader header = { .magic = KEISHI_SPOOL_MAGIC,
                .length = sizeof(text) - 1,
                .realtime_usec = 1,
                .boottime_usec = 1,
                .crc = spool_crc32(text, sizeof(text) - 1) };
        int fd = open(f->reserve_path, O_WRONLY | O_CLOEXEC);

        assert_true(fd >= 0);
        for (unsigned i = 0; i < KEISHI_SPOOL_SLOTS - free_slots; i++) {
                off_t at = (off_t)i * KEISHI_SPOOL_SLOT_SIZE;

                header.realtime_usec = i + 1;
                assert_int_equal(pwrite(fd, &header, sizeof(header), at), sizeof(header));
                assert_int_equal(pwrite(fd, text, sizeof(text) - 1, at + (off_t)sizeof(header)), sizeof(text) - 1);
        }
        close(fd);
}

static void test_a_full_reserve_is_told_to_syslog_and_emptied_later(void **state) {
        Fixture *f = *state;
        char line[2048] = "";

        lock_registry(f);
        fixture_close(f);
        fill_reserve(f, 1);
        unlock_registry(f);
        lock_registry(f);
        fixture_open(f);
        assert_int_equal(status(f).reserve_used, KEISHI_SPOOL_SLOTS - 1);
        record_closing(f, 1);
        assert_int_equal(status(f).reserve_used, KEISHI_SPOOL_SLOTS);
        assert_int_equal(recv(f->syslog, line, sizeof(line) - 1, MSG_DONTWAIT), -1);
        record_closing(f, 2);
        assert_true(recv(f->syslog, line, sizeof(line) - 1, MSG_DONTWAIT) > 0);
        assert_non_null(strstr(line, "<81>keishid["));
        assert_non_null(strstr(line, "session-closed: user2 on T01"));
        unlock_registry(f);

        run_until(f, reserve_empty);
        assert_no_holes(f, KEISHI_SPOOL_SLOTS + 1);
        assert_int_equal(count(f, "{\"account\": \"earlier\"}"), KEISHI_SPOOL_SLOTS - 1);
        assert_int_equal(count(f, "{\"event\": \"reserve-imported\", \"count\": 1024, \"detail\": \"unreadable slots: "
                                  "0; told only by syslog: 1\"}"),
                1);
}

static void test_a_reserve_that_cannot_be_written_is_told_to_syslog(void **state) {
        Fixture *f = *state;
        char line[2048] = "";

        lock_registry(f);
        fixture_close(f);
        assert_int_equal(unlink(f->reserve_path), 0);
        assert_int_equal(mkdir(f->reserve_path, 0700), 0);
        fixture_open(f);
        assert_int_equal(status(f).reserve_slots, 0);
        record_closing(f, 1);
        assert_true(recv(f->syslog, line, sizeof(line) - 1, MSG_DONTWAIT) > 0);
        unlock_registry(f);
        run_until(f, nothing_to_tell);
        assert_int_equal(count(f, "{\"event\": \"reserve-imported\", \"count\": 0}"), 1);
}

static void test_a_reserve_that_others_may_write_is_not_used(void **state) {
        Fixture *f = *state;

        fixture_close(f);
        assert_int_equal(chmod(f->reserve_path, 0620), 0);
        fixture_open(f);
        assert_int_equal(status(f).reserve_slots, 0);
}

/* ---- break-glass ---- */

static void write_slot(const char *path, unsigned index, const char *text, bool damaged) {
        SpoolSlotHeader header = { .magic = KEISHI_SPOOL_MAGIC,
                .length = (uint32_t)strlen(text),
                .realtime_usec = 1234567,
                .boottime_usec = 7,
                .crc = spool_crc32(text, strlen(text)) ^ damaged };
        off_t at = (off_t)index * KEISHI_SPOOL_SLOT_SIZE;
        int fd = open(path, O_WRONLY | O_CLOEXEC);

        assert_true(fd >= 0);
        assert_int_equal(pwrite(fd, &header, sizeof(header), at), sizeof(header));
        assert_int_equal(pwrite(fd, text, strlen(text), at + (off_t)sizeof(header)), strlen(text));
        close(fd);
}

static void test_break_glass_is_imported_at_the_next_start_and_its_slots_are_free_again(void **state) {
        static const char text[] = "SERVICE=login\nACCOUNT=rescue\nTTY=tty2\nSTAGE=auth\nPID=77\n";
        Fixture *f = *state;
        json_object *entries;

        assert_int_equal(sqlite3_exec(registry_db(f->registry),
                                 "INSERT INTO terminals (uuid, name, unit) VALUES ('uuid-9', 'T09', '人事課');"
                                 "INSERT INTO meta VALUES ('terminal', 'uuid-9')",
                                 NULL, NULL, NULL),
                SQLITE_OK);
        fixture_close(f);
        write_slot(f->spool_path, 0, text, false);
        write_slot(f->spool_path, 1, "ACCOUNT=rescue\nACCOUNT=other\nUNHEARD=of \\ it\n", false);
        write_slot(f->spool_path, 900, text, true);
        fixture_open(f);

        entries = list(f, "{\"event\": \"break-glass\", \"via\": \"break-glass\"}");
        assert_int_equal(json_object_array_length(entries), 3);
        assert_string_equal(text_of(entries, 0, "account"), "rescue");
        assert_string_equal(text_of(entries, 0, "service"), "login");
        assert_string_equal(text_of(entries, 0, "tty"), "tty2");
        assert_string_equal(text_of(entries, 0, "stage"), "auth");
        assert_string_equal(text_of(entries, 0, "pid"), "77");
        assert_string_equal(text_of(entries, 0, "terminal"), "T09");
        assert_string_equal(text_of(entries, 0, "unit"), "人事課");
        assert_int_equal(number_of(entries, 0, "time"), 1234567);
        assert_string_equal(text_of(entries, 0, "boot_id"), "00000000000000000000000000000000");
        assert_string_equal(text_of(entries, 1, "account"), "rescue");
        assert_string_equal(text_of(entries, 1, "detail"), "ACCOUNT=other UNHEARD=of \\x5c it");
        assert_string_equal(text_of(entries, 2, "result"), "unreadable");
        json_object_put(entries);
        assert_int_equal(count(f, "{\"event\": \"reserve-imported\", \"count\": 3}"), 1);
        assert_true(trail_floor(f->trail) > 1234567); /* not that of the past */

        fixture_close(f);
        fixture_open(f);
        assert_int_equal(count(f, "{\"event\": \"break-glass\"}"), 3);
}

static void test_the_same_break_glass_text_at_another_time_is_another_use(void **state) {
        static const char text[] = "ACCOUNT=rescue\n";
        Fixture *f = *state;

        fixture_close(f);
        write_slot(f->spool_path, 0, text, false);
        fixture_open(f);
        fixture_close(f);
        write_slot(f->spool_path, 1, text, false);
        fixture_open(f);
        assert_int_equal(count(f, "{\"event\": \"break-glass\"}"), 2);
}

static bool break_glass_imported(Fixture *f) {
        return count(f, "{\"event\": \"break-glass\"}") > 0;
}

static void test_break_glass_during_an_outage_is_imported_when_the_outbox_works_again(void **state) {
        Fixture *f = *state;
        _cleanup_(event_free_p) Event *e = new_event(EVENT_LOGIN_GRANTED, 1);

        lock_registry(f);
        assert_int_equal(trail_record(f->trail, e), REGISTRY_E_UNUSABLE);
        write_slot(f->spool_path, 0, "ACCOUNT=rescue\n", false);
        for (unsigned i = 0; i < 5; i++)
                assert_true(sd_event_run(f->event, 10 * USEC_PER_MSEC) >= 0);
        assert_true(f->trail->import.armed);
        unlock_registry(f);
        run_until(f, break_glass_imported);
        assert_no_holes(f, 2);
}

static void test_break_glass_is_imported_although_the_agent_noticed_no_outage(void **state) {
        Fixture *f = *state;

        write_slot(f->spool_path, 0, "ACCOUNT=rescue\n", false);
        run_until(f, break_glass_imported);
        /* freeing the slot wakes the loop up once more, then it sleeps */
        while (sd_event_run(f->event, 100 * USEC_PER_MSEC) > 0)
                ;
        assert_false(f->trail->import.armed);
        assert_no_holes(f, 2); /* with the one that tells of the import */
        assert_int_equal(receive(f), 1);
        assert_int_equal(receive(f), 2);
        assert_int_equal(receive(f), 0);
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
                T(test_entries_are_numbered_without_holes),
                T(test_a_transaction_that_is_rolled_back_leaves_neither_entry_nor_hole),
                T(test_appending_needs_a_transaction_and_recording_makes_its_own),
                T(test_numbers_and_the_floor_outlive_the_entries),
                T(test_what_opens_is_refused_while_the_registry_is_locked),
                T(test_what_opens_is_refused_when_the_disk_is_full),
                T(test_listing_filters_by_the_names_of_the_fields),
                T(test_a_filter_that_cannot_match_anything_is_an_error),
                T(test_journald_gets_entries_in_order_without_waiting),
                T(test_nothing_is_lost_while_journald_is_away),
                T(test_nothing_is_lost_while_journald_does_not_read),
                T(test_the_loop_sleeps_when_nothing_is_pending),
                T(test_an_entry_too_large_for_a_datagram_goes_as_a_sealed_memfd),
                T(test_after_a_crash_entries_may_come_twice_but_none_is_missing),
                T(test_an_orderly_stop_leaves_nothing_to_send_twice),
                T(test_what_closes_goes_to_the_reserve_and_is_imported_once),
                T(test_a_crash_between_import_and_freeing_imports_nothing_twice),
                T(test_a_reserve_that_was_used_before_a_crash_is_imported_at_the_next_start),
                T(test_what_closes_inside_a_transaction_survives_its_rollback),
                T(test_hostile_text_passes_the_reserve_unchanged),
                T(test_an_event_too_large_for_a_slot_is_marked_as_cut),
                T(test_a_full_reserve_is_told_to_syslog_and_emptied_later),
                T(test_a_reserve_that_cannot_be_written_is_told_to_syslog),
                T(test_a_reserve_that_others_may_write_is_not_used),
                T(test_break_glass_is_imported_at_the_next_start_and_its_slots_are_free_again),
                T(test_the_same_break_glass_text_at_another_time_is_another_use),
                T(test_break_glass_during_an_outage_is_imported_when_the_outbox_works_again),
                T(test_break_glass_is_imported_although_the_agent_noticed_no_outage),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
