/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>
#include <termios.h>

#include "ctl/setup.h"
#include "util/json.h"
#include "util/text.h"

/* The questions of `keishictl setup`, for one terminal, one unit and its first users. What is wider goes into a file
 * (keishi-setup(5)), or is added afterwards. */

#define LINE_BYTES 1024u

int setup_ask(const char *question, const char *fallback, char **ret) {
        char line[LINE_BYTES];
        char *text;
        size_t size;

        for (;;) {
                if (fallback && *fallback)
                        (void)printf("%s [%s] ", question, fallback);
                else
                        (void)printf("%s ", question);
                (void)fflush(stdout);
                if (!fgets(line, sizeof(line), stdin))
                        return -ECANCELED;
                text = line + strspn(line, " \t");
                size = strcspn(text, "\n");
                while (size > 0 && (text[size - 1] == ' ' || text[size - 1] == '\t'))
                        size--;
                text[size] = '\0';
                if (!utf8_valid(text, size)) {
                        (void)puts(_("That is not UTF-8."));
                        continue;
                }
                if (*text || fallback)
                        break;
        }
        *ret = strdup(*text ? text : fallback);
        return *ret ? 0 : -ENOMEM;
}

int setup_ask_password(const char *question, char **ret) {
        char line[LINE_BYTES];
        struct termios old, quiet;
        bool changed;
        int r = 0;

        changed = tcgetattr(STDIN_FILENO, &old) == 0;
        if (changed) {
                quiet = old;
                quiet.c_lflag &= ~(tcflag_t)ECHO;
                (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
        }
        (void)fputs(question, stdout);
        (void)fflush(stdout);
        if (!fgets(line, sizeof(line), stdin))
                r = -ECANCELED;
        if (changed)
                (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &old);
        (void)putchar('\n');
        if (r == 0) {
                line[strcspn(line, "\n")] = '\0';
                *ret = strdup(line);
                r = *ret ? 0 : -ENOMEM;
        }
        explicit_bzero(line, sizeof(line));
        return r;
}

typedef struct Question {
        const char *field;
        const char *text;     /* N_() */
        const char *fallback; /* NULL: an answer is needed; "": it may stay empty */
} Question;

/* Asks for the fields of one row, NULL-terminated questions. */
static int ask_row(const Question *questions, json_object *row) {
        for (const Question *q = questions; q->field; q++) {
                _cleanup_free_ char *answer = NULL;
                int r;

                r = setup_ask(_(q->text), q->fallback, &answer);
                if (r == 0 && *answer)
                        r = json_set_string(row, q->field, answer);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int new_row(json_object *document, const char *member, json_object **ret) {
        json_object *array, *row;

        if (!json_object_object_get_ex(document, member, &array)) {
                array = json_object_new_array();
                if (json_set(document, member, array) < 0)
                        return -ENOMEM;
        }
        row = json_object_new_object();
        if (!row || json_object_array_add(array, row) < 0) {
                json_object_put(row);
                return -ENOMEM;
        }
        *ret = row;
        return 0;
}

static bool yes(const char *question, bool fallback) {
        _cleanup_free_ char *answer = NULL;

        if (setup_ask(question, fallback ? _("yes") : _("no"), &answer) < 0)
                return false;
        return strcmp(answer, _("yes")) == 0 || strcmp(answer, "yes") == 0 || strcmp(answer, "y") == 0;
}

static int ask_terminal(json_object *document) {
        char host[65] = "";
        Question questions[] = {
                { "name", N_("Name of this terminal:"), host },
                { "unit", N_("Unit that it belongs to:"), NULL },
                { "confidentiality", N_("Class of confidentiality (1-3):"), "2" },
                { "integrity", N_("Class of integrity (1-2):"), "1" },
                { "availability", N_("Class of availability (1-2):"), "1" },
                { "external", N_("Is it on an external line (yes, no)?"), "no" },
                { "purpose", N_("Designated for a purpose (may stay empty):"), "" },
                {},
        };
        json_object *terminal = json_object_new_object();

        if (json_set(document, "terminal", terminal) < 0)
                return -ENOMEM;
        if (gethostname(host, sizeof(host) - 1) < 0 || !*host)
                questions[0].fallback = NULL;
        return ask_row(questions, terminal);
}

/* One user of the unit, and whether they are designated. */
static int ask_user(json_object *document, const char *unit, const char *scope) {
        const Question questions[] = {
                { "account", N_("Account of the user:"), NULL },
                { "person", N_("Staff number:"), NULL },
                { "name", N_("Name:"), NULL },
                { "unit", N_("Unit:"), unit },
                {},
        };
        _cleanup_free_ char *subject = NULL;
        json_object *user, *designation;
        int r;

        r = new_row(document, "users", &user);
        if (r == 0)
                r = ask_row(questions, user);
        if (r < 0)
                return r;
        if (!yes(_("Designate this user for this terminal?"), true))
                return 0;
        if (asprintf(&subject, "user:%s", json_string(user, "account")) < 0) {
                subject = NULL;
                return -ENOMEM;
        }
        r = new_row(document, "designations", &designation);
        if (r == 0)
                r = json_set_string(designation, "scope", scope);
        return r == 0 ? json_set_string(designation, "subject", subject) : r;
}

static int ask_directory(json_object *document) {
        _cleanup_free_ char *terminals = NULL;
        json_object *terminal, *scope;
        int r;

        r = ask_terminal(document);
        if (r < 0 || !json_object_object_get_ex(document, "terminal", &terminal))
                return r;
        if (asprintf(&terminals, "name:%s", json_string(terminal, "name")) < 0) {
                terminals = NULL;
                return -ENOMEM;
        }
        {
                const Question questions[] = {
                        { "business", N_("Business that this terminal is for:"), NULL },
                        { "hours", N_("Hours, e.g. mon-fri 08:30-17:15 (empty: always):"), "" },
                        {},
                };

                r = new_row(document, "scopes", &scope);
                if (r == 0)
                        r = ask_row(questions, scope);
                if (r == 0)
                        r = json_set_string(scope, "name", json_string(scope, "business"));
                if (r == 0)
                        r = json_set_string(scope, "unit", json_string(terminal, "unit"));
                if (r == 0)
                        r = json_set_string(scope, "terminals", terminals);
        }
        (void)puts(_("The first users. Those who are to hold a role (system manager, unit head, …) have to be among "
                     "them, and in its group."));
        do {
                if (r == 0)
                        r = ask_user(document, json_string(terminal, "unit"), json_string(scope, "name"));
        } while (r == 0 && yes(_("Another user?"), false));
        return r;
}

static int ask_break_glass(SetupPlan *plan) {
        _cleanup_free_ char *answer = NULL;
        char *rest, *word;
        int r;

        (void)puts(_("Break-glass account: a local account that may log in at this machine's console when keishid does "
                     "not run."));
        r = setup_ask(_("Break-glass account:"), "root", &answer);
        if (r < 0)
                return r;
        for (rest = answer; r == 0 && (word = strsep(&rest, " \t,"));)
                if (*word)
                        r = setup_add_account(plan, word);
        return r;
}

ExitCode setup_guide(Ctl *ctl, json_object *status, SetupPlan *ret) {
        SetupPlan plan = {};
        int r = 0;

        if (!json_boolean(status, "setup")) {
                plan.document = json_object_new_object();
                r = plan.document ? ask_directory(plan.document) : -ENOMEM;
        }
        if (r == 0)
                r = ask_break_glass(&plan);
        if (r < 0) {
                setup_plan_done(&plan);
                return r == -ECANCELED ? ctl_error(ctl, CTL_FAILED, "%s", _("setup was broken off; PAM is as it was"))
                                       : ctl_error(ctl, CTL_FAILED, "%s", strerror(-r));
        }
        *ret = plan;
        return CTL_DONE;
}
