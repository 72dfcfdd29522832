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
#define RP_ID_MAX       253u
#define PATH_TEXT_MAX   150u

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
#define CLASS_FACTORS(section, name, class, family, text)                                                              \
        { section, name, KEY_FACTORS, class, class, text, 0, family }

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

        NUMBER("Password", "MaxDays", password_max_days, 0, 3650, "90"),
        NUMBER("Password", "WarnDays", password_warn_days, 0, 365, "14"),
        NUMBER("Password", "MinLength", password_min_length, 6, 128, "10"),
        NUMBER("Password", "MinClasses", password_min_classes, 1, 4, "3"),
        NUMBER("Password", "History", password_history, 0, 24, "5"),

        GROUP("SystemManager", ROLE_SYSTEM_MANAGER, "keishi-system-manager"),
        GROUP("UnitHead", ROLE_UNIT_HEAD, "keishi-unit-head"),
        GROUP("DutyOfficer", ROLE_DUTY_OFFICER, "keishi-duty-officer"),
        GROUP("SystemOwner", ROLE_SYSTEM_OWNER, "keishi-system-owner"),
        GROUP("TrailViewer", ROLE_TRAIL_VIEWER, "keishi-trail-viewer"),
        GROUP("Registrar", ROLE_REGISTRAR, "keishi-registrar"),

        FACTORS("Default", _FAMILY_INVALID, "password"),
        FACTORS("Console", FAMILY_CONSOLE, ""),
        FACTORS("Locker", FAMILY_LOCKER, ""),
        FACTORS("Admin", FAMILY_ADMIN, ""),
        FACTORS("Remote", FAMILY_REMOTE, ""),
        FACTORS("Self", FAMILY_SELF, ""),

        CLASS_FACTORS("FactorsClass2", "Default", 2, _FAMILY_INVALID, ""),
        CLASS_FACTORS("FactorsClass2", "Console", 2, FAMILY_CONSOLE, ""),
        CLASS_FACTORS("FactorsClass2", "Locker", 2, FAMILY_LOCKER, ""),
        CLASS_FACTORS("FactorsClass2", "Admin", 2, FAMILY_ADMIN, ""),
        CLASS_FACTORS("FactorsClass2", "Remote", 2, FAMILY_REMOTE, ""),
        CLASS_FACTORS("FactorsClass2", "Self", 2, FAMILY_SELF, ""),

        CLASS_FACTORS("FactorsClass3", "Default", 3, _FAMILY_INVALID, ""),
        CLASS_FACTORS("FactorsClass3", "Console", 3, FAMILY_CONSOLE, ""),
        CLASS_FACTORS("FactorsClass3", "Locker", 3, FAMILY_LOCKER, ""),
        CLASS_FACTORS("FactorsClass3", "Admin", 3, FAMILY_ADMIN, ""),
        CLASS_FACTORS("FactorsClass3", "Remote", 3, FAMILY_REMOTE, ""),
        CLASS_FACTORS("FactorsClass3", "Self", 3, FAMILY_SELF, ""),

        { "Card", "Presence", KEY_PRESENCE, 0, 0, "during-session", offsetof(Config, card_presence), _FAMILY_INVALID },
        DURATION("Card", "LeftSec", card_left_usec, SEC, HOUR, "30"),
        DURATION("Card", "TimeoutSec", card_usec, SEC, HOUR, "60"),
        { "Card", "Authority", KEY_PATH, 0, 0, "none", offsetof(Config, card_ca), _FAMILY_INVALID },
        { "Card", "RevocationList", KEY_PATH, 0, 0, "none", offsetof(Config, card_crl), _FAMILY_INVALID },

        { "Biometric", "RpId", KEY_RP_ID, 0, 0, "none", offsetof(Config, rp_id), _FAMILY_INVALID },
        { "Biometric", "AttestationRoots", KEY_PATH, 0, 0, "none", offsetof(Config, attestation_roots),
                _FAMILY_INVALID },
        DURATION("Biometric", "TouchTimeoutSec", key_usec, SEC, 5 * MINUTE, "30"),
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

static const char *const on_second_login_names[_ON_SECOND_LOGIN_MAX] = {
        [ON_SECOND_LOGIN_ALLOW] = "allow",
        [ON_SECOND_LOGIN_RECORD] = "record",
        [ON_SECOND_LOGIN_REFUSE] = "refuse",
};

const char *on_second_login_to_string(OnSecondLogin o) {
        return o < _ON_SECOND_LOGIN_MAX ? on_second_login_names[o] : NULL;
}

static int set_on_second_login(const ConfigKey *key, const char *value, Config *c, char **ret_error) {
        for (OnSecondLogin i = 0; i < _ON_SECOND_LOGIN_MAX; i++)
                if (strcmp(on_second_login_names[i], value) == 0) {
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

/* A DNS name as WebAuthn wants it: labels of lower-case letters, digits and inner hyphens, at least two of them. */
static bool rp_id_valid(const char *name) {
        size_t size = strlen(name), labels = 0;

        if (size == 0 || size > RP_ID_MAX)
                return false;
        for (const char *label = name;; labels++) {
                size_t n = strcspn(label, ".");

                if (n == 0 || n > 63 || strspn(label, "abcdefghijklmnopqrstuvwxyz0123456789-") < n || label[0] == '-' ||
                        label[n - 1] == '-')
                        return false;
                if (label[n] == '\0')
                        return labels > 0;
                label += n + 1;
        }
}

/* A string that may be missing: none. */
static int set_optional(const ConfigKey *key, const char *value, Config *c, char **ret_error) {
        char **at = (char **)((char *)c + key->offset);

        if (strcmp(value, "none") == 0) {
                free(*at);
                *at = NULL;
                return 0;
        }
        if (key->type == KEY_RP_ID && !rp_id_valid(value))
                return refuse(ret_error, "%s=%s is not a DNS name in lower case, as in keishi.example.lg.jp", key->name,
                        value);
        if (key->type == KEY_PATH && (value[0] != '/' || strstr(value, "/../") || strlen(value) > PATH_TEXT_MAX))
                return refuse(ret_error, "%s=%s is not an absolute path", key->name, value);
        return set_string(key, value, c);
}

static int set_presence(const ConfigKey *key, const char *value, Config *c, char **ret_error) {
        bool during = strcmp(value, "during-session") == 0;

        if (strstr(value, "during-session") && strstr(value, "remove-after-login"))
                return refuse(
                        ret_error, "%s=: a card either stays in the reader or is taken out; choose one", key->name);
        if (!during && strcmp(value, "remove-after-login") != 0)
                return refuse(ret_error, "%s=%s is neither during-session nor remove-after-login", key->name, value);
        c->card_presence = during ? CARD_DURING_SESSION : CARD_REMOVE_AFTER_LOGIN;
        return 0;
}

static int parse_factor(const ConfigKey *key, const char *word, unsigned *ret, char **ret_error) {
        static const struct {
                const char *name;
                unsigned factor;
        } factors[] = { { "password", FACTOR_PASSWORD }, { "card", FACTOR_CARD }, { "biometric", FACTOR_BIOMETRIC } };

        if (strcmp(word, "key") == 0)
                return refuse(ret_error,
                        "%s=: the factor 'key' is verified by sshd and cannot be asked for; there are: password, card, "
                        "biometric",
                        key->name);
        for (size_t i = 0; i < ELEMENTSOF(factors); i++)
                if (strcmp(word, factors[i].name) == 0) {
                        *ret = factors[i].factor;
                        if (key->family == FAMILY_REMOTE && *ret != FACTOR_PASSWORD)
                                return refuse(ret_error,
                                        "%s=: the factor '%s' serves people at the terminal itself, never somebody on "
                                        "another machine",
                                        key->name, word);
                        return 0;
                }
        return refuse(ret_error, "%s=: there is no factor '%s'; there are: password, card, biometric", key->name, word);
}

static int parse_alternative(const ConfigKey *key, char *text, FactorSet *set, char **ret_error) {
        unsigned mask = 0, *order = set->order[set->n];
        size_t n = 0;

        for (char *word; (word = strsep(&text, " "));) {
                unsigned factor = 0;
                int r;

                if (!*word)
                        continue;
                r = parse_factor(key, word, &factor, ret_error);
                if (r < 0)
                        return r;
                if (mask & factor)
                        return refuse(
                                ret_error, "%s=: the factor '%s' is given twice in one alternative", key->name, word);
                mask |= factor;
                order[n++] = factor; /* each at most once, so it fits */
        }
        if (mask == 0)
                return refuse(ret_error, "%s=: an alternative without a factor", key->name);
        for (size_t i = 0; i < set->n; i++)
                if (set->alternatives[i] == mask)
                        return refuse(ret_error, "%s=: an alternative is given twice", key->name);
        set->alternatives[set->n++] = mask;
        return 0;
}

/* A list for every family serves remote logins as well, which know passwords only. */
static void remote_only(FactorSet *set) {
        FactorSet left = {};

        for (size_t i = 0; i < set->n; i++)
                if (set->alternatives[i] == FACTOR_PASSWORD) {
                        left.alternatives[0] = left.order[0][0] = FACTOR_PASSWORD;
                        left.n = 1;
                }
        *set = left;
}

static int set_factors(const ConfigKey *key, const char *value, Config *c, char **ret_error) {
        _cleanup_free_ char *copy = strdup(value);
        FactorSet set = {}, *sets = c->factors[key->min];
        char *rest = copy;

        if (!copy)
                return -ENOMEM;
        for (char *text; (text = strsep(&rest, ","));) {
                int r;

                if (set.n == FACTOR_ALTERNATIVES_MAX)
                        return refuse(ret_error, "%s=: more than %u alternatives", key->name, FACTOR_ALTERNATIVES_MAX);
                r = parse_alternative(key, text, &set, ret_error);
                if (r < 0)
                        return r;
        }

        /* Default= serves the families that have no alternatives of their own, whatever the order of the lines; those
         * with nobody in front never have any. */
        for (Family f = 0; f < _FAMILY_MAX; f++) {
                if (f == FAMILY_UNATTENDED || f == FAMILY_GREETER)
                        continue;
                if (key->family >= 0 ? key->family != f : sets[f].n > 0)
                        continue;
                sets[f] = set;
                if (f == FAMILY_REMOTE)
                        remote_only(&sets[f]);
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
        case KEY_RP_ID:
        case KEY_PATH:
                return set_optional(key, value, c, ret_error);
        case KEY_PRESENCE:
                return set_presence(key, value, c, ret_error);
        default:
                return -EINVAL;
        }
}
