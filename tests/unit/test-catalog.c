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

#include <cmocka.h>

#include "trail/kind.h"
#include "util/cleanup.h"
#include "util/io.h"
#include "util/text.h"

/* The message catalogues (journalctl -x) explain every kind of event, in English and in Japanese. */

static const char *const catalogues[] = { "keishi.catalog", "keishi.ja.catalog" };

static char *read_catalogue(const char *name) {
        _cleanup_free_ char *path = NULL;
        char *text = NULL;

        assert_non_null(getenv("SOURCE_ROOT"));
        assert_true(asprintf(&path, "%s/packaging/catalog/%s", getenv("SOURCE_ROOT"), name) > 0);
        assert_int_equal(io_read_file(AT_FDCWD, path, 1 << 20, &text, NULL), 0);
        assert_true(utf8_valid(text, strlen(text)));
        return text;
}

/* The text of the entry with this id, from its Subject on; NULL when there is none. */
static char *find_entry(const char *catalogue, const char *message_id) {
        char begin[64];
        const char *at, *end;

        snprintf(begin, sizeof(begin), "\n-- %s\n", message_id);
        at = strstr(catalogue, begin);
        if (!at)
                return NULL;
        at += strlen(begin);
        end = strstr(at, "\n-- ");
        return end ? strndup(at, (size_t)(end + 1 - at)) : strdup(at);
}

static void test_every_kind_has_one_entry_in_each_catalogue_and_there_is_no_other(void **state) {
        for (size_t i = 0; i < ELEMENTSOF(catalogues); i++) {
                _cleanup_free_ char *text = read_catalogue(catalogues[i]);
                unsigned entries = 0;

                for (EventKind k = 0; k < _EVENT_MAX; k++) {
                        _cleanup_free_ char *entry = find_entry(text, kind_info(k)->message_id);

                        if (!entry)
                                fail_msg("%s has no entry for %s", catalogues[i], kind_info(k)->name);
                }
                for (const char *at = text; (at = strstr(at, "\n-- ")); at++)
                        entries++;
                assert_int_equal(entries, _EVENT_MAX);
        }
}

static bool has_japanese(const char *s) {
        size_t size = strlen(s), n;
        uint32_t c;

        for (; (n = utf8_decode(s, size, &c)) > 0; s += n, size -= n)
                if (c >= 0x3040 && c <= 0x30ff)
                        return true;
        return false;
}

/* Subject, what happened, what to do. */
static void test_an_entry_says_what_happened_and_what_to_do_in_its_language(void **state) {
        for (size_t i = 0; i < ELEMENTSOF(catalogues); i++) {
                _cleanup_free_ char *text = read_catalogue(catalogues[i]);

                for (EventKind k = 0; k < _EVENT_MAX; k++) {
                        _cleanup_free_ char *entry = find_entry(text, kind_info(k)->message_id);
                        const char *body, *second;

                        assert_non_null(entry);
                        assert_memory_equal(entry, "Subject: ", 9);
                        assert_non_null(strstr(entry, "\nDefined-By: keishi\n"));
                        body = strstr(entry, "\n\n");
                        assert_non_null(body);
                        second = strstr(body + 2, "\n\n");
                        assert_non_null(second);
                        assert_true(strlen(second) > 10);
                        assert_int_equal(has_japanese(body), i == 1);
                        assert_int_equal(has_japanese(second), i == 1);
                        assert_int_equal(has_japanese(entry), i == 1);
                }
        }
}

static bool field_exists(const char *name, size_t size) {
        static const char *const fixed[] = { "KEISHI_EVENT", "KEISHI_SEQ", "KEISHI_TIME", "KEISHI_TERMINAL",
                "KEISHI_EPOCH" };

        for (EventField f = 0; f < _FIELD_MAX; f++)
                if (strlen(field_info(f)->journal) == size && memcmp(field_info(f)->journal, name, size) == 0)
                        return true;
        for (size_t i = 0; i < ELEMENTSOF(fixed); i++)
                if (strlen(fixed[i]) == size && memcmp(fixed[i], name, size) == 0)
                        return true;
        return false;
}

static void test_entries_name_only_fields_that_there_are(void **state) {
        for (size_t i = 0; i < ELEMENTSOF(catalogues); i++) {
                _cleanup_free_ char *text = read_catalogue(catalogues[i]);

                for (const char *at = text; (at = strstr(at, "KEISHI_"));) {
                        size_t size = strspn(at, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_");

                        if (!field_exists(at, size))
                                fail_msg("%s names %.*s", catalogues[i], (int)size, at);
                        at += size;
                }
        }
}

/* systemd's own compiler takes both files; it skips a file with an error in it, which the count would show. */
static void test_journalctl_accepts_both_catalogues(void **state) {
        char root[] = "/tmp/keishi-catalog-XXXXXX";
        _cleanup_free_ char *command = NULL;
        unsigned entries = 0, described = 0;
        char line[1024];
        FILE *f;

        assert_non_null(mkdtemp(root));
        for (size_t i = 0; i < ELEMENTSOF(catalogues); i++) {
                _cleanup_free_ char *update = NULL;

                assert_true(
                        asprintf(&update,
                                "set -e; d=%s/%zu; mkdir -p $d/usr/lib/systemd/catalog $d/var/lib/systemd/catalog;"
                                " cp '%s/packaging/catalog/%s' $d/usr/lib/systemd/catalog/keishi.catalog;"
                                " journalctl --update-catalog --root=$d; journalctl --list-catalog --root=$d >$d/list",
                                root, i, getenv("SOURCE_ROOT"), catalogues[i]) > 0);
                assert_int_equal(system(update), 0);
        }
        assert_true(asprintf(&command, "cat %s/*/list; rm -rf %s", root, root) > 0);
        f = popen(command, "re");
        assert_non_null(f);
        while (fgets(line, sizeof(line), f)) {
                entries++;
                described += strstr(line, " keishi: ") != NULL;
        }
        assert_int_equal(pclose(f), 0);
        assert_int_equal(entries, 2 * _EVENT_MAX);
        assert_int_equal(described, 2 * _EVENT_MAX);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_every_kind_has_one_entry_in_each_catalogue_and_there_is_no_other),
                cmocka_unit_test(test_an_entry_says_what_happened_and_what_to_do_in_its_language),
                cmocka_unit_test(test_entries_name_only_fields_that_there_are),
                cmocka_unit_test(test_journalctl_accepts_both_catalogues),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
