/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "login/attempt.h"
#include "registry/internal.h"
#include "registry/review.h"
#include "util/clock.h"

/* Registry and attempts when memory runs out: each allocation of an operation fails once, ours, SQLite's and json-c's.
 * Nothing may crash, nothing may be half done, and above all nothing may look more open than it is. It works by
 * standing in for malloc(), and so not together with a sanitizer that does the same. */

#define NOW (UINT64_C(1790000000) * USEC_PER_SEC)

static unsigned long fail_at, allocations;

#if !defined(__SANITIZE_ADDRESS__)
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);

static bool fails(void) {
        return fail_at > 0 && ++allocations == fail_at;
}

__attribute__((visibility("default"))) void *malloc(size_t size) {
        if (fails()) {
                errno = ENOMEM;
                return NULL;
        }
        return __libc_malloc(size);
}

__attribute__((visibility("default"))) void *calloc(size_t n, size_t size) {
        if (fails()) {
                errno = ENOMEM;
                return NULL;
        }
        return __libc_calloc(n, size);
}

__attribute__((visibility("default"))) void *realloc(void *p, size_t size) {
        if (fails()) {
                errno = ENOMEM;
                return NULL;
        }
        return __libc_realloc(p, size);
}
#define HAVE_FAULTS true
#else
#define HAVE_FAULTS false
#endif

static char directory[64], path[80];
static Registry *registry;

static const Config config = {
        .attempts_max = 3,
        .attempts_window_usec = 900 * USEC_PER_SEC,
        .attempts_delay_usec = 2 * USEC_PER_SEC,
};

static void add(NounId noun, const char *text) {
        json_object *fields = json_tokener_parse(text);
        RegistryError e;

        if (registry_row_add(registry, noun, fields, NOW, NULL, &e) != 0)
                fail_msg("%s: %s", text, e.text);
        json_object_put(fields);
}

static int setup(void **state) {
        json_object *row = NULL, *uuid = NULL;

        /* Nothing here is about the disk, and it is opened hundreds of times. */
        strcpy(directory, access("/dev/shm", W_OK) == 0 ? "/dev/shm/test-memory-XXXXXX" : "/tmp/test-memory-XXXXXX");
        if (!mkdtemp(directory))
                return -1;
        snprintf(path, sizeof(path), "%s/registry.db", directory);
        if (registry_open(&registry, path, NULL) != 0 || registry_begin(registry) != 0)
                return -1;
        add(NOUN_TERMINAL, "{'name':'KEIRI-01','unit':'会計課'}");
        add(NOUN_USER, "{'account':'hanako','person':'1001','name':'山田花子','unit':'会計課'}");
        add(NOUN_SCOPE, "{'name':'会計','business':'会計事務','unit':'会計課','terminals':'pattern:KEIRI-*',"
                        "'services':'@console login','hours':'mon-fri 08:00-18:00'}");
        add(NOUN_DESIGNATION, "{'scope':'会計','subject':'user:hanako','terminals':'name:KEIRI-01','services':'login',"
                              "'hours':'mon 09:00-12:00','until':'2026-12-31'}");
        add(NOUN_DESIGNATION, "{'scope':'会計','subject':'netgroup:ng'}");
        add(NOUN_RESTRICTION, "{'account':'hanako','reason':'調査'}");
        if (registry_row_get(registry, NOUN_TERMINAL, "KEIRI-01", &row) != 0 ||
                !json_object_object_get_ex(row, "uuid", &uuid) ||
                registry_meta_set(registry, "terminal", json_object_get_string(uuid)) != 0)
                return -1;
        json_object_put(row);
        return registry_commit(registry);
}

static int teardown(void **state) {
        char command[128];

        registry = registry_free(registry);
        snprintf(command, sizeof(command), "rm -rf %s", directory);
        return system(command);
}

/* Runs `fn` again and again, each time with a later allocation failing, until none does; every other time with fresh
 * statements. fn gives 0 when it succeeded. */
static void with_each_allocation_failing(int (*fn)(void)) {
        unsigned long failures = 0;

        if (!HAVE_FAULTS)
                skip();
        for (unsigned long n = 1;; n++) {
                bool reached;
                int q;

                if (n % 2 == 0) {
                        for (size_t i = 0; i < registry->n_statements; i++)
                                sqlite3_finalize(registry->statements[i].statement);
                        registry->n_statements = 0;
                }
                allocations = 0;
                fail_at = n;
                q = fn();
                reached = allocations >= n;
                fail_at = 0;
                registry_rollback(registry);
                if (!reached) {
                        if (n % 2 == 1)
                                continue; /* with fresh statements there may be more */
                        assert_int_equal(q, 0);
                        break;
                }
                if (q != 0) {
                        failures++;
                        if (q != -ENOMEM && q != REGISTRY_E_UNUSABLE)
                                fail_msg("allocation %lu: %d", n, q);
                }
                assert_true(n < 100000);
        }
        assert_true(failures > 0);
}

static bool check_candidate(const Candidate *c, void *userdata) {
        unsigned *n = userdata;

        assert_non_null(c->designation);
        assert_non_null(c->business);
        assert_string_equal(c->bounds.services, "login");
        assert_string_equal(c->bounds.hours, "mon 09:00-12:00");
        assert_string_equal(c->bounds.terminal, "KEIRI-01");
        assert_true(c->bounds.until_usec > 0);
        assert_string_equal(c->scope_bounds.services, "@console login");
        assert_string_equal(c->scope_bounds.hours, "mon-fri 08:00-18:00");
        ++*n;
        return false;
}

static int look_for_candidates(void) {
        const Subject s = { .account = "hanako", .unit = "会計課" };
        unsigned n = 0;
        int q = registry_candidates(registry, &s, "KEIRI-01", "会計課", check_candidate, &n);

        if (q == 0)
                assert_int_equal(n, 1);
        return q;
}

static int look_for_people(void) {
        _cleanup_(terminal_done) Terminal t = {};
        _cleanup_(user_done) User u = {};
        char *uuid = NULL, *reason = NULL;
        int q;

        q = registry_terminal_self(registry, &t);
        if (q != 0)
                return q;
        assert_string_equal(t.unit, "会計課");
        q = registry_user(registry, "hanako", &u);
        if (q != 0)
                return q;
        assert_string_equal(u.person, "1001");
        assert_string_equal(u.unit, "会計課");
        q = registry_restriction(registry, "hanako", "1001", NOW, &uuid, &reason);
        if (q != 0)
                return q; /* never NOT_FOUND */
        assert_string_equal(reason, "調査");
        free(uuid);
        free(reason);
        return 0;
}

static int look_for_netgroups(void) {
        char **names = NULL;
        int q = registry_netgroups(registry, &names);

        if (q != 0)
                return q;
        assert_string_equal(names[0], "ng");
        assert_null(names[1]);
        free(names[0]);
        free(names);
        return 0;
}

static json_object *fields;

static int add_and_roll_back(void) {
        json_object *after = NULL;
        RegistryError e;
        int q;

        q = registry_begin(registry);
        if (q == 0)
                q = registry_row_add(registry, NOUN_DESIGNATION, fields, NOW, &after, &e);
        json_object_put(after);
        registry_rollback(registry);
        return q;
}

static int change_and_roll_back(void) {
        json_object *before = NULL, *after = NULL;
        RegistryError e;
        int q;

        q = registry_begin(registry);
        if (q == 0)
                q = registry_row_change(registry, NOUN_USER, "hanako", fields, NOW, &before, &after, &e);
        assert_int_equal(q == 0, before && after);
        json_object_put(before);
        json_object_put(after);
        registry_rollback(registry);
        return q;
}

static int remove_and_roll_back(void) {
        json_object *before = NULL;
        RegistryError e;
        int q;

        q = registry_begin(registry);
        if (q == 0)
                q = registry_row_remove(registry, NOUN_SCOPE, "会計", NOW, &before, &e);
        json_object_put(before);
        registry_rollback(registry);
        return q == REGISTRY_E_IN_USE ? 0 : q;
}

static int list(void) {
        json_object *rows = NULL;
        RegistryError e;
        int q = registry_row_list(registry, NOUN_DESIGNATION, NULL, 0, &rows, &e);

        if (q == 0)
                assert_int_equal(json_object_array_length(rows), 2);
        json_object_put(rows);
        return q;
}

/* What lies inside its scope must not look outside, nor the other way round, and no row may be missing. */
static int review(void) {
        ReviewQuery query = { .now_usec = NOW, .limit = 100 };
        json_object *rows = NULL;
        int64_t last = 0;
        int q = registry_review(registry, &query, &rows, &last);

        if (q == 0) {
                assert_int_equal(json_object_array_length(rows), 2);
                for (size_t i = 0; i < 2; i++) {
                        json_object *row = json_object_array_get_idx(rows, i), *state, *value;

                        assert_false(json_object_object_get_ex(row, "outside", &value));
                        assert_true(json_object_object_get_ex(row, "state", &state));
                        assert_int_equal(json_object_array_length(state), 1);
                        assert_string_equal(json_object_get_string(json_object_array_get_idx(state, 0)), "never-used");
                }
        }
        json_object_put(rows);
        return q;
}

static int note_deputy(const char *uuid, const char *role, const char *unit, void *userdata) {
        unsigned *n = userdata;

        assert_true(uuid && strcmp(role, "unit-head") == 0 && strcmp(unit, "会計課") == 0);
        (*n)++;
        return 0;
}

static int deputies(void) {
        unsigned n = 0;
        int q = registry_deputies(registry, "1001", NOW, note_deputy, &n);

        if (q == 0)
                assert_int_equal(n, 1);
        return q;
}

static int mark_and_roll_back(void) {
        json_object *list = NULL, *after = NULL, *uuid;
        int q;

        q = registry_begin(registry);
        if (q == 0)
                q = registry_row_list(registry, NOUN_DESIGNATION, NULL, 1, &list, NULL);
        if (q == 0) {
                RegistryError e;

                assert_true(json_object_object_get_ex(json_object_array_get_idx(list, 0), "uuid", &uuid));
                q = registry_reviewed(
                        registry, json_object_get_string(uuid), "1001", NOW, NOW + 1000000, NULL, &after, &e);
        }
        if (q == 0)
                assert_true(json_object_object_get_ex(after, "reviewed_by", NULL));
        json_object_put(list);
        json_object_put(after);
        return q;
}

static unsigned charged;

static int charge(void) {
        Attempt a = { .count = 99 };
        int q = attempt_charge(registry, &config, "hanako", "seat0", NOW, &a);

        if (q == 0)
                charged++;
        return q;
}

static int peek(void) {
        Attempt a;
        int q = attempt_peek(registry, &config, "taro", "seat0", NOW, &a);

        if (q == 0) {
                assert_true(a.locked);
                assert_int_equal(a.count, 3);
        }
        return q;
}

static int list_attempts(void) {
        json_object *rows = NULL;
        int q = attempt_list(registry, &config, NULL, NOW, &rows);

        if (q == 0)
                assert_int_equal(json_object_array_length(rows), 1);
        json_object_put(rows);
        return q;
}

static int open_again(void) {
        Registry *r = NULL;
        RegistryError e;
        int q = registry_open(&r, path, &e);

        registry_free(r);
        return q;
}

static void candidates_never_lose_a_bound(void **state) {
        with_each_allocation_failing(look_for_candidates);
}

static void people_and_restrictions_are_whole_or_refused(void **state) {
        with_each_allocation_failing(look_for_people);
}

static void netgroups_are_whole_or_refused(void **state) {
        with_each_allocation_failing(look_for_netgroups);
}

static void rows_are_added_wholly_or_not(void **state) {
        fields = json_tokener_parse(
                "{'scope':'会計','subject':'user:hanako','terminals':'name:KEIRI-02','hours':'tue 09:00-10:00'}");
        with_each_allocation_failing(add_and_roll_back);
        json_object_put(fields);
}

static void rows_are_changed_wholly_or_not(void **state) {
        fields = json_tokener_parse("{'name':'山田華子','unit':'総務課','version':1}");
        with_each_allocation_failing(change_and_roll_back);
        json_object_put(fields);
}

static void rows_are_removed_wholly_or_not(void **state) {
        with_each_allocation_failing(remove_and_roll_back);
}

static void lists_are_whole_or_refused(void **state) {
        with_each_allocation_failing(list);
}

static void reviews_and_deputies_are_whole_or_refused(void **state) {
        assert_int_equal(registry_begin(registry), 0);
        add(NOUN_DEPUTY, "{'unit':'会計課','role':'unit-head','person':'1001','until':'2027-12-31'}");
        assert_int_equal(registry_commit(registry), 0);
        with_each_allocation_failing(review);
        with_each_allocation_failing(deputies);
        with_each_allocation_failing(mark_and_roll_back);
}

static void a_charge_is_told_exactly_when_it_was_made(void **state) {
        Attempt a;

        charged = 0;
        with_each_allocation_failing(charge);
        assert_true(charged > 0);
        assert_int_equal(attempt_peek(registry, &config, "hanako", "seat0", NOW, &a), 0);
        assert_int_equal(a.count, charged < 3 ? charged : 3);
        assert_int_equal(a.locked, charged >= 3);
}

static void a_lock_is_never_overlooked(void **state) {
        Attempt a;

        for (int i = 0; i < 3; i++)
                assert_int_equal(attempt_charge(registry, &config, "taro", "seat0", NOW, &a), 0);
        with_each_allocation_failing(peek);
        with_each_allocation_failing(list_attempts);
}

static void opening_succeeds_or_is_refused(void **state) {
        with_each_allocation_failing(open_again);
}

int main(void) {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        const struct CMUnitTest tests[] = {
                T(candidates_never_lose_a_bound),
                T(people_and_restrictions_are_whole_or_refused),
                T(netgroups_are_whole_or_refused),
                T(rows_are_added_wholly_or_not),
                T(rows_are_changed_wholly_or_not),
                T(rows_are_removed_wholly_or_not),
                T(lists_are_whole_or_refused),
                T(reviews_and_deputies_are_whole_or_refused),
                T(a_charge_is_told_exactly_when_it_was_made),
                T(a_lock_is_never_overlooked),
                T(opening_succeeds_or_is_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
