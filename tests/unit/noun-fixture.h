/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

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
#include "util/clock.h"

/* A registry of its own for each test, and an office of a few people in it. */

#define NOW (UINT64_C(1790000000) * USEC_PER_SEC) /* 2026-09-21T23:13:20+09:00 */

static char directory[64], path[80];
static Registry *registry;
static RegistryError error;

static inline int setup(void **state) {
        strcpy(directory, "/tmp/test-registry-XXXXXX");
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

static inline int teardown(void **state) {
        char command[128];

        registry = registry_free(registry);
        snprintf(command, sizeof(command), "rm -rf %s", directory);
        return system(command);
}

static inline json_object *parse(const char *text) {
        json_object *o = json_tokener_parse(text);

        if (!o)
                fail_msg("not JSON: %s", text);
        return o;
}

static inline int add(NounId noun, const char *fields, json_object **ret) {
        json_object *o = parse(fields);
        int q;

        error = (RegistryError){};
        q = registry_row_add(registry, noun, o, NOW, ret, &error);
        json_object_put(o);
        return q;
}

static inline void must_add(NounId noun, const char *fields) {
        int q = add(noun, fields, NULL);

        if (q != 0)
                fail_msg("%s: %d: %s: %s", fields, q, error.field, error.text);
}

static inline int change(
        NounId noun, const char *id, const char *fields, json_object **ret_before, json_object **ret_after) {
        json_object *o = parse(fields);
        int q;

        error = (RegistryError){};
        q = registry_row_change(registry, noun, id, o, NOW + USEC_PER_SEC, ret_before, ret_after, &error);
        json_object_put(o);
        return q;
}

static inline void must_change(NounId noun, const char *id, const char *fields) {
        int q = change(noun, id, fields, NULL, NULL);

        if (q != 0)
                fail_msg("%s: %d: %s: %s", fields, q, error.field, error.text);
}

static inline int drop(NounId noun, const char *id) {
        error = (RegistryError){};
        return registry_row_remove(registry, noun, id, NOW, NULL, &error);
}

static inline const char *text_of(json_object *o, const char *name) {
        json_object *value = NULL;

        return json_object_object_get_ex(o, name, &value) ? json_object_get_string(value) : NULL;
}

/* A terminal, two people of 会計課, one of 総務課, a shared account and a scope. */
static inline void add_office(void) {
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

static inline Family family_of(const char *service) {
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
