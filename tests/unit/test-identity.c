/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "keishi/paths.h"
#include "login/identity.h"
#include "util/io.h"

/* What a machine is to a terminal, and the key file. Directories stand for /etc, /sys and /var/lib; they cannot show
 * what firmware really says. */

static char root[64];

static char *at(const char *path) {
        static char joined[4][256];
        static unsigned n;

        n = (n + 1) % 4;
        assert_true(snprintf(joined[n], sizeof(joined[n]), "%s%s", root, path) < (int)sizeof(joined[n]));
        return joined[n];
}

static void put(const char *path, const char *text) {
        FILE *f = fopen(at(path), "we");

        assert_non_null(f);
        assert_true(fputs(text, f) >= 0);
        assert_int_equal(fclose(f), 0);
}

static void make_directories(const char *path) {
        char copy[256];

        assert_true(snprintf(copy, sizeof(copy), "%s%s", root, path) < (int)sizeof(copy));
        for (char *p = copy + strlen(root) + 1; (p = strchr(p, '/')); *p++ = '/') {
                *p = '\0';
                (void)mkdir(copy, 0755);
        }
        (void)mkdir(copy, 0755);
}

static int set_up(void **state) {
        snprintf(root, sizeof(root), "/tmp/keishi-identity-XXXXXX");
        if (!mkdtemp(root))
                return -1;
        make_directories(KEISHI_DMI_DIR);
        make_directories(KEISHI_STATE_DIR);
        make_directories("/etc");
        return 0;
}

static int tear_down(void **state) {
        char command[128];

        snprintf(command, sizeof(command), "rm -rf '%s'", root);
        return system(command); /* NOLINT(cert-env33-c): a name of our own */
}

/* "MACHINE UUID SERIAL": one letter each, - for what is not known. */
static Machine machine(const char *text) {
        Machine m = {};

        if (text[0] != '-')
                snprintf(m.id, sizeof(m.id), "%032d", text[0]);
        for (int i = 0; i < _HARDWARE_MAX; i++)
                if (text[i + 1] != '-')
                        snprintf(m.hardware[i], sizeof(m.hardware[i]), "%032d", text[i + 1]);
        return m;
}

static void what_a_machine_is_to_a_terminal(void **state) {
        static const struct {
                const char *name, *bound, *seen;
                bool key;
                IdentityState is;
        } table[] = {
                { "the same", "aubs", "aubs", true, IDENTITY_RIGHT },
                { "the same, of no known hardware", "a---", "a---", true, IDENTITY_RIGHT },
                { "a copy whose machine-id was made anew", "aubs", "bubs", true, IDENTITY_OTHER_MACHINE_ID },
                { "a copy on other hardware, machine-id made anew", "aubs", "bvct", true, IDENTITY_OTHER_MACHINE_ID },
                { "a copy on other hardware with its machine-id", "aubs", "avct", true, IDENTITY_OTHER_HARDWARE },
                { "a virtual machine whose uuid alone differs", "aubs", "avbs", true, IDENTITY_OTHER_HARDWARE },
                { "a board that was exchanged", "aubs", "auct", true, IDENTITY_OTHER_HARDWARE },
                { "firmware that no longer tells a serial number", "aubs", "aub-", true, IDENTITY_RIGHT },
                { "firmware that now tells one more", "aub-", "aubs", true, IDENTITY_RIGHT },
                { "hardware that says nothing any more", "aubs", "a---", true, IDENTITY_OTHER_HARDWARE },
                { "hardware where there was none known", "a---", "aubs", true, IDENTITY_OTHER_HARDWARE },
                { "no machine-id", "aubs", "-ubs", true, IDENTITY_NO_MACHINE_ID },
                { "no machine-id on either side", "----", "----", true, IDENTITY_NO_MACHINE_ID },
                { "no key", "aubs", "aubs", false, IDENTITY_NO_KEY },
                { "no key on another machine", "aubs", "bubs", false, IDENTITY_OTHER_MACHINE_ID },
                { "bound to what could not be read", "----", "aubs", true, IDENTITY_OTHER_MACHINE_ID },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                Machine bound = machine(table[i].bound), seen = machine(table[i].seen);
                IdentityState is = identity_compare(&bound, &seen, table[i].key);

                if (is != table[i].is)
                        fail_msg("%s: %s instead of %s", table[i].name, identity_state_to_string(is),
                                identity_state_to_string(table[i].is));
        }
}

static void every_state_has_a_name(void **state) {
        for (IdentityState s = 0; s < _IDENTITY_STATE_MAX; s++)
                assert_non_null(identity_state_to_string(s));
        assert_null(identity_state_to_string(_IDENTITY_STATE_MAX));
        assert_null(identity_state_to_string(_IDENTITY_STATE_INVALID));
}

static void what_makers_leave_in_is_not_known(void **state) {
        static const char *const nothing[] = { "", "\n", "  \n", "Default string\n", "To Be Filled By O.E.M.", "None",
                "00000000-0000-0000-0000-000000000000", "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF", "0", "........" };
        Machine m;

        put(KEISHI_MACHINE_ID, "0123456789abcdef0123456789abcdef\n");
        for (size_t i = 0; i < ELEMENTSOF(nothing); i++) {
                put(KEISHI_DMI_DIR "/product_uuid", nothing[i]);
                assert_int_equal(machine_look(root, &m), 0);
                if (*m.hardware[HARDWARE_PRODUCT_UUID])
                        fail_msg("\"%s\" is taken for an identity", nothing[i]);
        }
        put(KEISHI_DMI_DIR "/product_uuid", "4c4c4544-0042-3510-8053-b4c04f333132\n");
        assert_int_equal(machine_look(root, &m), 0);
        assert_int_equal(strlen(m.hardware[HARDWARE_PRODUCT_UUID]), IDENTITY_DIGEST_SIZE - 1);
        assert_null(strstr(m.hardware[HARDWARE_PRODUCT_UUID], "4c4c4544"));
}

static void a_machine_id_is_only_what_machine_id_5_calls_one(void **state) {
        static const char *const none[] = { "", "uninitialized\n", "00000000000000000000000000000000\n", "0123\n",
                "0123456789abcdef0123456789abcdeg\n" };
        Machine m, again;

        (void)unlink(at(KEISHI_MACHINE_ID));
        assert_int_equal(machine_look(root, &m), 0);
        assert_string_equal(m.id, "");
        for (size_t i = 0; i < ELEMENTSOF(none); i++) {
                put(KEISHI_MACHINE_ID, none[i]);
                assert_int_equal(machine_look(root, &m), 0);
                assert_string_equal(m.id, "");
        }
        put(KEISHI_MACHINE_ID, "0123456789abcdef0123456789abcdef\n");
        assert_int_equal(machine_look(root, &m), 0);
        assert_int_equal(strlen(m.id), IDENTITY_DIGEST_SIZE - 1);
        assert_int_equal(machine_look(root, &again), 0);
        assert_string_equal(m.id, again.id);
        put(KEISHI_MACHINE_ID, "0123456789abcdef0123456789abcdee\n");
        assert_int_equal(machine_look(root, &again), 0);
        assert_string_not_equal(m.id, again.id);
}

static bool there(const char *path) {
        return access(at(path), F_OK) == 0;
}

static void a_new_key_takes_the_place_of_the_old_one_only_when_it_is_expected(void **state) {
        unsigned char first[IDENTITY_KEY_SIZE], second[IDENTITY_KEY_SIZE];
        struct stat st;

        assert_int_equal(key_make(root, first), 0);
        assert_int_equal(key_settle(root, first), 0); /* committed */
        assert_true(there(KEISHI_KEY_FILE) && !there(KEISHI_KEY_FILE_NEW));
        assert_int_equal(stat(at(KEISHI_KEY_FILE), &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);

        assert_int_equal(key_make(root, second), 0);
        assert_memory_not_equal(first, second, sizeof(first));
        assert_int_equal(key_settle(root, first), 0); /* the power went before the commit */
        assert_false(there(KEISHI_KEY_FILE_NEW));

        assert_int_equal(key_make(root, second), 0);
        assert_int_equal(key_settle(root, second), 0);
        assert_int_equal(key_settle(root, second), 0);
        assert_int_equal(key_settle(root, first), KEY_E_LOST);
}

static void a_cut_in_the_middle_of_the_exchange_is_finished(void **state) {
        unsigned char first[IDENTITY_KEY_SIZE], second[IDENTITY_KEY_SIZE];

        assert_int_equal(key_make(root, first), 0);
        assert_int_equal(key_settle(root, first), 0);
        assert_int_equal(key_make(root, second), 0);
        put(KEISHI_KEY_FILE, ""); /* overwritten, not yet removed */
        assert_int_equal(key_settle(root, second), 0);
        assert_true(there(KEISHI_KEY_FILE) && !there(KEISHI_KEY_FILE_NEW));

        assert_int_equal(key_make(root, first), 0);
        (void)unlink(at(KEISHI_KEY_FILE)); /* removed, the new one not yet renamed */
        assert_int_equal(key_settle(root, first), 0);
        assert_int_equal(key_settle(root, first), 0);
}

static void a_key_file_that_is_cut_off_or_not_ours_is_no_key(void **state) {
        unsigned char key[IDENTITY_KEY_SIZE];

        assert_int_equal(key_make(root, key), 0);
        assert_int_equal(key_settle(root, key), 0);
        assert_int_equal(truncate(at(KEISHI_KEY_FILE), 20), 0);
        assert_int_equal(key_settle(root, key), KEY_E_LOST);
        assert_int_equal(unlink(at(KEISHI_KEY_FILE)), 0);
        assert_int_equal(symlink("/dev/null", at(KEISHI_KEY_FILE)), 0);
        assert_int_equal(key_settle(root, key), KEY_E_LOST);
        assert_int_equal(unlink(at(KEISHI_KEY_FILE)), 0);
        assert_int_equal(mkdir(at(KEISHI_KEY_FILE), 0700), 0);
        assert_true(key_settle(root, key) != 0);
        assert_int_equal(rmdir(at(KEISHI_KEY_FILE)), 0);
}

static void an_erased_key_is_overwritten_where_it_was(void **state) {
        unsigned char key[IDENTITY_KEY_SIZE];
        char bytes[64];
        ssize_t n;
        int fd;

        assert_int_equal(key_make(root, key), 0);
        assert_int_equal(key_settle(root, key), 0);
        fd = open(at(KEISHI_KEY_FILE), O_RDONLY | O_CLOEXEC); /* the blocks that it had */
        assert_true(fd >= 0);
        assert_int_equal(key_erase(root), 0);
        assert_false(there(KEISHI_KEY_FILE));
        n = read(fd, bytes, sizeof(bytes));
        assert_true(n > 32);
        for (ssize_t i = 0; i < n; i++)
                assert_int_equal(bytes[i], 0);
        close(fd);
        assert_int_equal(key_erase(root), 0); /* none is as well */
        assert_int_equal(key_settle(root, key), KEY_E_LOST);
}

static void without_room_for_a_key_nothing_is_left_behind(void **state) {
        unsigned char key[IDENTITY_KEY_SIZE];

        assert_int_equal(rmdir(at(KEISHI_STATE_DIR)), 0);
        assert_int_equal(key_make(root, key), -ENOENT);
        make_directories(KEISHI_STATE_DIR);
        assert_false(there(KEISHI_KEY_FILE_NEW));
}

static void epochs_are_a_number_and_an_id(void **state) {
        assert_int_equal(epoch_number("1-0123456789abcdef"), 1);
        assert_int_equal(epoch_number("37-0123456789abcdef"), 37);
        assert_int_equal(epoch_number(""), 0);
        assert_int_equal(epoch_number(NULL), 0);
        assert_int_equal(epoch_number("x-1"), 0);
        assert_int_equal(epoch_number("99999999999-1"), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_a_machine_is_to_a_terminal),
                cmocka_unit_test(every_state_has_a_name),
                cmocka_unit_test(what_makers_leave_in_is_not_known),
                cmocka_unit_test(a_machine_id_is_only_what_machine_id_5_calls_one),
                cmocka_unit_test(a_new_key_takes_the_place_of_the_old_one_only_when_it_is_expected),
                cmocka_unit_test(a_cut_in_the_middle_of_the_exchange_is_finished),
                cmocka_unit_test(a_key_file_that_is_cut_off_or_not_ours_is_no_key),
                cmocka_unit_test(an_erased_key_is_overwritten_where_it_was),
                cmocka_unit_test(without_room_for_a_key_nothing_is_left_behind),
                cmocka_unit_test(epochs_are_a_number_and_an_id),
        };

        return cmocka_run_group_tests(tests, set_up, tear_down);
}
