/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <security/pam_appl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <pwd.h>

#include "ctl/setup.h"
#include "ctl/table.h"
#include "keishi/paths.h"
#include "keishi/protocol.h"
#include "registry/registry.h"
#include "util/io.h"
#include "util/json.h"

/* keishictl setup: from a bare installation to a terminal where keishi decides. Everything is checked first, and the
 * PAM profile is activated last: until then PAM is as it was, and after a failure it still is. */

#define PAM_AUTH_UPDATE "/usr/sbin/pam-auth-update"
#define MODULE          "pam_keishi.so"

static const OptionSpec options[] = {
        { "unattended", N_("FILE"), N_("take the answers from FILE, keishi-setup(5)") },
        { "check", NULL, N_("only verify; change nothing") },
        { "no-activate", NULL, N_("do everything but activating the PAM profile") },
        { "harden", NULL, N_("close what can be closed of what keishi rests on: rescue shells, SysRq, lingering") },
        { "undo", NULL, N_("with --harden: open it again as it was") },
        { "module", N_("PATH"), N_("try this PAM module instead of the installed one (for tests)") },
        {},
};

typedef struct Setup {
        Ctl *ctl;
        const Args *args;
        json_object *steps;
        json_object *status; /* what the agent says */
        SetupPlan plan;
        bool check_only;
        bool set_up; /* the registry has its first rows already */
        bool failed; /* some step did; --check goes on to the next */
        bool stuck;  /* PAM could not be brought back to what it was */
} Setup;

/* Tells one step: its stable name, whether it is well, and a text. */
static ExitCode step(Setup *s, const char *name, bool ok, const char *format, ...) _printf_(4, 5);
static ExitCode step(Setup *s, const char *name, bool ok, const char *format, ...) {
        _cleanup_free_ char *text = NULL, *safe = NULL;
        json_object *o;
        va_list ap;
        int r;

        va_start(ap, format);
        r = vasprintf(&text, format, ap);
        va_end(ap);
        if (r < 0) {
                text = NULL;
                return ctl_oom(s->ctl);
        }
        safe = text_safe(text);
        o = json_object_new_object();
        if (!safe || !o || json_object_array_add(s->steps, o) < 0) {
                json_object_put(o);
                return ctl_oom(s->ctl);
        }
        if (json_set_string(o, "step", name) < 0 || json_set_boolean(o, "ok", ok) < 0 ||
                json_set_string(o, "detail", text) < 0)
                return ctl_oom(s->ctl);
        if (!s->ctl->json) {
                (void)printf("[%s] %s\n", ok ? _("ok") : _("FAILED"), safe);
                (void)fflush(stdout);
        }
        s->failed = s->failed || !ok;
        return ok || s->check_only ? CTL_DONE : CTL_FAILED;
}

/* ---- the agent ---- */

static ExitCode check_agent(Setup *s) {
        const char *registry;
        ExitCode code;

        code = client_call_json(s->ctl, &s->status, "Status", NULL);
        if (code != CTL_DONE) {
                (void)step(s, "agent", false, "%s", _("keishid does not run; start it with: systemctl start keishid"));
                return code;
        }
        registry = json_string(s->status, "registry");
        if (!registry || strcmp(registry, "ok") != 0)
                return step(s, "agent", false, "%s", _("keishid runs, and its registry cannot be used"));
        s->set_up = json_boolean(s->status, "setup");
        return step(s, "agent", true, "%s", _("keishid runs"));
}

/* ---- the plan ---- */

static ExitCode read_plan(Setup *s) {
        _cleanup_free_ char *error = NULL;
        const char *path = args_get(s->args, "unattended");
        int r;

        if (path) {
                r = setup_file_read(&s->plan, path, &error);
                if (r < 0)
                        return ctl_error(
                                s->ctl, r == -EINVAL ? CTL_INVALID : CTL_FAILED, "%s", error ? error : strerror(-r));
                return CTL_DONE;
        }
        if (!s->check_only)
                return setup_guide(s->ctl, s->status, &s->plan);
        r = break_glass_read(s->ctl->root, &s->plan);
        return r < 0 && r != -ENOENT ? ctl_error(s->ctl, CTL_FAILED, KEISHI_BREAK_GLASS_FILE ": %s", strerror(-r))
                                     : CTL_DONE;
}

/* ---- break-glass ---- */

static ExitCode check_break_glass(Setup *s) {
        if (!s->plan.break_glass)
                return step(s, "break-glass", false, "%s",
                        _("there is no break-glass account: without one nobody can repair this terminal when keishid "
                          "does not run"));
        for (char **a = s->plan.break_glass; *a; a++) {
                const char *why;
                ExitCode code;
                int r;

                r = break_glass_check(s->ctl->root, *a, &why);
                if (r < 0)
                        code = step(s, "break-glass", false, _("break-glass account %s: %s"), *a, strerror(-r));
                else if (r > 0)
                        code = step(s, "break-glass", false, _("break-glass account %s: %s"), *a, _(why));
                else
                        code = step(
                                s, "break-glass", true, _("break-glass account %s is local and has a password"), *a);
                if (code != CTL_DONE)
                        return code;
        }
        return CTL_DONE;
}

/* ---- the directory ---- */

/* Calls Setup with the plan's document, or with nothing but `mode`. */
static ExitCode call_setup(Setup *s, const char *mode, json_object **ret) {
        _cleanup_json_ json_object *document = NULL, *accounts = json_object_new_array();
        const char *text;

        if (!accounts)
                return ctl_oom(s->ctl);
        for (char **a = s->plan.break_glass; a && *a; a++) {
                json_object *name = json_object_new_string(*a);

                if (!name || json_object_array_add(accounts, name) < 0) {
                        json_object_put(name);
                        return ctl_oom(s->ctl);
                }
        }
        if (s->plan.document && (!mode || strcmp(mode, "verify") != 0)) {
                if (json_object_deep_copy(s->plan.document, &document, NULL) < 0)
                        return ctl_oom(s->ctl);
        } else
                document = json_object_new_object();
        if (!document || (mode && json_set_boolean(document, mode, true) < 0) ||
                json_set(document, "break_glass", TAKE_PTR(accounts)) < 0)
                return ctl_oom(s->ctl);
        text = json_text(document);
        return text ? client_call_json(s->ctl, ret, "Setup", "s", text) : ctl_oom(s->ctl);
}

/* Somebody can get in: by a verdict of the agent, at this hour or at another. */
static ExitCode check_verdicts(Setup *s, json_object *result) {
        json_object *verdicts, *registered;
        const char *first_reason = NULL, *first = NULL;

        if (json_object_object_get_ex(result, "break_glass_registered", &registered))
                for (size_t i = 0; i < json_object_array_length(registered); i++)
                        if (step(s, "break-glass", false,
                                    _("break-glass account %s is registered as staff; use one that is nobody's daily "
                                      "account"),
                                    json_object_get_string(json_object_array_get_idx(registered, i))) != CTL_DONE)
                                return CTL_FAILED;
        if (!json_object_object_get_ex(result, "verdicts", &verdicts))
                return step(s, "designation", false, "%s", _("the agent gave no verdicts"));
        for (size_t i = 0; i < json_object_array_length(verdicts); i++) {
                json_object *v = json_object_array_get_idx(verdicts, i);
                const char *account = json_string(v, "account"), *reason = json_string(v, "reason");

                if (json_boolean(v, "granted"))
                        return step(
                                s, "designation", true, _("%s would be let in (%s)"), account, json_string(v, "rule"));
                if (reason && strcmp(reason, "hours") == 0)
                        return step(s, "designation", true, _("%s would be let in at another hour"), account);
                if (!first) {
                        first = account;
                        first_reason = reason;
                }
        }
        if (!first)
                return step(s, "designation", false, "%s", _("no user is registered"));
        return step(s, "designation", false, _("nobody would be let in here; %s, for one, is refused: %s"), first,
                first_reason ? first_reason : "?");
}

static ExitCode check_directory(Setup *s) {
        _cleanup_json_ json_object *result = NULL;
        json_object *terminal;
        ExitCode code;

        if (!s->set_up && !s->plan.document)
                return step(s, "directory", false, "%s", _("this terminal is not set up"));
        code = call_setup(s, s->set_up ? "verify" : "dry_run", &result);
        if (code != CTL_DONE) {
                (void)step(s, "directory", false, "%s",
                        _("the agent does not take what it was given; nothing was changed"));
                return code;
        }
        if (!json_object_object_get_ex(result, "terminal", &terminal) || !terminal)
                return step(s, "terminal", false, "%s", _("this terminal has no identity"));
        code = step(s, "terminal", true, _("this terminal is %s, of unit %s"), json_string(terminal, "name"),
                json_string(terminal, "unit"));
        return code == CTL_DONE ? check_verdicts(s, result) : code;
}

static ExitCode write_directory(Setup *s) {
        _cleanup_json_ json_object *result = NULL;
        ExitCode code;

        if (s->set_up)
                return step(s, "directory", true, "%s",
                        _("the directory has its first rows already; people with a role change it"));
        code = call_setup(s, NULL, &result);
        if (code != CTL_DONE) {
                (void)step(s, "directory", false, "%s", _("the agent did not take it; nothing was changed"));
                return code;
        }
        s->set_up = true;
        return step(s, "directory", true, "%s", _("terminal, users, scopes and designations are registered"));
}

/* The terminal is bound to the machine by the agent, together with the first rows. */
static ExitCode check_identity(Setup *s) {
        _cleanup_json_ json_object *status = NULL;
        const char *state = NULL, *epoch = NULL;
        json_object *identity;

        if (client_call_json(s->ctl, &status, "Status", NULL) == CTL_DONE &&
                json_object_object_get_ex(status, "identity", &identity)) {
                state = json_string(identity, "state");
                epoch = json_string(identity, "epoch");
        }
        if (state && strcmp(state, "right") == 0)
                return step(s, "identity", true, _("the terminal is bound to this machine, epoch %s of its trail"),
                        epoch ? epoch : "?");
        return step(s, "identity", false,
                _("this is not the machine that was enrolled as this terminal (%s); enrol it: keishictl terminal "
                  "enrol"),
                state ? state : "?");
}

/* ---- the trial ---- */

static const char *module_of(const Setup *s) {
        const char *module = args_get(s->args, "module");

        return module ? module : MODULE;
}

/* An unknown user must be refused, by the agent: an answer that comes from a missing agent proves nothing. */
static ExitCode try_unknown(Setup *s) {
        TryResult result = {};
        char user[32];
        uint64_t n = 0;
        int r;

        do {
                if (getrandom(&n, sizeof(n), 0) < 0)
                        return step(s, "try-unknown", false, "%s", strerror(errno));
                (void)snprintf(user, sizeof(user), "nobody-%08llx", (unsigned long long)(n & 0xffffffff));
        } while (getpwnam(user));
        r = setup_try(s->ctl->root, module_of(s), user, "-", &result);
        if (r < 0)
                return step(s, "try-unknown", false, _("the trial login could not be started: %s"), strerror(-r));
        switch (result.auth) {
        case PAM_AUTH_ERR:
        case PAM_PERM_DENIED:
        case PAM_MAXTRIES:
                return step(s, "try-unknown", true, "%s", _("an unknown user is refused"));
        case PAM_SUCCESS:
                return step(s, "try-unknown", false, "%s", _("an unknown user was let in; do not activate"));
        default:
                return step(s, "try-unknown", false, _("the module did not reach a verdict: %s"), result.text);
        }
}

/* The password of the trial: the file's first line; only root may be able to read it. */
static int read_password(const char *path, char **ret) {
        _cleanup_close_ int fd = -EBADF;
        _cleanup_free_ char *text = NULL;
        struct stat st;
        size_t size;
        int r;

        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        if (fd < 0)
                return -errno;
        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode) || (st.st_mode & 077) || st.st_uid != geteuid())
                return -EPERM;
        r = io_read_file(AT_FDCWD, path, KEISHI_ANSWER_MAX, &text, &size);
        if (r < 0)
                return r;
        text[strcspn(text, "\n")] = '\0';
        *ret = TAKE_PTR(text);
        return 0;
}

static ExitCode try_real(Setup *s, const char *user, const char *password) {
        TryResult result = {};
        int r;

        r = setup_try(s->ctl->root, module_of(s), user, password, &result);
        if (r < 0)
                return step(s, "try-login", false, _("the trial login could not be started: %s"), strerror(-r));
        if (result.auth == PAM_SUCCESS && result.account == PAM_SUCCESS)
                return step(s, "try-login", true, _("%s logs in"), user);
        return step(s, "try-login", false, _("%s could not log in: %s"), user, result.text);
}

static void wipe(char **text) {
        if (*text)
                explicit_bzero(*text, strlen(*text));
        free(*text);
}

static ExitCode try_user(Setup *s) {
        _cleanup_(wipe) char *password = NULL;
        _cleanup_free_ char *user = NULL;
        ExitCode code;
        int r;

        if (s->plan.try_user) {
                r = read_password(s->plan.try_password_file, &password);
                if (r < 0)
                        return step(s, "try-login", false, _("%s must be a file of its owner alone, mode 0600: %s"),
                                s->plan.try_password_file, strerror(-r));
                return try_real(s, s->plan.try_user, password);
        }
        if (s->check_only || args_has(s->args, "unattended"))
                return CTL_DONE;
        for (;;) {
                r = setup_ask(_("Who tries a login now (a designated user)?"), NULL, &user);
                if (r < 0)
                        return ctl_error(s->ctl, CTL_FAILED, "%s", _("setup was broken off; PAM is as it was"));
                r = setup_ask_password(_("Password: "), &password);
                if (r < 0)
                        return ctl_error(s->ctl, CTL_FAILED, "%s", _("setup was broken off; PAM is as it was"));
                s->failed = false;
                code = try_real(s, user, password);
                if (code == CTL_DONE)
                        return code;
                wipe(&password);
                password = NULL;
                free(TAKE_PTR(user));
        }
}

/* ---- the change ---- */

static ExitCode write_break_glass(Setup *s) {
        int r;

        r = break_glass_write(s->ctl->root, s->plan.break_glass);
        if (r < 0)
                return step(s, "break-glass-file", false, KEISHI_BREAK_GLASS_FILE ": %s", strerror(-r));
        return step(s, "break-glass-file", true, "%s", _(KEISHI_BREAK_GLASS_FILE " is written"));
}

int setup_run(char *const *argv) {
        int status;
        pid_t pid;

        pid = fork();
        if (pid < 0)
                return -errno;
        if (pid == 0) {
                static char *const environment[] = { (char *)"PATH=/usr/sbin:/usr/bin:/sbin:/bin",
                        (char *)"DEBIAN_FRONTEND=noninteractive", (char *)"LC_ALL=C", NULL };

                (void)dup2(STDERR_FILENO, STDOUT_FILENO);
                (void)execve(argv[0], argv, environment);
                _exit(127);
        }
        while (waitpid(pid, &status, 0) < 0)
                if (errno != EINTR)
                        return -errno;
        return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EIO;
}

/* Takes back what a failed activation may have left. */
static ExitCode deactivate(Setup *s, const char *why) {
        char *const argv[] = { (char *)PAM_AUTH_UPDATE, (char *)"--disable", (char *)"keishi", NULL };

        s->stuck = status_profile_stages(NULL) > 0 && (setup_run(argv) < 0 || status_profile_stages(NULL) > 0);
        if (s->stuck)
                return step(s, "activate", false,
                        _("%s, and neither could it be taken back: look at /etc/pam.d/common-* before you log out"),
                        why);
        return step(s, "activate", false, "%s", why);
}

static ExitCode activate(Setup *s) {
        char *const argv[] = { (char *)PAM_AUTH_UPDATE, (char *)"--enable", (char *)"keishi", NULL };

        if (args_has(s->args, "no-activate"))
                return step(s, "activate", true, "%s", _("the PAM profile is left as it is, as asked"));
        if (s->ctl->root)
                return step(
                        s, "activate", false, "%s", _("--root has no PAM of its own to activate; add --no-activate"));
        if (status_profile_stages(NULL) == PROFILE_STAGES)
                return step(s, "activate", true, "%s", _("the PAM profile is active already"));
        if (setup_run(argv) < 0)
                return deactivate(s, _("pam-auth-update --enable keishi failed"));
        if (status_profile_stages(NULL) != PROFILE_STAGES)
                return deactivate(s, _("pam-auth-update did not put pam_keishi into every stack: files of "
                                       "/etc/pam.d/common-* were changed by hand; see pam-auth-update(8), --force"));
        return step(s, "activate", true, "%s", _("the PAM profile is active: keishi decides from now on"));
}

/* From now on what differs from this is drift, and people with a role accept it. */
static ExitCode record_configuration(Setup *s) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_json_ json_object *status = NULL;
        json_object *configuration;

        if (client_call_json(s->ctl, &status, "Status", NULL) == CTL_DONE &&
                json_object_object_get_ex(status, "configuration", &configuration) &&
                json_boolean(configuration, "recorded"))
                return step(s, "configuration", true, "%s", _("the configuration was recorded before"));
        if (client_call(s->ctl, &reply, "SetupFinished", NULL) != CTL_DONE)
                return step(s, "configuration", false, "%s", _("the configuration could not be recorded"));
        return step(s, "configuration", true, "%s",
                _("configuration, PAM stacks and sudoers are recorded: changes show in keishictl status"));
}

static ExitCode check_profile(Setup *s) {
        bool active = status_profile_stages(s->ctl->root) == PROFILE_STAGES;

        return step(s, "profile", active, "%s",
                active ? _("the PAM profile is active")
                       : _("the PAM profile is not active; keishictl setup activates it"));
}

static ExitCode run_steps(Setup *s) {
        bool was_set_up;
        ExitCode code;

        code = check_agent(s);
        was_set_up = s->set_up;
        /* Before the verdicts, all of which would only say the same. */
        if (code == CTL_DONE && was_set_up)
                code = check_identity(s);
        if (code == CTL_DONE)
                code = read_plan(s);
        if (code == CTL_DONE)
                code = check_break_glass(s);
        if (code == CTL_DONE)
                code = check_directory(s);
        if (s->check_only) {
                if (code == CTL_DONE)
                        code = try_unknown(s);
                if (code == CTL_DONE && s->plan.try_user && s->set_up)
                        code = try_user(s);
                return code == CTL_DONE ? check_profile(s) : code;
        }
        if (code == CTL_DONE)
                code = try_unknown(s);
        if (code == CTL_DONE)
                code = write_directory(s);
        if (code == CTL_DONE && !was_set_up)
                code = check_identity(s);
        if (code == CTL_DONE)
                code = try_user(s);
        if (code == CTL_DONE)
                code = write_break_glass(s);
        if (code == CTL_DONE)
                code = activate(s);
        return code == CTL_DONE ? record_configuration(s) : code;
}

static ExitCode finish(Setup *s, ExitCode code) {
        _cleanup_json_ json_object *o = NULL;

        if (code == CTL_DONE && s->failed)
                code = CTL_FAILED;
        if (!s->ctl->json) {
                if (code != CTL_DONE && !s->check_only && !s->stuck)
                        (void)fprintf(stderr, "keishictl: %s\n",
                                _("not done; PAM is as it was. Mend what failed and run keishictl setup again."));
                return code;
        }
        o = json_object_new_object();
        if (!o || json_set(o, "steps", json_object_get(s->steps)) < 0 ||
                json_set_boolean(o, "done", code == CTL_DONE) < 0)
                return ctl_oom(s->ctl);
        return ctl_print_json(s->ctl, o) == CTL_DONE ? code : CTL_FAILED;
}

static ExitCode setup(Ctl *ctl, const Verb *verb, const Args *args) {
        Setup s = { .ctl = ctl, .args = args, .check_only = args_has(args, "check") };
        ExitCode code;

        if (geteuid() != 0)
                return ctl_error(
                        ctl, CTL_REFUSED, "%s", _("setup is root's, once; afterwards people with a role go on"));
        if (args_has(args, "undo") && !args_has(args, "harden"))
                return ctl_error(ctl, CTL_USAGE, "%s", _("--undo goes with --harden"));
        if (args_has(args, "harden")) {
                if (s.check_only || args_has(args, "unattended") || args_has(args, "module"))
                        return ctl_error(ctl, CTL_USAGE, "%s", _("--harden takes no option but --undo"));
                return setup_harden(ctl, args_has(args, "undo"));
        }
        if (!s.check_only && !args_has(args, "unattended") && (ctl->json || !isatty(STDIN_FILENO)))
                return ctl_error(ctl, CTL_USAGE, "%s", _("there is nobody to ask here; use --unattended FILE"));
        s.steps = json_object_new_array();
        if (!s.steps)
                return ctl_oom(ctl);
        code = finish(&s, run_steps(&s));
        setup_plan_done(&s.plan);
        json_object_put(s.status);
        json_object_put(s.steps);
        return code;
}

const Verb setup_verbs[] = {
        { "setup", NULL, NULL, N_("set up this terminal: check, register, try, activate"), 0, 0, options, setup,
                _NOUN_INVALID },
        {},
};
