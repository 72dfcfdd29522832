/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "login/sudo-settings.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "util/json.h"

/* An option, and the values that it may have; NULL: not set, which is what sudo is built with. "on", "off": a flag. */
typedef struct Setting {
        const char *option;
        const char *not_set; /* what it is then */
        const char *good[4]; /* "*": any but "off" and "none" */
} Setting;

static const Setting settings[] = {
        { "syslog", "authpriv", { "*" } },
        { "syslog_goodpri", "notice", { "*" } },
        { "syslog_badpri", "alert", { "*" } },
        { "log_allowed", "on", { "on" } },
        { "log_denied", "on", { "on" } },
        { "log_format", "sudo", { "json" } },
        { "pam_acct_mgmt", "on", { "on" } },
        { "pam_session", "on", { "on" } },
        { "pam_service", "sudo", { "sudo" } },
        { "pam_login_service", "sudo-i", { "sudo", "sudo-i" } },
};
#define N_SETTINGS ELEMENTSOF(settings)

_printf_(2, 3) static void add(SudoFindings *f, const char *format, ...) {
        va_list ap;

        if (f->n < SUDO_FINDINGS_MAX) {
                va_start(ap, format);
                (void)vsnprintf(f->items[f->n].text, sizeof(f->items[f->n].text), format, ap);
                va_end(ap);
        }
        f->n++;
}

static bool is_good(const Setting *s, const char *value) {
        bool any = strcmp(s->good[0], "*") == 0;

        if (any)
                return strcmp(value, "off") != 0 && strcmp(value, "none") != 0;
        for (size_t i = 0; i < ELEMENTSOF(s->good) && s->good[i]; i++)
                if (strcmp(s->good[i], value) == 0)
                        return true;
        return false;
}

static void tell(SudoFindings *f, const Setting *s, const char *value, const char *whom) {
        const char *in = whom ? " for " : "";

        if (!whom)
                whom = "";
        if (strcmp(value, "off") == 0)
                add(f, "!%s%s%s", s->option, in, whom);
        else
                add(f, "%s=%s%s%s", s->option, value, in, whom);
}

/* A value as text: flags are "on" and "off". NULL: neither a flag nor text. */
static const char *value_text(json_object *value) {
        switch (json_object_get_type(value)) {
        case json_type_boolean:
                return json_object_get_boolean(value) ? "on" : "off";
        case json_type_string:
        case json_type_int:
                return json_object_get_string(value);
        default:
                return NULL;
        }
}

/* One option of one line of Defaults. What is said for some (a user, a host, a command, a target) holds besides what is
 * said for all, so it is wrong whatever follows. */
static void take(json_object *option, const char *whom, const char *values[static N_SETTINGS], SudoFindings *f) {
        json_object_object_foreach(option, name, value) {
                const char *text = value_text(value);

                for (size_t i = 0; i < N_SETTINGS; i++) {
                        if (strcmp(settings[i].option, name) != 0)
                                continue;
                        if (!text)
                                text = "?";
                        if (!whom)
                                values[i] = text;
                        else if (!is_good(&settings[i], text))
                                tell(f, &settings[i], text, whom);
                }
        }
}

int sudo_settings_look(json_object *sudoers, SudoFindings *ret) {
        const char *values[N_SETTINGS];
        json_object *defaults = NULL, *binding, *options;

        if (!json_object_is_type(sudoers, json_type_object))
                return -EBADMSG;
        for (size_t i = 0; i < N_SETTINGS; i++)
                values[i] = settings[i].not_set;
        if (json_object_object_get_ex(sudoers, "Defaults", &defaults) &&
                !json_object_is_type(defaults, json_type_array))
                return -EBADMSG;
        for (size_t i = 0; defaults && i < json_object_array_length(defaults); i++) {
                json_object *line = json_object_array_get_idx(defaults, i);

                if (!json_object_is_type(line, json_type_object) ||
                        !json_object_object_get_ex(line, "Options", &options) ||
                        !json_object_is_type(options, json_type_array))
                        return -EBADMSG;
                if (!json_object_object_get_ex(line, "Binding", &binding))
                        binding = NULL;
                for (size_t k = 0; k < json_object_array_length(options); k++) {
                        json_object *option = json_object_array_get_idx(options, k);

                        if (!json_object_is_type(option, json_type_object))
                                return -EBADMSG;
                        take(option, binding ? json_text(binding) : NULL, values, ret);
                }
        }
        for (size_t i = 0; i < N_SETTINGS; i++)
                if (!is_good(&settings[i], values[i]))
                        tell(ret, &settings[i], values[i], NULL);
        return 0;
}

void sudo_settings_look_conf(const char *conf, SudoFindings *ret) {
        static const char *const known[] = { "sudoers_policy", "sudoers_io", "sudoers_audit" };

        for (const char *line = conf; *line; line += strcspn(line, "\n"), line += *line == '\n') {
                const char *word = line + strspn(line, " \t"), *name;
                bool fine = false;

                if (strncasecmp(word, "Plugin", 6) != 0 || !strchr(" \t", word[6]) || word[6] == '\0')
                        continue;
                name = word + 6 + strspn(word + 6, " \t");
                for (size_t i = 0; i < ELEMENTSOF(known); i++) {
                        size_t n = strlen(known[i]);
                        const char *file = name + n + strspn(name + n, " \t");

                        fine = fine || (strncmp(name, known[i], n) == 0 && strchr(" \t", name[n]) && name[n] &&
                                               strncmp(file, "sudoers.so", 10) == 0);
                }
                if (!fine)
                        add(ret, "sudo.conf: %.*s", (int)(strcspn(word, "\n") < 120 ? strcspn(word, "\n") : 120), word);
        }
}
