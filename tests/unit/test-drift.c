/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "login/drift-files.h"
#include "util/cleanup.h"
#include "util/json.h"

/* The files that decide who becomes an administrator, as they should not be: whatever stands in their place is a state
 * of its own, that a change of it changes, and nothing of it is waited for. */

static char root[64];

static char *in_root(const char *name) {
        static char path[256];

        (void)snprintf(path, sizeof(path), "%s/%s", root, name);
        return path;
}

static void put(const char *name, const void *data, size_t size) {
        int fd = open(in_root(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);

        assert_true(fd >= 0);
        assert_int_equal(write(fd, data, size), (ssize_t)size);
        close(fd);
}

static int set_up(void **state) {
        strcpy(root, "/tmp/keishi-drift-XXXXXX");
        assert_non_null(mkdtemp(root));
        assert_int_equal(mkdir(in_root("etc"), 0755), 0);
        assert_int_equal(mkdir(in_root("etc/sudoers.d"), 0750), 0);
        return 0;
}

static int tear_down(void **state) {
        char command[128];

        (void)snprintf(command, sizeof(command), "rm -rf %s", root);
        return system(command); // NOLINT(cert-env33-c): a directory of this test's own
}

/* The state of one file, "" when it is not listed; with its text, when `ret_text` is given. */
static const char *state_of(const char *path, bool *ret_text) {
        static char found[256];
        FileList l;

        *found = '\0';
        assert_int_equal(files_scan(root, &l), 0);
        for (size_t i = 0; i < l.n; i++) {
                assert_true(i == 0 || strcmp(l.files[i - 1].path, l.files[i].path) < 0);
                if (strcmp(l.files[i].path, path) != 0)
                        continue;
                (void)snprintf(found, sizeof(found), "%s", l.files[i].state);
                if (ret_text)
                        *ret_text = l.files[i].text != NULL;
        }
        file_list_done(&l);
        return found;
}

#define X "/etc/sudoers.d/x"

static void what_is_no_file_is_a_state_and_not_waited_for(void **state) {
        assert_string_equal(state_of(X, NULL), "");
        assert_int_equal(mkfifo(in_root(X + 1), 0600), 0);
        assert_non_null(strstr(state_of(X, NULL), "not a file"));
        assert_int_equal(unlink(in_root(X + 1)), 0);
        assert_int_equal(mkdir(in_root(X + 1), 0700), 0);
        assert_non_null(strstr(state_of(X, NULL), "not a file"));
        assert_int_equal(rmdir(in_root(X + 1)), 0);
        assert_int_equal(symlink("/nowhere", in_root(X + 1)), 0);
        assert_string_equal(state_of(X, NULL), "a link to nothing");
        assert_int_equal(unlink(in_root(X + 1)), 0);
        assert_int_equal(symlink("/dev/zero", in_root(X + 1)), 0);
        assert_non_null(strstr(state_of(X, NULL), "not a file"));
        assert_int_equal(unlink(in_root(X + 1)), 0);
        assert_int_equal(symlink("x", in_root(X + 1)), 0); /* to itself */
        assert_string_equal(state_of(X, NULL), "a link to nothing");
        assert_int_equal(unlink(in_root(X + 1)), 0);
        assert_string_equal(state_of(X, NULL), "");
}

static void a_link_has_the_state_of_what_it_points_to(void **state) {
        char before[256];

        put("etc/elsewhere", "a", 1);
        assert_int_equal(symlink("../elsewhere", in_root(X + 1)), 0);
        (void)snprintf(before, sizeof(before), "%s", state_of(X, NULL));
        assert_int_equal(strcspn(before, " "), 64);
        put("etc/elsewhere", "b", 1);
        assert_string_not_equal(state_of(X, NULL), before);
}

static void content_mode_and_size_change_the_state(void **state) {
        char before[256];
        bool text = false;

        put(X + 1, "Defaults x\n", 11);
        (void)snprintf(before, sizeof(before), "%s", state_of(X, &text));
        assert_true(text);
        assert_string_equal(state_of(X, NULL), before);
        assert_int_equal(chmod(in_root(X + 1), 0666), 0);
        assert_string_not_equal(state_of(X, NULL), before);
        assert_int_equal(chmod(in_root(X + 1), 0640), 0);
        assert_string_equal(state_of(X, NULL), before);
        put(X + 1, "Defaults y\n", 11);
        assert_string_not_equal(state_of(X, NULL), before);
}

static void what_is_large_or_no_text_is_hashed_without_its_lines(void **state) {
        static char large[65u * 1024u];
        bool text = true;
        int fd;

        memset(large, 'a', sizeof(large));
        put(X + 1, large, sizeof(large));
        assert_int_equal(strcspn(state_of(X, &text), " "), 64);
        assert_false(text);
        put(X + 1, "a\0b", 3);
        assert_int_equal(strcspn(state_of(X, &text), " "), 64);
        assert_false(text);
        put(X + 1, "\xff\xfe", 2);
        assert_int_equal(strcspn(state_of(X, &text), " "), 64);
        assert_false(text);
        fd = open(in_root(X + 1), O_WRONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        assert_int_equal(ftruncate(fd, (off_t)1 << 33), 0);
        close(fd);
        assert_non_null(strstr(state_of(X, NULL), "too large to read, 8589934592 bytes"));
}

static void a_directory_that_is_gone_or_is_none_is_told(void **state) {
        assert_non_null(strstr(state_of("/etc/sudoers.d", NULL), "directory 0750"));
        assert_int_equal(rmdir(in_root("etc/sudoers.d")), 0);
        assert_string_equal(state_of("/etc/sudoers.d", NULL), "");
        put("etc/sudoers.d", "", 0);
        assert_non_null(strstr(state_of("/etc/sudoers.d", NULL), "unreadable"));
}

static void a_directory_with_more_files_than_are_looked_at_says_so(void **state) {
        char name[64];
        FileList l;

        for (unsigned i = 0; i < 600; i++) {
                (void)snprintf(name, sizeof(name), "etc/sudoers.d/f%03u", i);
                put(name, "x", 1);
        }
        assert_non_null(strstr(state_of("/etc/sudoers.d", NULL), "more than 512 files"));
        assert_int_equal(files_scan(root, &l), 0);
        assert_true(l.n <= 520);
        file_list_done(&l);
}

static void only_the_lines_that_differ_are_told_and_no_secrets(void **state) {
        json_object *o = file_state_json("not a file", "a\nb\x1b\nc\n", "a\nx\nc\n");
        const char *text;

        assert_non_null(o);
        text = json_text(o);
        assert_non_null(strstr(text, "\\\\x1b"));
        assert_null(strstr(text, "\"a\""));
        assert_null(strstr(text, "\"c\""));
        json_object_put(o);
}

int main(void) {
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
        const struct CMUnitTest tests[] = {
                T(what_is_no_file_is_a_state_and_not_waited_for),
                T(a_link_has_the_state_of_what_it_points_to),
                T(content_mode_and_size_change_the_state),
                T(what_is_large_or_no_text_is_hashed_without_its_lines),
                T(a_directory_that_is_gone_or_is_none_is_told),
                T(a_directory_with_more_files_than_are_looked_at_says_so),
                T(only_the_lines_that_differ_are_told_and_no_secrets),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
