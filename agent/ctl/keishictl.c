/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <locale.h>
#include <stdarg.h>
#include <string.h>

#include "ctl/ctl.h"
#include "ctl/row.h"
#include "ctl/table.h"
#include "util/json.h"

static const Verb *const tables[] = {
        setup_verbs,
        status_verbs,
        audit_verbs,
        check_verbs,
        row_verbs,
        staff_verbs,
        access_verbs,
        import_verbs,
        export_verbs,
        backup_verbs,
        restore_verbs,
        clock_verbs,
        drift_verbs,
        life_verbs,
        credential_verbs,
        attempt_verbs,
        trail_verbs,
};

/* Every verb takes these. */
static const OptionSpec common_options[] = {
        { "json", NULL, N_("print JSON, errors too") },
        { "no-ask-password", NULL, N_("never ask who the caller is; refuse instead") },
        { "root", N_("DIR"), N_("use the files below DIR (for tests)") },
        { "help", NULL, N_("show this help") },
        {},
};

ExitCode ctl_error_named(const Ctl *ctl, ExitCode code, const char *name, const char *format, ...) {
        static const char *const names[] = {
                [CTL_DONE] = "done",
                [CTL_FAILED] = "failed",
                [CTL_USAGE] = "usage",
                [CTL_REFUSED] = "refused",
                [CTL_NOT_FOUND] = "not-found",
                [CTL_UNAVAILABLE] = "unavailable",
                [CTL_INVALID] = "invalid",
        };
        _cleanup_json_ json_object *o = NULL;
        _cleanup_free_ char *text = NULL;
        va_list ap;
        int r;

        va_start(ap, format);
        r = vasprintf(&text, format, ap);
        va_end(ap);
        if (r < 0) {
                text = NULL;
                return code;
        }
        if (ctl->json) {
                o = json_object_new_object();
                if (!o || json_set_string(o, "error", name ? name : names[code]) < 0 ||
                        json_set_string(o, "message", text) < 0)
                        return code;
                (void)fprintf(stderr, "%s\n", json_text(o));
        } else
                (void)fprintf(stderr, "keishictl: %s\n", text);
        return code;
}

ExitCode ctl_error(const Ctl *ctl, ExitCode code, const char *format, ...) {
        _cleanup_free_ char *text = NULL;
        va_list ap;
        int r;

        va_start(ap, format);
        r = vasprintf(&text, format, ap);
        va_end(ap);
        if (r < 0) {
                text = NULL;
                return code;
        }
        return ctl_error_named(ctl, code, NULL, "%s", text);
}

ExitCode ctl_print_json(const Ctl *ctl, json_object *o) {
        const char *text = json_text(o);

        if (!text)
                return ctl_oom(ctl);
        return puts(text) < 0 ? CTL_FAILED : CTL_DONE;
}

static void print_padded(const char *text, size_t column) {
        (void)fputs(text, stdout);
        for (size_t width = text_width(text); width < column; width++)
                (void)fputc(' ', stdout);
}

static void print_synopsis(const Verb *v) {
        char text[256];

        (void)snprintf(text, sizeof(text), "  %s%s%s%s%s  ", v->noun, v->verb ? " " : "", v->verb ? v->verb : "",
                v->arguments ? " " : "", v->arguments ? _(v->arguments) : "");
        print_padded(text, 40);
        (void)puts(_(v->help));
}

static void print_options(const OptionSpec *o) {
        for (; o && o->name; o++) {
                char text[128];

                (void)snprintf(
                        text, sizeof(text), "  --%s%s%s  ", o->name, o->value ? " " : "", o->value ? _(o->value) : "");
                print_padded(text, 32);
                (void)puts(_(o->help));
        }
}

/* All nouns, or the verbs of one. */
static void print_help(const char *noun) {
        (void)printf("%s\n\n", _("keishictl NOUN VERB [OPTION…]"));
        for (size_t i = 0; i < ELEMENTSOF(tables); i++)
                for (const Verb *v = tables[i]; v->noun; v++)
                        if (!noun || strcmp(v->noun, noun) == 0)
                                print_synopsis(v);
        (void)printf("\n%s\n", _("Options of every verb:"));
        print_options(common_options);
        (void)printf("\n%s\n", _("keishictl NOUN VERB --help shows the options of one. See keishictl(1)."));
}

static void print_verb_help(const Verb *v, const OptionSpec *fields) {
        print_synopsis(v);
        if ((fields && fields->name) || (v->options && v->options->name))
                (void)printf("\n%s\n", _("Options:"));
        print_options(fields);
        print_options(v->options);
        (void)printf("\n%s\n", _("Options of every verb:"));
        print_options(common_options);
}

static const Verb *verb_find(const char *noun, const char *verb, bool *ret_noun_known) {
        *ret_noun_known = false;
        for (size_t i = 0; i < ELEMENTSOF(tables); i++)
                for (const Verb *v = tables[i]; v->noun; v++) {
                        if (strcmp(v->noun, noun) != 0)
                                continue;
                        *ret_noun_known = true;
                        if (!v->verb || (verb && strcmp(v->verb, verb) == 0))
                                return v;
                }
        return NULL;
}

static bool has(char *const *argv, size_t n, const char *flag) {
        for (size_t i = 0; i < n && strcmp(argv[i], "--") != 0; i++)
                if (strcmp(argv[i], flag) == 0)
                        return true;
        return false;
}

static ExitCode run(Ctl *ctl, int argc, char **argv) {
        const char *noun = argc > 1 ? argv[1] : NULL, *verb = argc > 2 && argv[2][0] != '-' ? argv[2] : NULL, *error,
                   *what;
        OptionSpec fields[ROW_OPTIONS_MAX] = {};
        bool noun_known;
        const Verb *v;
        size_t used;
        Args args;

        if (!noun || strcmp(noun, "--help") == 0 || strcmp(noun, "help") == 0) {
                print_help(NULL);
                return noun ? CTL_DONE : CTL_USAGE;
        }
        if (strcmp(noun, "--version") == 0) {
                (void)puts("keishi " KEISHI_VERSION);
                return CTL_DONE;
        }
        ctl->json = has(argv + 1, (size_t)argc - 1, "--json");
        v = verb_find(noun, verb, &noun_known);
        if (!v && noun_known && has(argv + 2, (size_t)argc - 2, "--help")) {
                print_help(noun);
                return CTL_DONE;
        }
        if (!v && noun_known && !verb)
                return ctl_error(ctl, CTL_USAGE, _("what about \"%s\"? See keishictl %s --help"), noun, noun);
        if (!v)
                return ctl_error(ctl, CTL_USAGE, _("there is no \"%s%s%s\"; see keishictl --help"), noun,
                        verb ? " " : "", verb ? verb : "");
        used = v->verb ? 3 : 2;
        row_options(v, fields);
        if (has(argv + used, (size_t)argc - used, "--help")) {
                print_verb_help(v, fields);
                return CTL_DONE;
        }
        if (!args_parse(&args, argv + used, (size_t)argc - used,
                    (const OptionSpec *const[]){ common_options, fields, v->options ? v->options : fields, NULL },
                    &error, &what)) {
                _cleanup_free_ char *safe = text_safe(what);
                _cleanup_free_ char *text = NULL;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
                if (!safe || asprintf(&text, _(error), safe) < 0)
                        return ctl_oom(ctl);
#pragma GCC diagnostic pop
                return ctl_error(ctl, CTL_USAGE, "%s", text);
        }
        if (args.n_positional < v->n_min || args.n_positional > v->n_max)
                return ctl_error(ctl, CTL_USAGE, _("usage: keishictl %s%s%s %s"), v->noun, v->verb ? " " : "",
                        v->verb ? v->verb : "", v->arguments ? _(v->arguments) : "");
        ctl->ask = !args_has(&args, "no-ask-password");
        ctl->root = args_get(&args, "root");
        return v->run(ctl, v, &args);
}

/* The text console has no Japanese glyphs: there, this program and polkit's agent speak English. */
static void choose_language(void) {
        char name[64] = "";

        (void)setlocale(LC_ALL, "");
        if (ttyname_r(STDOUT_FILENO, name, sizeof(name)) == 0 && strncmp(name, "/dev/tty", 8) == 0 && name[8] >= '0' &&
                name[8] <= '9') {
                (void)setlocale(LC_MESSAGES, "C");
                (void)setenv("LC_MESSAGES", "C", 1);
                (void)unsetenv("LC_ALL");
                (void)unsetenv("LANGUAGE");
        }
}

int main(int argc, char **argv) {
        Ctl ctl = {};
        ExitCode code;

        choose_language();
        (void)bindtextdomain(GETTEXT_DOMAIN, LOCALEDIR);
        (void)bind_textdomain_codeset(GETTEXT_DOMAIN, "UTF-8");
        (void)textdomain(GETTEXT_DOMAIN);

        code = run(&ctl, argc, argv);
        polkit_agent_close(&ctl);
        client_done(&ctl);
        if (fflush(stdout) != 0 && code == CTL_DONE)
                code = CTL_FAILED;
        return code;
}
