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
#include <sys/syscall.h>

#include <cmocka.h>

#include "config/config.h"
#include "trail/trail-internal.h"
#include "util/clock.h"

/* Every allocation, write and sync that the trail and the configuration need fails once, one after the other, also
 * inside SQLite, json-c and libcrypto: this program's own malloc(), pwrite() and fdatasync() stand before libc's. A
 * sanitizer brings its own malloc(): with one, this is not built. */

typedef enum Fault { FAULT_MEMORY, FAULT_WRITE, FAULT_SYNC, _FAULT_MAX } Fault;

static unsigned countdown[_FAULT_MAX]; /* 0: nothing fails */
static long live;                      /* allocations not freed */

static bool fails(Fault fault) {
        return countdown[fault] > 0 && --countdown[fault] == 0;
}

#define EXPORTED __attribute__((visibility("default")))

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);
void __libc_free(void *p);

EXPORTED void *malloc(size_t size) {
        if (fails(FAULT_MEMORY)) {
                errno = ENOMEM;
                return NULL;
        }
        live++;
        return __libc_malloc(size);
}

EXPORTED void *calloc(size_t n, size_t size) {
        if (fails(FAULT_MEMORY)) {
                errno = ENOMEM;
                return NULL;
        }
        live++;
        return __libc_calloc(n, size);
}

EXPORTED void *realloc(void *p, size_t size) {
        if (fails(FAULT_MEMORY)) {
                errno = ENOMEM;
                return NULL;
        }
        live += !p;
        return __libc_realloc(p, size);
}

EXPORTED void free(void *p) {
        live -= p != NULL;
        __libc_free(p);
}

static ssize_t checked_pwrite(int fd, const void *data, size_t size, off_t at) {
        if (fails(FAULT_WRITE)) {
                errno = ENOSPC;
                return -1;
        }
        return syscall(SYS_pwrite64, fd, data, size, at);
}

/* Both names of the one function: which one a library calls depends on how it was built. */
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
        if (fails(FAULT_SYNC)) {
                errno = EIO;
                return -1;
        }
        return (int)syscall(SYS_fdatasync, fd);
}

static void arm(Fault fault, unsigned n) {
        countdown[fault] = n;
}

/* Whether the armed fault has happened; disarms. */
static bool disarm(Fault fault) {
        bool happened = countdown[fault] == 0;

        countdown[fault] = 0;
        return happened;
}

static char *directory;
static Registry *registry;

static char *path_of(const char *name) {
        char *path = NULL;

        assert_true(asprintf(&path, "%s/%s", directory, name) > 0);
        return path;
}

static void open_registry(void) {
        _cleanup_free_ char *path = path_of("registry.db");
        RegistryError error = {};

        if (registry_open(&registry, path, &error) != 0)
                fail_msg("%s", error.text);
}

/* Allocates nothing itself: it is called with faults armed. */
static int open_trail(Trail **ret) {
        char reserve[64], spool[64], journal[64];
        const TrailOptions options = {
                .reserve_path = reserve,
                .break_glass_spool_path = spool,
                .journal_socket_path = journal,
                .syslog_socket_path = journal,
        };

        snprintf(reserve, sizeof(reserve), "%s/reserve", directory);
        snprintf(spool, sizeof(spool), "%s/spool", directory);
        snprintf(journal, sizeof(journal), "%s/journal", directory);
        return trail_new(ret, NULL, registry, &options);
}

static int setup(void **state) {

        /* In memory where there is such a place: hundreds of syncs on a busy disk take long and show nothing more. */
        directory = strdup(access("/dev/shm", W_OK) == 0 ? "/dev/shm/keishi-fault-XXXXXX" : "/tmp/keishi-fault-XXXXXX");
        assert_non_null(mkdtemp(directory));
        open_registry();
        return 0;
}

static int teardown(void **state) {
        _cleanup_free_ char *command = NULL;

        registry = registry_free(registry);
        assert_true(asprintf(&command, "rm -rf %s", directory) > 0);
        assert_int_equal(system(command), 0);
        free(directory);
        return 0;
}

/* All entries of these kinds; the numbers of all have no holes. */
static unsigned count(Trail *t, EventKind kind) {
        json_object *entries;
        uint64_t last;
        unsigned n = 0;

        assert_int_equal(trail_list(t, 0, 100000, NULL, &entries, &last), 0);
        assert_int_equal(json_object_array_length(entries), last);
        for (size_t i = 0; i < json_object_array_length(entries); i++) {
                json_object *entry = json_object_array_get_idx(entries, i);
                const char *name = json_object_get_string(json_object_object_get(entry, "event"));

                assert_int_equal(json_object_get_int64(json_object_object_get(entry, "seq")), i + 1);
                n += strcmp(name, kind == EVENT_SESSION_CLOSED ? "session-closed" : "login-granted") == 0;
        }
        json_object_put(entries);
        return n;
}

static Event *new_event(EventKind kind) {
        Event *e = NULL;

        if (event_new(&e, kind) < 0)
                return NULL;
        event_set(e, FIELD_ACCOUNT, "hanako");
        event_setf(e, FIELD_DETAIL, "%u", 5);
        return e;
}

/* ---- what opens: it is in the trail exactly when the caller was told so ---- */

static void record_with_each_fault(Fault fault) {
        Trail *t = NULL;
        unsigned done = 0, tried = 0;
        bool happened = true;

        assert_int_equal(open_trail(&t), 0);
        for (unsigned n = 1; happened; n++) {
                _cleanup_(event_free_p) Event *e = NULL;
                int r = -ENOMEM;

                arm(fault, n);
                e = new_event(EVENT_LOGIN_GRANTED);
                if (e)
                        r = trail_record(t, e);
                happened = disarm(fault);
                assert_true(r <= 0 || r == REGISTRY_E_UNUSABLE);
                assert_true(happened || r == 0);
                done += r == 0;
                tried = n;
                assert_int_equal(count(t, EVENT_LOGIN_GRANTED), done);
        }

        trail_free(t);
        assert_true(tried > 2);
        registry_free(registry);
        open_registry();
        assert_int_equal(open_trail(&t), 0);
        assert_int_equal(count(t, EVENT_LOGIN_GRANTED), done);
        trail_free(t);
}

static void test_an_allocation_that_fails_leaves_no_entry_that_was_not_granted(void **state) {
        record_with_each_fault(FAULT_MEMORY);
}

static void test_a_full_disk_leaves_no_entry_that_was_not_granted(void **state) {
        record_with_each_fault(FAULT_WRITE);
}

static void test_a_sync_that_fails_grants_nothing(void **state) {
        record_with_each_fault(FAULT_SYNC);
}

/* ---- what closes: it is recorded whatever fails once ---- */

static void close_with_each_fault(Fault fault) {
        Trail *t = NULL;
        unsigned n;
        bool happened = true;

        assert_int_equal(open_trail(&t), 0);
        for (n = 1; happened; n++) {
                _cleanup_(event_free_p) Event *e = new_event(EVENT_SESSION_CLOSED);

                assert_non_null(e);
                arm(fault, n);
                trail_record_closing(t, e);
                happened = disarm(fault);
                assert_int_equal(t->told_by_syslog, 0);
                import_run(t);
                assert_int_equal(t->reserve.used, 0);
                assert_int_equal(count(t, EVENT_SESSION_CLOSED), n);
        }
        trail_free(t);
        assert_true(n > 2);
}

static void test_what_closes_is_recorded_when_an_allocation_fails(void **state) {
        close_with_each_fault(FAULT_MEMORY);
}

static void test_what_closes_is_recorded_when_a_write_fails(void **state) {
        close_with_each_fault(FAULT_WRITE);
}

static void test_what_closes_is_recorded_when_a_sync_fails(void **state) {
        close_with_each_fault(FAULT_SYNC);
}

/* ---- the import, begun again until it worked, brings each entry once ---- */

static void import_with_each_fault(Fault fault) {
        bool happened = true;
        unsigned n = 0;

        for (n = 1; happened; n++) {
                _cleanup_(event_free_p) Event *e = new_event(EVENT_SESSION_CLOSED);
                Trail *t = NULL;
                int r;

                assert_int_equal(open_trail(&t), 0);
                assert_int_equal(registry_begin(registry), 0); /* so that it goes to the reserve */
                trail_record_closing(t, e);
                registry_rollback(registry);
                assert_int_equal(t->reserve.used, 1);
                trail_free(t);

                arm(fault, n);
                r = open_trail(&t);
                happened = disarm(fault);
                if (r == 0)
                        trail_free(t);
                else
                        assert_true(happened);
                assert_int_equal(open_trail(&t), 0);
                assert_int_equal(t->reserve.used, 0);
                assert_int_equal(count(t, EVENT_SESSION_CLOSED), n);
                trail_free(t);
        }
        assert_true(n > 2);
}

static void test_an_import_that_is_interrupted_by_any_fault_brings_each_entry_once(void **state) {
        for (Fault fault = 0; fault < _FAULT_MAX; fault++) {
                if (fault > 0) {
                        assert_int_equal(teardown(state), 0);
                        assert_int_equal(setup(state), 0);
                }
                import_with_each_fault(fault);
        }
}

/* ---- the rest ---- */

static void test_a_list_is_whole_or_an_error(void **state) {
        _cleanup_(event_free_p) Event *e = new_event(EVENT_LOGIN_GRANTED);
        json_object *filter = json_tokener_parse("{\"account\": \"hanako\"}");
        bool happened = true;
        Trail *t = NULL;

        assert_int_equal(open_trail(&t), 0);
        for (unsigned i = 0; i < 3; i++)
                assert_int_equal(trail_record(t, e), 0);
        for (unsigned n = 1; happened; n++) {
                json_object *entries = NULL;
                uint64_t last = 99;
                long before;
                int r;

                (void)count(t, EVENT_LOGIN_GRANTED); /* statements are prepared */
                before = live;
                arm(FAULT_MEMORY, n);
                r = trail_list(t, 0, 10, filter, &entries, &last);
                happened = disarm(FAULT_MEMORY);
                if (r != 0) {
                        assert_true(happened);
                        assert_null(entries);
                        assert_int_equal(last, 99);
                        assert_int_equal(live, before);
                        continue;
                }
                assert_int_equal(json_object_array_length(entries), 3);
                json_object_put(entries);
        }
        json_object_put(filter);
        trail_free(t);
}

static void test_a_configuration_is_whole_or_an_error(void **state) {
        static const char text[] = "[Agent]\nLocale=C\n[Factors]\nDefault=password\n";
        _cleanup_free_ char *path = path_of("keishid.conf");
        Config *first = NULL;
        bool happened = true;
        int fd;

        fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
        close(fd);
        /* libcrypto does not survive a failed allocation in its own initialisation, which is done at the start of the
         * program. */
        assert_int_equal(config_load(&first, path, NULL), 0);
        config_free(first);

        for (unsigned n = 1; happened; n++) {
                _cleanup_(config_free_p) Config *c = NULL;
                char *error = NULL;
                long before = live;
                int r;

                arm(FAULT_MEMORY, n);
                r = config_load(&c, path, &error);
                happened = disarm(FAULT_MEMORY);
                if (r != 0) {
                        assert_true(happened && r < 0);
                        assert_null(c);
                        free(error);
                        if (r == -ENOMEM) /* -EIO: inside libcrypto, which keeps what it fetched */
                                assert_int_equal(live, before);
                        continue;
                }
                assert_string_equal(c->locale, "C");
                assert_int_equal(strlen(c->hash), 64);
                assert_string_equal(c->role_groups[ROLE_TRAIL_VIEWER], "keishi-trail-viewer");
                assert_int_equal(c->factors[0][FAMILY_SELF].n, 1);
        }
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
                T(test_an_allocation_that_fails_leaves_no_entry_that_was_not_granted),
                T(test_a_full_disk_leaves_no_entry_that_was_not_granted),
                T(test_a_sync_that_fails_grants_nothing),
                T(test_what_closes_is_recorded_when_an_allocation_fails),
                T(test_what_closes_is_recorded_when_a_write_fails),
                T(test_what_closes_is_recorded_when_a_sync_fails),
                T(test_an_import_that_is_interrupted_by_any_fault_brings_each_entry_once),
                T(test_a_list_is_whole_or_an_error),
                T(test_a_configuration_is_whole_or_an_error),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
