/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>

#include "util/cleanup.h"

static inline void json_put_p(json_object **o) {
        if (*o)
                json_object_put(*o);
}
#define _cleanup_json_ _cleanup_(json_put_p)

#define JSON_TEXT_MAX  (256u * 1024u)
#define JSON_DEPTH_MAX 8

/* Parses one whole JSON text (RFC 8259), nothing but white space after it, nested at most JSON_DEPTH_MAX deep, at most
 * JSON_TEXT_MAX bytes, without a name given twice in an object's text being visible (the last one would win, so it is
 * refused) and without strings that hold U+0000. -EINVAL, -E2BIG or -ENOMEM. */
int json_parse_text(const char *text, json_object **ret);
/* The same, and it must be an object; an empty text is an empty object. */
int json_parse_object(const char *text, json_object **ret);

/* A string member; NULL when it is absent or not a string. Lives as long as the object. */
const char *json_string(json_object *o, const char *name);
/* The boolean member, false when absent or not a boolean. */
bool json_boolean(json_object *o, const char *name);

/* Sets a member, nothing for a NULL string. -ENOMEM. */
int json_set_string(json_object *o, const char *name, const char *value);
int json_set_boolean(json_object *o, const char *name, bool value);
int json_set_uint(json_object *o, const char *name, unsigned long long value);
/* Takes over the reference of `value` in every case; -ENOMEM also when it is NULL. */
int json_set(json_object *o, const char *name, json_object *value);

/* One line of text, as it goes over the bus and into trails. Lives as long as the object; NULL when out of memory. */
const char *json_text(json_object *o);

/* Whether every member's name is in the NULL-terminated list; the first that is not in *ret_name. */
bool json_only_has(json_object *o, const char *const *names, const char **ret_name);
