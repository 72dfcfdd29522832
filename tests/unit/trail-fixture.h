/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

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
        bool power_was_cut; /* what the trail is told when it is opened */
        bool by_memfd;      /* how the last entry was received */
} Fixture;

static inline char *path_in(const Fixture *f, const char *name) {
        char *path = NULL;

        assert_true(asprintf(&path, "%s/%s", f->directory, name) > 0);
        return path;
}

static inline int bind_socket(const char *path) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd;

        assert_true(strlen(path) < sizeof(address.sun_path));
        strcpy(address.sun_path, path);
        fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        assert_true(fd >= 0);
        assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
        return fd;
}

static inline void fixture_open(Fixture *f) {
        const TrailOptions options = {
                .reserve_path = f->reserve_path,
                .break_glass_spool_path = f->spool_path,
                .journal_socket_path = f->journal_path,
                .syslog_socket_path = f->syslog_path,
                .pause_min_usec = 2 * USEC_PER_MSEC,
                .power_was_cut = f->power_was_cut,
        };
        RegistryError error = {};

        if (registry_open(&f->registry, f->registry_path, &error) != 0)
                fail_msg("%s", error.text);
        assert_int_equal(trail_new(&f->trail, f->event, f->registry, &options), 0);
        trail_set_terminal(f->trail, "T01", "uuid-1", "総務課");
}

static inline void fixture_close(Fixture *f) {
        f->trail = trail_free(f->trail);
        f->registry = registry_free(f->registry);
}

static inline int setup(void **state) {
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

static inline int teardown(void **state) {
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

static inline void lock_registry(Fixture *f) {
        assert_int_equal(sqlite3_open(f->registry_path, &f->locker), SQLITE_OK);
        assert_int_equal(sqlite3_exec(f->locker, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
}

static inline void unlock_registry(Fixture *f) {
        assert_int_equal(sqlite3_exec(f->locker, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_close(f->locker), SQLITE_OK);
        f->locker = NULL;
}

/* ---- recording ---- */

static inline Event *new_event(EventKind kind, unsigned n) {
        Event *e = NULL;

        assert_int_equal(event_new(&e, kind), 0);
        event_setf(e, FIELD_ACCOUNT, "user%u", n);
        event_set_uint(e, FIELD_COUNT, n);
        return e;
}

static inline void record(Fixture *f, unsigned n) {
        _cleanup_(event_free_p) Event *e = new_event(EVENT_LOGIN_GRANTED, n);

        assert_int_equal(trail_record(f->trail, e), 0);
}

static inline void record_closing(Fixture *f, unsigned n) {
        _cleanup_(event_free_p) Event *e = new_event(EVENT_SESSION_CLOSED, n);

        trail_record_closing(f->trail, e);
}

static inline json_object *list(Fixture *f, const char *filter) {
        json_object *parsed = filter ? json_tokener_parse(filter) : NULL, *entries = NULL;
        uint64_t last;

        assert_true(!filter || parsed);
        assert_int_equal(trail_list(f->trail, 0, 10000, parsed, &entries, &last), 0);
        json_object_put(parsed);
        return entries;
}

static inline const char *text_of(json_object *entries, size_t i, const char *key) {
        return json_object_get_string(json_object_object_get(json_object_array_get_idx(entries, i), key));
}

static inline uint64_t number_of(json_object *entries, size_t i, const char *key) {
        return (uint64_t)json_object_get_int64(json_object_object_get(json_object_array_get_idx(entries, i), key));
}

static inline size_t count(Fixture *f, const char *filter) {
        json_object *entries = list(f, filter);
        size_t n = json_object_array_length(entries);

        json_object_put(entries);
        return n;
}

/* All entries: numbers from 1 on, none missing, none twice. */
static inline void assert_no_holes(Fixture *f, size_t n) {
        json_object *entries = list(f, NULL);

        assert_int_equal(json_object_array_length(entries), n);
        for (size_t i = 0; i < n; i++)
                assert_int_equal(number_of(entries, i, "seq"), i + 1);
        json_object_put(entries);
}

static inline TrailStatus status(Fixture *f) {
        TrailStatus s;

        assert_int_equal(trail_status(f->trail, &s), 0);
        return s;
}

/* ---- journald ---- */

/* Takes one datagram, or the memfd that came with it, and returns its KEISHI_SEQ; 0 when there is none. */
static inline uint64_t receive(Fixture *f) {
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
static inline void run_until(Fixture *f, bool (*done)(Fixture *f)) {
        while (!done(f))
                assert_true(sd_event_run(f->event, 10 * USEC_PER_MSEC) >= 0);
}

static inline bool everything_sent(Fixture *f) {
        return status(f).unsent_to_journal == 0;
}

static inline bool reserve_empty(Fixture *f) {
        return status(f).reserve_used == 0;
}

static inline bool nothing_to_tell(Fixture *f) {
        return f->trail->told_by_syslog == 0;
}
