/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "login/authorize.h"
#include "registry/credential.h"
#include "registry/internal.h"
#include "util/clock.h"
#include "util/json.h"

/* Cards and keys of people: who may do what with them, and what must hold between their rows. */

#define NOW (UINT64_C(1790000000) * USEC_PER_SEC)

static char directory[64], path[80];
static Registry *registry;
static RegistryError error;

static json_object *parse(const char *text) {
        json_object *o = json_tokener_parse(text);

        if (!o)
                fail_msg("not JSON: %s", text);
        return o;
}

static int add(NounId noun, const char *fields, char **ret_uuid) {
        _cleanup_json_ json_object *o = parse(fields), *row = NULL;
        int q;

        error = (RegistryError){};
        q = registry_row_add(registry, noun, o, NOW, &row, &error);
        if (q == 0 && ret_uuid)
                *ret_uuid = strdup(json_string(row, "uuid"));
        return q;
}

static int setup(void **state) {
        strcpy(directory, "/tmp/test-credential-XXXXXX");
        if (!mkdtemp(directory))
                return -1;
        snprintf(path, sizeof(path), "%s/registry.db", directory);
        registry = NULL;
        if (registry_open(&registry, path, NULL) != 0 || registry_begin(registry) != 0)
                return -1;
        for (unsigned i = 1; i <= 3; i++) {
                char text[160];

                snprintf(text, sizeof(text), "{\"account\":\"user%u\",\"person\":\"%u\",\"name\":\"N\",\"unit\":\"U\"}",
                        i, i);
                if (add(NOUN_USER, text, NULL) != 0)
                        return -1;
        }
        return 0;
}

static int teardown(void **state) {
        char command[128];

        registry = registry_free(registry);
        snprintf(command, sizeof(command), "rm -rf %s", directory);
        return system(command);
}

/* ---- the state machine ---- */

#define R(role) ROLE_BIT(ROLE_##role)
#define ANYONE  (R(SYSTEM_MANAGER) | R(SYSTEM_OWNER) | R(UNIT_HEAD) | R(DUTY_OFFICER) | R(REGISTRAR))

/* What the rules say, written down a second time: for each act and kind, from which states, and by whom. */
static const struct Expected {
        CredentialAct act;
        CredentialKind kind;
        CredentialState from, to;
        unsigned anywhere, own_unit;
        bool holder, not_suspender;
} expected[] = {
        { CREDENTIAL_REGISTER, CREDENTIAL_CARD, CREDENTIAL_NONE, CREDENTIAL_ACTIVE, R(SYSTEM_MANAGER) | R(SYSTEM_OWNER),
                R(REGISTRAR) },
        { CREDENTIAL_REGISTER, CREDENTIAL_KEY, CREDENTIAL_NONE, CREDENTIAL_ACTIVE, 0, R(REGISTRAR) },
        { CREDENTIAL_SUBSTITUTE, CREDENTIAL_CARD, CREDENTIAL_NONE, CREDENTIAL_ACTIVE,
                R(SYSTEM_MANAGER) | R(SYSTEM_OWNER) | R(DUTY_OFFICER), R(UNIT_HEAD) | R(REGISTRAR) },
        { CREDENTIAL_SUSPEND, CREDENTIAL_CARD, CREDENTIAL_ACTIVE, CREDENTIAL_SUSPENDED, ANYONE, 0, true },
        { CREDENTIAL_SUSPEND, CREDENTIAL_KEY, CREDENTIAL_ACTIVE, CREDENTIAL_SUSPENDED, ANYONE, 0, true },
        { CREDENTIAL_RESUME, CREDENTIAL_CARD, CREDENTIAL_SUSPENDED, CREDENTIAL_ACTIVE,
                R(SYSTEM_MANAGER) | R(SYSTEM_OWNER), R(UNIT_HEAD) | R(REGISTRAR) | R(DUTY_OFFICER), false, true },
        { CREDENTIAL_RESUME, CREDENTIAL_KEY, CREDENTIAL_SUSPENDED, CREDENTIAL_ACTIVE, 0, R(REGISTRAR), false, true },
        { CREDENTIAL_RETURN, CREDENTIAL_CARD, CREDENTIAL_ACTIVE, CREDENTIAL_RETURNED,
                R(SYSTEM_MANAGER) | R(SYSTEM_OWNER) | R(DUTY_OFFICER), R(UNIT_HEAD) | R(REGISTRAR) },
        { CREDENTIAL_RETURN, CREDENTIAL_CARD, CREDENTIAL_SUSPENDED, CREDENTIAL_RETURNED,
                R(SYSTEM_MANAGER) | R(SYSTEM_OWNER) | R(DUTY_OFFICER), R(UNIT_HEAD) | R(REGISTRAR) },
        { CREDENTIAL_REMOVE, CREDENTIAL_CARD, CREDENTIAL_ACTIVE, CREDENTIAL_REMOVED,
                R(SYSTEM_MANAGER) | R(SYSTEM_OWNER), R(REGISTRAR) },
        { CREDENTIAL_REMOVE, CREDENTIAL_CARD, CREDENTIAL_SUSPENDED, CREDENTIAL_REMOVED,
                R(SYSTEM_MANAGER) | R(SYSTEM_OWNER), R(REGISTRAR) },
        { CREDENTIAL_REMOVE, CREDENTIAL_KEY, CREDENTIAL_ACTIVE, CREDENTIAL_REMOVED, 0, R(REGISTRAR) },
        { CREDENTIAL_REMOVE, CREDENTIAL_KEY, CREDENTIAL_SUSPENDED, CREDENTIAL_REMOVED, 0, R(REGISTRAR) },
};

static const struct Expected *find(CredentialAct act, CredentialKind kind, CredentialState from) {
        for (size_t i = 0; i < ELEMENTSOF(expected); i++)
                if (expected[i].act == act && expected[i].kind == kind && expected[i].from == from)
                        return &expected[i];
        return NULL;
}

static CredentialAnswer answer(const struct Expected *e, const CredentialActor *a) {
        if (!e)
                return CREDENTIAL_NO_SUCH_ACT;
        if (a->holder)
                return e->holder ? CREDENTIAL_ALLOWED : CREDENTIAL_OWN;
        if (a->suspender && e->not_suspender)
                return CREDENTIAL_SAME;
        return (a->roles & e->anywhere) || (a->unit & (e->anywhere | e->own_unit)) ? CREDENTIAL_ALLOWED
                                                                                   : CREDENTIAL_NOT_ROLE;
}

static void check(CredentialAct act, CredentialKind kind, CredentialState from, const CredentialActor *actor) {
        const struct Expected *e = find(act, kind, from);
        CredentialState to = _CREDENTIAL_STATE_INVALID;
        CredentialAnswer got = credential_act(act, kind, from, actor, &to);

        if (got != answer(e, actor))
                fail_msg("%s a %s that is %s, roles %x of unit %x%s%s: %s", credential_act_to_string(act),
                        credential_kind_to_string(kind),
                        credential_state_to_string(from) ? credential_state_to_string(from) : "not there", actor->roles,
                        actor->unit, actor->holder ? ", holder" : "", actor->suspender ? ", suspender" : "",
                        credential_answer_to_string(got));
        if (got == CREDENTIAL_ALLOWED)
                assert_int_equal(to, e->to);
        else
                assert_int_equal(to, _CREDENTIAL_STATE_INVALID);
}

static void test_every_act_in_every_state_by_every_role(void **state) {
        for (CredentialAct act = 0; act < _CREDENTIAL_ACT_MAX; act++)
                for (CredentialKind kind = 0; kind < _CREDENTIAL_KIND_MAX; kind++)
                        for (int from = CREDENTIAL_NONE; from < _CREDENTIAL_STATE_MAX; from++)
                                for (int role = -1; role < _ROLE_MAX; role++)
                                        for (unsigned how = 0; how < 8; how++) {
                                                unsigned bit = role < 0 ? 0 : ROLE_BIT(role);
                                                CredentialActor actor = {
                                                        .roles = how & 1 ? 0 : bit,
                                                        .unit = how & 1 ? bit : 0,
                                                        .holder = how & 2,
                                                        .suspender = how & 4,
                                                };

                                                check(act, kind, from, &actor);
                                        }
}

static void test_what_is_over_stays_over(void **state) {
        CredentialActor all = { .roles = ~0u, .unit = ~0u };
        CredentialState to;

        for (CredentialAct act = 0; act < _CREDENTIAL_ACT_MAX; act++)
                for (CredentialKind kind = 0; kind < _CREDENTIAL_KIND_MAX; kind++) {
                        assert_int_equal(
                                credential_act(act, kind, CREDENTIAL_RETURNED, &all, &to), CREDENTIAL_NO_SUCH_ACT);
                        assert_int_equal(
                                credential_act(act, kind, CREDENTIAL_REMOVED, &all, &to), CREDENTIAL_NO_SUCH_ACT);
                }
}

static void test_names_go_both_ways(void **state) {
        for (CredentialState s = 0; s < _CREDENTIAL_STATE_MAX; s++)
                assert_int_equal(credential_state_from_string(credential_state_to_string(s)), s);
        for (CredentialKind k = 0; k < _CREDENTIAL_KIND_MAX; k++)
                assert_int_equal(credential_kind_from_string(credential_kind_to_string(k)), k);
        assert_int_equal(credential_state_from_string("lost"), _CREDENTIAL_STATE_INVALID);
        assert_int_equal(credential_kind_from_string(NULL), _CREDENTIAL_KIND_INVALID);
        for (CredentialAct a = 0; a < _CREDENTIAL_ACT_MAX; a++)
                assert_non_null(credential_act_to_string(a));
        for (CredentialAnswer a = 0; a < _CREDENTIAL_ANSWER_MAX; a++)
                assert_non_null(credential_answer_to_string(a));
}

/* ---- rows ---- */

static int add_card(const char *person, const char *key, const char *more, char **ret_uuid) {
        char text[512];

        snprintf(text, sizeof(text),
                "{\"kind\":\"card\",\"person\":\"%s\",\"application\":\"piv\",\"key\":\"%s\",\"state\":\"active\","
                "\"state_by\":\"9\"%s}",
                person, key, more);
        return add(NOUN_CREDENTIAL, text, ret_uuid);
}

static int add_key(const char *person, const char *key, const char *id) {
        char text[512];

        snprintf(text, sizeof(text),
                "{\"kind\":\"key\",\"person\":\"%s\",\"key\":\"%s\",\"credential\":\"%s\",\"rp\":\"a.example\","
                "\"state\":\"active\",\"state_by\":\"9\"}",
                person, key, id);
        return add(NOUN_CREDENTIAL, text, NULL);
}

static void set_state(const char *uuid, CredentialState to, const char *by) {
        assert_int_equal(registry_credential_set_state(registry, uuid, to, by, "lost", NOW + 1, NULL, NULL, &error), 0);
}

static void test_a_card_serves_one_person_and_a_person_has_one_card(void **state) {
        _cleanup_free_ char *uuid = NULL;

        assert_int_equal(add_card("1", "AAAA", "", &uuid), 0);
        assert_int_equal(add_card("2", "AAAA", "", NULL), REGISTRY_E_EXISTS);
        assert_int_equal(add_card("1", "AAAB", "", NULL), REGISTRY_E_EXISTS);
        set_state(uuid, CREDENTIAL_SUSPENDED, "2");
        assert_int_equal(add_card("1", "AAAB", "", NULL), REGISTRY_E_EXISTS);
        assert_int_equal(add_card("2", "AAAA", "", NULL), REGISTRY_E_EXISTS);
        set_state(uuid, CREDENTIAL_RETURNED, "2");
        /* what was another's never becomes one's own; one's own may come back */
        assert_int_equal(add_card("2", "AAAA", "", NULL), REGISTRY_E_EXISTS);
        assert_int_equal(add_card("1", "AAAA", "", NULL), 0);
        assert_int_equal(add_card("2", "AAAB", "", NULL), 0);
}

static void test_a_key_is_told_from_others_by_its_credential_id_too(void **state) {
        assert_int_equal(add_key("1", "AAAA", "BBBB"), 0);
        assert_int_equal(add_key("2", "AAAC", "BBBB"), REGISTRY_E_EXISTS);
        assert_int_equal(add_key("2", "AAAA", "BBBC"), REGISTRY_E_EXISTS);
        assert_int_equal(add_key("2", "AAAC", "BBBC"), 0);
        assert_int_equal(add_card("1", "AAAD", "", NULL), 0);
}

static void test_a_stand_in_goes_from_hand_to_hand(void **state) {
        static const char more[] =
                ",\"replaces\":\"12345678-1234-1234-1234-123456789abc\",\"until\":\"2026-09-22T00:00:00+09:00\"";
        _cleanup_free_ char *uuid = NULL;

        assert_int_equal(add_card("1", "AAAA", "", NULL), 0);
        assert_int_equal(add_card("1", "AAAS", more, &uuid), 0);
        assert_int_equal(add_card("2", "AAAS", more, NULL), REGISTRY_E_EXISTS);
        set_state(uuid, CREDENTIAL_REMOVED, "3");
        assert_int_equal(add_card("2", "AAAS", more, NULL), 0);
        assert_int_equal(add_card("3", "AAAS", "", NULL), REGISTRY_E_EXISTS);
        assert_int_equal(add_card("3", "AAAA", more, NULL), REGISTRY_E_EXISTS);
        assert_int_equal(add_card("3", "AAAX", ",\"replaces\":\"12345678-1234-1234-1234-123456789abc\"", NULL),
                REGISTRY_E_INVALID);
}

static void test_rows_that_make_no_sense_are_refused(void **state) {
        static const char *const bad[] = {
                "{'kind':'finger','person':'1','key':'AAAA','state':'active','state_by':'9'}",
                "{'kind':'card','person':'1','key':'AAAA','state':'active','state_by':'9'}",
                "{'kind':'card','person':'1','application':'felica','key':'AAAA','state':'active','state_by':'9'}",
                "{'kind':'card','person':'1','application':'piv','key':'AAA','state':'active','state_by':'9'}",
                "{'kind':'card','person':'1','application':'piv','key':'A-AA','state':'active','state_by':'9'}",
                "{'kind':'card','person':'1','application':'piv','key':'AA==AA==','state':'active','state_by':'9'}",
                "{'kind':'card','person':'1','application':'piv','state':'active','state_by':'9'}",
                "{'kind':'card','person':'1','application':'piv','key':'AAAA','state':'lost','state_by':'9'}",
                "{'kind':'card','person':'1','application':'piv','key':'AAAA','state':'active'}",
                "{'kind':'card','person':'77','application':'piv','key':'AAAA','state':'active','state_by':'9'}",
                "{'kind':'card','person':'1','application':'piv','key':'AAAA','rp':'a','state':'active','state_by':'9'"
                "}",
                "{'kind':'key','person':'1','key':'AAAA','state':'active','state_by':'9'}",
                "{'kind':'key','person':'1','key':'AAAA','credential':'AAAA','rp':'a','application':'piv',"
                "'state':'active','state_by':'9'}",
        };

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                char text[256];

                snprintf(text, sizeof(text), "%s", bad[i]);
                for (char *c = text; *c; c++)
                        if (*c == '\'')
                                *c = '"';
                if (add(NOUN_CREDENTIAL, text, NULL) != REGISTRY_E_INVALID)
                        fail_msg("taken: %s", text);
        }
}

static void test_a_row_is_found_by_its_key_and_keeps_its_counter(void **state) {
        _cleanup_(credential_done) Credential c = {}, again = {};
        _cleanup_free_ char *uuid = NULL;

        assert_int_equal(add_card("1", "AAEC", ",\"until\":\"2026-12-31\"", &uuid), 0);
        assert_int_equal(registry_credential_by_key(registry, "\0\1\2", 3, &c), 0);
        assert_string_equal(c.uuid, uuid);
        assert_string_equal(c.person, "1");
        assert_string_equal(c.application, "piv");
        assert_int_equal(c.key_size, 3);
        assert_memory_equal(c.key, "\0\1\2", 3);
        assert_int_equal(c.state, CREDENTIAL_ACTIVE);
        assert_int_equal(c.counter, 0);
        assert_true(credential_in_force(&c, NOW, true));
        assert_false(credential_in_force(&c, NOW, false)); /* it has an end, and nobody knows what time it is */
        assert_false(credential_in_force(&c, c.until_usec, true));
        assert_int_equal(registry_credential_by_key(registry, "\0\1\3", 3, &again), REGISTRY_E_NOT_FOUND);
        assert_int_equal(registry_credential_used(registry, uuid, 41, NOW), 0);
        assert_int_equal(registry_credential_used(registry, uuid, UINT32_MAX, NOW), 0);
        set_state(uuid, CREDENTIAL_SUSPENDED, "2");
        assert_int_equal(registry_credential(registry, uuid, &again), 0);
        assert_int_equal(again.counter, UINT32_MAX);
        assert_int_equal(again.state, CREDENTIAL_SUSPENDED);
        assert_false(credential_in_force(&again, NOW, true));
}

static int count(const Credential *c, void *userdata) {
        (*(unsigned *)userdata)++;
        return 0;
}

static void test_what_a_person_has_is_listed_by_kind(void **state) {
        unsigned cards = 0, keys = 0, none = 0;

        assert_int_equal(add_card("1", "AAAA", "", NULL), 0);
        assert_int_equal(add_key("1", "AAAC", "BBBB"), 0);
        assert_int_equal(add_card("2", "AAAD", "", NULL), 0);
        assert_int_equal(registry_credentials(registry, "1", CREDENTIAL_CARD, count, &cards), 0);
        assert_int_equal(registry_credentials(registry, "1", CREDENTIAL_KEY, count, &keys), 0);
        assert_int_equal(registry_credentials(registry, "3", CREDENTIAL_KEY, count, &none), 0);
        assert_int_equal(cards, 1);
        assert_int_equal(keys, 1);
        assert_int_equal(none, 0);
}

static void test_base64_goes_both_ways_and_takes_nothing_else(void **state) {
        static const char *const bad[] = { "", "A", "AA", "AAA", "====", "A===", "AA=A", "AAAA=AAA", "AA A", "AAA-",
                "AAAAAAAA" };
        unsigned char bytes[32];
        size_t size;

        for (size_t n = 1; n <= sizeof(bytes); n++) {
                _cleanup_free_ unsigned char *back = NULL;
                _cleanup_free_ char *text = NULL;

                for (size_t i = 0; i < n; i++)
                        bytes[i] = (unsigned char)(i * 37 + n);
                text = base64_write(bytes, n);
                assert_non_null(text);
                back = base64_read(text, sizeof(bytes), &size);
                assert_non_null(back);
                assert_int_equal(size, n);
                assert_memory_equal(back, bytes, n);
        }
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_null(base64_read(bad[i], 3, &size));
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
                T(test_every_act_in_every_state_by_every_role),
                T(test_what_is_over_stays_over),
                T(test_names_go_both_ways),
                T(test_a_card_serves_one_person_and_a_person_has_one_card),
                T(test_a_key_is_told_from_others_by_its_credential_id_too),
                T(test_a_stand_in_goes_from_hand_to_hand),
                T(test_rows_that_make_no_sense_are_refused),
                T(test_a_row_is_found_by_its_key_and_keeps_its_counter),
                T(test_what_a_person_has_is_listed_by_kind),
                T(test_base64_goes_both_ways_and_takes_nothing_else),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
