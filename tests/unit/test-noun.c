/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "registry/internal.h"
#include "registry/json.h"
#include "registry/when.h"
#include "util/clock.h"

/* Directory rows, and the candidates that a login finds among them. */

#define NOW (UINT64_C(1790000000) * USEC_PER_SEC) /* 2026-09-21T23:13:20+09:00 */

static char directory[64], path[80];
static Registry *registry;
static RegistryError error;

static int setup(void **state) {
        strcpy(directory, "/tmp/test-noun-XXXXXX");
        if (!mkdtemp(directory))
                return -1;
        snprintf(path, sizeof(path), "%s/registry.db", directory);
        setenv("TZ", "Asia/Tokyo", 1);
        tzset();
        registry = NULL;
        if (registry_open(&registry, path, NULL) != 0)
                return -1;
        return registry_begin(registry);
}

static int teardown(void **state) {
        char command[128];

        registry = registry_free(registry);
        snprintf(command, sizeof(command), "rm -rf %s", directory);
        return system(command);
}

static json_object *parse(const char *text) {
        json_object *o = json_tokener_parse(text);

        if (!o)
                fail_msg("not JSON: %s", text);
        return o;
}

static int add(NounId noun, const char *fields, json_object **ret) {
        json_object *o = parse(fields);
        int q;

        error = (RegistryError){};
        q = registry_row_add(registry, noun, o, NOW, ret, &error);
        json_object_put(o);
        return q;
}

static void must_add(NounId noun, const char *fields) {
        int q = add(noun, fields, NULL);

        if (q != 0)
                fail_msg("%s: %d: %s: %s", fields, q, error.field, error.text);
}

static int change(NounId noun, const char *id, const char *fields, json_object **ret_before, json_object **ret_after) {
        json_object *o = parse(fields);
        int q;

        error = (RegistryError){};
        q = registry_row_change(registry, noun, id, o, NOW + USEC_PER_SEC, ret_before, ret_after, &error);
        json_object_put(o);
        return q;
}

static void must_change(NounId noun, const char *id, const char *fields) {
        int q = change(noun, id, fields, NULL, NULL);

        if (q != 0)
                fail_msg("%s: %d: %s: %s", fields, q, error.field, error.text);
}

static int drop(NounId noun, const char *id) {
        error = (RegistryError){};
        return registry_row_remove(registry, noun, id, NOW, NULL, &error);
}

static const char *text_of(json_object *o, const char *name) {
        json_object *value = NULL;

        return json_object_object_get_ex(o, name, &value) ? json_object_get_string(value) : NULL;
}

/* A terminal, two people of 会計課, one of 総務課, a shared account and a scope. */
static void add_office(void) {
        must_add(NOUN_TERMINAL, "{'name':'KEIRI-01','unit':'会計課'}");
        must_add(NOUN_TERMINAL, "{'name':'SOUMU-01','unit':'総務課'}");
        must_add(NOUN_USER, "{'account':'hanako','person':'1001','name':'山田花子','unit':'会計課'}");
        must_add(NOUN_USER, "{'account':'taro','person':'1002','name':'鈴木太郎','unit':'会計課'}");
        must_add(NOUN_USER, "{'account':'jiro','person':'1003','name':'佐藤次郎','unit':'総務課'}");
        must_add(NOUN_USER, "{'account':'keiri','person':'K01','name':'会計課共用','unit':'会計課','shared':true}");
        must_add(NOUN_SCOPE, "{'name':'会計','business':'会計事務','unit':'会計課','terminals':'pattern:KEIRI-*',"
                             "'services':'@console @locker sudo','hours':'mon-fri 08:00-18:00','from':'2026-04-01',"
                             "'until':'2027-03-31'}");
}

/* ---- fields ---- */

#define BIRTH "1975-04-01"

static bool tells(json_object *o, const char *text) {
        return strstr(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN), text) != NULL;
}

static void a_birth_date_is_told_only_to_who_may_read_it(void **state) {
        json_object *row = NULL, *before = NULL, *after = NULL, *rows = NULL, *f = parse("{'birth':'" BIRTH "'}");
        char *birth = NULL;
        uint64_t last;

        add_office();
        must_change(NOUN_USER, "hanako", "{'birth':'" BIRTH "'}");
        assert_int_equal(registry_row_get(registry, NOUN_USER, "hanako", &row), 0);
        assert_string_equal(text_of(row, "birth"), "set");
        assert_int_equal(registry_row_reveal(registry, NOUN_USER, row), 0);
        assert_string_equal(text_of(row, "birth"), BIRTH);
        json_object_put(row);
        assert_int_equal(registry_row_get(registry, NOUN_USER, "taro", &row), 0);
        assert_null(text_of(row, "birth"));
        assert_int_equal(registry_row_reveal(registry, NOUN_USER, row), 0);
        assert_null(text_of(row, "birth"));
        json_object_put(row);

        assert_int_equal(registry_row_list(registry, NOUN_USER, NULL, 0, &rows, &error), 0);
        assert_false(tells(rows, BIRTH));
        json_object_put(rows);
        assert_int_equal(registry_row_page(registry, NOUN_USER, 0, 10, &rows, &last), 0);
        assert_false(tells(rows, BIRTH));
        json_object_put(rows);
        rows = NULL;
        assert_int_equal(registry_row_list(registry, NOUN_USER, f, 0, &rows, &error), REGISTRY_E_INVALID);
        assert_string_equal(error.text, "users are not looked up by birth");
        json_object_put(f);

        assert_int_equal(change(NOUN_USER, "hanako", "{'birth':'1975-04-02'}", &before, &after), 0);
        assert_string_equal(text_of(before, "birth"), "set");
        assert_string_equal(text_of(after, "birth"), "changed");
        json_object_put(before);
        json_object_put(after);
        assert_int_equal(change(NOUN_USER, "hanako", "{'name':'山田華子'}", &before, &after), 0);
        assert_string_equal(text_of(after, "birth"), "set");
        json_object_put(before);
        json_object_put(after);
        assert_int_equal(registry_birth(registry, "hanako", &birth), 0);
        assert_string_equal(birth, "1975-04-02");
        free(birth);
        assert_int_equal(change(NOUN_USER, "hanako", "{'birth':null}", &before, &after), 0);
        assert_string_equal(text_of(before, "birth"), "set");
        assert_null(text_of(after, "birth"));
        json_object_put(before);
        json_object_put(after);
        assert_int_equal(registry_birth(registry, "hanako", &birth), REGISTRY_E_NOT_FOUND);
        assert_int_equal(registry_birth(registry, "nobody", &birth), REGISTRY_E_NOT_FOUND);
}

static void a_birth_date_counts_for_all_accounts_of_a_person(void **state) {
        char *birth = NULL;

        add_office();
        must_add(NOUN_USER, "{'account':'hanako-adm','person':'1001','name':'山田花子','unit':'会計課'}");
        must_change(NOUN_USER, "hanako", "{'birth':'" BIRTH "'}");
        assert_int_equal(registry_birth(registry, "hanako-adm", &birth), 0);
        assert_string_equal(birth, BIRTH);
        free(birth);
        must_change(NOUN_USER, "hanako-adm", "{'birth':'1975-04-02'}");
        assert_int_equal(registry_birth(registry, "hanako-adm", &birth), 0);
        assert_string_equal(birth, "1975-04-02");
        free(birth);
        assert_int_equal(registry_birth(registry, "taro", &birth), REGISTRY_E_NOT_FOUND);
}

static void a_birth_date_is_a_day_that_was(void **state) {
        static const char *const bad[] = { "1899-12-31", "1975-02-29", "19750401", "S50.4.1", "1975-4-1", "x",
                "2026-09-22", "2030-01-01" };
        char fields[64];

        add_office();
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
                snprintf(fields, sizeof(fields), "{'birth':'%s'}", bad[i]);
                assert_int_equal(change(NOUN_USER, "taro", fields, NULL, NULL), REGISTRY_E_INVALID);
                assert_string_equal(error.field, "birth");
        }
        must_change(NOUN_USER, "taro", "{'birth':'1900-01-01'}");
        must_change(NOUN_USER, "taro", "{'birth':'2026-09-21'}"); /* today */
        assert_int_equal(change(NOUN_USER, "keiri", "{'birth':'1975-04-01'}", NULL, NULL), REGISTRY_E_INVALID);
        assert_string_equal(error.text, "a shared ID has no birth date");
        assert_int_equal(change(NOUN_USER, "taro", "{'shared':true}", NULL, NULL), REGISTRY_E_INVALID);
}

static void rows_come_out_as_they_went_in(void **state) {
        json_object *row = NULL, *got = NULL;
        const char *uuid;

        assert_int_equal(
                add(NOUN_USER, "{'account':'hanako','person':'1001','name':'山田花子','unit':'会計課'}", &row), 0);
        uuid = text_of(row, "uuid");
        assert_true(uuid && strlen(uuid) == 36);
        assert_true(uuid && uuid[14] == '4');
        assert_string_equal(text_of(row, "name"), "山田花子");
        assert_string_equal(text_of(row, "shared"), "false");
        assert_string_equal(text_of(row, "version"), "1");
        assert_string_equal(text_of(row, "origin"), "local");
        assert_string_equal(text_of(row, "updated"), "2026-09-21T23:13:20+09:00");

        assert_int_equal(registry_row_get(registry, NOUN_USER, "hanako", &got), 0);
        assert_true(json_object_equal(row, got));
        json_object_put(got);
        assert_int_equal(registry_row_get(registry, NOUN_USER, uuid, &got), 0);
        assert_true(json_object_equal(row, got));
        json_object_put(got);
        json_object_put(row);
        assert_int_equal(registry_row_get(registry, NOUN_USER, "nobody", &got), REGISTRY_E_NOT_FOUND);
}

static void defaults_are_those_of_the_texts(void **state) {
        json_object *row = NULL;

        assert_int_equal(add(NOUN_TERMINAL, "{'name':'T','unit':'u'}", &row), 0);
        assert_string_equal(text_of(row, "confidentiality"), "2");
        assert_string_equal(text_of(row, "integrity"), "1");
        assert_string_equal(text_of(row, "availability"), "1");
        assert_string_equal(text_of(row, "external"), "false");
        assert_null(text_of(row, "purpose"));
        json_object_put(row);

        assert_int_equal(add(NOUN_SCOPE, "{'name':'s','business':'b','unit':'u','terminals':'name:T'}", &row), 0);
        assert_string_equal(text_of(row, "remote"), "false");
        assert_string_equal(text_of(row, "confidentiality"), "0");
        assert_null(text_of(row, "until"));
        assert_string_equal(text_of(row, "review"), "2027-09-21T23:13:20+09:00");
        json_object_put(row);
}

static void a_row_says_which_terminal_wrote_it(void **state) {
        json_object *terminal = NULL, *row = NULL;

        assert_int_equal(add(NOUN_TERMINAL, "{'name':'T','unit':'u'}", &terminal), 0);
        assert_int_equal(registry_meta_set(registry, "terminal", text_of(terminal, "uuid")), 0);
        assert_int_equal(add(NOUN_USER, "{'account':'a','person':'1','name':'n','unit':'u'}", &row), 0);
        assert_string_equal(text_of(row, "origin"), text_of(terminal, "uuid"));
        json_object_put(terminal);
        json_object_put(row);
}

typedef struct Refusal {
        NounId noun;
        const char *fields;
        int result;
        const char *field;
        const char *text;
} Refusal;

static const Refusal refusals[] = {
        { NOUN_USER, "[]", REGISTRY_E_INVALID, "", "not a JSON object" },
        { NOUN_USER, "{}", REGISTRY_E_INVALID, "account", "account is needed" },
        { NOUN_USER, "{'account':'a','person':'1','name':'n'}", REGISTRY_E_INVALID, "unit", "unit is needed" },
        { NOUN_USER, "{'acount':'a'}", REGISTRY_E_INVALID, "acount", "account person name unit shared retired" },
        { NOUN_USER, "{'uuid':'a'}", REGISTRY_E_INVALID, "uuid", "has no \"uuid\"" },
        { NOUN_USER, "{'version':1}", REGISTRY_E_INVALID, "version", "has no \"version\"" },
        { NOUN_USER, "{'account':'../a'}", REGISTRY_E_INVALID, "account", "account name" },
        { NOUN_USER, "{'account':'a b'}", REGISTRY_E_INVALID, "account", "account name" },
        { NOUN_USER, "{'account':'-a'}", REGISTRY_E_INVALID, "account", "account name" },
        { NOUN_USER, "{'account':7}", REGISTRY_E_INVALID, "account", "must be a text" },
        { NOUN_USER, "{'account':'a\\u0000b'}", REGISTRY_E_INVALID, "account", "must be a text" },
        { NOUN_USER, "{'account':'a\\u202eb'}", REGISTRY_E_INVALID, "account", "account name" },
        { NOUN_USER, "{'person':'1 2'}", REGISTRY_E_INVALID, "person", "one word" },
        { NOUN_USER, "{'person':'１　２'}", REGISTRY_E_INVALID, "person", "one word" },
        { NOUN_USER, "{'name':'a\\nb'}", REGISTRY_E_INVALID, "name", "plain text" },
        { NOUN_USER, "{'name':' a'}", REGISTRY_E_INVALID, "name", "begin or end" },
        { NOUN_USER, "{'name':'a '}", REGISTRY_E_INVALID, "name", "begin or end" },
        { NOUN_USER, "{'shared':'maybe'}", REGISTRY_E_INVALID, "shared", "true or false" },
        { NOUN_USER, "{'shared':1}", REGISTRY_E_INVALID, "shared", "true or false" },
        { NOUN_USER, "{'account':'hanako','person':'9','name':'n','unit':'u'}", REGISTRY_E_EXISTS, "account",
                "already a user" },

        { NOUN_MEMBER, "{'account':'hanako','person':'1002'}", REGISTRY_E_INVALID, "account",
                "not registered as a shared" },
        { NOUN_MEMBER, "{'account':'nobody','person':'1002'}", REGISTRY_E_INVALID, "account",
                "not registered as a shared" },
        { NOUN_MEMBER, "{'account':'keiri','person':'9'}", REGISTRY_E_INVALID, "person", "nobody with staff number" },
        { NOUN_MEMBER, "{'account':'keiri','person':'K01'}", REGISTRY_E_INVALID, "person", "nobody with staff number" },

        { NOUN_TERMINAL, "{'name':'KEIRI-*','unit':'u'}", REGISTRY_E_INVALID, "name", "without * ?" },
        { NOUN_TERMINAL, "{'name':'KEIRI-[1]','unit':'u'}", REGISTRY_E_INVALID, "name", "without * ?" },
        { NOUN_TERMINAL, "{'name':'KEIRI-01','unit':'u'}", REGISTRY_E_EXISTS, "name", "already a terminal" },
        { NOUN_TERMINAL, "{'confidentiality':4}", REGISTRY_E_INVALID, "confidentiality", "from 1 to 3" },
        { NOUN_TERMINAL, "{'confidentiality':0}", REGISTRY_E_INVALID, "confidentiality", "from 1 to 3" },
        { NOUN_TERMINAL, "{'confidentiality':2.5}", REGISTRY_E_INVALID, "confidentiality", "from 1 to 3" },
        { NOUN_TERMINAL, "{'confidentiality':'2x'}", REGISTRY_E_INVALID, "confidentiality", "from 1 to 3" },
        { NOUN_TERMINAL, "{'integrity':3}", REGISTRY_E_INVALID, "integrity", "from 1 to 2" },
        { NOUN_TERMINAL, "{'availability':3}", REGISTRY_E_INVALID, "availability", "from 1 to 2" },

        { NOUN_SCOPE, "{'terminals':'KEIRI-01'}", REGISTRY_E_INVALID, "terminals", "name:TERMINAL" },
        { NOUN_SCOPE, "{'terminals':'name:'}", REGISTRY_E_INVALID, "terminals", "name:TERMINAL" },
        { NOUN_SCOPE, "{'terminals':'name:KEIRI-*'}", REGISTRY_E_INVALID, "terminals", "without * ?" },
        { NOUN_SCOPE, "{'terminals':'pattern:[KE]*'}", REGISTRY_E_INVALID, "terminals", "* and ? only" },
        { NOUN_SCOPE, "{'terminals':'glob:*'}", REGISTRY_E_INVALID, "terminals", "name:TERMINAL" },
        { NOUN_SCOPE, "{'services':'@consoles'}", REGISTRY_E_INVALID, "services", "families" },
        { NOUN_SCOPE, "{'services':'@unattended'}", REGISTRY_E_INVALID, "services", "families" },
        { NOUN_SCOPE, "{'services':'log*'}", REGISTRY_E_INVALID, "services", "PAM service names" },
        { NOUN_SCOPE, "{'services':'../login'}", REGISTRY_E_INVALID, "services", "PAM service names" },
        { NOUN_SCOPE, "{'services':'nosuch'}", REGISTRY_E_INVALID, "services", "does not know" },
        { NOUN_SCOPE, "{'hours':'weekdays'}", REGISTRY_E_INVALID, "hours", "a day must be" },
        { NOUN_SCOPE, "{'until':'tomorrow'}", REGISTRY_E_INVALID, "until", "2027-03-31" },
        { NOUN_SCOPE, "{'until':1790000000}", REGISTRY_E_INVALID, "until", "2027-03-31" },
        { NOUN_SCOPE,
                "{'name':'s','business':'b','unit':'u','terminals':'name:T','from':'2027-04-01','until':'2027-03-31'}",
                REGISTRY_E_INVALID, "until", "later than from" },
        { NOUN_SCOPE, "{'name':'s','business':'b','unit':'u','terminals':'name:T','remote':true}", REGISTRY_E_INVALID,
                "services", "@remote" },
        { NOUN_SCOPE,
                "{'name':'s','business':'b','unit':'u','terminals':'name:T','remote':true,'services':'* @console'}",
                REGISTRY_E_INVALID, "services", "@remote" },
        { NOUN_SCOPE, "{'name':'会計','business':'b','unit':'u','terminals':'name:T'}", REGISTRY_E_EXISTS, "name",
                "already" },

        { NOUN_RESTRICTION, "{'reason':'r'}", REGISTRY_E_INVALID, "account", "either an account or a person" },
        { NOUN_RESTRICTION, "{'account':'hanako','person':'1001','reason':'r'}", REGISTRY_E_INVALID, "person",
                "either" },
        { NOUN_RESTRICTION, "{'account':'hanako'}", REGISTRY_E_INVALID, "reason", "reason is needed" },
        { NOUN_RESTRICTION, "{'account':'nobody','reason':'r'}", REGISTRY_E_INVALID, "account", "not registered" },
        { NOUN_RESTRICTION, "{'person':'9','reason':'r'}", REGISTRY_E_INVALID, "person", "nobody with staff number" },
        { NOUN_RESTRICTION, "{'account':'hanako','reason':'r','until':'2026-09-20'}", REGISTRY_E_INVALID, "until",
                "future" },

        { NOUN_DESIGNATION, "{'subject':'user:hanako'}", REGISTRY_E_INVALID, "scope", "scope is needed" },
        { NOUN_DESIGNATION, "{'scope':'会計'}", REGISTRY_E_INVALID, "subject", "subject is needed" },
        { NOUN_DESIGNATION, "{'scope':'無い','subject':'user:hanako'}", REGISTRY_E_INVALID, "scope",
                "there is no scope" },
        { NOUN_DESIGNATION, "{'scope':'会計','subject':'hanako'}", REGISTRY_E_INVALID, "subject", "user:ACCOUNT" },
        { NOUN_DESIGNATION, "{'scope':'会計','subject':'group:a b'}", REGISTRY_E_INVALID, "subject", "account name" },
        { NOUN_DESIGNATION, "{'scope':'会計','subject':'user:nobody'}", REGISTRY_E_INVALID, "subject",
                "is not registered" },
        { NOUN_DESIGNATION, "{'scope':'会計','subject':'user:jiro'}", REGISTRY_E_OUTSIDE, "subject", "総務課" },
        { NOUN_DESIGNATION, "{'scope':'会計','subject':'unit:総務課'}", REGISTRY_E_OUTSIDE, "subject",
                "for unit \"会計課\"" },
        { NOUN_DESIGNATION, "{'scope':'会計','subject':'user:hanako','terminals':'name:SOUMU-01'}", REGISTRY_E_OUTSIDE,
                "terminals", "SOUMU-01" },
        { NOUN_DESIGNATION, "{'scope':'会計','subject':'user:hanako','terminals':'pattern:KEIRI-0*'}",
                REGISTRY_E_OUTSIDE, "terminals", "by name" },
        { NOUN_DESIGNATION, "{'scope':'会計','subject':'user:hanako','terminals':'unit:会計課'}", REGISTRY_E_OUTSIDE,
                "terminals", "by name" },
        { NOUN_DESIGNATION, "{'scope':'会計','subject':'user:hanako','services':'@admin'}", REGISTRY_E_OUTSIDE,
                "services", "@admin" },
        { NOUN_DESIGNATION, "{'scope':'会計','subject':'user:hanako','services':'su'}", REGISTRY_E_OUTSIDE, "services",
                "su" },
        { NOUN_DESIGNATION, "{'scope':'会計','subject':'user:hanako','services':'*'}", REGISTRY_E_OUTSIDE, "services",
                "*" },
        { NOUN_DESIGNATION, "{'scope':'会計','subject':'user:hanako','services':'sshd'}", REGISTRY_E_OUTSIDE,
                "services", "sshd" },
        { NOUN_DESIGNATION, "{'scope':'会計','subject':'user:hanako','hours':'mon 07:59-09:00'}", REGISTRY_E_OUTSIDE,
                "hours", "mon-fri 08:00-18:00" },
        { NOUN_DESIGNATION, "{'scope':'会計','subject':'user:hanako','hours':'sat 09:00-10:00'}", REGISTRY_E_OUTSIDE,
                "hours", "mon-fri" },
        { NOUN_DESIGNATION, "{'scope':'会計','subject':'user:hanako','until':'2027-04-01'}", REGISTRY_E_OUTSIDE,
                "until", "2027-04-01T00:00:00+09:00" },
        { NOUN_DESIGNATION, "{'scope':'会計','subject':'user:hanako','from':'2026-03-31'}", REGISTRY_E_OUTSIDE, "from",
                "2026-04-01T00:00:00+09:00" },
        { NOUN_DESIGNATION, "{'scope':'会計','subject':'user:hanako','from':'2027-01-02','until':'2027-01-01'}",
                REGISTRY_E_INVALID, "until", "later than from" },
        { NOUN_DESIGNATION, "{'scope':'会計','subject':'user:hanako','remote':true}", REGISTRY_E_OUTSIDE, "remote",
                "closed" },
};

static Family family_of(const char *service) {
        static const struct {
                const char *name;
                Family family;
        } table[] = {
                { "login", FAMILY_CONSOLE },
                { "lightdm", FAMILY_CONSOLE },
                { "swaylock", FAMILY_LOCKER },
                { "su", FAMILY_ADMIN },
                { "sudo", FAMILY_ADMIN },
                { "sshd", FAMILY_REMOTE },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                if (strcmp(table[i].name, service) == 0)
                        return table[i].family;
        return _FAMILY_INVALID;
}

static void what_is_wrong_is_refused_with_field_and_reason(void **state) {
        unsigned failures = 0;

        registry_set_service_family(registry, family_of);
        add_office();
        for (size_t i = 0; i < ELEMENTSOF(refusals); i++) {
                const Refusal *c = &refusals[i];
                json_object *row = NULL;
                int q = add(c->noun, c->fields, &row);

                if (q == c->result && !row && strcmp(error.field, c->field) == 0 && strstr(error.text, c->text))
                        continue;
                print_error("%s: %d %s: %s\n", c->fields, q, error.field, error.text);
                failures++;
                json_object_put(row);
        }
        assert_int_equal(failures, 0);
        assert_true(registry_in_transaction(registry));
}

static void what_lies_inside_its_scope_is_accepted(void **state) {
        static const char *const fine[] = {
                "{'scope':'会計','subject':'user:hanako'}",
                "{'scope':'会計','subject':'group:keiri'}",
                "{'scope':'会計','subject':'netgroup:keiri-hosts'}",
                "{'scope':'会計','subject':'unit:会計課'}",
                "{'scope':'会計','subject':'user:hanako','terminals':'name:KEIRI-99'}",
                "{'scope':'会計','subject':'user:hanako','terminals':'pattern:KEIRI-*'}",
                "{'scope':'会計','subject':'user:hanako','services':'@console'}",
                "{'scope':'会計','subject':'user:hanako','services':'login lightdm'}",
                "{'scope':'会計','subject':'user:hanako','services':'sudo @locker'}",
                "{'scope':'会計','subject':'user:hanako','hours':'mon 08:00-12:00, fri 12:00-18:00'}",
                "{'scope':'会計','subject':'user:hanako','until':'2027-03-31'}",
                "{'scope':'会計','subject':'user:hanako','from':'2026-04-01T00:00:00+09:00'}",
                "{'scope':'会計','subject':'user:hanako','remote':false,'review':'2026-12-31'}",
                "{'scope':'会計','subject':'user:hanako','remote':'no','hours':null,'until':''}",
        };

        registry_set_service_family(registry, family_of);
        add_office();
        for (size_t i = 0; i < ELEMENTSOF(fine); i++)
                must_add(NOUN_DESIGNATION, fine[i]);
}

static void without_a_service_table_a_service_is_inside_only_by_its_name(void **state) {
        add_office();
        assert_int_equal(add(NOUN_DESIGNATION, "{'scope':'会計','subject':'user:hanako','services':'login'}", NULL),
                REGISTRY_E_OUTSIDE);
        must_add(NOUN_DESIGNATION, "{'scope':'会計','subject':'user:hanako','services':'sudo'}");
}

static void a_scope_by_unit_knows_its_terminals_by_registration(void **state) {
        add_office();
        must_add(NOUN_SCOPE, "{'name':'u','business':'b','unit':'会計課','terminals':'unit:会計課'}");
        must_add(NOUN_DESIGNATION, "{'scope':'u','subject':'user:hanako','terminals':'name:KEIRI-01'}");
        must_add(NOUN_DESIGNATION, "{'scope':'u','subject':'user:hanako','terminals':'unit:会計課'}");
        assert_int_equal(
                add(NOUN_DESIGNATION, "{'scope':'u','subject':'user:hanako','terminals':'name:SOUMU-01'}", NULL),
                REGISTRY_E_OUTSIDE);
        assert_int_equal(
                add(NOUN_DESIGNATION, "{'scope':'u','subject':'user:hanako','terminals':'name:KEIRI-77'}", NULL),
                REGISTRY_E_OUTSIDE);
}

static void a_scope_for_other_services_wants_them_listed(void **state) {
        registry_set_service_family(registry, family_of);
        add_office();
        must_add(NOUN_SCOPE, "{'name':'r','business':'b','unit':'会計課','terminals':'name:KEIRI-01',"
                             "'services':'@remote','remote':true}");
        assert_int_equal(add(NOUN_DESIGNATION, "{'scope':'r','subject':'user:hanako'}", NULL), REGISTRY_E_INVALID);
        assert_string_equal(error.field, "services");
        assert_int_equal(
                add(NOUN_DESIGNATION, "{'scope':'r','subject':'user:hanako','remote':true}", NULL), REGISTRY_E_INVALID);
        must_add(NOUN_DESIGNATION, "{'scope':'r','subject':'user:hanako','services':'sshd','remote':true}");
        must_add(
                NOUN_SCOPE, "{'name':'any','business':'b','unit':'会計課','terminals':'name:KEIRI-01','services':'*'}");
        must_add(NOUN_DESIGNATION, "{'scope':'any','subject':'user:hanako','services':'@admin'}");
        assert_int_equal(add(NOUN_DESIGNATION, "{'scope':'any','subject':'user:hanako','services':'@remote'}", NULL),
                REGISTRY_E_OUTSIDE);
        assert_int_equal(add(NOUN_DESIGNATION, "{'scope':'any','subject':'user:hanako','services':'sshd'}", NULL),
                REGISTRY_E_OUTSIDE);
}

static void a_retired_user_is_not_designated(void **state) {
        add_office();
        must_change(NOUN_USER, "hanako", "{'retired':true}");
        assert_int_equal(add(NOUN_DESIGNATION, "{'scope':'会計','subject':'user:hanako'}", NULL), REGISTRY_E_INVALID);
        assert_non_null(strstr(error.text, "retired"));
}

static void longest_texts_fit_and_longer_ones_do_not(void **state) {
        char fields[1024], business[129] = "";

        memset(business, 'b', 127);
        snprintf(fields, sizeof(fields), "{'name':'s','business':'%s','unit':'u','terminals':'name:T'}", business);
        must_add(NOUN_SCOPE, fields);
        business[127] = 'b';
        snprintf(fields, sizeof(fields), "{'name':'t','business':'%s','unit':'u','terminals':'name:T'}", business);
        assert_int_equal(add(NOUN_SCOPE, fields, NULL), REGISTRY_E_INVALID);
        assert_non_null(strstr(error.text, "127 bytes"));
}

static void an_error_is_safe_text_whatever_was_given(void **state) {
        json_object *o = json_object_new_object();
        char name[400];

        memset(name, '\x01', sizeof(name) - 1);
        name[sizeof(name) - 1] = '\0';
        memcpy(name, "\xe8\xaa\xb2\xff\x1b[2J", 8);
        json_object_object_add(o, name, json_object_new_string("x"));
        assert_int_equal(registry_row_add(registry, NOUN_USER, o, NOW, NULL, &error), REGISTRY_E_INVALID);
        for (const char *s = error.text; *s; s++)
                assert_true((unsigned char)*s >= ' ' && *s != 0x7f);
        for (const char *s = error.field; *s; s++)
                assert_true((unsigned char)*s >= ' ' && *s != 0x7f);
        json_object_put(o);
}

/* ---- change and removal ---- */

static void a_change_gives_before_and_after(void **state) {
        json_object *before = NULL, *after = NULL;

        add_office();
        assert_int_equal(change(NOUN_USER, "hanako", "{'unit':'総務課','version':1}", &before, &after), 0);
        assert_string_equal(text_of(before, "unit"), "会計課");
        assert_string_equal(text_of(before, "version"), "1");
        assert_string_equal(text_of(after, "unit"), "総務課");
        assert_string_equal(text_of(after, "version"), "2");
        assert_string_equal(text_of(after, "name"), "山田花子");
        assert_string_equal(text_of(after, "uuid"), text_of(before, "uuid"));
        assert_string_equal(text_of(after, "updated"), "2026-09-21T23:13:21+09:00");
        json_object_put(before);
        json_object_put(after);
}

static void a_change_of_an_older_version_is_refused(void **state) {
        add_office();
        must_change(NOUN_USER, "hanako", "{'unit':'総務課'}");
        assert_int_equal(change(NOUN_USER, "hanako", "{'unit':'会計課','version':1}", NULL, NULL), REGISTRY_E_CONFLICT);
        assert_int_equal(change(NOUN_USER, "hanako", "{'version':'2'}", NULL, NULL), REGISTRY_E_INVALID);
        must_change(NOUN_USER, "hanako", "{'unit':'会計課','version':2}");
}

static void what_others_refer_to_cannot_be_changed(void **state) {
        add_office();
        assert_int_equal(change(NOUN_USER, "hanako", "{'account':'hana'}", NULL, NULL), REGISTRY_E_INVALID);
        assert_int_equal(change(NOUN_TERMINAL, "KEIRI-01", "{'name':'KEIRI-02'}", NULL, NULL), REGISTRY_E_INVALID);
        must_change(NOUN_USER, "hanako", "{'account':'hanako','name':'田中花子'}");
        must_change(NOUN_SCOPE, "会計", "{'name':'会計事務'}");
}

static void a_field_can_lose_its_value_unless_it_is_needed(void **state) {
        json_object *after = NULL;

        add_office();
        assert_int_equal(change(NOUN_SCOPE, "会計", "{'until':null,'hours':''}", NULL, &after), 0);
        assert_null(text_of(after, "until"));
        assert_null(text_of(after, "hours"));
        json_object_put(after);
        assert_int_equal(change(NOUN_SCOPE, "会計", "{'business':null}", NULL, NULL), REGISTRY_E_INVALID);
        assert_int_equal(registry_row_get(registry, NOUN_SCOPE, "会計", &after), 0);
        assert_string_equal(text_of(after, "business"), "会計事務");
        json_object_put(after);
}

static void a_changed_designation_stays_inside_its_scope(void **state) {
        json_object *row = NULL;

        add_office();
        assert_int_equal(add(NOUN_DESIGNATION, "{'scope':'会計','subject':'user:hanako'}", &row), 0);
        assert_int_equal(change(NOUN_DESIGNATION, text_of(row, "uuid"), "{'until':'2030-01-01'}", NULL, NULL),
                REGISTRY_E_OUTSIDE);
        must_change(NOUN_DESIGNATION, text_of(row, "uuid"), "{'until':'2026-12-31'}");
        json_object_put(row);
}

static void what_is_in_use_is_not_removed(void **state) {
        json_object *row = NULL, *terminal = NULL;

        add_office();
        must_add(NOUN_MEMBER, "{'account':'keiri','person':'1001'}");
        assert_int_equal(
                add(NOUN_DESIGNATION, "{'scope':'会計','subject':'user:hanako','terminals':'name:KEIRI-01'}", &row), 0);

        assert_int_equal(drop(NOUN_SCOPE, "会計"), REGISTRY_E_IN_USE);
        assert_int_equal(drop(NOUN_USER, "hanako"), REGISTRY_E_IN_USE);
        assert_int_equal(drop(NOUN_USER, "keiri"), REGISTRY_E_IN_USE);
        assert_int_equal(drop(NOUN_TERMINAL, "KEIRI-01"), REGISTRY_E_IN_USE);
        assert_int_equal(change(NOUN_USER, "keiri", "{'shared':false}", NULL, NULL), REGISTRY_E_IN_USE);

        assert_int_equal(drop(NOUN_DESIGNATION, text_of(row, "uuid")), 0);
        assert_int_equal(drop(NOUN_MEMBER, "keiri/1001"), 0);
        assert_int_equal(drop(NOUN_SCOPE, "会計"), 0);
        assert_int_equal(drop(NOUN_USER, "hanako"), 0);
        assert_int_equal(drop(NOUN_USER, "keiri"), 0);
        assert_int_equal(drop(NOUN_TERMINAL, "KEIRI-01"), 0);
        json_object_put(row);

        assert_int_equal(registry_row_get(registry, NOUN_TERMINAL, "SOUMU-01", &terminal), 0);
        assert_int_equal(registry_meta_set(registry, "terminal", text_of(terminal, "uuid")), 0);
        assert_int_equal(drop(NOUN_TERMINAL, "SOUMU-01"), REGISTRY_E_IN_USE);
        json_object_put(terminal);
}

static void removal_leaves_a_tombstone_and_frees_the_name(void **state) {
        json_object *before = NULL, *row = NULL;
        sqlite3_stmt *s;

        add_office();
        assert_int_equal(registry_row_remove(registry, NOUN_USER, "taro", NOW, &before, &error), 0);
        assert_string_equal(text_of(before, "name"), "鈴木太郎");
        assert_int_equal(registry_row_get(registry, NOUN_USER, "taro", &row), REGISTRY_E_NOT_FOUND);
        assert_int_equal(drop(NOUN_USER, "taro"), REGISTRY_E_NOT_FOUND);
        assert_int_equal(change(NOUN_USER, "taro", "{'unit':'u'}", NULL, NULL), REGISTRY_E_NOT_FOUND);

        assert_int_equal(sqlite3_prepare_v2(registry_db(registry),
                                 "SELECT deleted, version FROM users WHERE account = 'taro'", -1, &s, NULL),
                SQLITE_OK);
        assert_int_equal(sqlite3_step(s), SQLITE_ROW);
        assert_int_equal(sqlite3_column_int64(s, 0), NOW);
        assert_int_equal(sqlite3_column_int64(s, 1), 2);
        sqlite3_finalize(s);

        must_add(NOUN_USER, "{'account':'taro','person':'1009','name':'高橋太郎','unit':'会計課'}");
        assert_int_equal(registry_row_get(registry, NOUN_USER, "taro", &row), 0);
        assert_string_not_equal(text_of(row, "uuid"), text_of(before, "uuid"));
        json_object_put(row);
        json_object_put(before);
}

static void rows_are_written_in_the_callers_transaction_only(void **state) {
        json_object *o = parse("{'account':'a','person':'1','name':'n','unit':'u'}"), *row = NULL;

        registry_rollback(registry);
        assert_int_equal(registry_row_add(registry, NOUN_USER, o, NOW, NULL, &error), -EPERM);
        assert_int_equal(registry_row_change(registry, NOUN_USER, "a", o, NOW, NULL, NULL, &error), -EPERM);
        assert_int_equal(registry_row_remove(registry, NOUN_USER, "a", NOW, NULL, &error), -EPERM);
        assert_int_equal(registry_begin(registry), 0);
        assert_int_equal(registry_row_add(registry, NOUN_USER, o, NOW, NULL, &error), 0);
        registry_rollback(registry);
        assert_int_equal(registry_row_get(registry, NOUN_USER, "a", &row), REGISTRY_E_NOT_FOUND);
        json_object_put(o);
}

static void a_refused_row_leaves_the_transaction_usable(void **state) {
        add_office();
        assert_int_equal(
                add(NOUN_USER, "{'account':'taro','person':'9','name':'n','unit':'u'}", NULL), REGISTRY_E_EXISTS);
        must_add(NOUN_USER, "{'account':'saburo','person':'9','name':'n','unit':'u'}");
        assert_int_equal(registry_commit(registry), 0);
}

static size_t list(NounId noun, const char *filter, unsigned limit, char names[][64]) {
        json_object *f = filter ? parse(filter) : NULL, *rows = NULL;
        size_t n;

        error = (RegistryError){};
        if (registry_row_list(registry, noun, f, limit, &rows, &error) != 0)
                fail_msg("%s: %s", filter, error.text);
        n = json_object_array_length(rows);
        for (size_t i = 0; names && i < n; i++)
                snprintf(names[i], 64, "%s",
                        text_of(json_object_array_get_idx(rows, i), noun == NOUN_DESIGNATION ? "subject" : "account"));
        json_object_put(rows);
        json_object_put(f);
        return n;
}

static void lists_are_ordered_filtered_and_limited(void **state) {
        json_object *f = parse("{'colour':'red'}"), *rows = NULL;
        char names[8][64];

        add_office();
        must_add(NOUN_DESIGNATION, "{'scope':'会計','subject':'user:taro'}");
        must_add(NOUN_DESIGNATION, "{'scope':'会計','subject':'user:hanako'}");

        assert_int_equal(list(NOUN_USER, NULL, 0, names), 4);
        assert_string_equal(names[0], "hanako");
        assert_string_equal(names[3], "taro");
        assert_int_equal(list(NOUN_USER, NULL, 2, NULL), 2);
        assert_int_equal(list(NOUN_USER, "{'unit':'総務課'}", 0, names), 1);
        assert_string_equal(names[0], "jiro");
        assert_int_equal(list(NOUN_USER, "{'unit':'会計課','shared':true}", 0, NULL), 1);
        assert_int_equal(list(NOUN_USER, "{}", 0, NULL), 4);
        assert_int_equal(list(NOUN_DESIGNATION, "{'scope':'会計'}", 0, names), 2);
        assert_string_equal(names[0], "user:hanako");
        assert_int_equal(list(NOUN_DESIGNATION, "{'subject':'user:taro'}", 0, NULL), 1);
        assert_int_equal(list(NOUN_DESIGNATION, "{'hours':null}", 0, NULL), 2);
        assert_int_equal(list(NOUN_RESTRICTION, NULL, 0, NULL), 0);
        assert_int_equal(registry_row_list(registry, NOUN_USER, f, 0, &rows, &error), REGISTRY_E_INVALID);
        json_object_put(f);
}

static void nouns_go_both_ways(void **state) {
        json_object *row = NULL;

        for (NounId n = 0; n < _NOUN_MAX; n++)
                assert_int_equal(noun_from_string(noun_to_string(n)), n);
        assert_int_equal(noun_from_string("users"), _NOUN_INVALID);
        assert_null(noun_to_string(_NOUN_INVALID));
        assert_int_equal(registry_row_get(registry, _NOUN_INVALID, "a", &row), -EINVAL);
        assert_int_equal(registry_row_get(registry, _NOUN_MAX, "a", &row), -EINVAL);
}

/* ---- times ---- */

static void times_are_read_as_people_write_them(void **state) {
        static const struct {
                const char *text;
                bool is_end;
                uint64_t sec;
        } good[] = {
                { "2026-09-21T23:13:20+09:00", false, 1790000000 },
                { "2026-09-21T14:13:20Z", false, 1790000000 },
                { "2026-09-21 23:13:20", false, 1790000000 },
                { "2026-09-21T23:13", false, 1789999980 },
                { "2026-09-21T09:13:20-05:00", true, 1790000000 },
                { "2026-09-22", false, 1790002800 },
                { "2026-09-21", true, 1790002800 },
                { "2026-12-31", true, 1798729200 },
                { "2028-02-29", false, 1835362800 },
        };
        static const char *const bad[] = { "", "2026", "2026-9-21", "2026-13-01", "2026-02-29", "2026-00-01",
                "2026-01-00", "2026-01-32", "2026-09-21T", "2026-09-21T24:00", "2026-09-21T23:60",
                "2026-09-21T23:13:60", "2026-09-21T23:13:20+9", "2026-09-21T23:13:20+09:00 ",
                "2026-09-21T23:13:20.5+09:00", "1969-12-31", "1970-01-01", "21.9.2026", "2026/09/21", " 2026-09-21",
                "令和8年9月21日", "1790000000" };
        char out[WHEN_SIZE];
        uint64_t usec;

        for (size_t i = 0; i < ELEMENTSOF(good); i++) {
                if (!when_parse(good[i].text, good[i].is_end, &usec) || usec != good[i].sec * USEC_PER_SEC)
                        fail_msg("%s: %llu", good[i].text, (unsigned long long)(usec / USEC_PER_SEC));
        }
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                if (when_parse(bad[i], false, &usec))
                        fail_msg("\"%s\" was accepted", bad[i]);
        when_format(NOW, out);
        assert_string_equal(out, "2026-09-21T23:13:20+09:00");
}

/* ---- what a verdict needs ---- */

static void people_are_found_by_account_and_by_staff_number(void **state) {
        User u;

        add_office();
        must_add(NOUN_USER, "{'account':'hanako-adm','person':'1001','name':'山田花子','unit':'会計課'}");
        must_add(NOUN_MEMBER, "{'account':'keiri','person':'1001'}");

        assert_int_equal(registry_user(registry, "keiri", &u), 0);
        assert_true(u.shared);
        assert_string_equal(u.unit, "会計課");
        user_done(&u);
        assert_int_equal(registry_user(registry, "nobody", &u), REGISTRY_E_NOT_FOUND);
        assert_int_equal(registry_person(registry, "1001", &u), 0);
        assert_string_equal(u.account, "hanako");
        user_done(&u);
        must_change(NOUN_USER, "hanako", "{'retired':true}");
        assert_int_equal(registry_person(registry, "1001", &u), 0);
        assert_string_equal(u.account, "hanako-adm");
        user_done(&u);
        assert_int_equal(registry_person(registry, "K01", &u), REGISTRY_E_NOT_FOUND);

        assert_int_equal(registry_shared_member(registry, "keiri", "1001"), 0);
        assert_int_equal(registry_shared_member(registry, "keiri", "1002"), REGISTRY_E_NOT_FOUND);
        assert_int_equal(drop(NOUN_MEMBER, "keiri/1001"), 0);
        assert_int_equal(registry_shared_member(registry, "keiri", "1001"), REGISTRY_E_NOT_FOUND);
}

static bool restricted(const char *account, const char *person, uint64_t now) {
        char *uuid = NULL, *reason = NULL;
        int q = registry_restriction(registry, account, person, now, &uuid, &reason);

        assert_true(q == 0 || q == REGISTRY_E_NOT_FOUND);
        assert_int_equal(q == 0, uuid != NULL);
        free(uuid);
        free(reason);
        return q == 0;
}

static void a_restriction_counts_by_account_or_person_until_it_ends(void **state) {
        json_object *row = NULL;

        add_office();
        assert_false(restricted("hanako", "1001", NOW));
        assert_int_equal(add(NOUN_RESTRICTION, "{'account':'hanako','reason':'調査','until':'2026-10-31'}", &row), 0);
        assert_true(restricted("hanako", "1001", NOW));
        assert_true(restricted("hanako", NULL, NOW));
        assert_false(restricted("hanako-adm", "1001", NOW));
        assert_false(restricted("taro", "1002", NOW));
        assert_true(restricted("hanako", "1001", UINT64_C(1793458800) * USEC_PER_SEC - 1));
        assert_false(restricted("hanako", "1001", UINT64_C(1793458800) * USEC_PER_SEC));
        assert_true(restricted("hanako", "1001", 0)); /* a lost clock ends nothing */
        assert_int_equal(drop(NOUN_RESTRICTION, text_of(row, "uuid")), 0);
        assert_false(restricted("hanako", "1001", NOW));
        json_object_put(row);

        must_add(NOUN_RESTRICTION, "{'person':'1001','reason':'調査'}");
        assert_true(restricted("hanako", "1001", NOW));
        assert_true(restricted("hanako-adm", "1001", NOW));
        assert_false(restricted("taro", "1002", NOW));
        assert_false(restricted("taro", NULL, NOW));
}

typedef struct Found {
        char designations[64][40];
        Candidate last;
        char last_terminal[64];
        size_t n;
        size_t stop_after;
} Found;

static bool collect(const Candidate *c, void *userdata) {
        Found *f = userdata;

        assert_true(f->n < ELEMENTSOF(f->designations));
        snprintf(f->designations[f->n++], sizeof(f->designations[0]), "%s", c->designation);
        f->last = *c;
        snprintf(f->last_terminal, sizeof(f->last_terminal), "%s", c->bounds.terminal);
        return f->n == f->stop_after;
}

static Found find(const Subject *s, const char *terminal, const char *unit) {
        Found f = {};

        assert_int_equal(registry_candidates(registry, s, terminal, unit, collect, &f), 0);
        return f;
}

static void become(const char *terminal) {
        json_object *row = NULL;

        assert_int_equal(registry_row_get(registry, NOUN_TERMINAL, terminal, &row), 0);
        assert_int_equal(registry_meta_set(registry, "terminal", text_of(row, "uuid")), 0);
        json_object_put(row);
}

static const Subject hanako = { .account = "hanako", .unit = "会計課" };

static void this_terminal_is_the_one_that_meta_names(void **state) {
        Terminal t;

        add_office();
        assert_int_equal(registry_terminal_self(registry, &t), REGISTRY_E_NOT_FOUND);
        become("SOUMU-01");
        assert_int_equal(registry_terminal_self(registry, &t), 0);
        assert_string_equal(t.name, "SOUMU-01");
        assert_int_equal(t.confidentiality, 2);
        terminal_done(&t);
        assert_int_equal(registry_terminal(registry, "KEIRI-01", &t), 0);
        assert_string_equal(t.unit, "会計課");
        terminal_done(&t);
        assert_int_equal(registry_terminal(registry, "KEIRI-99", &t), REGISTRY_E_NOT_FOUND);
}

static void candidates_come_by_user_group_netgroup_and_unit_in_this_order(void **state) {
        char *groups[] = { (char *)"other", (char *)"keiri", NULL }, *netgroups[] = { (char *)"ng", NULL };
        const Subject s = { "hanako", "会計課", groups, netgroups };
        static const char *const subjects[] = { "unit:会計課", "netgroup:ng", "group:keiri", "user:hanako",
                "user:hanako", "group:nobody", "user:taro" };
        json_object *rows[ELEMENTSOF(subjects)];
        static const unsigned order[] = { 3, 4, 2, 1, 0 };
        Found f;

        add_office();
        for (size_t i = 0; i < ELEMENTSOF(subjects); i++) {
                char fields[128];

                snprintf(fields, sizeof(fields), "{'scope':'会計','subject':'%s'}", subjects[i]);
                assert_int_equal(add(NOUN_DESIGNATION, fields, &rows[i]), 0);
        }
        for (int self = 0; self < 2; self++) {
                if (self)
                        become("KEIRI-01");
                f = find(&s, "KEIRI-01", "会計課");
                assert_int_equal(f.n, ELEMENTSOF(order));
                for (size_t i = 0; i < ELEMENTSOF(order); i++)
                        assert_string_equal(f.designations[i], text_of(rows[order[i]], "uuid"));

                f = (Found){ .stop_after = 2 };
                assert_int_equal(registry_candidates(registry, &s, "KEIRI-01", "会計課", collect, &f), 0);
                assert_int_equal(f.n, 2);
        }
        for (size_t i = 0; i < ELEMENTSOF(subjects); i++)
                json_object_put(rows[i]);
}

static void a_candidate_carries_what_designation_and_scope_say(void **state) {
        Found f;

        registry_set_service_family(registry, family_of);
        add_office();
        must_add(NOUN_SCOPE,
                "{'name':'r','business':'遠隔','unit':'会計課','terminals':'pattern:KEIRI-*','remote':true,"
                "'services':'@remote','confidentiality':3,'external':true}");
        must_add(NOUN_DESIGNATION, "{'scope':'r','subject':'user:hanako','services':'sshd','remote':true}");
        become("KEIRI-01");
        f = find(&hanako, "KEIRI-01", "会計課");
        assert_int_equal(f.n, 1);
        assert_true(f.last.remote);
        assert_true(f.last.external_ok);
        assert_int_equal(f.last.confidentiality_max, 3);
        assert_int_equal(f.last.bounds.terminal_kind, TERMINAL_PATTERN); /* the scope's, as it has none of its own */
        assert_string_equal(f.last_terminal, "KEIRI-*");

        must_change(NOUN_SCOPE, "r", "{'remote':false}");
        assert_false(find(&hanako, "KEIRI-01", "会計課").last.remote);
}

static void a_transfer_ends_the_designation_of_the_user(void **state) {
        const Subject moved = { .account = "hanako", .unit = "総務課" };

        add_office();
        must_add(NOUN_DESIGNATION, "{'scope':'会計','subject':'user:hanako'}");
        become("KEIRI-01");
        assert_int_equal(find(&hanako, "KEIRI-01", "会計課").n, 1);
        assert_int_equal(find(&moved, "KEIRI-01", "会計課").n, 0);
        assert_int_equal(find(&(Subject){ .account = "hanako" }, "KEIRI-01", "会計課").n, 0);
}

static void a_name_that_looks_like_sql_finds_nothing(void **state) {
        const Subject odd = { .account = "' OR 1=1 --", .unit = "*" };
        char longest[1000];
        const Subject endless = { .account = longest, .unit = longest };

        memset(longest, 'a', sizeof(longest) - 1);
        longest[sizeof(longest) - 1] = '\0';
        add_office();
        must_add(NOUN_DESIGNATION, "{'scope':'会計','subject':'unit:会計課'}");
        become("KEIRI-01");
        assert_int_equal(find(&odd, "KEIRI-01", "会計課").n, 0);
        assert_int_equal(find(&endless, "KEIRI-01", "会計課").n, 0);
}

/* Every designation, asked for on this terminal and as if on another: both ways must find the same. */
#define WANTED                                                                                                         \
        " FROM designations d JOIN scopes s ON s.id = d.scope JOIN meta m ON m.name = 'terminal'"                      \
        " JOIN terminals t ON t.uuid = m.value WHERE d.deleted = 0 AND s.deleted = 0 AND t.deleted = 0"                \
        " AND matches(s.terminals, t.name, t.unit) AND (d.terminals IS NULL OR matches(d.terminals, t.name, t.unit))"

static void assert_here_agrees(const char *what) {
        static const char sql[] =
                "SELECT count(*), (SELECT count(*) FROM here)" WANTED
                " AND EXISTS (SELECT 1 FROM here h WHERE h.subject = d.subject AND h.designation = d.id"
                " AND h.uuid = d.uuid AND h.scope = d.scope AND h.terminals IS d.terminals"
                " AND h.services IS d.services AND h.hours IS d.hours AND h.valid_from = d.valid_from"
                " AND h.valid_until = d.valid_until AND h.remote = d.remote)";
        static const char wanted_sql[] = "SELECT count(*)" WANTED;
        sqlite3_stmt *s;
        int64_t same, here, wanted;

        assert_int_equal(sqlite3_prepare_v2(registry_db(registry), sql, -1, &s, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_step(s), SQLITE_ROW);
        same = sqlite3_column_int64(s, 0);
        here = sqlite3_column_int64(s, 1);
        sqlite3_finalize(s);
        assert_int_equal(sqlite3_prepare_v2(registry_db(registry), wanted_sql, -1, &s, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_step(s), SQLITE_ROW);
        wanted = sqlite3_column_int64(s, 0);
        sqlite3_finalize(s);
        if (same != wanted || here != wanted)
                fail_msg("after %s: %lld rows here, %lld of them right, %lld wanted", what, (long long)here,
                        (long long)same, (long long)wanted);
}

/* matches(selector, name, unit): what the evaluator thinks. */
static void matches(sqlite3_context *context, int n, sqlite3_value **values) {
        TerminalKind kind;
        const char *value;
        bool match = selector_parse((const char *)sqlite3_value_text(values[0]), &kind, &value) &&
                     terminal_match(kind, value, (const char *)sqlite3_value_text(values[1]),
                             (const char *)sqlite3_value_text(values[2]));

        sqlite3_result_int(context, match);
}

static unsigned next(unsigned n) {
        static uint64_t x = 88172645463325252u;

        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        return (unsigned)(x % n);
}

static void the_table_here_follows_every_change(void **state) {
        static const char *const selectors[] = { "name:T1", "name:T2", "pattern:T*", "pattern:?1", "pattern:*2",
                "unit:u1", "unit:u2", "pattern:T-会計-?", "name:T-会計-課", "pattern:*" };
        char statement[256];

        assert_int_equal(sqlite3_create_function(registry_db(registry), "matches", 3,
                                 SQLITE_UTF8 | SQLITE_DETERMINISTIC, NULL, matches, NULL, NULL),
                SQLITE_OK);
        for (int i = 1; i <= 3; i++) {
                static const char *const names[] = { "T1", "T2", "T-会計-課" };

                snprintf(statement, sizeof(statement),
                        "INSERT INTO terminals (id, uuid, name, unit) VALUES (%d, 't-%d', '%s', 'u%d')", i, i,
                        names[i - 1], i % 2 + 1);
                assert_int_equal(sqlite3_exec(registry_db(registry), statement, NULL, NULL, NULL), SQLITE_OK);
        }
        assert_int_equal(
                sqlite3_exec(registry_db(registry), "INSERT INTO meta VALUES ('terminal', 't-1')", NULL, NULL, NULL),
                SQLITE_OK);

        for (unsigned i = 0; i < 3000; i++) {
                const char *selector = selectors[next(ELEMENTSOF(selectors))];
                unsigned scope = next(8) + 1, designation = next(40) + 1;
                int rc;

                switch (next(18)) {
                case 0:
                        snprintf(statement, sizeof(statement), "UPDATE scopes SET terminals = '%s' WHERE id = %u",
                                selector, scope);
                        break;
                case 1:
                        snprintf(statement, sizeof(statement), "UPDATE scopes SET deleted = 1 - deleted WHERE id = %u",
                                scope);
                        break;
                case 2:
                        snprintf(statement, sizeof(statement), "UPDATE meta SET value = 't-%u' WHERE name = 'terminal'",
                                next(4) + 1);
                        break;
                case 3:
                        snprintf(statement, sizeof(statement), "DELETE FROM meta WHERE name = 'terminal'");
                        break;
                case 4:
                        snprintf(statement, sizeof(statement),
                                "INSERT INTO meta VALUES ('terminal', 't-%u')"
                                " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                                next(3) + 1);
                        break;
                case 5:
                        snprintf(statement, sizeof(statement), "UPDATE terminals SET unit = 'u%u' WHERE id = %u",
                                next(2) + 1, next(3) + 1);
                        break;
                case 6:
                        snprintf(statement, sizeof(statement),
                                "UPDATE terminals SET deleted = 1 - deleted WHERE id = %u", next(3) + 1);
                        break;
                case 7:
                        snprintf(statement, sizeof(statement), "DELETE FROM designations WHERE id = %u", designation);
                        break;
                case 8:
                        snprintf(statement, sizeof(statement),
                                "UPDATE designations SET deleted = 1 - deleted WHERE id = %u", designation);
                        break;
                case 9:
                        snprintf(statement, sizeof(statement),
                                "UPDATE designations SET terminals = nullif('%s', 'name:T2'), hours = 'h%u', remote = "
                                "%u WHERE id = %u",
                                selector, i, next(2), designation);
                        break;
                case 10:
                        snprintf(statement, sizeof(statement),
                                "UPDATE designations SET scope = %u, subject = 'group:g%u' WHERE id = %u", scope,
                                next(5), designation);
                        break;
                case 12:
                        snprintf(statement, sizeof(statement), "DELETE FROM terminals WHERE id = %u", next(3) + 1);
                        break;
                case 13:
                        snprintf(statement, sizeof(statement),
                                "INSERT OR IGNORE INTO terminals (id, uuid, name, unit) VALUES (%u, 't-%u', 'T%u', "
                                "'u1')",
                                scope % 3 + 1, scope % 3 + 1, scope % 3 + 1);
                        break;
                case 11:
                        snprintf(statement, sizeof(statement),
                                "INSERT OR IGNORE INTO scopes (id, uuid, name, business, unit, terminals) VALUES (%u, "
                                "'s-%u', 's%u',"
                                " 'b', 'u', '%s')",
                                scope, scope, scope, selector);
                        break;
                default:
                        snprintf(statement, sizeof(statement),
                                "INSERT OR IGNORE INTO designations (id, uuid, scope, subject, terminals) VALUES (%u, "
                                "'d-%u', %u,"
                                " 'group:g%u', %s%s%s)",
                                designation, i, scope, next(5), next(3) ? "'" : "nullif('", selector, "'");
                        if (strstr(statement, "nullif("))
                                snprintf(statement, sizeof(statement),
                                        "INSERT OR IGNORE INTO designations (id, uuid, scope, subject) VALUES (%u, "
                                        "'d-%u', %u, 'user:a')",
                                        designation, i, scope);
                }
                rc = sqlite3_exec(registry_db(registry), statement, NULL, NULL, NULL);
                if (rc != SQLITE_OK && rc != SQLITE_CONSTRAINT_FOREIGNKEY)
                        fail_msg("%s: %s", statement, sqlite3_errmsg(registry_db(registry)));
                assert_here_agrees(statement);
        }
}

static int count_steps(void *userdata) {
        ++*(uint64_t *)userdata;
        return 0;
}

static uint64_t steps_of_a_search(void) {
        uint64_t steps = 0;

        sqlite3_progress_handler(registry_db(registry), 1, count_steps, &steps);
        (void)find(&hanako, "KEIRI-01", "会計課");
        sqlite3_progress_handler(registry_db(registry), 0, NULL, NULL);
        return steps;
}

static void others_designations_cost_nothing(void **state) {
        static const char many[] = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)"
                                   " INSERT INTO designations (uuid, scope, subject, terminals)"
                                   " SELECT 'x-' || i, 1, CASE i % 3 WHEN 0 THEN 'user:hanako' WHEN 1 THEN "
                                   "'unit:会計課' ELSE 'user:u' || i END,"
                                   " CASE i % 3 WHEN 2 THEN NULL ELSE CASE i % 2 WHEN 0 THEN 'pattern:X*' ELSE "
                                   "'name:T' || i END END FROM n";
        uint64_t before;

        add_office();
        must_add(NOUN_DESIGNATION, "{'scope':'会計','subject':'user:hanako'}");
        become("KEIRI-01");
        (void)steps_of_a_search();
        before = steps_of_a_search();
        assert_true(before > 0);
        assert_int_equal(sqlite3_exec(registry_db(registry), many, NULL, NULL, NULL), SQLITE_OK);
        assert_in_range(steps_of_a_search(), 1, before + 4); /* SQLite counts its steps approximately */
}

static void netgroups_in_use_are_told_once_each(void **state) {
        char **names = NULL;
        json_object *row = NULL;

        add_office();
        assert_int_equal(registry_netgroups(registry, &names), 0);
        assert_null(names);
        must_add(NOUN_DESIGNATION, "{'scope':'会計','subject':'netgroup:b'}");
        must_add(NOUN_DESIGNATION, "{'scope':'会計','subject':'netgroup:a'}");
        must_add(NOUN_DESIGNATION, "{'scope':'会計','subject':'netgroup:b','hours':'mon 09:00-10:00'}");
        must_add(NOUN_DESIGNATION, "{'scope':'会計','subject':'group:c'}");
        assert_int_equal(add(NOUN_DESIGNATION, "{'scope':'会計','subject':'netgroup:gone'}", &row), 0);
        assert_int_equal(drop(NOUN_DESIGNATION, text_of(row, "uuid")), 0);
        json_object_put(row);

        assert_int_equal(registry_netgroups(registry, &names), 0);
        assert_string_equal(names[0], "a");
        assert_string_equal(names[1], "b");
        assert_null(names[2]);
        free(names[0]);
        free(names[1]);
        free(names);
}

int main(void) {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        const struct CMUnitTest tests[] = {
                T(rows_come_out_as_they_went_in),
                T(a_birth_date_is_told_only_to_who_may_read_it),
                T(a_birth_date_counts_for_all_accounts_of_a_person),
                T(a_birth_date_is_a_day_that_was),
                T(defaults_are_those_of_the_texts),
                T(a_row_says_which_terminal_wrote_it),
                T(what_is_wrong_is_refused_with_field_and_reason),
                T(what_lies_inside_its_scope_is_accepted),
                T(without_a_service_table_a_service_is_inside_only_by_its_name),
                T(a_scope_by_unit_knows_its_terminals_by_registration),
                T(a_scope_for_other_services_wants_them_listed),
                T(a_retired_user_is_not_designated),
                T(longest_texts_fit_and_longer_ones_do_not),
                T(an_error_is_safe_text_whatever_was_given),
                T(a_change_gives_before_and_after),
                T(a_change_of_an_older_version_is_refused),
                T(what_others_refer_to_cannot_be_changed),
                T(a_field_can_lose_its_value_unless_it_is_needed),
                T(a_changed_designation_stays_inside_its_scope),
                T(what_is_in_use_is_not_removed),
                T(removal_leaves_a_tombstone_and_frees_the_name),
                T(rows_are_written_in_the_callers_transaction_only),
                T(a_refused_row_leaves_the_transaction_usable),
                T(lists_are_ordered_filtered_and_limited),
                T(nouns_go_both_ways),
                T(times_are_read_as_people_write_them),
                T(people_are_found_by_account_and_by_staff_number),
                T(a_restriction_counts_by_account_or_person_until_it_ends),
                T(this_terminal_is_the_one_that_meta_names),
                T(candidates_come_by_user_group_netgroup_and_unit_in_this_order),
                T(a_candidate_carries_what_designation_and_scope_say),
                T(a_transfer_ends_the_designation_of_the_user),
                T(a_name_that_looks_like_sql_finds_nothing),
                T(the_table_here_follows_every_change),
                T(others_designations_cost_nothing),
                T(netgroups_in_use_are_told_once_each),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
