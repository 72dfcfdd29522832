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
#include <time.h>

#include <cmocka.h>

#include "config/config.h"
#include "config/key.h"
#include "util/clock.h"
#include "util/io.h"

/* keishid.conf: everything wrong in it is refused as a whole, and said with file and line. */

static char *directory, *path;

static int setup(void **state) {
        static const char template[] = "/tmp/keishi-config-XXXXXX";

        directory = strdup(template);
        assert_non_null(mkdtemp(directory));
        assert_true(asprintf(&path, "%s/keishid.conf", directory) > 0);
        return 0;
}

static int teardown(void **state) {
        (void)unlink(path);
        assert_int_equal(rmdir(directory), 0);
        free(path);
        free(directory);
        return 0;
}

static void write_file(const char *text, size_t size, mode_t mode) {
        int fd;

        (void)unlink(path);
        fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, text, size), size);
        assert_int_equal(fchmod(fd, mode), 0);
        close(fd);
}

static Config *load(const char *text) {
        _cleanup_free_ char *error = NULL;
        Config *c = NULL;

        write_file(text, strlen(text), 0644);
        if (config_load(&c, path, &error) != 0)
                fail_msg("%s", error);
        assert_null(error);
        return c;
}

/* Expects the file to be refused, with an error that begins with "PATH:LINE: " (line 0: "PATH: ") and says `what`. */
static void assert_refused_size(const char *text, size_t size, int expected, unsigned line, const char *what) {
        _cleanup_free_ char *error = NULL, *begin = NULL;
        Config *c = NULL;

        write_file(text, size, 0644);
        assert_int_equal(config_load(&c, path, &error), expected);
        assert_null(c);
        assert_non_null(error);
        assert_true((line > 0 ? asprintf(&begin, "%s:%u: ", path, line) : asprintf(&begin, "%s: ", path)) > 0);
        if (strncmp(error, begin, strlen(begin)) != 0 || !strstr(error, what))
                fail_msg("\"%s\" does not say \"%s\" at line %u", error, what, line);
}

static void assert_refused(const char *text, unsigned line, const char *what) {
        assert_refused_size(text, strlen(text), -EINVAL, line, what);
}

static void test_an_empty_file_gives_the_defaults(void **state) {
        _cleanup_(config_free_p) Config *c = load("");

        assert_string_equal(c->locale, "ja_JP.UTF-8");
        assert_int_equal(c->transaction_usec, 120 * USEC_PER_SEC);
        assert_int_equal(c->password_usec, 30 * USEC_PER_SEC);
        assert_int_equal(c->lookup_usec, 10 * USEC_PER_SEC);
        assert_int_equal(c->lookup_cache_usec, 60 * USEC_PER_SEC);
        assert_int_equal(c->connections_per_uid, 16);
        assert_int_equal(c->attempts_max, 3);
        assert_int_equal(c->attempts_window_usec, 900 * USEC_PER_SEC);
        assert_int_equal(c->attempts_delay_usec, 2 * USEC_PER_SEC);
        assert_int_equal(c->attempts_release_usec, 0);
        assert_int_equal(c->clock_back_usec, 120 * USEC_PER_SEC);
        assert_int_equal(c->clock_jump_usec, 600 * USEC_PER_SEC);
        assert_int_equal(c->clock_off_usec, 90 * 86400 * USEC_PER_SEC);
        assert_int_equal(c->staff_uid_min, 1000);
        assert_int_equal(c->password_max_days, 90);
        assert_int_equal(c->password_warn_days, 14);
        assert_int_equal(c->password_min_length, 10);
        assert_int_equal(c->password_min_classes, 3);
        assert_int_equal(c->password_history, 5);
        for (Role r = 0; r < _ROLE_MAX; r++) {
                assert_memory_equal(c->role_groups[r], "keishi-", 7);
                assert_string_equal(c->role_groups[r] + 7, role_to_string(r));
        }
        for (Family f = 0; f < _FAMILY_MAX; f++)
                if (f == FAMILY_UNATTENDED || f == FAMILY_GREETER)
                        assert_int_equal(c->factors[0][f].n, 0);
                else {
                        assert_int_equal(c->factors[0][f].n, 1);
                        assert_int_equal(c->factors[0][f].alternatives[0], FACTOR_PASSWORD);
                }
        assert_string_equal(c->hash, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_null(role_to_string(_ROLE_MAX));
}

static void test_values_reach_their_places(void **state) {
        _cleanup_(config_free_p) Config *c = load("# a comment\n"
                                                  "; another, indented lines are none\n"
                                                  "\n"
                                                  "[Agent]\n"
                                                  "Locale=en_US.UTF-8\n"
                                                  "TransactionTimeoutSec = 1h\n"
                                                  "LookupCacheSec=0\n"
                                                  "ConnectionsPerUser=1024\n"
                                                  "[Attempts]\n"
                                                  "Max=5\n"
                                                  "WindowSec=15min\n"
                                                  "DelaySec=1500ms\n"
                                                  "ReleaseSec=1d\n"
                                                  "[Clock]\n"
                                                  "OffMaxSec=2w\n"
                                                  "[Agent]\n"
                                                  "PasswordTimeoutSec=2s\n"
                                                  "[Policy]\n"
                                                  "StaffUidMin=4294967294\n"
                                                  "[Roles]\n"
                                                  "UnitHead=所属長\n"
                                                  "[Factors]\n"
                                                  "Console=password\n"
                                                  "Default = password");

        assert_string_equal(c->locale, "en_US.UTF-8");
        assert_int_equal(c->transaction_usec, 3600 * USEC_PER_SEC);
        assert_int_equal(c->password_usec, 2 * USEC_PER_SEC);
        assert_int_equal(c->lookup_cache_usec, 0);
        assert_int_equal(c->connections_per_uid, 1024);
        assert_int_equal(c->attempts_max, 5);
        assert_int_equal(c->attempts_window_usec, 900 * USEC_PER_SEC);
        assert_int_equal(c->attempts_delay_usec, 1500 * USEC_PER_MSEC);
        assert_int_equal(c->attempts_release_usec, 86400 * USEC_PER_SEC);
        assert_int_equal(c->clock_off_usec, 14 * 86400 * USEC_PER_SEC);
        assert_int_equal(c->staff_uid_min, 4294967294);
        assert_string_equal(c->role_groups[ROLE_UNIT_HEAD], "所属長");
        assert_int_equal(c->factors[0][FAMILY_CONSOLE].n, 1);
}

static void test_unknown_sections_and_keys_are_refused(void **state) {
        assert_refused("[Agent]\n[agent]\n", 2, "there is no section [agent]");
        assert_refused("[Nothing]\n", 1, "there is no section [Nothing]");
        assert_refused("[]\n", 1, "there is no section");
        assert_refused("[Agent]\n\nMax=3\n", 3, "there is no key Max= in [Agent]");
        assert_refused("[Attempts]\nmax=3\n", 2, "there is no key max= in [Attempts]");
        assert_refused("Max=3\n[Attempts]\n", 1, "before the first section");
        assert_refused("[Attempts]\n=3\n", 2, "there is no key");
}

static void test_a_key_given_twice_is_refused(void **state) {
        assert_refused("[Attempts]\nMax=3\nMax=3\n", 3, "Max= is given twice");
        assert_refused("[Attempts]\nMax=3\n[Clock]\n[Attempts]\nMax=4\n", 5, "Max= is given twice");
}

static void test_bad_numbers_and_durations_are_refused(void **state) {
        static const char *const numbers[] = { "", "three", "3x", "-1", "+3", "0x3", "3.0", "0", "101",
                "18446744073709551617" };
        static const char *const durations[] = { "", "soon", "-1", "1.5h", "1 h", "1h30min", "1H", "1us", "1min1", "0",
                "999ms", "2592001", "18446744073709551615", "18446744073709551615w", "99999999999999999999" };
        char text[128];

        for (size_t i = 0; i < ELEMENTSOF(numbers); i++) {
                snprintf(text, sizeof(text), "[Attempts]\nMax=%s\n", numbers[i]);
                assert_refused(text, 2, "Max=");
        }
        for (size_t i = 0; i < ELEMENTSOF(durations); i++) {
                snprintf(text, sizeof(text), "[Attempts]\nWindowSec=%s\n", durations[i]);
                assert_refused(text, 2, "WindowSec=");
        }
        assert_refused("[Attempts]\nMax=101\n", 2, "it may be 1 to 100");
        assert_refused("[Attempts]\nWindowSec=31d\n", 2, "it may be 1s to 2592000s");
}

static void test_bad_names_are_refused(void **state) {
        assert_refused("[Agent]\nLocale=../../etc\n", 2, "is not the name of a locale");
        assert_refused("[Agent]\nLocale=.UTF-8\n", 2, "is not the name of a locale");
        assert_refused("[Roles]\nUnitHead=a:b\n", 2, "is not the name of a group");
        assert_refused("[Roles]\nUnitHead=a b\n", 2, "is not the name of a group");
        assert_refused("[Roles]\nUnitHead=\n", 2, "is empty");
}

static void test_combinations_of_factors_reach_their_places(void **state) {
        _cleanup_(config_free_p) Config *c = load("[Factors]\n"
                                                  "Console=card biometric, password card,password\n"
                                                  "Default=card password, password\n"
                                                  "[FactorsClass3]\n"
                                                  "Console=biometric\n"
                                                  "[FactorsClass2]\n"
                                                  "Default=password card\n"
                                                  "[Biometric]\n"
                                                  "RpId=keishi.example.lg.jp\n");
        const FactorSet *set = config_factors(c, FAMILY_CONSOLE, 1);

        assert_int_equal(set->n, 3);
        assert_int_equal(set->alternatives[0], FACTOR_CARD | FACTOR_BIOMETRIC);
        assert_int_equal(set->alternatives[1], FACTOR_CARD | FACTOR_PASSWORD);
        assert_int_equal(set->order[1][0], FACTOR_PASSWORD);
        assert_int_equal(set->order[1][1], FACTOR_CARD);
        assert_int_equal(set->order[1][2], 0);
        assert_int_equal(set->alternatives[2], FACTOR_PASSWORD);
        assert_int_equal(config_factors(c, FAMILY_ADMIN, 1)->n, 2);
        /* remote logins have no card to show */
        assert_int_equal(config_factors(c, FAMILY_REMOTE, 1)->n, 1);
        assert_int_equal(config_factors(c, FAMILY_REMOTE, 1)->alternatives[0], FACTOR_PASSWORD);
        assert_int_equal(config_factors(c, FAMILY_CONSOLE, 3)->n, 1);
        assert_int_equal(config_factors(c, FAMILY_CONSOLE, 3)->alternatives[0], FACTOR_BIOMETRIC);
        assert_int_equal(config_factors(c, FAMILY_ADMIN, 3)->n, 2);
        assert_int_equal(config_factors(c, FAMILY_CONSOLE, 2)->n, 1);
        assert_int_equal(config_factors(c, FAMILY_REMOTE, 2)->alternatives[0], FACTOR_PASSWORD);
        assert_int_equal(config_factors(c, FAMILY_CONSOLE, 99)->n, 3);
        assert_int_equal(config_factors(c, _FAMILY_INVALID, 1)->n, 0);
        assert_int_equal(config_factors(c, FAMILY_GREETER, 1)->n, 0);
        assert_string_equal(c->rp_id, "keishi.example.lg.jp");
        assert_int_equal(c->card_presence, CARD_DURING_SESSION);
        assert_null(c->card_ca);
}

static void test_combinations_that_cannot_be_asked_for_are_refused(void **state) {
        assert_refused("[Factors]\nConsole=card biometric\n", 0, "needs [Biometric] RpId=");
        assert_refused("[FactorsClass3]\nConsole=biometric\n", 0, "needs [Biometric] RpId=");
        assert_refused("[Factors]\nRemote=card password\n", 2, "never somebody on another machine");
        assert_refused("[FactorsClass2]\nRemote=biometric\n", 2, "never somebody on another machine");
        assert_refused("[Factors]\nRemote=key\n", 2, "verified by sshd");
        assert_refused("[Factors]\nAdmin=Password\n", 2, "there is no factor 'Password'");
        assert_refused("[Factors]\nAdmin=pin\n", 2, "there is no factor 'pin'");
        assert_refused("[Factors]\nSelf=password password\n", 2, "given twice");
        assert_refused("[Factors]\nSelf=password, password\n", 2, "given twice");
        assert_refused("[Factors]\nSelf=card password, password card\n", 2, "given twice");
        assert_refused("[Factors]\nSelf=password,\n", 2, "an alternative without a factor");
        assert_refused("[Factors]\nSelf=,\n", 2, "an alternative without a factor");
        assert_refused("[Factors]\nGreeter=password\n", 2, "there is no key");
        assert_refused("[FactorsClass4]\nConsole=password\n", 1, "there is no section");
}

static void test_what_is_said_of_cards_and_keys_is_read_strictly(void **state) {
        static const char *const names[] = { "Example.jp", "example", "-a.jp", "a-.jp", "a..jp", ".jp", "a.jp.",
                "a b.jp", "http://a.jp", "a_b.jp" };
        _cleanup_(config_free_p) Config *c = load("[Card]\nPresence=remove-after-login\nTimeoutSec=5\n"
                                                  "Authority=/etc/keishi/card-ca.pem\n"
                                                  "RevocationList=/etc/keishi/card.crl\n"
                                                  "[Biometric]\nRpId=none\nAttestationRoots=/etc/keishi/roots.pem\n");
        char text[128];

        assert_int_equal(c->card_presence, CARD_REMOVE_AFTER_LOGIN);
        assert_int_equal(c->card_usec, 5 * USEC_PER_SEC);
        assert_string_equal(c->card_crl, "/etc/keishi/card.crl");
        assert_null(c->rp_id);
        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                snprintf(text, sizeof(text), "[Biometric]\nRpId=%s\n", names[i]);
                assert_refused(text, 2, "is not a DNS name");
        }
        assert_refused("[Card]\nPresence=during-session remove-after-login\n", 2, "choose one");
        assert_refused("[Card]\nPresence=always\n", 2, "neither");
        assert_refused("[Card]\nAuthority=card-ca.pem\n", 2, "is not an absolute path");
        assert_refused("[Card]\nAuthority=/etc/../card-ca.pem\n", 2, "is not an absolute path");
        assert_refused("[Card]\nRevocationList=/etc/keishi/crl.pem\n", 0, "needs Authority=");
        assert_refused("[Card]\nTimeoutSec=0\n", 2, "out of range");
}

static void test_a_trial_needs_its_last_day_and_ends_with_it(void **state) {
        _cleanup_(config_free_p) Config *c = load("[Policy]\nMode=observe\nObserveUntil=2026-12-31\n"),
                                        *plain = load("");
        char day[CONFIG_DAY_TEXT_MAX];
        struct tm tm = { .tm_year = 127, .tm_mday = 1, .tm_isdst = -1 }; /* midnight after it */
        uint64_t end = (uint64_t)mktime(&tm) * USEC_PER_SEC;

        config_observe_day(c, day);
        assert_string_equal(day, "2026-12-31");
        assert_true(config_observes(c, end - 1, true));
        assert_false(config_observes(c, end, true));
        assert_false(config_observes(c, end - 1, false));
        assert_false(config_observes(plain, 0, true));

        assert_refused("[Policy]\nMode=observe\n", 0, "needs ObserveUntil=");
        assert_refused("[Policy]\nMode=Observe\n", 2, "neither enforce nor observe");
        assert_refused("[Policy]\nObserveUntil=2026-02-30\n", 2, "no such day");
        assert_refused("[Policy]\nObserveUntil=2100-02-29\n", 2, "no such day");
        config_free(load("[Policy]\nObserveUntil=2028-02-29\n"));
        assert_refused("[Policy]\nObserveUntil=2026-13-01\n", 2, "no such day");
        assert_refused("[Policy]\nObserveUntil=2026-1-1\n", 2, "not a day");
        assert_refused("[Policy]\nObserveUntil=tomorrow!!\n", 2, "not a day");
}

static void test_lines_that_inih_would_misread_are_refused(void **state) {
        char text[512];

        assert_refused("[Agent]\n Locale=C\n", 2, "indented");
        assert_refused("[Roles]\nUnitHead=a\n\tb\n", 3, "indented");
        assert_refused("[Agent] Locale=C\n", 1, "alone on its line");
        assert_refused("[Agent\n", 1, "alone on its line");
        assert_refused("[Agent]\nLocale\n", 2, "neither");
        assert_refused("[Agent]\nLocale: C\n", 2, "neither");
        assert_refused("[Agent]\nLocale:C=\n", 2, "not by :");
        assert_refused("[Attempts]\nMax=3 ; three\n", 2, "a comment has a line of its own");
        assert_refused("[Attempts]\nMax=3 # three\n", 2, "a comment has a line of its own");
        assert_refused("[Attempts]\nMax=3\x01\n", 2, "control character");
        assert_refused("[Attempts]\nMax=3\r\n", 2, "control character");
        assert_refused("\xef\xbb\xbf[Attempts]\n", 1, "control character");
        assert_refused("[Roles]\nUnitHead=\x8f\x8a\n", 2, "not UTF-8");

        /* A key hidden behind the 200 bytes that inih reads at a time; and as a comment it is harmless but as long. */
        snprintf(text, sizeof(text), "[Attempts]\n#%0198dMax=100\n", 0);
        assert_refused(text, 2, "longer than");
        snprintf(text, sizeof(text), "[Roles]\nUnitHead=%0200d\n", 0);
        assert_refused(text, 2, "longer than");
        assert_refused_size("[Attempts]\n\0Max=3\n", 18, -EINVAL, 0, "zero byte");
}

static void test_a_line_as_long_as_allowed_is_read_whole(void **state) {
        _cleanup_(config_free_p) Config *c = NULL;
        char text[512];

        snprintf(text, sizeof(text), "[Roles]\nUnitHead=%0188d\nDutyOfficer=duty\n", 0);
        c = load(text);
        assert_int_equal(strlen(c->role_groups[ROLE_UNIT_HEAD]), 188);
        assert_string_equal(c->role_groups[ROLE_DUTY_OFFICER], "duty");
}

static void test_the_first_error_is_told(void **state) {
        assert_refused("[Attempts]\nMax=0\nWindowSec=x\n[Nothing]\n", 2, "Max=0");
}

static void test_what_passwords_have_to_be_has_ranges(void **state) {
        _cleanup_(config_free_p) Config *c =
                load("[Password]\nMaxDays=0\nWarnDays=0\nMinLength=6\nMinClasses=1\nHistory=0\n");

        assert_int_equal(c->password_max_days, 0);
        assert_int_equal(c->password_history, 0);
        assert_refused("[Password]\nMinLength=5\n", 2, "6 to 128");
        assert_refused("[Password]\nMinClasses=0\n", 2, "1 to 4");
        assert_refused("[Password]\nMinClasses=5\n", 2, "1 to 4");
        assert_refused("[Password]\nMaxDays=3651\n", 2, "0 to 3650");
        assert_refused("[Password]\nMaxDays=90d\n", 2, "not a number");
        assert_refused("[Password]\nHistory=-1\n", 2, "not a number");
        assert_refused("[Password]\nDictionary=no\n", 2, "there is no key");
}

static void expect_load_error(int expected, const char *what) {
        _cleanup_free_ char *error = NULL;
        Config *c = NULL;

        assert_int_equal(config_load(&c, path, &error), expected);
        assert_null(c);
        assert_non_null(error);
        if (!strstr(error, what) || strncmp(error, path, strlen(path)) != 0)
                fail_msg("\"%s\" does not say \"%s\"", error, what);
}

static void test_a_file_that_others_may_write_is_refused(void **state) {
        write_file("", 0, 0664);
        expect_load_error(-EPERM, "writable by root only");
        write_file("", 0, 0646);
        expect_load_error(-EPERM, "writable by root only");
        write_file("", 0, 0600);
        assert_int_equal(chmod(directory, 0770), 0);
        expect_load_error(-EPERM, "the directory must");
        assert_int_equal(chmod(directory, 0701 | S_IWOTH), 0);
        expect_load_error(-EPERM, "the directory must");
        assert_int_equal(chmod(directory, 0700), 0);
}

static void test_a_file_of_another_owner_is_refused(void **state) {
        if (geteuid() != 0) {
                print_message("# not tried: giving a file away needs root\n");
                return;
        }
        write_file("", 0, 0644);
        assert_int_equal(chown(path, 12345, 0), 0);
        expect_load_error(-EPERM, "must belong to root");
        assert_int_equal(chown(path, 0, 0), 0);
        assert_int_equal(chown(directory, 12345, 0), 0);
        expect_load_error(-EPERM, "the directory must belong to root");
        assert_int_equal(chown(directory, 0, 0), 0);
}

static void test_what_is_not_a_file_is_refused(void **state) {
        (void)unlink(path);
        expect_load_error(-ENOENT, "cannot open the file");
        assert_int_equal(symlink("/dev/null", path), 0);
        expect_load_error(-EPERM, "symbolic link");
        assert_int_equal(unlink(path), 0);
        assert_int_equal(mkfifo(path, 0600), 0);
        expect_load_error(-EPERM, "not a regular file");
        assert_int_equal(unlink(path), 0);
        assert_int_equal(mkdir(path, 0700), 0);
        expect_load_error(-EPERM, "not a regular file");
        assert_int_equal(rmdir(path), 0);
}

static void test_a_file_without_end_is_refused(void **state) {
        _cleanup_free_ char *text = malloc(70000);

        assert_non_null(text);
        memset(text, '\n', 70000);
        assert_refused_size(text, 70000, -EFBIG, 0, "larger than");
}

/* packaging/man/check compares the table with the manual page. */
static void test_keys_are_consistent(void **state) {
        const ConfigKey *keys;
        size_t n;

        keys = config_keys(&n);
        assert_in_range(n, 1, 64); /* a bit each while a file is read */
        for (size_t i = 0; i < n; i++) {
                assert_ptr_equal(config_key_find(keys[i].section, keys[i].name), &keys[i]);
                assert_true(config_section_exists(keys[i].section));
                assert_true(keys[i].min <= keys[i].max);
        }
        assert_null(config_key_find("Agent", "Max"));
}

/* Every key stands in the shipped file once, commented out, with its default (a family's is that of Default=), and the
 * file loads, both as it is and uncommented. */
static void test_the_shipped_file_shows_every_key_with_its_default(void **state) {
        _cleanup_free_ char *shipped = io_prefix(getenv("SOURCE_ROOT"), "/packaging/keishid.conf"), *text = NULL;
        _cleanup_(config_free_p) Config *as_it_is = NULL, *uncommented = NULL;
        _cleanup_free_ char *all = NULL;
        const ConfigKey *keys;
        size_t n, size = 0, used = 0;

        assert_non_null(getenv("SOURCE_ROOT"));
        assert_int_equal(io_read_file(AT_FDCWD, shipped, 65536, &text, &size), 0);
        as_it_is = load(text);

        all = malloc(size + 1);
        assert_non_null(all);
        for (char *rest = text, *line; (line = strsep(&rest, "\n"));) {
                if (line[0] == '#' && line[1] >= 'A' && line[1] <= 'Z' && strchr(line, '='))
                        line++;
                used += (size_t)sprintf(all + used, rest ? "%s\n" : "%s", line);
        }
        uncommented = load(all);
        assert_string_equal(uncommented->locale, as_it_is->locale);
        assert_int_equal(uncommented->clock_off_usec, as_it_is->clock_off_usec);
        assert_memory_equal(uncommented->factors[0], as_it_is->factors[0], sizeof(as_it_is->factors[0]));

        keys = config_keys(&n);
        for (size_t i = 0; i < n; i++) {
                char wanted[256], section[64];
                const char *at, *from, *to;

                snprintf(section, sizeof(section), "\n[%s]\n", keys[i].section);
                from = strstr(all, section);
                assert_non_null(from);
                to = strstr(from + strlen(section), "\n[");
                snprintf(wanted, sizeof(wanted), "\n%s=%s\n", keys[i].name,
                        *keys[i].default_text ? keys[i].default_text : "password");
                at = strstr(from, wanted);
                if (!at || (to && at > to))
                        fail_msg("keishid.conf lacks %s", wanted + 1);
        }
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
                T(test_an_empty_file_gives_the_defaults),
                T(test_values_reach_their_places),
                T(test_unknown_sections_and_keys_are_refused),
                T(test_a_key_given_twice_is_refused),
                T(test_bad_numbers_and_durations_are_refused),
                T(test_bad_names_are_refused),
                T(test_combinations_of_factors_reach_their_places),
                T(test_combinations_that_cannot_be_asked_for_are_refused),
                T(test_what_is_said_of_cards_and_keys_is_read_strictly),
                T(test_a_trial_needs_its_last_day_and_ends_with_it),
                T(test_lines_that_inih_would_misread_are_refused),
                T(test_a_line_as_long_as_allowed_is_read_whole),
                T(test_the_first_error_is_told),
                T(test_what_passwords_have_to_be_has_ranges),
                T(test_a_file_that_others_may_write_is_refused),
                T(test_a_file_of_another_owner_is_refused),
                T(test_what_is_not_a_file_is_refused),
                T(test_a_file_without_end_is_refused),
                T(test_keys_are_consistent),
                T(test_the_shipped_file_shows_every_key_with_its_default),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
