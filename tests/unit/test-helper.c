/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "factor/helper.h"
#include "util/clock.h"

/* Helpers are shell scripts here: HELPER_FD is 3, and reading from it ends when keishid has closed its end. */

static char directory[] = "/tmp/keishi-helper-XXXXXX";

static char *path_of(const char *name) {
        char *path;

        assert_true(asprintf(&path, "%s/%s", directory, name) >= 0);
        return path;
}

static int prepare(void **state) {
        sigset_t children;

        /* As sd_event_add_child() wants it. */
        sigemptyset(&children);
        sigaddset(&children, SIGCHLD);
        return sigprocmask(SIG_BLOCK, &children, NULL) == 0 && mkdtemp(directory) ? 0 : -1;
}

static int clean_up(void **state) {
        char *script = path_of("script"), *mark = path_of("mark");

        unlink(script);
        unlink(mark);
        rmdir(directory);
        free(script);
        free(mark);
        return 0;
}

/* `body` with $0.mark as the path of the mark. */
static HelperPool *pool_of(sd_event *event, const char *body) {
        _cleanup_free_ char *script = path_of("script"), *mark = path_of("mark");
        HelperPool *p;
        FILE *f;

        unlink(mark);
        f = fopen(script, "we");
        assert_non_null(f);
        fprintf(f, "#!/bin/sh\nmark=%s\n%s\n", mark, body);
        fclose(f);
        assert_int_equal(chmod(script, 0700), 0);
        assert_int_equal(helper_pool_new(&p, event, script, 1, 10 * USEC_PER_SEC), 0);
        return p;
}

static bool marked(void) {
        _cleanup_free_ char *mark = path_of("mark");

        return access(mark, F_OK) == 0;
}

static void on_end(int r, const char *reply, size_t size, void *userdata) {
        *(int *)userdata = r;
}

static bool on_said(const char *packet, size_t size, void *userdata) {
        *(int *)userdata = -2;
        return true;
}

/* Runs the loop until `done` is no longer -1, or, with NULL, for so long. */
static void run(sd_event *event, const int *done, uint64_t usec) {
        uint64_t end = clock_usec(CLOCK_MONOTONIC) + usec;

        while ((!done || *done == -1) && clock_usec(CLOCK_MONOTONIC) < end)
                assert_true(sd_event_run(event, 20 * USEC_PER_MSEC) >= 0);
}

/* A helper that says that it has begun, waits for its socket's end, and then takes a moment to put things right. */
#define TIDY "printf x >&3; cat <&3 >/dev/null; sleep 0.2; : >$mark"

static void cancel_one(const char *body, uint64_t grace_usec, uint64_t wait_usec) {
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;
        _cleanup_(helper_pool_free_p) HelperPool *p = NULL;
        int said = -1;
        Helper *h;

        assert_int_equal(sd_event_new(&event), 0);
        p = pool_of(event, body);
        assert_int_equal(helper_ask_more(p,
                                 &(HelperQuestion){ .request = "r",
                                         .size = 1,
                                         .grace_usec = grace_usec,
                                         .said = on_said,
                                         .fn = on_end,
                                         .userdata = &said },
                                 &h),
                0);
        run(event, &said, 5 * USEC_PER_SEC);
        assert_int_equal(said, -2);
        helper_cancel(h);
        run(event, NULL, wait_usec);
        /* Nobody is told. */
        assert_int_equal(said, -2);
}

static void a_cancelled_helper_is_killed_at_once(void **state) {
        cancel_one(TIDY, 0, USEC_PER_SEC / 2);
        assert_false(marked());
}

static void a_cancelled_helper_with_grace_puts_things_right(void **state) {
        cancel_one(TIDY, 5 * USEC_PER_SEC, USEC_PER_SEC);
        assert_true(marked());
}

static void grace_ends(void **state) {
        cancel_one("printf x >&3; cat <&3 >/dev/null; sleep 0.4; : >$mark", USEC_PER_SEC / 10, USEC_PER_SEC);
        assert_false(marked());
}

static void a_late_helper_has_grace_and_the_next_one_waits_for_it(void **state) {
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;
        _cleanup_(helper_pool_free_p) HelperPool *p = NULL;
        int first = -1, second = -1;
        HelperQuestion q = { .request = "r",
                .size = 1,
                .timeout_usec = USEC_PER_SEC / 4,
                .grace_usec = 5 * USEC_PER_SEC,
                .fn = on_end,
                .userdata = &first };
        Helper *h;

        assert_int_equal(sd_event_new(&event), 0);
        p = pool_of(event, "if [ -e $mark ]; then head -c 1 <&3 >/dev/null; printf y >&3; else cat <&3 >/dev/null; "
                           "sleep 0.2; : >$mark; fi");
        assert_int_equal(helper_ask_more(p, &q, &h), 0);
        q.userdata = &second;
        q.timeout_usec = 5 * USEC_PER_SEC;
        assert_int_equal(helper_ask_more(p, &q, &h), 0);
        run(event, &first, 5 * USEC_PER_SEC);
        assert_int_equal(first, HELPER_E_TIMEOUT);
        assert_false(marked());
        run(event, &second, 5 * USEC_PER_SEC);
        assert_int_equal(second, 0);
        assert_true(marked());
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_cancelled_helper_is_killed_at_once),
                cmocka_unit_test(a_cancelled_helper_with_grace_puts_things_right),
                cmocka_unit_test(grace_ends),
                cmocka_unit_test(a_late_helper_has_grace_and_the_next_one_waits_for_it),
        };

        return cmocka_run_group_tests(tests, prepare, clean_up);
}
