/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "policy/verdict.h"
#include "util/cleanup.h"

static const char *const family_names[_FAMILY_MAX] = {
        [FAMILY_CONSOLE] = "console",
        [FAMILY_LOCKER] = "locker",
        [FAMILY_ADMIN] = "admin",
        [FAMILY_REMOTE] = "remote",
        [FAMILY_UNATTENDED] = "unattended",
        [FAMILY_GREETER] = "greeter",
        [FAMILY_SELF] = "self",
};

static const char *const reason_names[_REASON_MAX] = {
        [REASON_GRANTED] = "granted",
        [REASON_DEFAULT] = "default",
        [REASON_SERVICE_UNKNOWN] = "service-unknown",
        [REASON_TERMINAL_UNKNOWN] = "terminal-unknown",
        [REASON_UNREGISTERED] = "unregistered",
        [REASON_RETIRED] = "retired",
        [REASON_RESTRICTED] = "restricted",
        [REASON_REMOTE_CLOSED] = "remote-closed",
        [REASON_NOT_AUTHENTICATED] = "not-authenticated",
        [REASON_CLOCK] = "clock",
        [REASON_HOURS] = "hours",
        [REASON_EXPIRED] = "expired",
        [REASON_TARGET] = "target",
        [REASON_CLASS] = "class",
        [REASON_DRIFT] = "drift",
        [REASON_SECOND_LOGIN] = "second-login",
        [REASON_CREDENTIAL] = "credential",
        [REASON_FACTORS] = "factors",
        [REASON_CLONED] = "cloned",
        [REASON_TERMINAL_RETIRED] = "terminal-retired",
};

static const char *const subject_kind_names[_SUBJECT_MAX] = {
        [SUBJECT_USER] = "user",
        [SUBJECT_GROUP] = "group",
        [SUBJECT_NETGROUP] = "netgroup",
        [SUBJECT_UNIT] = "unit",
};

static const char *const terminal_kind_names[_TERMINAL_KIND_MAX] = {
        [TERMINAL_NAME] = "name",
        [TERMINAL_PATTERN] = "pattern",
        [TERMINAL_UNIT] = "unit",
};

static const char *name_of(const char *const *names, size_t n, int i) {
        return i >= 0 && (size_t)i < n ? names[i] : NULL;
}

static int index_of(const char *const *names, size_t n, const char *s) {
        for (size_t i = 0; s && i < n; i++)
                if (strcmp(names[i], s) == 0)
                        return (int)i;
        return -1;
}

const char *family_to_string(Family f) {
        return name_of(family_names, ELEMENTSOF(family_names), (int)f);
}

Family family_from_string(const char *s) {
        return (Family)index_of(family_names, ELEMENTSOF(family_names), s);
}

const char *reason_to_string(Reason r) {
        return name_of(reason_names, ELEMENTSOF(reason_names), (int)r);
}

const char *subject_kind_to_string(SubjectKind k) {
        return name_of(subject_kind_names, ELEMENTSOF(subject_kind_names), (int)k);
}

SubjectKind subject_kind_from_string(const char *s) {
        return (SubjectKind)index_of(subject_kind_names, ELEMENTSOF(subject_kind_names), s);
}

const char *terminal_kind_to_string(TerminalKind k) {
        return name_of(terminal_kind_names, ELEMENTSOF(terminal_kind_names), (int)k);
}

TerminalKind terminal_kind_from_string(const char *s) {
        return (TerminalKind)index_of(terminal_kind_names, ELEMENTSOF(terminal_kind_names), s);
}
