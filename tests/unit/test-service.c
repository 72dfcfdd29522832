/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "login/facts.h"
#include "login/service.h"

/* Law 2's table: the services that a Debian terminal has, and what each may do. */

static const Service *must_find(const char *name) {
        const Service *s = service_find(name);

        assert_non_null(s);
        assert_string_equal(s->name, name);
        return s;
}

static void every_service_of_a_terminal_has_a_row_of_its_family(void **state) {
        static const struct {
                const char *names;
                Family family;
        } rows[] = {
                { "login gdm-password lightdm sddm", FAMILY_CONSOLE },
                { "gdm-launch-environment lightdm-greeter sddm-greeter", FAMILY_GREETER },
                { "swaylock i3lock xscreensaver vlock", FAMILY_LOCKER },
                { "su su-l sudo sudo-i polkit-1", FAMILY_ADMIN },
                { "sshd cockpit", FAMILY_REMOTE },
                { "cron atd systemd-user runuser runuser-l chpasswd newusers", FAMILY_UNATTENDED },
                { "passwd chfn chsh", FAMILY_SELF },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                char names[256], *save = NULL;

                snprintf(names, sizeof(names), "%s", rows[i].names);
                for (char *n = strtok_r(names, " ", &save); n; n = strtok_r(NULL, " ", &save))
                        assert_int_equal(must_find(n)->family, rows[i].family);
        }
}

static void what_has_no_row_is_not_found(void **state) {
        static const char *const names[] = { "", "other", "Login", "login ", "lightdm-autologin", "gdm-autologin",
                "sddm-autologin", "keishi-password" };

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                assert_null(service_find(names[i]));
        assert_int_equal(service_family(NULL, 0, false), _FAMILY_INVALID);
}

static void only_lockers_serve_callers_other_than_root(void **state) {
        for (const Service *s = service_table(); s->name; s++)
                assert_int_equal(s->any_caller, s->family == FAMILY_LOCKER);
}

static void whoever_is_in_front_has_to_authenticate(void **state) {
        for (const Service *s = service_table(); s->name; s++)
                assert_int_equal(s->needs_auth, s->family != FAMILY_UNATTENDED && s->family != FAMILY_GREETER);
}

static void names_are_unique(void **state) {
        for (const Service *s = service_table(); s->name; s++)
                assert_ptr_equal(service_find(s->name), s);
}

static void root_itself_is_nobody_in_front_and_a_person_is(void **state) {
        assert_int_equal(service_family(must_find("su"), 0, false), FAMILY_UNATTENDED);
        assert_int_equal(service_family(must_find("su"), 1001, false), FAMILY_ADMIN);
        assert_int_equal(service_family(must_find("login"), 0, false), FAMILY_CONSOLE);
        assert_int_equal(service_family(must_find("sshd"), 0, false), FAMILY_REMOTE);
        assert_int_equal(service_family(must_find("polkit-1"), 1001, true), FAMILY_SELF);
        assert_int_equal(service_family(must_find("polkit-1"), 1001, false), FAMILY_ADMIN);
        assert_int_equal(service_family(must_find("polkit-1"), 0, false), FAMILY_ADMIN);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_service_of_a_terminal_has_a_row_of_its_family),
                cmocka_unit_test(what_has_no_row_is_not_found),
                cmocka_unit_test(only_lockers_serve_callers_other_than_root),
                cmocka_unit_test(whoever_is_in_front_has_to_authenticate),
                cmocka_unit_test(names_are_unique),
                cmocka_unit_test(root_itself_is_nobody_in_front_and_a_person_is),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
