/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <sys/wait.h>

#include "trail-fixture.h"

/* The outbox, and what journald gets from it. */

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

static void test_after_a_power_cut_journald_gets_again_what_it_may_have_lost(void **state) {
        Fixture *f = *state;

        record_three(f);
        for (uint64_t seq = 1; seq <= 3; seq++)
                assert_int_equal(receive(f), seq);
        fixture_close(f);
        f->power_was_cut = true;
        fixture_open(f);
        run_until(f, everything_sent);
        for (uint64_t seq = 1; seq <= 3; seq++)
                assert_int_equal(receive(f), seq);
        assert_int_equal(receive(f), 0);
        assert_no_holes(f, 3);
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
                T(test_after_a_power_cut_journald_gets_again_what_it_may_have_lost),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
