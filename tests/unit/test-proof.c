/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "login/proof.h"
#include "login/text.h"

/* What ties the stages of one login together, with processes that exist: this one, its parent, and numbers that nobody
 * has. */

static ProcessId self(void) {
        Peer p = { .process = { .pid = getpid() } };
        int pair[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
        assert_int_equal(peer_read(&p, pair[0]), 0);
        close(pair[0]);
        close(pair[1]);
        ProcessId id = p.process;
        peer_done(&p);
        return id;
}

static Peer peer_of(ProcessId id) {
        return (Peer){ .process = id };
}

static void a_proof_serves_the_same_process_and_service_only(void **state) {
        Peer peer = peer_of(self()), stranger = peer_of((ProcessId){ .pid = getpid(), .start = 1 });
        ProofList list = {};
        Proof *p;

        p = proof_add(&list, "login", "hanako", &peer, 1000);
        assert_non_null(p);
        assert_ptr_equal(proof_find(&list, "login", &peer, 2000), p);
        assert_null(proof_find(&list, "lightdm", &peer, 2000));
        /* The same number, another process. */
        assert_null(proof_find(&list, "login", &stranger, 2000));
        proof_list_done(&list);
}

static void a_proof_of_a_child_serves_its_parent(void **state) {
        Peer child = peer_of(self()), parent;
        ProofList list = {};

        parent = peer_of(peer_parent(&child));
        assert_true(parent.process.pid > 0);
        assert_non_null(proof_add(&list, "sshd", "hanako", &child, 1000));
        assert_non_null(proof_find(&list, "sshd", &parent, 2000));
        proof_list_done(&list);
}

static void a_new_proof_takes_the_place_of_the_old_one(void **state) {
        Peer peer = peer_of(self());
        ProofList list = {};

        assert_non_null(proof_add(&list, "login", "hanako", &peer, 1000));
        assert_non_null(proof_add(&list, "login", "taro", &peer, 2000));
        assert_int_equal(list.n, 1);
        assert_string_equal(proof_find(&list, "login", &peer, 3000)->account, "taro");
        proof_list_done(&list);
}

static void a_proof_ends_after_its_lifetime(void **state) {
        Peer peer = peer_of(self());
        ProofList list = {};

        assert_non_null(proof_add(&list, "login", "hanako", &peer, 1000));
        assert_non_null(proof_find(&list, "login", &peer, 1000 + PROOF_LIFETIME_USEC));
        assert_null(proof_find(&list, "login", &peer, 1001 + PROOF_LIFETIME_USEC));
        assert_int_equal(list.n, 0);
}

static void the_caller_s_language_is_used_the_site_s_otherwise_and_english_on_a_text_console(void **state) {
        assert_int_equal(text_language("ja_JP.UTF-8", "en_US.UTF-8", ":0"), LANGUAGE_JA);
        assert_int_equal(text_language("en_US.UTF-8", "ja_JP.UTF-8", ":0"), LANGUAGE_EN);
        assert_int_equal(text_language(NULL, "ja_JP.UTF-8", NULL), LANGUAGE_JA);
        assert_int_equal(text_language("C.UTF-8", "ja_JP.UTF-8", "pts/0"), LANGUAGE_JA);
        assert_int_equal(text_language("ja_JP.UTF-8", "ja_JP.UTF-8", "/dev/tty1"), LANGUAGE_EN);
        assert_int_equal(text_language("ja_JP.UTF-8", "ja_JP.UTF-8", "tty6"), LANGUAGE_EN);
        assert_int_equal(text_language(NULL, NULL, NULL), LANGUAGE_EN);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_proof_serves_the_same_process_and_service_only),
                cmocka_unit_test(a_proof_of_a_child_serves_its_parent),
                cmocka_unit_test(a_new_proof_takes_the_place_of_the_old_one),
                cmocka_unit_test(a_proof_ends_after_its_lifetime),
                cmocka_unit_test(the_caller_s_language_is_used_the_site_s_otherwise_and_english_on_a_text_console),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
