/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "policy/hours.h"
#include "registry/noun.h"
#include "registry/when.h"

/* A designation lies inside its scope (R3). What it leaves open is the scope's, so only what it says itself can be
 * outside. */

#define SERVICES_DEFAULT "@console @locker @self"

static bool list_has(const char *list, const char *word, size_t size) {
        for (size_t n; list += strspn(list, " "), (n = strcspn(list, " ")) > 0; list += n)
                if (n == size && memcmp(list, word, n) == 0)
                        return true;
        return false;
}

static bool list_has_family(const char *list, Family f) {
        const char *name = family_to_string(f);
        char word[32];
        int n;

        if (!name)
                return false;
        n = snprintf(word, sizeof(word), "@%s", name);
        return list_has(list, word, (size_t)n) || (f != FAMILY_REMOTE && list_has(list, "*", 1));
}

/* Whether the scope's list covers one word of the designation's. */
static bool word_covered(Registry *r, const char *list, const char *word, size_t size) {
        char text[64];
        Family f;

        if (list_has(list, word, size))
                return true;
        if (size >= sizeof(text))
                return false;
        memcpy(text, word, size);
        text[size] = '\0';
        if (text[0] == '@')
                return list_has_family(list, family_from_string(text + 1));
        f = r->service_family ? r->service_family(text) : _FAMILY_INVALID;
        return list_has_family(list, f);
}

/* Whether anything of the services meant when none are listed is in the scope's list. */
static bool default_overlaps(Registry *r, const char *list) {
        static const Family defaults[] = { FAMILY_CONSOLE, FAMILY_LOCKER, FAMILY_SELF };

        for (size_t i = 0; i < ELEMENTSOF(defaults); i++)
                if (list_has_family(list, defaults[i]))
                        return true;
        for (size_t n; list += strspn(list, " "), (n = strcspn(list, " ")) > 0; list += n)
                if (*list != '@' && word_covered(r, SERVICES_DEFAULT, list, n))
                        return true;
        return false;
}

static int services_inside(Registry *r, const Row *designation, const Row *scope, RegistryError *e) {
        const char *own = designation->values[DESIGNATION_SERVICES].text, *list = scope->values[SCOPE_SERVICES].text;

        if (!own) {
                if (!list || default_overlaps(r, list))
                        return 0;
                return registry_error(e, REGISTRY_E_INVALID, "services",
                        "services are needed: the scope has \"%s\", and none listed means \"" SERVICES_DEFAULT "\"",
                        shown(list).text);
        }
        if (!list)
                list = SERVICES_DEFAULT;
        for (size_t n; own += strspn(own, " "), (n = strcspn(own, " ")) > 0; own += n)
                if (!word_covered(r, list, own, n)) {
                        char word[64] = "";

                        memcpy(word, own, n < sizeof(word) ? n : sizeof(word) - 1);
                        return registry_error(e, REGISTRY_E_OUTSIDE, "services",
                                "service \"%s\" is not one of the scope's: %s", shown(word).text, shown(list).text);
                }
        return 0;
}

static int terminals_inside(
        Registry *r, const Row *designation, const Row *scope, const DesignationNamed *named, RegistryError *e) {
        const char *own = designation->values[DESIGNATION_TERMINALS].text, *outer = scope->values[SCOPE_TERMINALS].text;
        _cleanup_(terminal_done) Terminal terminal = {};
        const char *value, *outer_value, *unit = named ? named->terminal_unit : NULL;
        TerminalKind kind, outer_kind;
        int q;

        if (!own || strcmp(own, outer) == 0)
                return 0;
        if (!selector_parse(own, &kind, &value) || !selector_parse(outer, &outer_kind, &outer_value))
                return registry_error(e, REGISTRY_E_INVALID, "terminals", "terminals cannot be read");
        if (kind != TERMINAL_NAME)
                return registry_error(e, REGISTRY_E_OUTSIDE, "terminals",
                        "terminals must be one terminal by name, or the scope's \"%s\" itself", shown(outer).text);

        if (outer_kind == TERMINAL_UNIT && !named) {
                q = registry_terminal(r, value, &terminal);
                if (q != 0 && q != REGISTRY_E_NOT_FOUND)
                        return q;
                unit = terminal.unit;
        }
        if (!terminal_match(outer_kind, outer_value, value, unit))
                return registry_error(e, REGISTRY_E_OUTSIDE, "terminals",
                        "terminal \"%s\" is not one of the scope's \"%s\"", shown(value).text, shown(outer).text);
        return 0;
}

static int period_inside(const Row *designation, const Row *scope, RegistryError *e) {
        int64_t from = designation->values[DESIGNATION_FROM].number,
                until = designation->values[DESIGNATION_UNTIL].number;
        int64_t scope_from = scope->values[SCOPE_FROM].number, scope_until = scope->values[SCOPE_UNTIL].number;
        char when[WHEN_SIZE];

        if (until > 0 && scope_until > 0 && until > scope_until) {
                when_format((uint64_t)scope_until, when);
                return registry_error(
                        e, REGISTRY_E_OUTSIDE, "until", "until must not be later than the scope's %s", when);
        }
        if (from > 0 && from < scope_from) {
                when_format((uint64_t)scope_from, when);
                return registry_error(
                        e, REGISTRY_E_OUTSIDE, "from", "from must not be earlier than the scope's %s", when);
        }
        if (until > 0 && from >= until)
                return registry_error(e, REGISTRY_E_INVALID, "until", "until must be later than from");
        return 0;
}

/* A unit head designates users of the own unit, or the unit; who is in a group is for NSS to say. */
static int subject_inside(
        Registry *r, const Row *designation, const Row *scope, const DesignationNamed *named, RegistryError *e) {
        const char *unit = scope->values[SCOPE_UNIT].text, *value;
        _cleanup_(user_done) User user = {};
        DesignationNamed found = {};
        SubjectKind kind;
        int q = 0;

        if (!subject_parse(designation->values[DESIGNATION_SUBJECT].text, &kind, &value))
                return registry_error(e, REGISTRY_E_INVALID, "subject", "subject cannot be read");
        if (kind == SUBJECT_UNIT && strcmp(value, unit) != 0)
                return registry_error(
                        e, REGISTRY_E_OUTSIDE, "subject", "the scope is for unit \"%s\" only", shown(unit).text);
        if (kind != SUBJECT_USER)
                return 0;

        if (!named) {
                q = registry_user(r, value, &user);
                found = (DesignationNamed){ .user_unit = user.unit, .user_retired = user.retired };
                named = &found;
        }
        if (q != 0 && q != REGISTRY_E_NOT_FOUND)
                return q;
        if (!named->user_unit)
                return registry_error(e, REGISTRY_E_INVALID, "subject",
                        "user \"%s\" is not registered; register the user first", shown(value).text);
        if (named->user_retired)
                return registry_error(e, REGISTRY_E_INVALID, "subject", "user \"%s\" is retired", shown(value).text);
        if (strcmp(named->user_unit, unit) != 0)
                return registry_error(e, REGISTRY_E_OUTSIDE, "subject",
                        "user \"%s\" is of unit \"%s\", and the scope is for unit \"%s\"", shown(value).text,
                        shown(named->user_unit).text, shown(unit).text);
        return 0;
}

int designation_inside(
        Registry *r, const Row *designation, const Row *scope, const DesignationNamed *named, RegistryError *e) {
        const char *hours = designation->values[DESIGNATION_HOURS].text, *outer = scope->values[SCOPE_HOURS].text;
        int q;

        q = subject_inside(r, designation, scope, named, e);
        if (q == 0)
                q = terminals_inside(r, designation, scope, named, e);
        if (q == 0)
                q = services_inside(r, designation, scope, e);
        if (q == 0)
                q = period_inside(designation, scope, e);
        if (q != 0)
                return q;
        if (hours && !hours_within(hours, outer))
                return registry_error(e, REGISTRY_E_OUTSIDE, "hours", "hours must lie within the scope's \"%s\"",
                        shown(outer ? outer : "").text);
        if (designation->values[DESIGNATION_REMOTE].number != 0 && scope->values[SCOPE_REMOTE].number == 0)
                return registry_error(
                        e, REGISTRY_E_OUTSIDE, "remote", "remote is closed in the scope, so it must be false");
        return 0;
}
