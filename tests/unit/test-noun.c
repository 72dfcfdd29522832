/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "noun-fixture.h"
#include "registry/when.h"

/* Directory rows: what goes in, what comes out, what is refused. */

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
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
