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

/* polkit's agent: its process is not related to the program that goes on. */
static Peer program(uint64_t start, const char *session, bool remote) {
        return (Peer){ .process = { .pid = 70001, .start = start }, .session = (char *)session, .remote = remote };
}

static Proof *agent_proof(ProofList *list, const char *session, bool remote) {
        Peer agent = { .process = { .pid = 70000, .start = 500 }, .session = (char *)session, .remote = remote };
        Proof *p = proof_add(list, "polkit-1", "hanako", &agent, 1000);

        assert_non_null(p);
        assert_int_equal(proof_set_agent(p, 2001, &agent), 0);
        return p;
}

static void an_agents_proof_serves_one_program_of_its_user_that_waited(void **state) {
        Peer waited = program(400, "3", false), later = program(501, "3", false), again = program(300, "3", false);
        ProofList list = {};
        Proof *p = agent_proof(&list, "3", false);

        assert_null(proof_find(&list, "polkit-1", &waited, 2000));
        assert_null(proof_take_from_agent(&list, "polkit-1", &waited, 2002, 2000)); /* somebody else's */
        assert_null(proof_take_from_agent(&list, "sudo", &waited, 2001, 2000));
        assert_null(proof_take_from_agent(&list, "polkit-1", &later, 2001, 2000));
        assert_ptr_equal(proof_take_from_agent(&list, "polkit-1", &waited, 2001, 2000), p);
        assert_null(proof_take_from_agent(&list, "polkit-1", &again, 2001, 2000));
        /* Its next stage finds it as its own. */
        assert_ptr_equal(proof_find(&list, "polkit-1", &waited, 3000), p);
        proof_list_done(&list);
}

static void an_agents_proof_serves_its_own_session_here_and_now(void **state) {
        Peer other = program(400, "4", false), remote = program(400, NULL, true), manager = program(400, NULL, false);
        ProofList list = {};
        Proof *p = agent_proof(&list, "3", false);

        assert_null(proof_take_from_agent(&list, "polkit-1", &other, 2001, 2000));
        assert_null(proof_take_from_agent(&list, "polkit-1", &remote, 2001, 2000));
        assert_null(proof_take_from_agent(&list, "polkit-1", &manager, 2001, 1001 + PROOF_AGENT_USEC));
        /* What a user's manager runs is in no session. */
        assert_ptr_equal(proof_take_from_agent(&list, "polkit-1", &manager, 2001, 1000 + PROOF_AGENT_USEC), p);
        proof_list_done(&list);

        (void)agent_proof(&list, NULL, true);
        assert_null(proof_take_from_agent(&list, "polkit-1", &manager, 2001, 2000));
        proof_list_done(&list);
}

static void a_proof_that_no_agent_made_serves_nobody_elsewhere(void **state) {
        Peer peer = { .process = { .pid = 70000, .start = 500 } }, waited = program(400, NULL, false);
        ProofList list = {};

        assert_non_null(proof_add(&list, "polkit-1", "hanako", &peer, 1000));
        assert_null(proof_take_from_agent(&list, "polkit-1", &waited, 0, 2000));
        proof_list_done(&list);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_proof_serves_the_same_process_and_service_only),
                cmocka_unit_test(a_proof_of_a_child_serves_its_parent),
                cmocka_unit_test(a_new_proof_takes_the_place_of_the_old_one),
                cmocka_unit_test(a_proof_ends_after_its_lifetime),
                cmocka_unit_test(the_caller_s_language_is_used_the_site_s_otherwise_and_english_on_a_text_console),
                cmocka_unit_test(an_agents_proof_serves_one_program_of_its_user_that_waited),
                cmocka_unit_test(an_agents_proof_serves_its_own_session_here_and_now),
                cmocka_unit_test(a_proof_that_no_agent_made_serves_nobody_elsewhere),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
