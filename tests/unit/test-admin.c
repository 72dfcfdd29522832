/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "login/admin-parse.h"
#include "login/sudo-settings.h"
#include "util/json.h"

/* What sudo and pkexec write about commands, and whether sudoers lets sudo write it. */

static AdminCommand parsed(const char *arguments) {
        char text[4096];
        AdminCommand c;

        assert_true((size_t)snprintf(text, sizeof(text),
                            "@cee:{\"sudo\":{\"accept\":{\"submituser\":\"hanako\",\"command\":\"/bin/x\",\"runuser\":"
                            "\"root\",\"ttyname\":\"/dev/pts/3\",\"runargv\":[\"x\"%s]}}}",
                            arguments) < sizeof(text));
        assert_int_equal(admin_parse_sudo(text, strlen(text), &c), 0);
        return c;
}

static void arguments_are_quoted_as_a_shell_takes_them(void **state) {
        static const char *const cases[][2] = {
                { "", "/bin/x" },
                { ",\"a\"", "/bin/x a" },
                { ",\"\"", "/bin/x ''" },
                { ",\"a b\",\"$(id)\",\"a;b\"", "/bin/x 'a b' '$(id)' 'a;b'" },
                { ",\"it's\"", "/bin/x 'it'\"'\"'s'" },
                { ",\"\\u65e5\\u672c\"", "/bin/x 日本" },
                { ",\"\\ud83d\\ude00\"", "/bin/x \xf0\x9f\x98\x80" },
                { ",\"\\/\\b\\f\\n\\r\\t\\\"\\\\\"", "/bin/x '/\b\f\n\r\t\"\\'" },
        };

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                AdminCommand c = parsed(cases[i][0]);

                assert_int_equal(c.kind, ADMIN_ACCEPTED);
                assert_string_equal(c.command, cases[i][1]);
                assert_string_equal(c.user, "hanako");
                assert_string_equal(c.tty, "pts/3");
        }
}

/* sudo 1.9.16 writes these twice. */
static void the_end_of_a_command_is_read_as_sudo_writes_it(void **state) {
        static const char text[] =
                "@cee:{\"sudo\":{\"exit\":{\"uuid\":\"d5c0dd33b7-edd0\",\"run_time\":{\"seconds\":0},"
                "\"exit_value\":1,\"run_time\":{\"seconds\":0},\"exit_value\":1}}}";
        AdminCommand c;

        assert_int_equal(admin_parse_sudo(text, strlen(text), &c), 0);
        assert_int_equal(c.kind, ADMIN_EXITED);
        assert_int_equal(c.exit_status, 1);
        assert_string_equal(c.id, "d5c0dd33b7-edd0");
}

static void what_is_no_event_of_sudo_is_kept_as_text(void **state) {
        static const char *const cases[] = {
                "@cee:",
                "@cee:{}",
                "@cee:{\"sudo\":{}}",
                "@cee:{\"sudo\":{\"accept\":{}}}",
                "@cee:{\"sudo\":{\"accept\":{\"submituser\":\"a\"}}}",
                "@cee:{\"sudo\":{\"other\":{\"submituser\":\"a\",\"command\":\"b\"}}}",
                "@cee:{\"sudo\":{\"accept\":{\"submituser\":\"a\",\"submituser\":\"b\",\"command\":\"c\"}}}",
                "@cee:{\"sudo\":{\"accept\":{\"submituser\":\"a\",\"command\":\"c\",\"runargv\":[\"\\u0000\"]}}}",
                "@cee:{\"sudo\":{\"accept\":{\"submituser\":\"a\",\"command\":\"c\",\"runargv\":[\"\\ud800\"]}}}",
                "@cee:{\"sudo\":{\"accept\":{\"submituser\":\"a\",\"command\":\"c\",\"runargv\":[\"\n\"]}}}",
                "@cee:{\"sudo\":{\"accept\":{\"submituser\":\"a\",\"runargv\":[\"x\"],\"command\":\"c\"}}}",
                "@cee:{\"sudo\":{\"accept\":{\"submituser\":\"a\",\"command\":\"c\"}}} ",
                "@cee:{\"sudo\":{\"accept\":{\"submituser\":\"a\",\"command\":\"c\"}}}x",
                "@cee:{\"sudo\":{\"accept\":{\"submituser\":\"a\",\"command\":\"c\",}}}",
                "@cee:{\"sudo\":{\"accept\":{\"submituser\":\"a\",\"command\":\"c\",\"x\":[[[[[[[[[]]]]]]]]]}}}",
                "@cee:{\"sudo\":{\"exit\":{\"exit_value\":99999999999}}}",
                "  hanako : TTY=pts/3 ; PWD=/tmp ; USER=root ; COMMAND=/usr/bin/id",
        };
        AdminCommand c;

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                assert_int_equal(admin_parse_sudo(cases[i], strlen(cases[i]), &c), 0);
                /* A blank behind it is all that JSON lets stand there. */
                assert_int_equal(
                        c.kind, strcmp(cases[i] + strlen(cases[i]) - 2, "} ") == 0 ? ADMIN_ACCEPTED : ADMIN_UNPARSED);
                if (c.kind == ADMIN_UNPARSED)
                        assert_string_equal(c.reason, cases[i]);
        }
        assert_int_equal(admin_parse_sudo("pam_unix(sudo:auth): x", 22, &c), -ENOMSG);
        assert_int_equal(admin_parse_sudo("", 0, &c), -ENOMSG);
}

static void a_command_that_is_too_long_says_how_much_is_missing(void **state) {
        size_t room = 3u * ADMIN_COMMAND_MAX;
        char *text = malloc(room + 256), *end;
        AdminCommand c;
        int n;

        assert_non_null(text);
        n = snprintf(text, room,
                "@cee:{\"sudo\":{\"accept\":{\"submituser\":\"a\",\"command\":\"/x\",\"runargv\":[\"x\",\"");
        memset(text + n, 'y', 2u * ADMIN_COMMAND_MAX);
        memcpy(text + n + 2u * ADMIN_COMMAND_MAX, "\"]}}}", sizeof("\"]}}}"));
        assert_int_equal(admin_parse_sudo(text, strlen(text), &c), 0);
        end = strstr(c.command, " …[");
        assert_non_null(end);
        assert_int_equal(
                strtoul(end + strlen(" …["), NULL, 10), 3 + 2u * ADMIN_COMMAND_MAX - (size_t)(end - c.command));
        free(text);
}

static void pkexec_is_read_and_its_refusals_are_not_commands(void **state) {
        static const char ran[] =
                "hanako: Executing command [USER=root] [TTY=/dev/pts/0] [CWD=/home/x] [COMMAND=/usr/bin/id -u]";
        static const char *const not_run[5] = {
                // NOLINT(bugprone-suspicious-missing-comma)
                "hanako: Error executing command as another user: No [USER=root] [TTY=x] [CWD=/] [COMMAND=x]",
                "hanako: Executing command [USER=root] [TTY=unknown] [CWD=/] [COMMAND=]",
                "a b: Executing command [USER=root] [TTY=unknown] [CWD=/] [COMMAND=x]",
                "hanako: Executing command [USER=root] [TTY=unknown] [CWD=/] [COMMAND=x",
                "",
        };
        AdminCommand c;

        assert_int_equal(admin_parse_pkexec(ran, strlen(ran), &c), 0);
        assert_string_equal(c.user, "hanako");
        assert_string_equal(c.target, "root");
        assert_string_equal(c.tty, "pts/0");
        assert_string_equal(c.cwd, "/home/x");
        assert_string_equal(c.command, "/usr/bin/id -u");
        for (size_t i = 0; i < sizeof(not_run) / sizeof(not_run[0]); i++)
                assert_int_equal(admin_parse_pkexec(not_run[i], strlen(not_run[i]), &c), -ENOMSG);
}

/* ---- sudoers ---- */

#define GOOD                                                                                                           \
        "{\"Options\":[{\"syslog\":\"authpriv\"},{\"log_allowed\":true},{\"log_denied\":true},{\"log_format\":"        \
        "\"json\"}]}"

static size_t findings(const char *defaults, SudoFindings *ret) {
        char text[2048];
        json_object *o = NULL;

        *ret = (SudoFindings){};
        assert_true((size_t)snprintf(text, sizeof(text), "{\"Defaults\":[%s]}", defaults) < sizeof(text));
        assert_int_equal(json_parse_object(text, &o), 0);
        assert_int_equal(sudo_settings_look(o, ret), 0);
        json_object_put(o);
        return ret->n;
}

static void sudoers_that_keeps_sudo_from_writing_is_found_whoever_it_is_for(void **state) {
        static const char *const cases[][2] = {
                { "", "log_format=sudo" },
                { GOOD ",{\"Options\":[{\"log_format\":\"sudo\"}]}", "log_format=sudo" },
                { GOOD ",{\"Options\":[{\"syslog\":false}]}", "!syslog" },
                { GOOD ",{\"Options\":[{\"syslog_goodpri\":\"none\"}]}", "syslog_goodpri=none" },
                { GOOD ",{\"Options\":[{\"log_allowed\":false}]}", "!log_allowed" },
                { GOOD ",{\"Options\":[{\"pam_session\":false}]}", "!pam_session" },
                { GOOD ",{\"Options\":[{\"pam_service\":\"other\"}]}", "pam_service=other" },
                { GOOD ",{\"Binding\":[{\"username\":\"taro\"}],\"Options\":[{\"log_allowed\":false}]}",
                        "!log_allowed for [{\"username\":\"taro\"}]" },
                { "{\"Binding\":[{\"command\":\"/bin/sh\"}],\"Options\":[{\"syslog\":false}]}," GOOD,
                        "!syslog for [{\"command\":\"/bin/sh\"}]" },
        };
        SudoFindings f;

        assert_int_equal(findings(GOOD, &f), 0);
        /* The last one counts. */
        assert_int_equal(findings("{\"Options\":[{\"syslog\":false}]}," GOOD, &f), 0);
        assert_int_equal(
                findings(GOOD ",{\"Binding\":[{\"username\":\"taro\"}],\"Options\":[{\"log_format\":\"json\"}]}", &f),
                0);
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                assert_int_equal(findings(cases[i][0], &f), 1);
                assert_string_equal(f.items[0].text, cases[i][1]);
        }
}

static void sudoers_that_is_no_such_text_is_an_error(void **state) {
        static const char *const cases[] = { "{\"Defaults\":3}", "{\"Defaults\":[3]}", "{\"Defaults\":[{}]}",
                "{\"Defaults\":[{\"Options\":[3]}]}" };

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                SudoFindings f = {};
                json_object *o = NULL;

                assert_int_equal(json_parse_object(cases[i], &o), 0);
                assert_int_equal(sudo_settings_look(o, &f), -EBADMSG);
                json_object_put(o);
        }
}

static void another_plugin_in_sudo_conf_is_found(void **state) {
        SudoFindings f = {};

        sudo_settings_look_conf(
                "# Plugin x y.so\nPlugin sudoers_policy sudoers.so\nPlugin sudoers_io sudoers.so\nSet x y\n", &f);
        assert_int_equal(f.n, 0);
        sudo_settings_look_conf("Plugin silent_policy silent.so\n  plugin sudoers_policy other.so", &f);
        assert_int_equal(f.n, 2);
        assert_string_equal(f.items[0].text, "sudo.conf: Plugin silent_policy silent.so");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(arguments_are_quoted_as_a_shell_takes_them),
                cmocka_unit_test(the_end_of_a_command_is_read_as_sudo_writes_it),
                cmocka_unit_test(what_is_no_event_of_sudo_is_kept_as_text),
                cmocka_unit_test(a_command_that_is_too_long_says_how_much_is_missing),
                cmocka_unit_test(pkexec_is_read_and_its_refusals_are_not_commands),
                cmocka_unit_test(sudoers_that_keeps_sudo_from_writing_is_found_whoever_it_is_for),
                cmocka_unit_test(sudoers_that_is_no_such_text_is_an_error),
                cmocka_unit_test(another_plugin_in_sudo_conf_is_found),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
