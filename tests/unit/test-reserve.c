/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "trail-fixture.h"

/* The reserve and the break-glass spool: written when the outbox cannot be, imported once. */

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
