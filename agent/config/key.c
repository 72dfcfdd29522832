/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config/key.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/clock.h"
#include "util/text.h"

#define SEC             USEC_PER_SEC
#define MINUTE          (60 * SEC)
#define HOUR            (60 * MINUTE)
#define DAY             (24 * HOUR)
#define LOCALE_NAME_MAX 64u

/* A row with only what its type needs. */
#define DURATION(section, name, member, min, max, text)                                                                \
        { section, name, KEY_DURATION, min, max, text, offsetof(Config, member), _FAMILY_INVALID }
#define NUMBER(section, name, member, min, max, text)                                                                  \
        { section, name, KEY_UINT, min, max, text, offsetof(Config, member), _FAMILY_INVALID }
#define GROUP(name, role, text)                                                                                        \
        {                                                                                                              \
                "Roles", name, KEY_GROUP, 0, 0, text, offsetof(Config, role_groups) + (role) * sizeof(char *),         \
                        _FAMILY_INVALID                                                                                \
        }
#define FACTORS(name, family, text)                                                                                    \
        { "Factors", name, KEY_FACTORS, 0, 0, text, 0, family }

static const ConfigKey keys[] = {
        { "Agent", "Locale", KEY_LOCALE, 0, 0, "ja_JP.UTF-8", offsetof(Config, locale), _FAMILY_INVALID },
        DURATION("Agent", "TransactionTimeoutSec", transaction_usec, 5 * SEC, HOUR, "120"),
        DURATION("Agent", "PasswordTimeoutSec", password_usec, SEC, 5 * MINUTE, "30"),
        DURATION("Agent", "LookupTimeoutSec", lookup_usec, SEC, 5 * MINUTE, "10"),
        DURATION("Agent", "LookupCacheSec", lookup_cache_usec, 0, DAY, "60"),
        NUMBER("Agent", "ConnectionsPerUser", connections_per_uid, 1, 1024, "16"),

        NUMBER("Attempts", "Max", attempts_max, 1, 100, "3"),
        DURATION("Attempts", "WindowSec", attempts_window_usec, SEC, 30 * DAY, "900"),
        DURATION("Attempts", "DelaySec", attempts_delay_usec, 0, MINUTE, "2"),
        DURATION("Attempts", "ReleaseSec", attempts_release_usec, 0, 30 * DAY, "0"),

        DURATION("Clock", "BackMaxSec", clock_back_usec, 0, DAY, "120"),
        DURATION("Clock", "JumpMaxSec", clock_jump_usec, SEC, DAY, "600"),
        DURATION("Clock", "OffMaxSec", clock_off_usec, MINUTE, 3650 * DAY, "7776000"),

        NUMBER("Policy", "StaffUidMin", staff_uid_min, 1, UINT32_MAX - 1, "1000"),
        { "Policy", "Mode", KEY_MODE, 0, 0, "enforce", offsetof(Config, observe), _FAMILY_INVALID },
        { "Policy", "ObserveUntil", KEY_DAY, 0, 0, "1970-01-01", offsetof(Config, observe_until), _FAMILY_INVALID },
        { "Policy", "OnDrift", KEY_ON_DRIFT, 0, 0, "record", offsetof(Config, on_drift), _FAMILY_INVALID },

        { "Sessions", "OnSecondLogin", KEY_ON_SECOND_LOGIN, 0, 0, "record", offsetof(Config, on_second_login),
                _FAMILY_INVALID },
        DURATION("Sessions", "NoticeSec", notice_usec, 0, 5 * SEC, "250ms"),

        GROUP("SystemManager", ROLE_SYSTEM_MANAGER, "keishi-system-manager"),
        GROUP("UnitHead", ROLE_UNIT_HEAD, "keishi-unit-head"),
        GROUP("DutyOfficer", ROLE_DUTY_OFFICER, "keishi-duty-officer"),
        GROUP("SystemOwner", ROLE_SYSTEM_OWNER, "keishi-system-owner"),
        GROUP("TrailViewer", ROLE_TRAIL_VIEWER, "keishi-trail-viewer"),

        FACTORS("Default", _FAMILY_INVALID, "password"),
        FACTORS("Console", FAMILY_CONSOLE, ""),
        FACTORS("Locker", FAMILY_LOCKER, ""),
        FACTORS("Admin", FAMILY_ADMIN, ""),
        FACTORS("Remote", FAMILY_REMOTE, ""),
        FACTORS("Self", FAMILY_SELF, ""),
};

const ConfigKey *config_keys(size_t *ret_n) {
        *ret_n = ELEMENTSOF(keys);
        return keys;
}

const ConfigKey *config_key_find(const char *section, const char *name) {
        for (size_t i = 0; i < ELEMENTSOF(keys); i++)
                if (strcmp(keys[i].section, section) == 0 && strcmp(keys[i].name, name) == 0)
                        return &keys[i];
        return NULL;
}

bool config_section_exists(const char *section) {
        for (size_t i = 0; i < ELEMENTSOF(keys); i++)
                if (strcmp(keys[i].section, section) == 0)
                        return true;
        return false;
}

_printf_(2, 3) static int refuse(char **ret_error, const char *format, ...) {
        va_list ap;
        int n;

        va_start(ap, format);
        n = vasprintf(ret_error, format, ap);
        va_end(ap);
        if (n < 0) {
                *ret_error = NULL;
                return -ENOMEM;
        }
        return -EINVAL;
}

/* "90", "90s", "1h", "15min": one number and one unit, without a unit seconds. */
static int parse_duration(const char *value, uint64_t *ret) {
        static const struct {
                const char *name;
                uint64_t usec;
        } units[] = { { "", SEC }, { "ms", USEC_PER_MSEC }, { "s", SEC }, { "min", MINUTE }, { "h", HOUR },
                { "d", DAY }, { "w", 7 * DAY } };
        size_t n = strspn(value, "0123456789");
        char digits[20] = "";
        uint64_t number;

        if (n == 0 || n >= sizeof(digits))
                return -EINVAL;
        memcpy(digits, value, n);
        if (parse_uint64(digits, 0, UINT64_MAX, &number) < 0)
                return -EINVAL;
        for (size_t i = 0; i < ELEMENTSOF(units); i++)
                if (strcmp(value + n, units[i].name) == 0)
                        return __builtin_mul_overflow(number, units[i].usec, ret) ? -EINVAL : 0;
        return -EINVAL;
}

static int set_duration(const ConfigKey *key, const char *value, Config *c, char **ret_error) {
        uint64_t usec;

        if (parse_duration(value, &usec) < 0)
                return refuse(ret_error,
                        "%s=%s is not a duration; write seconds, or a number with ms, s, min, h, d or w", key->name,
                        value);
        if (usec < key->min || usec > key->max)
                return refuse(ret_error, "%s=%s is out of range; it may be %llus to %llus", key->name, value,
                        (unsigned long long)(key->min / SEC), (unsigned long long)(key->max / SEC));
        *(uint64_t *)((char *)c + key->offset) = usec;
        return 0;
}

static int set_number(const ConfigKey *key, const char *value, Config *c, char **ret_error) {
        uint64_t number;
        int r;

        r = parse_uint64(value, key->min, key->max, &number);
        if (r == -ERANGE)
                return refuse(ret_error, "%s=%s is out of range; it may be %llu to %llu", key->name, value,
                        (unsigned long long)key->min, (unsigned long long)key->max);
        if (r < 0)
                return refuse(ret_error, "%s=%s is not a number", key->name, value);
        if (key->offset == offsetof(Config, staff_uid_min))
                c->staff_uid_min = number;
        else
                *(unsigned *)((char *)c + key->offset) = (unsigned)number;
        return 0;
}

static int set_on_drift(const ConfigKey *key, const char *value, Config *c, char **ret_error) {
        if (strcmp(value, "record") != 0 && strcmp(value, "close") != 0)
                return refuse(ret_error, "%s=%s is neither record nor close", key->name, value);
        c->on_drift = strcmp(value, "close") == 0 ? ON_DRIFT_CLOSE : ON_DRIFT_RECORD;
        return 0;
}

static int set_on_second_login(const ConfigKey *key, const char *value, Config *c, char **ret_error) {
        static const char *const names[_ON_SECOND_LOGIN_MAX] = {
                [ON_SECOND_LOGIN_ALLOW] = "allow",
                [ON_SECOND_LOGIN_RECORD] = "record",
                [ON_SECOND_LOGIN_REFUSE] = "refuse",
        };

        for (OnSecondLogin i = 0; i < _ON_SECOND_LOGIN_MAX; i++)
                if (strcmp(names[i], value) == 0) {
                        c->on_second_login = i;
                        return 0;
                }
        return refuse(ret_error, "%s=%s is neither allow nor record nor refuse", key->name, value);
}

static int set_string(const ConfigKey *key, const char *value, Config *c) {
        char **at = (char **)((char *)c + key->offset), *copy;

        copy = strdup(value);
        if (!copy)
                return -ENOMEM;
        free(*at);
        *at = copy;
        return 0;
}

static int set_locale(const ConfigKey *key, const char *value, Config *c, char **ret_error) {
        static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.@-";
        size_t size = strlen(value);

        if (size > LOCALE_NAME_MAX || strspn(value, allowed) != size || strchr(".@-", value[0]))
                return refuse(ret_error, "%s=%s is not the name of a locale", key->name, value);
        return set_string(key, value, c);
}

static int set_group(const ConfigKey *key, const char *value, Config *c, char **ret_error) {
        if (!account_valid(value))
                return refuse(ret_error, "%s=%s is not the name of a group", key->name, value);
        return set_string(key, value, c);
}

static int set_mode(const ConfigKey *key, const char *value, Config *c, char **ret_error) {
        bool observe = strcmp(value, "observe") == 0;

        if (!observe && strcmp(value, "enforce") != 0)
                return refuse(ret_error, "%s=%s is neither enforce nor observe", key->name, value);
        *(uint64_t *)((char *)c + key->offset) = observe;
        return 0;
}

/* A day as the number 20261231. */
static int set_day(const ConfigKey *key, const char *value, Config *c, char **ret_error) {
        static const unsigned days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
        static const char form[] = "dddd-dd-dd";
        unsigned year, month, day;
        bool leap;

        if (strlen(value) != strlen(form))
                return refuse(ret_error, "%s=%s is not a day, as in 2026-12-31", key->name, value);
        for (size_t i = 0; i < strlen(form); i++)
                if (form[i] == 'd' ? value[i] < '0' || value[i] > '9' : value[i] != form[i])
                        return refuse(ret_error, "%s=%s is not a day, as in 2026-12-31", key->name, value);
        year = (unsigned)strtoul(value, NULL, 10);
        month = (unsigned)strtoul(value + 5, NULL, 10);
        day = (unsigned)strtoul(value + 8, NULL, 10);
        leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
        if (year < 1970 || month < 1 || month > 12 || day < 1 || day > days[month - 1] + (leap && month == 2))
                return refuse(ret_error, "%s=%s: there is no such day", key->name, value);
        *(uint64_t *)((char *)c + key->offset) = (year * 100 + month) * 100 + day;
        return 0;
}

static int parse_factor(const ConfigKey *key, const char *word, unsigned *mask, char **ret_error) {
        if (strcmp(word, "card") == 0 || strcmp(word, "biometric") == 0)
                return refuse(ret_error, "%s=: this version cannot verify the factor '%s'; it can verify: password",
                        key->name, word);
        if (strcmp(word, "key") == 0)
                return refuse(ret_error,
                        "%s=: the factor 'key' is verified by sshd and cannot be asked for; it can verify: password",
                        key->name);
        if (strcmp(word, "password") != 0)
                return refuse(ret_error, "%s=: there is no factor '%s'", key->name, word);
        if (*mask & FACTOR_PASSWORD)
                return refuse(ret_error, "%s=: the factor '%s' is given twice in one alternative", key->name, word);
        *mask |= FACTOR_PASSWORD;
        return 0;
}

static int parse_alternative(const ConfigKey *key, char *text, unsigned *ret, char **ret_error) {
        unsigned mask = 0;

        for (char *word; (word = strsep(&text, " "));) {
                int r;

                if (!*word)
                        continue;
                r = parse_factor(key, word, &mask, ret_error);
                if (r < 0)
                        return r;
        }
        if (mask == 0)
                return refuse(ret_error, "%s=: an alternative without a factor", key->name);
        *ret = mask;
        return 0;
}

static int set_factors(const ConfigKey *key, const char *value, Config *c, char **ret_error) {
        unsigned alternatives[FACTOR_ALTERNATIVES_MAX] = {};
        _cleanup_free_ char *copy = strdup(value);
        char *rest = copy;
        size_t n = 0;

        if (!copy)
                return -ENOMEM;
        for (char *text; (text = strsep(&rest, ","));) {
                int r;

                if (n == FACTOR_ALTERNATIVES_MAX)
                        return refuse(ret_error, "%s=: more than %u alternatives", key->name, FACTOR_ALTERNATIVES_MAX);
                r = parse_alternative(key, text, &alternatives[n], ret_error);
                if (r < 0)
                        return r;
                for (size_t i = 0; i < n; i++)
                        if (alternatives[i] == alternatives[n])
                                return refuse(ret_error, "%s=: an alternative is given twice", key->name);
                n++;
        }

        /* Default= serves the families that have no alternatives of their own, whatever the order of the lines; those
         * with nobody in front never have any. */
        for (Family f = 0; f < _FAMILY_MAX; f++) {
                if (f == FAMILY_UNATTENDED || f == FAMILY_GREETER)
                        continue;
                if (key->family >= 0 ? key->family != f : c->n_alternatives[f] > 0)
                        continue;
                memcpy(c->alternatives[f], alternatives, n * sizeof(alternatives[0]));
                c->n_alternatives[f] = n;
        }
        return 0;
}

int config_key_set(const ConfigKey *key, const char *value, Config *c, char **ret_error) {
        if (!*value)
                return refuse(ret_error, "%s= is empty; leave the line out for the default", key->name);
        switch (key->type) {
        case KEY_UINT:
                return set_number(key, value, c, ret_error);
        case KEY_DURATION:
                return set_duration(key, value, c, ret_error);
        case KEY_ON_DRIFT:
                return set_on_drift(key, value, c, ret_error);
        case KEY_ON_SECOND_LOGIN:
                return set_on_second_login(key, value, c, ret_error);
        case KEY_LOCALE:
                return set_locale(key, value, c, ret_error);
        case KEY_GROUP:
                return set_group(key, value, c, ret_error);
        case KEY_MODE:
                return set_mode(key, value, c, ret_error);
        case KEY_DAY:
                return set_day(key, value, c, ret_error);
        case KEY_FACTORS:
                return set_factors(key, value, c, ret_error);
        default:
                return -EINVAL;
        }
}
