/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "ctl/pam-stack.h"
#include "ctl/precondition.h"
#include "ctl/setup.h"
#include "ctl/table.h"
#include "keishi/paths.h"
#include "util/io.h"
#include "util/json.h"

/* keishictl setup --harden: what keishi rests on and an installed machine can still close, closed; each step says what
 * was there before, is written down before it is done, and is taken back by --undo. */

#define UNIT_DIR     "/etc/systemd/system"
#define WANTED       "/etc/systemd/system/sysinit.target.wants/debug-shell.service"
#define SYSCTL_FILE  "/etc/sysctl.d/99-zz-keishi.conf" /* behind 99-sysctl.conf */
#define SYSCTL_VALUE "/proc/sys/kernel/sysrq"
#define STATE_FILE   KEISHI_STATE_DIR "/harden.json"
#define STATE_MAX    65536u

/* What gives a shell before anyone has logged in. */
static const char *const shells[] = { "rescue.service", "emergency.service", "debug-shell.service" };

typedef struct Harden {
        Ctl *ctl;
        json_object *state; /* what was there before: members masked, linger (arrays), wanted, sysrq (texts) */
        json_object *steps;
        bool failed;
} Harden;

/* Tells one step; `outcome` is done, already, left (to the administrator) or failed. */
static int tell(Harden *h, const char *name, const char *outcome, const char *before, const char *after) {
        json_object *o = json_object_new_object();

        if (!o || json_object_array_add(h->steps, o) < 0) {
                json_object_put(o);
                return -ENOMEM;
        }
        if (json_set_string(o, "step", name) < 0 || json_set_string(o, "outcome", outcome) < 0 ||
                json_set_string(o, "before", before) < 0 || json_set_string(o, "after", after) < 0)
                return -ENOMEM;
        h->failed |= strcmp(outcome, "failed") == 0;
        if (!h->ctl->json) {
                _cleanup_free_ char *safe_before = text_safe(before), *safe_after = text_safe(after);

                (void)printf("[%s] %s: %s → %s\n",
                        strcmp(outcome, "failed") == 0 ? _("FAILED")
                        : strcmp(outcome, "left") == 0 ? _("left to you")
                                                       : _("ok"),
                        name, safe_before ? safe_before : "", safe_after ? safe_after : "");
        }
        return 0;
}

static int tell_error(Harden *h, const char *name, const char *before, int r) {
        return r == -ENOMEM ? r : tell(h, name, "failed", before, strerror(-r));
}

/* ---- what was there before ---- */

static int state_load(Harden *h) {
        _cleanup_free_ char *path = io_prefix(h->ctl->root, STATE_FILE), *text = NULL;
        int r;

        if (!path)
                return -ENOMEM;
        r = io_read_file(AT_FDCWD, path, STATE_MAX, &text, NULL);
        if (r == -ENOENT) {
                h->state = json_object_new_object();
                return h->state ? 0 : -ENOMEM;
        }
        return r < 0 ? r : json_parse_object(text, &h->state);
}

/* Complete or not at all, and on the disk before what it tells of is done. */
static int write_file(const char *root, const char *path, const char *text, mode_t mode) {
        _cleanup_free_ char *full = io_prefix(root, path), *fresh = NULL;
        size_t size = strlen(text);
        int fd, r = 0;

        if (!full || asprintf(&fresh, "%s.XXXXXX", full) < 0) {
                fresh = NULL;
                return -ENOMEM;
        }
        fd = mkostemp(fresh, O_CLOEXEC);
        if (fd < 0)
                return -errno;
        if (write(fd, text, size) != (ssize_t)size)
                r = -EIO;
        else if (fchmod(fd, mode) < 0 || fsync(fd) < 0 || rename(fresh, full) < 0)
                r = -errno;
        close(fd);
        if (r < 0)
                (void)unlink(fresh);
        return r;
}

static int state_save(Harden *h) {
        const char *text = json_text(h->state);

        return text ? write_file(h->ctl->root, STATE_FILE, text, 0600) : -ENOMEM;
}

static int state_note(Harden *h, const char *name, const char *text) {
        return json_set_string(h->state, name, text) < 0 ? -ENOMEM : state_save(h);
}

static int state_add(Harden *h, const char *name, const char *text) {
        json_object *array, *o;

        if (!json_object_object_get_ex(h->state, name, &array)) {
                array = json_object_new_array();
                if (json_set(h->state, name, array) < 0)
                        return -ENOMEM;
        }
        for (size_t i = 0; i < json_object_array_length(array); i++)
                if (strcmp(json_object_get_string(json_object_array_get_idx(array, i)), text) == 0)
                        return state_save(h);
        o = json_object_new_string(text);
        if (!o || json_object_array_add(array, o) < 0) {
                json_object_put(o);
                return -ENOMEM;
        }
        return state_save(h);
}

/* ---- rescue shells ---- */

static char *unit_path(const Harden *h, const char *unit) {
        _cleanup_free_ char *directory = io_prefix(h->ctl->root, UNIT_DIR);
        char *path;

        return directory && asprintf(&path, "%s/%s", directory, unit) >= 0 ? path : NULL;
}

static bool is_link_to(const char *path, const char *target) {
        char seen[64];
        ssize_t n = readlink(path, seen, sizeof(seen));

        return n == (ssize_t)strlen(target) && memcmp(seen, target, (size_t)n) == 0;
}

static int mask(Harden *h, const char *unit) {
        _cleanup_free_ char *path = unit_path(h, unit);
        int r;

        if (!path)
                return -ENOMEM;
        if (is_link_to(path, "/dev/null"))
                return tell(h, unit, "already", _("masked"), _("masked"));
        if (faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
                return tell(h, unit, "failed", _("a unit of your own in /etc/systemd/system"),
                        _("left as it is; move it away first"));
        r = state_add(h, "masked", unit);
        if (r == 0 && symlink("/dev/null", path) < 0)
                r = -errno;
        return r < 0 ? tell_error(h, unit, _("not masked"), r) : tell(h, unit, "done", _("not masked"), _("masked"));
}

static int disable_debug_shell(Harden *h) {
        _cleanup_free_ char *path = io_prefix(h->ctl->root, WANTED);
        char target[256];
        ssize_t n;
        int r;

        if (!path)
                return -ENOMEM;
        n = readlink(path, target, sizeof(target) - 1);
        if (n < 0)
                return 0;
        target[n] = '\0';
        r = state_note(h, "wanted", target);
        if (r == 0 && unlink(path) < 0)
                r = -errno;
        return r < 0 ? tell_error(h, "debug-shell", _("enabled"), r)
                     : tell(h, "debug-shell", "done", _("enabled"), _("disabled"));
}

static int reload(Harden *h) {
        char *const argv[] = { (char *)"/usr/bin/systemctl", (char *)"daemon-reload", NULL };
        int r;

        if (h->ctl->root)
                return 0;
        r = setup_run(argv);
        return r < 0 ? tell_error(h, "daemon-reload", "systemctl", r) : 0;
}

/* ---- SysRq ---- */

/* The running kernel's value; a line. */
static int set_sysrq(const Harden *h, const char *value) {
        _cleanup_free_ char *path = io_prefix(h->ctl->root, SYSCTL_VALUE);
        _cleanup_close_ int fd = -EBADF;
        size_t size = strlen(value);

        if (!path)
                return -ENOMEM;
        fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        return write(fd, value, size) == (ssize_t)size ? 0 : -EIO;
}

static int read_sysrq(const Harden *h, char **ret) {
        _cleanup_free_ char *path = io_prefix(h->ctl->root, SYSCTL_VALUE);
        int r;

        if (!path)
                return -ENOMEM;
        r = io_read_file(AT_FDCWD, path, 64, ret, NULL);
        if (r == 0)
                (*ret)[strcspn(*ret, "\n")] = '\0';
        return r;
}

static int close_sysrq(Harden *h) {
        _cleanup_free_ char *before = NULL, *file = io_prefix(h->ctl->root, SYSCTL_FILE);
        bool there;
        int r;

        if (!file)
                return -ENOMEM;
        r = read_sysrq(h, &before);
        if (r < 0)
                return tell_error(h, "kernel.sysrq", SYSCTL_VALUE, r);
        there = access(file, F_OK) == 0;
        if (there && strcmp(before, "0") == 0)
                return tell(h, "kernel.sysrq", "already", before, "0");
        if (!there)
                r = state_note(h, "sysrq", before);
        if (r == 0)
                r = write_file(h->ctl->root, SYSCTL_FILE,
                        "# keishictl setup --harden: no key at the keyboard acts on the kernel.\nkernel.sysrq = 0\n",
                        0644);
        if (r == 0)
                r = set_sysrq(h, "0");
        return r < 0 ? tell_error(h, "kernel.sysrq", before, r) : tell(h, "kernel.sysrq", "done", before, "0");
}

/* ---- lingering ---- */

static int end_lingering(Harden *h) {
        _cleanup_(strings_free_p) char **users = NULL;
        _cleanup_free_ char *directory = NULL;
        int r;

        directory = io_prefix(h->ctl->root, LINGER_DIR);
        if (!directory)
                return -ENOMEM;
        r = precondition_lingering(h->ctl->root, &users);
        if (r < 0)
                return tell_error(h, "linger", LINGER_DIR, r);
        if (!users || !*users)
                return tell(h, "linger", "already", _("nobody but system accounts"), _("nobody but system accounts"));
        for (char **u = users; *u; u++) {
                _cleanup_free_ char *path = NULL;

                if (asprintf(&path, "%s/%s", directory, *u) < 0) {
                        path = NULL;
                        return -ENOMEM;
                }
                r = state_add(h, "linger", *u);
                if (r == 0 && unlink(path) < 0)
                        r = -errno;
                r = r < 0 ? tell_error(h, "linger", *u, r) : tell(h, "linger", "done", *u, _("no lingering"));
                if (r < 0)
                        return r;
        }
        return 0;
}

/* ---- what is left ---- */

static int tell_boot_loader(Harden *h) {
        static const char commands[] =
                "grub-mkpasswd-pbkdf2\n"
                "cat >>/etc/grub.d/40_custom <<'END'\n"
                "set superusers=\"root\"\n"
                "password_pbkdf2 root grub.pbkdf2.sha512.…\n"
                "END\n"
                "sed -i 's/^CLASS=\"--class /CLASS=\"--unrestricted --class /' /etc/grub.d/10_linux\n"
                "update-grub\n";
        int r;

        for (const Precondition *p = preconditions; p->id; p++) {
                _cleanup_free_ char *detail = NULL;

                if (strcmp(p->id, "boot-loader-password") == 0 && p->check(h->ctl->root, &detail) == PRECONDITION_HELD)
                        return tell(h, "boot-loader-password", "already", _("set"), _("set"));
        }
        r = tell(h, "boot-loader-password", "left", _("not set, or not seen"), _("only you can choose it"));
        if (r < 0)
                return r;
        if (h->ctl->json)
                return json_set_string(json_object_array_get_idx(h->steps, json_object_array_length(h->steps) - 1),
                        "commands", commands);
        (void)printf("\n%s\n\n%s\n",
                _("A boot loader password, which is asked for changes of the kernel's command line only:"), commands);
        return 0;
}

/* Once no shell starts by itself, who may still repair this terminal must be certain. */
static ExitCode need_break_glass(Harden *h) {
        SetupPlan plan = {};
        bool usable = false;
        const char *why;
        int r;

        r = break_glass_read(h->ctl->root, &plan);
        for (char **a = plan.break_glass; r == 0 && a && *a; a++)
                usable = usable || break_glass_check(h->ctl->root, *a, &why) == 0;
        setup_plan_done(&plan);
        if (usable)
                return CTL_DONE;
        return ctl_error(h->ctl, CTL_REFUSED, "%s",
                _("there is no usable break-glass account: with the rescue shells closed nobody could repair this "
                  "terminal. Nothing was changed; see keishi-break-glass(5)."));
}

static int close_all(Harden *h) {
        int r = 0;

        for (size_t i = 0; r == 0 && i < ELEMENTSOF(shells); i++)
                r = mask(h, shells[i]);
        if (r == 0)
                r = disable_debug_shell(h);
        if (r == 0)
                r = reload(h);
        if (r == 0)
                r = close_sysrq(h);
        if (r == 0)
                r = end_lingering(h);
        if (r == 0)
                r = tell_boot_loader(h);
        if (r == 0 && !h->ctl->json)
                (void)printf("%s\n%s\n",
                        _("An administrator still gets in by a break-glass account at the console, or by an ordinary "
                          "login and sudo. When the terminal cannot start at all (a damaged file system), no shell "
                          "opens: start it from another medium, with the firmware's password."),
                        _("Disk encryption, Secure Boot, IOMMU and the firmware's password cannot be set from here; "
                          "see keishictl status. keishictl setup --harden --undo takes all of this back."));
        return r;
}

/* ---- back ---- */

static int unmask(Harden *h, const char *unit) {
        _cleanup_free_ char *path = strchr(unit, '/') ? NULL : unit_path(h, unit);

        if (!path)
                return -ENOMEM;
        if (!is_link_to(path, "/dev/null"))
                return tell(h, unit, "already", _("not masked"), _("not masked"));
        if (unlink(path) < 0)
                return tell_error(h, unit, _("masked"), -errno);
        return tell(h, unit, "done", _("masked"), _("not masked"));
}

static int linger_again(Harden *h, const char *user) {
        _cleanup_free_ char *directory = io_prefix(h->ctl->root, LINGER_DIR), *path = NULL;
        int fd;

        if (strchr(user, '/') || !directory || asprintf(&path, "%s/%s", directory, user) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
        if (fd < 0)
                return tell_error(h, "linger", user, -errno);
        close(fd);
        return tell(h, "linger", "done", _("no lingering"), user);
}

static int each(Harden *h, const char *name, int (*fn)(Harden *h, const char *text)) {
        json_object *array;
        int r = 0;

        if (!json_object_object_get_ex(h->state, name, &array) || !json_object_is_type(array, json_type_array))
                return 0;
        for (size_t i = 0; r == 0 && i < json_object_array_length(array); i++)
                r = fn(h, json_object_get_string(json_object_array_get_idx(array, i)));
        return r;
}

static int open_sysrq(Harden *h, const char *before) {
        _cleanup_free_ char *file = io_prefix(h->ctl->root, SYSCTL_FILE);
        int r;

        if (!file)
                return -ENOMEM;
        if (unlink(file) < 0 && errno != ENOENT)
                return tell_error(h, "kernel.sysrq", "0", -errno);
        r = set_sysrq(h, before);
        return r < 0 ? tell_error(h, "kernel.sysrq", "0", r) : tell(h, "kernel.sysrq", "done", "0", before);
}

static int enable_debug_shell(Harden *h, const char *target) {
        _cleanup_free_ char *path = io_prefix(h->ctl->root, WANTED);

        if (!path)
                return -ENOMEM;
        if (symlink(target, path) < 0 && errno != EEXIST)
                return tell_error(h, "debug-shell", _("disabled"), -errno);
        return tell(h, "debug-shell", "done", _("disabled"), _("enabled"));
}

static int undo_all(Harden *h) {
        _cleanup_free_ char *path = io_prefix(h->ctl->root, STATE_FILE);
        const char *text;
        int r;

        if (!path)
                return -ENOMEM;
        r = each(h, "masked", unmask);
        text = json_string(h->state, "wanted");
        if (r == 0 && text)
                r = enable_debug_shell(h, text);
        if (r == 0)
                r = reload(h);
        text = json_string(h->state, "sysrq");
        if (r == 0 && text)
                r = open_sysrq(h, text);
        if (r == 0)
                r = each(h, "linger", linger_again);
        /* What failed is tried again by the next --undo. */
        if (r == 0 && !h->failed && unlink(path) < 0 && errno != ENOENT)
                r = -errno;
        return r;
}

/* ---- the trail ---- */

/* What was done, or is about to be; the agent's trail has it when this is CTL_DONE. */
static ExitCode record(Harden *h, bool undo, const char *result, json_object *steps) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_json_ json_object *o = json_object_new_object();

        if (!o || json_set_string(o, "action", undo ? "undo" : "harden") < 0 ||
                json_set_string(o, "result", result) < 0 || json_set(o, "steps", json_object_get(steps)) < 0 ||
                !json_text(o))
                return ctl_oom(h->ctl);
        return client_call(h->ctl, &reply, "Hardened", "s", json_text(o));
}

/* What is about to be opened: an array with what there is to take back. */
static ExitCode record_undo(Harden *h) {
        _cleanup_json_ json_object *before = json_object_new_array();
        ExitCode code;

        if (!before || json_object_array_add(before, json_object_get(h->state)) < 0)
                return ctl_oom(h->ctl);
        code = record(h, true, "begun", before);
        return code == CTL_DONE ? code
                                : ctl_error(h->ctl, code, "%s",
                                          _("Nothing was opened: what opens needs its record in the trail first. To "
                                            "repair a terminal without keishid: systemctl unmask rescue.service "
                                            "emergency.service."));
}

ExitCode setup_harden(Ctl *ctl, bool undo) {
        Harden h = { .ctl = ctl, .steps = json_object_new_array() };
        _cleanup_json_ json_object *o = json_object_new_object();
        ExitCode code = CTL_DONE;
        int r;

        r = h.steps && o ? state_load(&h) : -ENOMEM;
        if (r == 0)
                code = undo ? record_undo(&h) : need_break_glass(&h);
        if (r == 0 && code == CTL_DONE) {
                r = undo ? undo_all(&h) : close_all(&h);
                if (record(&h, undo, r < 0 || h.failed ? "failed" : "done", h.steps) != CTL_DONE)
                        h.failed = true; /* done, but the trail does not know: said, and no success */
        }
        if (r < 0)
                code = ctl_error(ctl, CTL_FAILED, "%s: %s", STATE_FILE, strerror(-r));
        else if (code == CTL_DONE) {
                if (ctl->json &&
                        (json_set(o, "steps", json_object_get(h.steps)) < 0 ||
                                json_set_boolean(o, "done", !h.failed) < 0 || ctl_print_json(ctl, o) != CTL_DONE))
                        code = CTL_FAILED;
                else
                        code = h.failed ? CTL_FAILED : CTL_DONE;
        }
        json_object_put(h.state);
        json_object_put(h.steps);
        return code;
}
