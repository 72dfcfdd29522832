/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "registry/internal.h"

/* Designations that may grant, for the evaluator. */

/* Room for "netgroup:" and the longest subject. */
#define SUBJECT_TEXT_MAX 512

#define CANDIDATE_COLUMNS                                                                                              \
        "d.uuid, d.terminals, d.services, d.hours, d.valid_from, d.valid_until, d.remote,"                             \
        " s.uuid, s.terminals, s.services, s.hours, s.valid_from, s.valid_until, s.remote,"                            \
        " s.business, s.confidentiality, s.external, s.unit"

bool selector_parse(const char *text, TerminalKind *ret_kind, const char **ret_value) {
        for (TerminalKind k = 0; k < _TERMINAL_KIND_MAX; k++) {
                const char *name = terminal_kind_to_string(k);
                size_t n = strlen(name);

                if (strncmp(text, name, n) == 0 && text[n] == ':' && text[n + 1] != '\0') {
                        *ret_kind = k;
                        *ret_value = text + n + 1;
                        return true;
                }
        }
        return false;
}

bool subject_parse(const char *text, SubjectKind *ret_kind, const char **ret_value) {
        for (SubjectKind k = 0; k < _SUBJECT_MAX; k++) {
                const char *name = subject_kind_to_string(k);
                size_t n = strlen(name);

                if (strncmp(text, name, n) == 0 && text[n] == ':' && text[n + 1] != '\0') {
                        *ret_kind = k;
                        *ret_value = text + n + 1;
                        return true;
                }
        }
        return false;
}

typedef struct Search {
        const HereSubjects *here; /* or NULL */
        sqlite3_stmt *statement;
        const Subject *subject;
        const char *terminal;
        const char *terminal_unit;
        candidate_fn fn;
        void *userdata;
        bool stop;
} Search;

/* Six columns from `column` on. REGISTRY_E_INVALID when the selector cannot be read, which matches nothing. */
static int read_bounds(sqlite3_stmt *s, int column, Bounds *ret) {
        const char *selector;
        Bounds b = {
                .from_usec = (uint64_t)sqlite3_column_int64(s, column + 3),
                .until_usec = (uint64_t)sqlite3_column_int64(s, column + 4),
        };
        int q;

        q = column_text(s, column, &selector);
        if (q == 0)
                q = column_text(s, column + 1, &b.services);
        if (q == 0)
                q = column_text(s, column + 2, &b.hours);
        if (q != 0)
                return q;
        if (selector && !selector_parse(selector, &b.terminal_kind, &b.terminal))
                return REGISTRY_E_INVALID;
        *ret = b;
        return 0;
}

static bool means(const Bounds *b, const Search *search) {
        return b->terminal && terminal_match(b->terminal_kind, b->terminal, search->terminal, search->terminal_unit);
}

static int offer_row(Search *search, SubjectKind kind) {
        sqlite3_stmt *s = search->statement;
        const char *unit;
        Candidate c = {
                .remote = sqlite3_column_int(s, 6) != 0 && sqlite3_column_int(s, 13) != 0,
                .confidentiality_max = (unsigned)sqlite3_column_int(s, 15),
                .external_ok = sqlite3_column_int(s, 16) != 0,
        };
        int q;

        q = column_text(s, 17, &unit);
        if (q != 0)
                return q;
        if (kind == SUBJECT_USER && (!unit || !search->subject->unit || strcmp(unit, search->subject->unit) != 0))
                return 0;

        q = column_text(s, 0, &c.designation);
        if (q == 0)
                q = column_text(s, 7, &c.scope);
        if (q == 0)
                q = column_text(s, 14, &c.business);
        if (q == 0)
                q = read_bounds(s, 1, &c.bounds);
        if (q == 0)
                q = read_bounds(s, 8, &c.scope_bounds);
        if (q != 0)
                return q == REGISTRY_E_INVALID ? 0 : q;

        if (!c.bounds.terminal) {
                c.bounds.terminal_kind = c.scope_bounds.terminal_kind;
                c.bounds.terminal = c.scope_bounds.terminal;
        }
        if (means(&c.bounds, search) && means(&c.scope_bounds, search))
                search->stop = search->fn(&c, search->userdata);
        return 0;
}

static int search_subject(Search *search, SubjectKind kind, const char *name) {
        const char *kind_name = subject_kind_to_string(kind);
        size_t kind_size = strlen(kind_name), size = strlen(name);
        char text[SUBJECT_TEXT_MAX];
        int rc, q;

        if (kind_size + 1 + size > sizeof(text))
                return 0; /* longer than any that can be designated */
        memcpy(text, kind_name, kind_size);
        text[kind_size] = ':';
        memcpy(text + kind_size + 1, name, size);
        if (search->here && !here_subjects_have(search->here, text, kind_size + 1 + size))
                return 0;
        q = registry_result(sqlite3_bind_text(search->statement, 1, text, (int)(kind_size + 1 + size), SQLITE_STATIC));
        if (q != 0)
                return q;
        while (!search->stop && (rc = sqlite3_step(search->statement)) != SQLITE_DONE) {
                q = rc == SQLITE_ROW ? offer_row(search, kind) : registry_result(rc);
                if (q != 0)
                        return q;
        }
        sqlite3_reset(search->statement);
        return 0;
}

static int search_names(Search *search, SubjectKind kind, char *const *names) {
        for (; names && *names && !search->stop; names++) {
                int q = search_subject(search, kind, *names);

                if (q != 0)
                        return q;
        }
        return 0;
}

static int search_all(Search *search) {
        int q;

        q = search_subject(search, SUBJECT_USER, search->subject->account);
        if (q == 0)
                q = search_names(search, SUBJECT_GROUP, search->subject->groups);
        if (q == 0)
                q = search_names(search, SUBJECT_NETGROUP, search->subject->netgroups);
        if (q == 0 && !search->stop && search->subject->unit)
                q = search_subject(search, SUBJECT_UNIT, search->subject->unit);
        return q;
}

/* Whether the table here is about this terminal: name and unit are those of this one. */
static int is_self(Registry *r, const char *terminal, const char *unit) {
        static const char sql[] = "SELECT 1 FROM self WHERE name = ?1 AND unit IS ?2";
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        int q;

        q = registry_statement(r, sql, &s);
        if (q == 0)
                q = registry_result(sqlite3_bind_text(s, 1, terminal, -1, SQLITE_STATIC));
        if (q == 0)
                q = registry_result(sqlite3_bind_text(s, 2, unit, -1, SQLITE_STATIC));
        return q != 0 ? q : statement_row(s);
}

int registry_candidates(Registry *r, const Subject *s, const char *terminal, const char *terminal_unit, candidate_fn fn,
        void *userdata) {
        static const char here_sql[] = "SELECT " CANDIDATE_COLUMNS " FROM here d CROSS JOIN scopes s ON s.id = d.scope"
                                       " WHERE d.subject = ?1 ORDER BY d.designation";
        static const char any_sql[] = "SELECT " CANDIDATE_COLUMNS " FROM designations d"
                                      " CROSS JOIN scopes s ON s.id = d.scope"
                                      " WHERE d.subject = ?1 AND d.deleted = 0 AND s.deleted = 0 ORDER BY d.id";
        _cleanup_statement_ sqlite3_stmt *statement = NULL;
        Search search = {
                .subject = s,
                .terminal = terminal,
                .terminal_unit = terminal_unit,
                .fn = fn,
                .userdata = userdata,
        };
        bool own;
        int q;

        q = registry_view_begin(r, &own);
        if (q != 0)
                return q;
        q = is_self(r, terminal, terminal_unit);
        if (q == 0)
                search.here = here_subjects(r);
        if (q == 0 || q == REGISTRY_E_NOT_FOUND)
                q = registry_statement(r, q == 0 ? here_sql : any_sql, &statement);
        if (q == 0) {
                search.statement = statement;
                q = search_all(&search);
        }
        registry_statement_done(&statement);
        registry_view_end(r, own);
        return q;
}

int registry_netgroups(Registry *r, char ***ret) {
        static const char sql[] = "SELECT DISTINCT substr(subject, 10) FROM designations"
                                  " WHERE deleted = 0 AND subject >= 'netgroup:' AND subject < 'netgroup;' ORDER BY 1";
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        char **names = NULL, **grown;
        size_t n = 0;
        int q;

        q = registry_statement(r, sql, &s);
        while (q == 0 && (q = statement_row(s)) == 0) {
                grown = realloc(names, (n + 2) * sizeof(*names));
                if (!grown) {
                        q = -ENOMEM;
                        break;
                }
                names = grown;
                names[n] = names[n + 1] = NULL;
                q = column_dup(s, 0, &names[n]);
                if (q == 0)
                        n++;
        }
        if (q != REGISTRY_E_NOT_FOUND) {
                for (size_t i = 0; i < n; i++)
                        free(names[i]);
                free(names);
                return q;
        }
        *ret = names;
        return 0;
}
