/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "config/config.h"

/* The table of keys of keishid.conf, for config_load() and for the tests that compare it with the manual page and the
 * file that the package ships. */

typedef enum KeyType {
        KEY_UINT,            /* a decimal number */
        KEY_DURATION,        /* seconds, or a number with ms, s, min, h, d or w; limits in microseconds */
        KEY_LOCALE,          /* the name of a locale */
        KEY_ON_DRIFT,        /* record or close */
        KEY_ON_SECOND_LOGIN, /* allow, record or refuse */
        KEY_GROUP,           /* the name of an NSS group */
        KEY_MODE,            /* enforce or observe */
        KEY_DAY,             /* a day, 2026-12-31 */
        KEY_FACTORS,         /* alternatives separated by commas, the factors of one by spaces */
        KEY_RP_ID,           /* a DNS name, or none */
        KEY_PATH,            /* an absolute path, or none */
        KEY_PRESENCE,        /* during-session or remove-after-login */
        _KEY_TYPE_MAX,
} KeyType;

typedef struct ConfigKey {
        const char *section, *name;
        KeyType type;
        uint64_t min, max;        /* KEY_UINT, KEY_DURATION; min of KEY_FACTORS: class of confidentiality, 0: every */
        const char *default_text; /* as it could stand in the file; "": as Default= of the section */
        size_t offset;            /* in Config; KEY_FACTORS: 0 */
        Family family;            /* KEY_FACTORS; _FAMILY_INVALID: what families without a key of their own use */
} ConfigKey;

/* All keys, in the order of the manual page. Static. */
const ConfigKey *config_keys(size_t *ret_n);
/* NULL when there is no such key. */
const ConfigKey *config_key_find(const char *section, const char *name);
bool config_section_exists(const char *section);

/* "allow", "record", "refuse". */
const char *on_second_login_to_string(OnSecondLogin o);
/* Reads a value into the configuration. -EINVAL: *ret_error says what is wrong with it, owned by the caller. */
int config_key_set(const ConfigKey *key, const char *value, Config *c, char **ret_error);

/* config_load() of a text that ends with a zero byte not counted in `size`; the path is for the error only. */
int config_parse(Config **ret, const char *path, const char *text, size_t size, char **ret_error);
