/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "registry/noun.h"

#include <string.h>

#include "policy/date.h"
#include "policy/hours.h"
#include "registry/credential.h"
#include "util/clock.h"
#include "util/text.h"

#define UNIT_SIZE      128
#define PERSON_SIZE    64
#define TERMINAL_SIZE  64
#define RULE_SIZE      512
#define BIRTH_YEAR_MIN 1900
#define YEAR_USEC      ((int64_t)(365 * 86400 * USEC_PER_SEC))

/* What is shown to people and written to trails: plain, and no space at either end. */
static const char *check_plain(Registry *r, const char *text) {
        size_t size = strlen(text);
        uint32_t c;

        if (text[0] == ' ' || text[size - 1] == ' ')
                return "must not begin or end with a space";
        for (size_t n; size > 0; text += n, size -= n) {
                n = utf8_decode(text, size, &c);
                if (n == 0 || !code_point_is_plain(c))
                        return "must be plain text, without control characters";
        }
        return NULL;
}

static const char *check_word(Registry *r, const char *text) {
        for (const char *s = text; *s != '\0';) {
                uint32_t c;
                size_t n = utf8_decode(s, strlen(s), &c);

                if (n == 0 || !code_point_is_plain(c) || c == ' ' || c == 0xa0 || c == 0x3000)
                        return "must be one word of plain text, without spaces";
                s += n;
        }
        return NULL;
}

static const char *check_account(Registry *r, const char *text) {
        return account_valid(text) ? NULL : "must be an account name, without / : , or spaces";
}

static const char *check_terminal(Registry *r, const char *text) {
        if (strpbrk(text, "*?[]"))
                return "must be a terminal's name, without * ? [ or ]";
        return check_word(r, text);
}

static const char *check_selector(Registry *r, const char *text) {
        TerminalKind kind;
        const char *value;

        if (!selector_parse(text, &kind, &value))
                return "must be name:TERMINAL, pattern:PATTERN (with * and ?) or unit:UNIT";
        switch (kind) {
        case TERMINAL_NAME:
                return check_terminal(r, value);
        case TERMINAL_PATTERN:
                return strpbrk(value, "[]") ? "must be a pattern with * and ? only" : check_word(r, value);
        default:
                return check_plain(r, value);
        }
}

static const char *check_subject(Registry *r, const char *text) {
        SubjectKind kind;
        const char *value;

        if (!subject_parse(text, &kind, &value))
                return "must be user:ACCOUNT, group:GROUP, netgroup:NETGROUP or unit:UNIT";
        return kind == SUBJECT_UNIT ? check_plain(r, value) : check_account(r, value);
}

static const char *check_unit_role(Registry *r, const char *text) {
        return unit_role_valid(text) ? NULL : "must be a role of a unit: unit-head or duty-officer";
}

static const char *check_kind(Registry *r, const char *text) {
        return credential_kind_from_string(text) == _CREDENTIAL_KIND_INVALID ? "must be card or key" : NULL;
}

static const char *check_state(Registry *r, const char *text) {
        return credential_state_from_string(text) == _CREDENTIAL_STATE_INVALID
                       ? "must be active, suspended, returned or removed"
                       : NULL;
}

static const char *check_application(Registry *r, const char *text) {
        return strcmp(text, "piv") == 0 || strcmp(text, "jpki") == 0 ? NULL : "must be piv or jpki";
}

static const char *check_base64(const char *text, size_t max) {
        size_t size;
        unsigned char *bytes = base64_read(text, max, &size);

        if (!bytes)
                return "must be base64 of at most 1024 bytes";
        free(bytes);
        return NULL;
}

static const char *check_key(Registry *r, const char *text) {
        return check_base64(text, CREDENTIAL_KEY_MAX);
}

static const char *check_credential_id(Registry *r, const char *text) {
        return check_base64(text, CREDENTIAL_ID_MAX);
}

static const char *check_services(Registry *r, const char *text) {
        const char *error = check_plain(r, text);

        if (error)
                return error;
        for (size_t n; text += strspn(text, " "), (n = strcspn(text, " ")) > 0; text += n) {
                char word[64];
                Family f;

                if (n >= sizeof(word))
                        return "must be PAM service names, @families or *";
                memcpy(word, text, n);
                word[n] = '\0';
                if (strcmp(word, "*") == 0)
                        continue;
                if (word[0] == '@') {
                        f = family_from_string(word + 1);
                        if (f == _FAMILY_INVALID || f == FAMILY_UNATTENDED || f == FAMILY_GREETER)
                                return "may have the families @console @locker @admin @remote @self";
                } else if (strpbrk(word, "*?[]/"))
                        return "must be PAM service names, @families or *";
                else if (r->service_family && r->service_family(word) == _FAMILY_INVALID)
                        return "has a PAM service that the service table does not know";
        }
        return NULL;
}

static const char *check_hours(Registry *r, const char *text) {
        const char *error;

        return hours_valid(text, &error) ? NULL : error;
}

static const char *check_birth(Registry *r, const char *text) {
        Date d;

        return date_parse(text, &d) && d.year >= BIRTH_YEAR_MIN ? NULL : "must be a day from 1900 on, as in 1975-04-01";
}

#define TEXT(n, s, fn, ...)                                                                                            \
        { .name = n, .column = n, .type = TYPE_TEXT, .size = s, .check = fn, __VA_ARGS__ }
#define BOOL(n)                                                                                                        \
        { .name = n, .column = n, .type = TYPE_BOOL, .max = 1 }
#define INT(n, lowest, highest, value)                                                                                 \
        { .name = n, .column = n, .type = TYPE_INT, .min = lowest, .max = highest, .initial = value }
#define FROM()                                                                                                         \
        { .name = "from", .column = "valid_from", .type = TYPE_FROM }
#define UNTIL(...)                                                                                                     \
        { .name = "until", .column = "valid_until", .type = TYPE_UNTIL, __VA_ARGS__ }
#define REVIEW(...)                                                                                                    \
        { .name = "review", .column = "review", .type = TYPE_FROM, .initial_usec = YEAR_USEC, __VA_ARGS__ }

static const Field user_fields[] = {
        [USER_ACCOUNT] = TEXT("account", 255, check_account, .required = true, .fixed = true),
        [USER_PERSON] = TEXT("person", PERSON_SIZE, check_word, .required = true),
        [USER_NAME] = TEXT("name", 255, check_plain, .required = true),
        [USER_UNIT] = TEXT("unit", UNIT_SIZE, check_plain, .required = true),
        [USER_SHARED] = BOOL("shared"),
        [USER_RETIRED] = BOOL("retired"),
        [USER_BIRTH] = TEXT("birth", 10, check_birth, .private = true, .date = true),
};

static const Field member_fields[] = {
        [MEMBER_ACCOUNT] = TEXT("account", 255, check_account, .required = true, .fixed = true),
        [MEMBER_PERSON] = TEXT("person", PERSON_SIZE, check_word, .required = true, .fixed = true),
};

static const Field terminal_fields[] = {
        [TERMINAL_F_NAME] = TEXT("name", TERMINAL_SIZE, check_terminal, .required = true, .fixed = true),
        [TERMINAL_F_UNIT] = TEXT("unit", UNIT_SIZE, check_plain, .required = true),
        [TERMINAL_F_CONFIDENTIALITY] = INT("confidentiality", 1, 3, 2),
        [TERMINAL_F_INTEGRITY] = INT("integrity", 1, 2, 1),
        [TERMINAL_F_AVAILABILITY] = INT("availability", 1, 2, 1),
        [TERMINAL_F_EXTERNAL] = BOOL("external"),
        [TERMINAL_F_PURPOSE] = TEXT("purpose", 255, check_plain),
        [TERMINAL_F_RETIRED] = { .name = "retired", .column = "retired", .type = TYPE_BOOL, .max = 1, .kept = true },
        [TERMINAL_F_EPOCH] = { .name = "epoch", .column = "epoch", .type = TYPE_INT, .max = INT32_MAX, .kept = true },
        [TERMINAL_F_KEY] = { .name = "key",
                .column = "agent_key",
                .type = TYPE_TEXT,
                .kept = true,
                .size = 64,
                .check = check_word },
};

static const Field scope_fields[] = {
        [SCOPE_NAME] = TEXT("name", 127, check_plain, .required = true),
        [SCOPE_BUSINESS] = TEXT("business", 127, check_plain, .required = true),
        [SCOPE_UNIT] = TEXT("unit", UNIT_SIZE, check_plain, .required = true),
        [SCOPE_TERMINALS] = TEXT("terminals", UNIT_SIZE + 8, check_selector, .required = true),
        [SCOPE_SERVICES] = TEXT("services", RULE_SIZE, check_services),
        [SCOPE_HOURS] = TEXT("hours", RULE_SIZE, check_hours),
        [SCOPE_FROM] = FROM(),
        [SCOPE_UNTIL] = UNTIL(),
        [SCOPE_REMOTE] = BOOL("remote"),
        INT("confidentiality", 0, 3, 0),
        BOOL("external"),
        REVIEW(),
};

static const Field designation_fields[] = {
        [DESIGNATION_SCOPE] = { .name = "scope",
                .column = "scope",
                .type = TYPE_SCOPE,
                .required = true,
                .fixed = true },
        [DESIGNATION_SUBJECT] = TEXT("subject", 255 + 9, check_subject, .required = true, .fixed = true),
        [DESIGNATION_TERMINALS] = TEXT("terminals", UNIT_SIZE + 8, check_selector),
        [DESIGNATION_SERVICES] = TEXT("services", RULE_SIZE, check_services),
        [DESIGNATION_HOURS] = TEXT("hours", RULE_SIZE, check_hours),
        [DESIGNATION_FROM] = FROM(),
        [DESIGNATION_UNTIL] = UNTIL(),
        [DESIGNATION_REMOTE] = BOOL("remote"),
        [DESIGNATION_REVIEW] = REVIEW(.required = true),
        [DESIGNATION_REVIEWED] = { .name = "reviewed", .column = "reviewed", .type = TYPE_FROM, .kept = true },
        [DESIGNATION_REVIEWED_BY] = TEXT("reviewed_by", PERSON_SIZE, check_word, .kept = true),
};

static const Field restriction_fields[] = {
        [RESTRICTION_ACCOUNT] = TEXT("account", 255, check_account, .fixed = true),
        [RESTRICTION_PERSON] = TEXT("person", PERSON_SIZE, check_word, .fixed = true),
        [RESTRICTION_REASON] = TEXT("reason", 255, check_plain, .required = true),
        [RESTRICTION_UNTIL] = UNTIL(),
};

static const Field deputy_fields[] = {
        [DEPUTY_UNIT] = TEXT("unit", UNIT_SIZE, check_plain, .required = true, .fixed = true),
        [DEPUTY_ROLE] = TEXT("role", 32, check_unit_role, .required = true, .fixed = true),
        [DEPUTY_PERSON] = TEXT("person", PERSON_SIZE, check_word, .required = true, .fixed = true),
        [DEPUTY_FROM] = FROM(),
        [DEPUTY_UNTIL] = UNTIL(.required = true),
};

/* Nothing of it is changed by hand: the verbs of cards and keys go through their state machine. */
static const Field credential_fields[] = {
        [CREDENTIAL_F_KIND] = TEXT("kind", 8, check_kind, .required = true, .fixed = true),
        [CREDENTIAL_F_PERSON] = TEXT("person", PERSON_SIZE, check_word, .required = true, .fixed = true),
        [CREDENTIAL_F_LABEL] = TEXT("label", 127, check_plain),
        [CREDENTIAL_F_APPLICATION] = TEXT("application", 8, check_application, .fixed = true),
        [CREDENTIAL_F_KEY] = TEXT("key", 1400, check_key, .required = true, .fixed = true),
        [CREDENTIAL_F_ID] = TEXT("credential", 1400, check_credential_id, .fixed = true),
        [CREDENTIAL_F_RP] = TEXT("rp", 253, check_word, .fixed = true),
        [CREDENTIAL_F_AAGUID] = TEXT("aaguid", 36, check_word, .fixed = true),
        [CREDENTIAL_F_ATTESTED] = BOOL("attested"),
        [CREDENTIAL_F_REPLACES] = TEXT("replaces", 36, check_word, .fixed = true),
        [CREDENTIAL_F_FROM] = FROM(),
        [CREDENTIAL_F_UNTIL] = UNTIL(),
        [CREDENTIAL_F_STATE] = TEXT("state", 16, check_state, .required = true),
        [CREDENTIAL_F_STATE_BY] = TEXT("state_by", PERSON_SIZE, check_word, .required = true),
        [CREDENTIAL_F_REASON] = TEXT("reason", 255, check_plain),
};

#define FIELDS(f) .fields = f, .n_fields = ELEMENTSOF(f)

const Noun registry_nouns[_NOUN_MAX] = {
        [NOUN_USER] = {
                .name = "user", .table = "users", .key = "n.account", .order = "n.account",
                FIELDS(user_fields), .check = user_check, .use = user_use,
        },
        [NOUN_MEMBER] = {
                .name = "member", .table = "members", .key = "n.account || '/' || n.person",
                .order = "n.account, n.person", FIELDS(member_fields), .check = member_check,
        },
        [NOUN_TERMINAL] = {
                .name = "terminal", .table = "terminals", .key = "n.name", .order = "n.name",
                FIELDS(terminal_fields), .use = terminal_use,
        },
        [NOUN_SCOPE] = {
                .name = "scope", .table = "scopes", .key = "n.name", .order = "n.name",
                FIELDS(scope_fields), .check = scope_check, .use = scope_use,
        },
        [NOUN_DESIGNATION] = {
                .name = "designation", .table = "designations",
                .order = "(SELECT s.name FROM scopes s WHERE s.id = n.scope), n.subject, n.id",
                FIELDS(designation_fields), .check = designation_check,
        },
        [NOUN_RESTRICTION] = {
                .name = "restriction", .table = "restrictions", .order = "coalesce(n.account, n.person), n.id",
                FIELDS(restriction_fields), .check = restriction_check,
        },
        [NOUN_DEPUTY] = {
                .name = "deputy", .table = "deputies", .order = "n.unit, n.role, n.valid_until, n.id",
                FIELDS(deputy_fields), .check = deputy_check,
        },
        [NOUN_CREDENTIAL] = {
                .name = "credential", .table = "credentials", .order = "n.person, n.kind, n.id",
                FIELDS(credential_fields), .check = credential_check,
        },
};

const char *noun_to_string(NounId n) {
        return n >= 0 && n < _NOUN_MAX ? registry_nouns[n].name : NULL;
}

NounId noun_from_string(const char *s) {
        for (NounId n = 0; s && n < _NOUN_MAX; n++)
                if (strcmp(registry_nouns[n].name, s) == 0)
                        return n;
        return _NOUN_INVALID;
}

Shown shown(const char *text) {
        _cleanup_free_ char *safe = text_escape(text, strlen(text), sizeof((Shown){}.text) - 1);
        Shown s = { .text = "?" };

        if (safe)
                memcpy(s.text, safe, strlen(safe) + 1);
        return s;
}
