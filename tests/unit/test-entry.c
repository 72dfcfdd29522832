/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "trail/entry.h"
#include "trail/kind.h"

/* The canonical form of a trail entry, and what hostile text becomes in it. */

#define BOOT_ID "0123456789abcdef0123456789abcdef"

static const EntryHead head = {
        .seq = 7,
        .realtime_usec = 1700000000000000,
        .boottime_usec = 42,
        .boot_id = BOOT_ID,
        .terminal = { "T02", "uuid-2", "総務課", "2-00112233aabbccdd" },
};

static Event *new_event(EventKind kind) {
        Event *e = NULL;

        assert_int_equal(event_new(&e, kind), 0);
        return e;
}

static char *write_entry(const EntryHead *h, const Event *e, size_t *ret_size) {
        char *data = NULL;

        assert_int_equal(entry_write(h, e, &data, ret_size), 0);
        return data;
}

static void assert_text(const EntryText *text, const char *expected) {
        assert_non_null(text->text);
        assert_int_equal(text->size, strlen(expected));
        assert_memory_equal(text->text, expected, text->size);
}

static void test_an_entry_has_its_fields_in_the_one_order(void **state) {
        static const char expected[] = "MESSAGE_ID=8d1c2f5e0a7b4c1e9f36d2a45b7c8e02\n"
                                       "PRIORITY=4\n"
                                       "SYSLOG_IDENTIFIER=keishid\n"
                                       "MESSAGE=login-refused: hanako on T02 by login: hours (rule default)\n"
                                       "KEISHI_EVENT=login-refused\n"
                                       "KEISHI_SEQ=7\n"
                                       "KEISHI_TIME=1700000000000000\n"
                                       "KEISHI_BOOT_ID=" BOOT_ID "\n"
                                       "KEISHI_BOOTTIME=42\n"
                                       "KEISHI_TERMINAL=T02\n"
                                       "KEISHI_TERMINAL_UUID=uuid-2\n"
                                       "KEISHI_TERMINAL_UNIT=総務課\n"
                                       "KEISHI_EPOCH=2-00112233aabbccdd\n"
                                       "KEISHI_ACCOUNT=hanako\n"
                                       "KEISHI_UID=1001\n"
                                       "KEISHI_SERVICE=login\n"
                                       "KEISHI_RULE=default\n"
                                       "KEISHI_REASON=hours\n";
        _cleanup_(event_free_p) Event *e = new_event(EVENT_LOGIN_REFUSED);
        _cleanup_free_ char *data = NULL;
        size_t size = 0;

        event_set(e, FIELD_REASON, "hours");
        event_set(e, FIELD_RULE, "default");
        event_set(e, FIELD_SERVICE, "login");
        event_set_uint(e, FIELD_UID, 1001);
        event_set(e, FIELD_ACCOUNT, "hanako");
        event_set(e, FIELD_PERSON, NULL);
        event_set(e, FIELD_NAME, "");
        data = write_entry(&head, e, &size);
        assert_int_equal(size, strlen(expected));
        assert_memory_equal(data, expected, size);
}

static void test_what_is_written_is_read_back(void **state) {
        for (EventKind k = 0; k < _EVENT_MAX; k++) {
                _cleanup_(event_free_p) Event *e = new_event(k);
                _cleanup_free_ char *data = NULL;
                size_t size = 0;
                Entry entry;

                for (EventField f = 0; f < _FIELD_MAX; f++)
                        event_setf(e, f, "%s \\ \x01 田", field_info(f)->name);
                data = write_entry(&head, e, &size);
                assert_int_equal(entry_parse(data, size, &entry), 0);
                assert_int_equal(entry.kind, k);
                assert_int_equal(entry.seq, 7);
                assert_int_equal(entry.realtime_usec, 1700000000000000);
                assert_int_equal(entry.boottime_usec, 42);
                assert_text(&entry.boot_id, BOOT_ID);
                assert_text(&entry.terminal[TERMINAL_FIELD_UNIT], "総務課");
                assert_text(&entry.terminal[TERMINAL_FIELD_EPOCH], "2-00112233aabbccdd");
                for (EventField f = 0; f < _FIELD_MAX; f++)
                        assert_text(&entry.fields[f], event_get(e, f));
        }
}

static void test_an_entry_from_before_there_were_epochs_is_read(void **state) {
        _cleanup_(event_free_p) Event *e = new_event(EVENT_AGENT_STARTED);
        _cleanup_free_ char *data = NULL;
        EntryHead old = head;
        size_t size = 0;
        Entry entry;

        old.terminal[TERMINAL_FIELD_EPOCH] = NULL;
        data = write_entry(&old, e, &size);
        assert_null(memmem(data, size, "KEISHI_EPOCH", 12));
        assert_int_equal(entry_parse(data, size, &entry), 0);
        assert_null(entry.terminal[TERMINAL_FIELD_EPOCH].text);
}

static void assert_escaped(const char *hostile, const char *safe) {
        _cleanup_(event_free_p) Event *e = new_event(EVENT_LOGIN_REFUSED);
        _cleanup_free_ char *data = NULL;
        size_t size = 0;
        Entry entry;

        event_set(e, FIELD_ACCOUNT, hostile);
        assert_string_equal(event_get(e, FIELD_ACCOUNT), safe);
        data = write_entry(&head, e, &size);
        assert_int_equal(entry_parse(data, size, &entry), 0);
        assert_text(&entry.fields[FIELD_ACCOUNT], safe);
}

static void test_hostile_text_cannot_make_another_line_or_field(void **state) {
        assert_escaped("a\nKEISHI_RESULT=granted", "a\\x0aKEISHI_RESULT=granted");
        assert_escaped("a\r\t\x1b[2J\x7f", "a\\x0d\\x09\\x1b[2J\\x7f");
        assert_escaped("a\\x0ab", "a\\x5cx0ab");
        assert_escaped("\xe2\x80\xaeokanah", "\\xe2\\x80\\xaeokanah"); /* U+202E turns the direction */
        assert_escaped("\xff\xc0\x80", "\\xff\\xc0\\x80");
        assert_escaped("花子", "花子");
}

static void test_64_kib_of_text_are_cut_to_the_cap_of_the_field(void **state) {
        _cleanup_(event_free_p) Event *e = new_event(EVENT_LOGIN_REFUSED);
        _cleanup_free_ char *text = malloc(65537), *data = NULL;
        size_t size = 0;
        Entry entry;

        assert_non_null(text);
        for (unsigned char fill = 1; fill < 0xff; fill = (unsigned char)(fill + 63)) {
                memset(text, fill, 65536);
                text[65536] = '\0';
                for (EventField f = 0; f < _FIELD_MAX; f++) {
                        event_set(e, f, text);
                        assert_true(strlen(event_get(e, f)) <= field_info(f)->cap);
                        assert_string_equal(event_get(e, f) + strlen(event_get(e, f)) - strlen("…"), "…");
                }
                free(TAKE_PTR(data));
                data = write_entry(&head, e, &size);
                assert_int_equal(entry_parse(data, size, &entry), 0);
                assert_true(entry.message.size <= ENTRY_MESSAGE_MAX);
        }
}

static void test_a_later_value_replaces_an_earlier_one(void **state) {
        _cleanup_(event_free_p) Event *e = new_event(EVENT_LOGIN_REFUSED);

        event_set(e, FIELD_RESULT, "refused");
        event_set(e, FIELD_RESULT, "");
        assert_string_equal(event_get(e, FIELD_RESULT), "refused");
        event_set(e, FIELD_RESULT, "failed");
        assert_string_equal(event_get(e, FIELD_RESULT), "failed");
        assert_null(event_get(e, _FIELD_INVALID));
        assert_int_equal(event_kind(e), EVENT_LOGIN_REFUSED);
}

static void test_an_unknown_kind_is_no_event(void **state) {
        Event *e = NULL;

        assert_int_equal(event_new(&e, _EVENT_INVALID), -EINVAL);
        assert_int_equal(event_new(&e, _EVENT_MAX), -EINVAL);
        assert_null(e);
}

static void test_a_number_that_the_archive_could_not_hold_is_refused(void **state) {
        _cleanup_(event_free_p) Event *e = new_event(EVENT_SETUP);
        EntryHead h = head;
        size_t size = 0;
        char *data = NULL;

        h.seq = (uint64_t)INT64_MAX + 1;
        assert_int_equal(entry_write(&h, e, &data, &size), -ERANGE);
        assert_null(data);
}

/* Replaces the first `from` of a good entry by `to` and expects a refusal. */
static void assert_refused(const char *from, const char *to) {
        _cleanup_(event_free_p) Event *e = new_event(EVENT_LOGIN_REFUSED);
        _cleanup_free_ char *data = NULL, *changed = NULL;
        size_t size = 0, before;
        const char *at;
        Entry entry;

        event_set(e, FIELD_ACCOUNT, "hanako");
        event_set(e, FIELD_RULE, "default");
        data = write_entry(&head, e, &size);
        at = memmem(data, size, from, strlen(from));
        assert_non_null(at);
        before = (size_t)(at - data);
        changed = malloc(size + strlen(to) + 1);
        assert_non_null(changed);
        memcpy(changed, data, before);
        memcpy(changed + before, to, strlen(to));
        memcpy(changed + before + strlen(to), at + strlen(from), size - before - strlen(from));
        assert_int_equal(entry_parse(data, size, &entry), 0);
        assert_int_equal(entry_parse(changed, size - strlen(from) + strlen(to), &entry), -EBADMSG);
}

static void test_anything_not_canonical_is_refused(void **state) {
        assert_refused("MESSAGE_ID=8d1c", "MESSAGE_ID=0d1c");
        assert_refused("PRIORITY=4", "PRIORITY=6");
        assert_refused("PRIORITY=4", "PRIORITY=04");
        assert_refused("PRIORITY=4\n", "");
        assert_refused("SYSLOG_IDENTIFIER=keishid", "SYSLOG_IDENTIFIER=keishi");
        assert_refused("KEISHI_EVENT=login-refused", "KEISHI_EVENT=login-granted");
        assert_refused("KEISHI_SEQ=7", "KEISHI_SEQ=007");
        assert_refused("KEISHI_SEQ=7", "KEISHI_SEQ=-7");
        assert_refused("KEISHI_SEQ=7", "KEISHI_SEQ=9223372036854775808");
        assert_refused("KEISHI_BOOT_ID=0", "KEISHI_BOOT_ID=");
        assert_refused("KEISHI_BOOT_ID=01", "KEISHI_BOOT_ID=0A");
        assert_refused("KEISHI_ACCOUNT=hanako", "KEISHI_ACCOUNT=");
        assert_refused("KEISHI_ACCOUNT=hanako", "KEISHI_ACCOUNT=ha\\nako");
        assert_refused("KEISHI_ACCOUNT=hanako", "KEISHI_ACCOUNT=hanako\\x0");
        assert_refused("KEISHI_ACCOUNT=hanako", "KEISHI_ACCOUNT=hanako\\x0A");
        assert_refused("KEISHI_ACCOUNT=hanako", "KEISHI_ACCOUNT=hanako\x01");
        assert_refused("KEISHI_ACCOUNT=hanako", "KEISHI_ACCOUNT=hanako\xff");
        assert_refused("KEISHI_ACCOUNT=hanako\n", "KEISHI_ACCOUNT=hanako\nKEISHI_ACCOUNT=hanako\n");
        assert_refused("KEISHI_ACCOUNT=hanako\nKEISHI_RULE=default\n", "KEISHI_RULE=default\nKEISHI_ACCOUNT=hanako\n");
        assert_refused("KEISHI_RULE=", "KEISHI_UNKNOWN=");
        assert_refused("KEISHI_RULE=default\n", "KEISHI_RULE=default");
        assert_refused("KEISHI_RULE=default\n", "KEISHI_RULE=default\n\n");
}

static void test_a_message_that_is_too_long_ends_with_a_whole_character(void **state) {
        _cleanup_(event_free_p) Event *e = new_event(EVENT_LOGIN_REFUSED);
        char message[ENTRY_MESSAGE_MAX], text[1100];

        for (size_t lead = 0; lead < 8; lead++) {
                memset(text, 'a', sizeof(text));
                for (size_t i = lead; i + 4 < sizeof(text); i++)
                        text[i] = i % 2 ? '\x01' : '\\';
                text[sizeof(text) - 1] = '\0';
                event_set(e, FIELD_ACCOUNT, text);
                event_set(e, FIELD_TARGET, text);
                event_set(e, FIELD_ORIGIN,
                        "host:"
                        "…………………………………………………………………………………………………………………………………………………………………………………………………………………………………………");
                event_set(e, FIELD_RULE, text);
                event_set(e, FIELD_REASON, text);
                event_set(e, FIELD_DETAIL, text + lead);
                assert_true(entry_value_valid(message, entry_message(&head, e, message), ENTRY_MESSAGE_MAX));
        }
}

static void test_kinds_have_names_and_ids_of_their_own(void **state) {
        for (EventKind k = 0; k < _EVENT_MAX; k++) {
                assert_int_equal(kind_from_string(kind_info(k)->name, strlen(kind_info(k)->name)), k);
                assert_int_equal(strspn(kind_info(k)->message_id, "0123456789abcdef"), 32);
                assert_int_equal(strlen(kind_info(k)->message_id), 32);
                for (EventKind other = 0; other < k; other++) {
                        assert_string_not_equal(kind_info(k)->message_id, kind_info(other)->message_id);
                        assert_string_not_equal(kind_info(k)->name, kind_info(other)->name);
                }
        }
        for (EventField f = 0; f < _FIELD_MAX; f++) {
                const char *journal = field_info(f)->journal;

                assert_int_equal(field_from_string(field_info(f)->name, strlen(field_info(f)->name)), f);
                assert_true(strlen(journal) <= 64 && strspn(journal, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") == strlen(journal));
        }
        assert_int_equal(field_from_string("nothing", 7), _FIELD_INVALID);
        assert_null(field_info(_FIELD_MAX));
        assert_null(kind_info(_EVENT_INVALID));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_an_entry_has_its_fields_in_the_one_order),
                cmocka_unit_test(test_what_is_written_is_read_back),
                cmocka_unit_test(test_an_entry_from_before_there_were_epochs_is_read),
                cmocka_unit_test(test_hostile_text_cannot_make_another_line_or_field),
                cmocka_unit_test(test_64_kib_of_text_are_cut_to_the_cap_of_the_field),
                cmocka_unit_test(test_a_later_value_replaces_an_earlier_one),
                cmocka_unit_test(test_an_unknown_kind_is_no_event),
                cmocka_unit_test(test_a_number_that_the_archive_could_not_hold_is_refused),
                cmocka_unit_test(test_anything_not_canonical_is_refused),
                cmocka_unit_test(test_a_message_that_is_too_long_ends_with_a_whole_character),
                cmocka_unit_test(test_kinds_have_names_and_ids_of_their_own),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
