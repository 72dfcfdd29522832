/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "util/json.h"
#include "util/text.h"

static bool strings_clean(json_object *o) {
        switch (json_object_get_type(o)) {
        case json_type_string:
                return strlen(json_object_get_string(o)) == (size_t)json_object_get_string_len(o);
        case json_type_array:
                for (size_t i = 0; i < json_object_array_length(o); i++)
                        if (!strings_clean(json_object_array_get_idx(o, i)))
                                return false;
                return true;
        case json_type_object: {
                json_object_object_foreach(o, name, value) {
                        (void)name;
                        if (!strings_clean(value))
                                return false;
                }
                return true;
        }
        default:
                return true;
        }
}

/* Members of an object as parsed against members as written: json-c keeps the last of two with one name, silently.
 * Counts, per text, the colons outside strings. */
static size_t count_written(const char *text) {
        bool in_string = false;
        size_t n = 0;

        for (const char *p = text; *p; p++) {
                if (in_string) {
                        if (*p == '\\' && p[1])
                                p++;
                        else if (*p == '"')
                                in_string = false;
                } else if (*p == '"')
                        in_string = true;
                else if (*p == '\'') /* no JSON, but json-c takes it for a quote */
                        return SIZE_MAX;
                else if (*p == ':')
                        n++;
        }
        return n;
}

static size_t count_parsed(json_object *o) {
        size_t n = 0;

        if (json_object_is_type(o, json_type_array))
                for (size_t i = 0; i < json_object_array_length(o); i++)
                        n += count_parsed(json_object_array_get_idx(o, i));
        else if (json_object_is_type(o, json_type_object)) {
                json_object_object_foreach(o, name, value) {
                        (void)name;
                        n += 1 + count_parsed(value);
                }
        }
        return n;
}

/* "\uXXXX" */
static char *put_unit(char *p, uint32_t unit) {
        static const char digits[] = "0123456789abcdef";

        *p++ = '\\';
        *p++ = 'u';
        for (int shift = 12; shift >= 0; shift -= 4)
                *p++ = digits[unit >> shift & 15];
        return p;
}

/* The same JSON with every character beyond ASCII written as \uXXXX (RFC 8259, section 7): json-c 0.18, which Debian 13
 * has, takes such characters in strings for control characters when it is told to be strict. -EINVAL: not UTF-8, or a
 * backslash before such a character. */
static int text_in_ascii(const char *text, size_t size, char **ret) {
        bool escaped = false;
        char *out, *p;

        out = malloc(size * 3 + 1); /* at most: two bytes become six, four become twelve */
        if (!out)
                return -ENOMEM;
        p = out;
        for (size_t n; size > 0; text += n, size -= n) {
                uint32_t c;

                n = utf8_decode(text, size, &c);
                if (n == 0 || (escaped && c >= 0x80)) {
                        free(out);
                        return -EINVAL;
                }
                escaped = c == '\\' && !escaped;
                if (c < 0x80)
                        *p++ = (char)c;
                else if (c < 0x10000)
                        p = put_unit(p, c);
                else
                        p = put_unit(put_unit(p, 0xd800 + ((c - 0x10000) >> 10)), 0xdc00 + ((c - 0x10000) & 0x3ff));
        }
        *p = '\0';
        *ret = out;
        return 0;
}

int json_parse_text(const char *text, json_object **ret) {
        _cleanup_free_ char *ascii = NULL;
        json_tokener *tok;
        json_object *o;
        size_t size = strlen(text);
        bool whole;
        int r;

        if (size > JSON_TEXT_MAX)
                return -E2BIG;
        r = text_in_ascii(text, size, &ascii);
        if (r < 0)
                return r;
        tok = json_tokener_new_ex(JSON_DEPTH_MAX);
        if (!tok)
                return -ENOMEM;
        json_tokener_set_flags(tok, JSON_TOKENER_STRICT);
        o = json_tokener_parse_ex(tok, ascii, (int)strlen(ascii) + 1);
        whole = json_tokener_get_error(tok) == json_tokener_success;
        json_tokener_free(tok);
        if (!whole || !o || !strings_clean(o) || count_written(text) != count_parsed(o)) {
                json_object_put(o);
                return -EINVAL;
        }
        *ret = o;
        return 0;
}

int json_parse_object(const char *text, json_object **ret) {
        _cleanup_json_ json_object *o = NULL;
        int r;

        r = json_parse_text(*text ? text : "{}", &o);
        if (r < 0)
                return r;
        if (!json_object_is_type(o, json_type_object))
                return -EINVAL;
        *ret = TAKE_PTR(o);
        return 0;
}

const char *json_string(json_object *o, const char *name) {
        json_object *v;

        if (!o || !json_object_object_get_ex(o, name, &v) || !json_object_is_type(v, json_type_string))
                return NULL;
        return json_object_get_string(v);
}

bool json_boolean(json_object *o, const char *name) {
        json_object *v;

        return o && json_object_object_get_ex(o, name, &v) && json_object_is_type(v, json_type_boolean) &&
               json_object_get_boolean(v);
}

int json_set(json_object *o, const char *name, json_object *value) {
        if (!value)
                return -ENOMEM;
        if (json_object_object_add(o, name, value) < 0) {
                json_object_put(value);
                return -ENOMEM;
        }
        return 0;
}

int json_set_string(json_object *o, const char *name, const char *value) {
        if (!value)
                return 0;
        return json_set(o, name, json_object_new_string(value));
}

int json_set_boolean(json_object *o, const char *name, bool value) {
        return json_set(o, name, json_object_new_boolean(value));
}

int json_set_uint(json_object *o, const char *name, unsigned long long value) {
        return json_set(o, name, json_object_new_uint64(value));
}

const char *json_text(json_object *o) {
        return json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
}

bool json_only_has(json_object *o, const char *const *names, const char **ret_name) {
        json_object_object_foreach(o, name, value) {
                size_t i;

                (void)value;
                for (i = 0; names[i]; i++)
                        if (strcmp(names[i], name) == 0)
                                break;
                if (!names[i]) {
                        if (ret_name)
                                *ret_name = name;
                        return false;
                }
        }
        return true;
}
