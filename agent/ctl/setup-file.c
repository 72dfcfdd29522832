/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <ini.h>
#include <stdarg.h>
#include <string.h>

#include "ctl/setup.h"
#include "registry/noun.h"
#include "util/ini-line.h"
#include "util/io.h"
#include "util/json.h"
#include "util/text.h"

/* The file of `keishictl setup --unattended`: strict INI, as keishid.conf is. A section of rows has the row's name
 * (user, scope) or a number (designation, member) behind its kind; keys are the fields of the noun with a capital
 * letter. */

#define SOURCE_MAX (256u * 1024u)
/* inih cuts section names at 50 bytes. */
#define SECTION_BYTES_MAX 49u
#define SECTIONS_MAX      1024u

/* Sections of rows: where they go in the document, and which field their name is. */
static const struct {
        const char *prefix;
        NounId noun;
        const char *member;
        const char *key; /* NULL: the name is but a number */
} kinds[] = {
        { "User ", NOUN_USER, "users", "account" },
        { "Member ", NOUN_MEMBER, "members", NULL },
        { "Scope ", NOUN_SCOPE, "scopes", "name" },
        { "Designation ", NOUN_DESIGNATION, "designations", NULL },
};

typedef struct Source {
        const char *path;
        const char *at;
        unsigned line;
        SetupPlan plan;
        char *sections[SECTIONS_MAX]; /* seen */
        size_t n_sections;
        json_object *row; /* of the section that is being read; borrowed */
        NounId noun;
        char *error;
        int r;
} Source;

static int fail(Source *s, int r, const char *format, ...) _printf_(3, 4);
static int fail(Source *s, int r, const char *format, ...) {
        _cleanup_free_ char *text = NULL;
        va_list ap;
        int n;

        if (s->r < 0)
                return s->r;
        s->r = r;
        va_start(ap, format);
        n = vasprintf(&text, format, ap);
        va_end(ap);
        if (n < 0)
                text = NULL;
        if (n < 0 || asprintf(&s->error, "%s:%u: %s", s->path, s->line, text) < 0) {
                s->error = NULL;
                s->r = -ENOMEM;
        }
        return s->r;
}

/* The object of a row section, appended to its array in the document. */
static int begin_row(Source *s, size_t kind, const char *name) {
        json_object *array, *row;

        if (!json_object_object_get_ex(s->plan.document, kinds[kind].member, &array)) {
                array = json_object_new_array();
                if (json_set(s->plan.document, kinds[kind].member, array) < 0)
                        return fail(s, -ENOMEM, "out of memory");
        }
        row = json_object_new_object();
        if (!row || json_object_array_add(array, row) < 0) {
                json_object_put(row);
                return fail(s, -ENOMEM, "out of memory");
        }
        s->row = row;
        s->noun = kinds[kind].noun;
        if (kinds[kind].key && json_set_string(row, kinds[kind].key, name) < 0)
                return fail(s, -ENOMEM, "out of memory");
        return 0;
}

static int begin_section(Source *s, const char *name) {
        json_object *terminal;

        for (size_t i = 0; i < s->n_sections; i++)
                if (strcmp(s->sections[i], name) == 0)
                        return fail(s, -EINVAL, "[%s] is there twice", name);
        if (s->n_sections == SECTIONS_MAX)
                return fail(s, -E2BIG, "more than %u sections; register the rest with keishictl", SECTIONS_MAX);
        s->sections[s->n_sections] = strdup(name);
        if (!s->sections[s->n_sections])
                return fail(s, -ENOMEM, "out of memory");
        s->n_sections++;
        s->row = NULL;
        s->noun = _NOUN_INVALID;

        if (strcmp(name, "Terminal") == 0) {
                terminal = json_object_new_object();
                if (json_set(s->plan.document, "terminal", terminal) < 0)
                        return fail(s, -ENOMEM, "out of memory");
                s->row = terminal;
                s->noun = NOUN_TERMINAL;
                return 0;
        }
        if (strcmp(name, "BreakGlass") == 0 || strcmp(name, "Try") == 0)
                return 0;
        for (size_t i = 0; i < ELEMENTSOF(kinds); i++)
                if (strncmp(name, kinds[i].prefix, strlen(kinds[i].prefix)) == 0 &&
                        name[strlen(kinds[i].prefix)] != ' ')
                        return begin_row(s, i, name + strlen(kinds[i].prefix));
        return fail(s, -EINVAL, "there is no section [%s]", name);
}

static int check_section(Source *s, const char *line, size_t size) {
        char name[SECTION_BYTES_MAX + 1];

        if (size < 3)
                return fail(s, -EINVAL, "a section is [Name], alone on its line");
        if (size - 2 > SECTION_BYTES_MAX)
                return fail(s, -EINVAL, "a section's name has at most %u bytes", SECTION_BYTES_MAX);
        memcpy(name, line + 1, size - 2);
        name[size - 2] = '\0';
        if (strpbrk(name, "[]"))
                return fail(s, -EINVAL, "a section's name has no brackets");
        return begin_section(s, name);
}

static char *read_line(char *buffer, int room, void *stream) {
        Source *s = stream;
        const char *why;
        size_t size;

        if (s->r < 0 || !*s->at)
                return NULL;
        s->line++;
        size = strcspn(s->at, "\n");
        switch (ini_line_look(s->at, &size, ";", &why)) {
        case INI_LINE_WRONG:
                fail(s, -EINVAL, "%s", why);
                return NULL;
        case INI_LINE_SECTION:
                if (check_section(s, s->at, size) < 0)
                        return NULL;
                break;
        default:
                break;
        }
        buffer = ini_line_give(buffer, (size_t)room, &s->at);
        if (!buffer)
                fail(s, -EINVAL, "the line is longer than the parser can take");
        return buffer;
}

/* The field of the noun that a key names: "Unit" is unit. */
static const char *field_of(NounId noun, const char *key) {
        const Noun *n = &registry_nouns[noun];

        for (size_t i = 0; i < n->n_fields; i++) {
                const char *name = n->fields[i].name;

                if (key[0] == name[0] - 'a' + 'A' && strcmp(key + 1, name + 1) == 0)
                        return name;
        }
        return NULL;
}

static int take_accounts(Source *s, const char *value) {
        while (*(value += strspn(value, " \t"))) {
                _cleanup_free_ char *account = strndup(value, strcspn(value, " \t"));

                if (!account)
                        return fail(s, -ENOMEM, "out of memory");
                if (!account_valid(account))
                        return fail(s, -EINVAL, "\"%s\" is not an account name", account);
                if (setup_add_account(&s->plan, account) < 0)
                        return fail(s, -ENOMEM, "out of memory");
                value += strlen(account);
        }
        return s->plan.break_glass ? 0 : fail(s, -EINVAL, "Accounts= names nobody");
}

static int take_text(Source *s, char **place, const char *name, const char *value) {
        if (*place)
                return fail(s, -EINVAL, "%s= is given twice", name);
        if (!*value)
                return fail(s, -EINVAL, "%s= has no value", name);
        *place = strdup(value);
        return *place ? 0 : fail(s, -ENOMEM, "out of memory");
}

static int take(Source *s, const char *section, const char *name, const char *value) {
        const char *field;

        if (!*section)
                return fail(s, -EINVAL, "%s= stands before the first section", name);
        if (s->row) {
                field = field_of(s->noun, name);
                if (!field)
                        return fail(s, -EINVAL, "there is no key %s= in [%s]", name, section);
                if (json_object_object_get_ex(s->row, field, NULL))
                        return fail(s, -EINVAL, "%s= is given twice (or is the section's name)", name);
                return json_set_string(s->row, field, value) < 0 ? fail(s, -ENOMEM, "out of memory") : 0;
        }
        if (strcmp(section, "BreakGlass") == 0 && strcmp(name, "Accounts") == 0)
                return s->plan.break_glass ? fail(s, -EINVAL, "Accounts= is given twice") : take_accounts(s, value);
        if (strcmp(section, "Try") == 0 && strcmp(name, "User") == 0)
                return take_text(s, &s->plan.try_user, name, value);
        if (strcmp(section, "Try") == 0 && strcmp(name, "PasswordFile") == 0)
                return take_text(s, &s->plan.try_password_file, name, value);
        return fail(s, -EINVAL, "there is no key %s= in [%s]", name, section);
}

static int on_value(void *userdata, const char *section, const char *name, const char *value) {
        Source *s = userdata;

        return s->r == 0 && take(s, section, name, value) == 0;
}

static int parse(Source *s, const char *text, size_t size) {
        int r;

        if (strlen(text) != size)
                return fail(s, -EINVAL, "the file has a zero byte");
        s->plan.document = json_object_new_object();
        if (!s->plan.document)
                return -ENOMEM;
        s->at = text;
        r = ini_parse_stream(read_line, s, on_value, s);
        if (s->r < 0)
                return s->r;
        if (r != 0)
                return fail(s, -EINVAL, "the line cannot be read");
        if (!json_object_object_get_ex(s->plan.document, "terminal", NULL))
                return fail(s, -EINVAL, "there is no [Terminal]");
        if (!s->plan.break_glass)
                return fail(s, -EINVAL, "there is no [BreakGlass] with Accounts=");
        if (!s->plan.try_user != !s->plan.try_password_file)
                return fail(s, -EINVAL, "[Try] needs both User= and PasswordFile=");
        return 0;
}

int setup_file_read(SetupPlan *ret, const char *path, char **ret_error) {
        _cleanup_free_ char *text = NULL;
        Source s = { .path = path, .noun = _NOUN_INVALID };
        size_t size;
        int r;

        r = io_read_file(AT_FDCWD, path, SOURCE_MAX, &text, &size);
        if (r < 0) {
                if (asprintf(ret_error, "%s: %s", path, strerror(-r)) < 0)
                        *ret_error = NULL;
                return r;
        }
        r = parse(&s, text, size);
        for (size_t i = 0; i < s.n_sections; i++)
                free(s.sections[i]);
        if (r < 0) {
                setup_plan_done(&s.plan);
                *ret_error = s.error;
                return r;
        }
        free(s.error);
        *ret = s.plan;
        return 0;
}
