/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "config/config.h"
#include "ctl/pam-stack.h"
#include "ctl/precondition.h"
#include "keishi/paths.h"
#include "util/i18n.h"
#include "util/io.h"
#include "util/text.h"

#define FILE_SIZE_MAX (1024u * 1024u)
#define SLAVES_DEPTH  8u

const char *precondition_state_to_string(PreconditionState s) {
        static const char *const names[] = { "held", "missing", "unknown" };

        return s < _PRECONDITION_STATE_MAX ? names[s] : NULL;
}

static PreconditionState say(PreconditionState state, char **ret_detail, const char *format, ...) _printf_(3, 4);
static PreconditionState say(PreconditionState state, char **ret_detail, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        if (vasprintf(ret_detail, format, ap) < 0)
                *ret_detail = NULL;
        va_end(ap);
        return state;
}

/* A whole file below the root. sysfs and efivarfs files tell no size, so it is read until its end. */
static int read_below(const char *root, const char *path, char **ret, size_t *ret_size) {
        _cleanup_free_ char *full = io_prefix(root, path);

        return full ? io_read_file(AT_FDCWD, full, FILE_SIZE_MAX, ret, ret_size) : -ENOMEM;
}

static bool exists_below(const char *root, const char *path) {
        _cleanup_free_ char *full = io_prefix(root, path);

        return full && access(full, F_OK) == 0;
}

static PreconditionState check_boot_loader(const char *root, char **ret_detail) {
        _cleanup_free_ char *text = NULL;
        bool superusers = false, password = false;
        char *rest, *line;
        int r;

        r = read_below(root, "/boot/grub/grub.cfg", &text, NULL);
        if (r == -ENOENT)
                return say(PRECONDITION_UNKNOWN, ret_detail, _("no /boot/grub/grub.cfg: another boot loader"));
        if (r < 0)
                return say(PRECONDITION_UNKNOWN, ret_detail, "/boot/grub/grub.cfg: %s", strerror(-r));
        for (rest = text; (line = strsep(&rest, "\n"));) {
                line += strspn(line, " \t");
                if (strncmp(line, "set superusers=", 15) == 0)
                        superusers = line[15 + strspn(line + 15, "\"' \t")] != '\0';
                else if (strncmp(line, "password_pbkdf2 ", 16) == 0 || strncmp(line, "password ", 9) == 0)
                        password = true;
        }
        if (!superusers)
                return say(PRECONDITION_MISSING, ret_detail,
                        _("grub.cfg names no superusers: anyone may edit the kernel's command line"));
        if (!password)
                return say(PRECONDITION_MISSING, ret_detail, _("grub.cfg names superusers and no password"));
        return PRECONDITION_HELD;
}

static bool is_masked(const char *root, const char *unit) {
        static const char *const directories[] = { "/etc/systemd/system", "/run/systemd/system" };

        for (size_t i = 0; i < ELEMENTSOF(directories); i++) {
                _cleanup_free_ char *directory = io_prefix(root, directories[i]), *path = NULL;
                char target[16] = "";
                ssize_t n;

                if (!directory || asprintf(&path, "%s/%s", directory, unit) < 0) {
                        path = NULL;
                        return false;
                }
                n = readlink(path, target, sizeof(target) - 1);
                if (n > 0 && strcmp(target, "/dev/null") == 0)
                        return true;
        }
        return false;
}

static PreconditionState check_rescue(const char *root, char **ret_detail) {
        static const char *const units[] = { "rescue.service", "emergency.service" };

        if (exists_below(root, "/etc/systemd/system/sysinit.target.wants/debug-shell.service") ||
                exists_below(root, "/run/systemd/system/sysinit.target.wants/debug-shell.service"))
                return say(PRECONDITION_MISSING, ret_detail,
                        _("debug-shell.service is enabled: a root shell without a password on tty9"));
        for (size_t i = 0; i < ELEMENTSOF(units); i++)
                if (!is_masked(root, units[i]))
                        return say(PRECONDITION_MISSING, ret_detail,
                                _("%s is not masked: it gives a shell to who knows root's password"), units[i]);
        return PRECONDITION_HELD;
}

/* Whether a block device is dm-crypt or rests on nothing else. */
static bool is_encrypted(const char *root, const char *device, unsigned depth) {
        _cleanup_free_ char *path = NULL, *uuid = NULL, *slaves = NULL;
        struct dirent *entry;
        bool any = false, all = true;
        DIR *d;

        if (depth > SLAVES_DEPTH || asprintf(&path, "%s/dm/uuid", device) < 0) {
                path = NULL;
                return false;
        }
        if (read_below(root, path, &uuid, NULL) == 0 && strncmp(uuid, "CRYPT-", 6) == 0)
                return true;
        free(path);
        path = NULL;
        if (asprintf(&path, "%s/slaves", device) < 0) {
                path = NULL;
                return false;
        }
        slaves = io_prefix(root, path);
        d = slaves ? opendir(slaves) : NULL;
        if (!d)
                return false;
        while ((entry = readdir(d))) {
                _cleanup_free_ char *below = NULL;

                if (entry->d_name[0] == '.')
                        continue;
                any = true;
                if (asprintf(&below, "%s/%s", path, entry->d_name) < 0) {
                        below = NULL;
                        all = false;
                } else
                        all = all && is_encrypted(root, below, depth + 1);
        }
        closedir(d);
        return any && all;
}

/* Device number and source of the root file system, from mountinfo (proc(5)). */
static int root_device(const char *root, unsigned *ret_major, unsigned *ret_minor, char **ret_source) {
        _cleanup_free_ char *text = NULL;
        char *rest, *line;
        int r;

        r = read_below(root, "/proc/self/mountinfo", &text, NULL);
        if (r < 0)
                return r;
        for (rest = text; (line = strsep(&rest, "\n"));) {
                char *fields[5], *dash, *end;
                size_t n = 0;

                dash = strstr(line, " - ");
                if (!dash)
                        continue;
                *dash = '\0';
                for (char *word; n < ELEMENTSOF(fields) && (word = strsep(&line, " "));)
                        fields[n++] = word;
                if (n < ELEMENTSOF(fields) || strcmp(fields[4], "/") != 0)
                        continue;
                *ret_major = (unsigned)strtoul(fields[2], &end, 10);
                *ret_minor = *end == ':' ? (unsigned)strtoul(end + 1, NULL, 10) : 0;
                dash += 3;
                (void)strsep(&dash, " "); /* type */
                free(*ret_source);
                *ret_source = strdup(dash ? strsep(&dash, " ") : "");
                if (!*ret_source)
                        return -ENOMEM;
        }
        return *ret_source ? 0 : -ENODATA;
}

static PreconditionState check_disk(const char *root, char **ret_detail) {
        _cleanup_free_ char *source = NULL, *device = NULL;
        unsigned major_number = 0, minor_number = 0;
        struct stat st;
        int r;

        r = root_device(root, &major_number, &minor_number, &source);
        if (r < 0)
                return say(PRECONDITION_UNKNOWN, ret_detail, "mountinfo: %s", strerror(-r));
        if (major_number == 0 && *source == '/' && stat(source, &st) == 0 &&
                S_ISBLK(st.st_mode)) { /* btrfs has a number of its own */
                major_number = major(st.st_rdev);
                minor_number = minor(st.st_rdev);
        }
        if (major_number == 0)
                return say(PRECONDITION_UNKNOWN, ret_detail,
                        _("the root file system (%s) is on no block device that can be looked at"), source);
        if (asprintf(&device, "/sys/dev/block/%u:%u", major_number, minor_number) < 0) {
                device = NULL;
                return PRECONDITION_UNKNOWN;
        }
        if (is_encrypted(root, device, 0))
                return PRECONDITION_HELD;
        return say(PRECONDITION_MISSING, ret_detail,
                _("the root file system (%s) is not on dm-crypt: whoever takes the disk out can change it"), source);
}

static PreconditionState check_secure_boot(const char *root, char **ret_detail) {
        _cleanup_free_ char *text = NULL;
        size_t size;
        int r;

        if (!exists_below(root, "/sys/firmware/efi"))
                return say(PRECONDITION_MISSING, ret_detail, _("started without UEFI"));
        /* UEFI 2.10, section 3.3: SecureBoot is one byte; efivarfs puts 4 bytes of attributes before it */
        r = read_below(root, "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c", &text, &size);
        if (r == -ENOENT)
                return say(PRECONDITION_MISSING, ret_detail, _("the firmware has no Secure Boot"));
        if (r < 0)
                return say(PRECONDITION_UNKNOWN, ret_detail, "SecureBoot: %s", strerror(-r));
        if (size == 5 && text[4] == 1)
                return PRECONDITION_HELD;
        return say(PRECONDITION_MISSING, ret_detail, _("Secure Boot is off"));
}

static PreconditionState check_lockdown(const char *root, char **ret_detail) {
        _cleanup_free_ char *text = NULL;
        int r;

        r = read_below(root, "/sys/kernel/security/lockdown", &text, NULL);
        if (r == -EACCES)
                return say(PRECONDITION_UNKNOWN, ret_detail, "lockdown: %s", strerror(-r));
        if (r < 0)
                return say(PRECONDITION_MISSING, ret_detail, _("the kernel has no lockdown"));
        if (strstr(text, "[integrity]") || strstr(text, "[confidentiality]"))
                return PRECONDITION_HELD;
        return say(PRECONDITION_MISSING, ret_detail, _("lockdown is off: root may change the running kernel"));
}

static PreconditionState check_iommu(const char *root, char **ret_detail) {
        _cleanup_free_ char *path = io_prefix(root, "/sys/class/iommu");
        struct dirent *entry;
        bool any = false;
        DIR *d;

        d = path ? opendir(path) : NULL;
        while (d && (entry = readdir(d)))
                any |= entry->d_name[0] != '.';
        if (d)
                closedir(d);
        return any ? PRECONDITION_HELD
                   : say(PRECONDITION_MISSING, ret_detail,
                             _("no IOMMU is in use: a device that can do DMA reads and writes memory"));
}

/* ---- the PAM stacks ---- */

/* Modules that let nobody in by themselves, or that keishi stands before. */
static const char *const known_modules[] = { "pam_access.so", "pam_cap.so", "pam_deny.so", "pam_echo.so", "pam_env.so",
        "pam_faildelay.so", "pam_faillock.so", "pam_gdm.so", "pam_gnome_keyring.so", "pam_group.so", "pam_issue.so",
        "pam_keishi.so", "pam_keyinit.so", "pam_kwallet5.so", "pam_lastlog.so", "pam_lastlog2.so", "pam_limits.so",
        "pam_listfile.so", "pam_localuser.so", "pam_loginuid.so", "pam_mail.so", "pam_mkhomedir.so", "pam_motd.so",
        "pam_namespace.so", "pam_nologin.so", "pam_permit.so", "pam_pwhistory.so", "pam_pwquality.so", "pam_rootok.so",
        "pam_securetty.so", "pam_selinux.so", "pam_sepermit.so", "pam_shells.so", "pam_succeed_if.so", "pam_systemd.so",
        "pam_systemd_home.so", "pam_systemd_loadkey.so", "pam_tally2.so", "pam_time.so", "pam_tty_audit.so",
        "pam_umask.so", "pam_unix.so", "pam_usertype.so", "pam_warn.so", "pam_wheel.so", "pam_xauth.so" };
/* Stacks that are not entered by people: our own helper's, and the greeters', whose account stage is in the service
 * table. */
static const char *const own_stacks[] = { "keishi-password", "gdm-launch-environment", "lightdm-greeter",
        "sddm-greeter", NULL };

static bool in_names(const char *const *names, size_t n, const char *name) {
        for (size_t i = 0; i < n && names[i]; i++)
                if (strcmp(names[i], name) == 0)
                        return true;
        return false;
}

typedef struct Look {
        FILE *f;
        const char *service;
        const char *type;
        const char *file; /* "common-auth" */
        bool any, guarded;
        unsigned found;
} Look;

static void note(Look *l, const char *what, const char *where) {
        (void)fprintf(l->f, "%s%s", l->found++ ? ", " : "", what);
        if (where)
                (void)fprintf(l->f, " (%s)", where);
}

static bool look_foreign(const PamLine *line, void *userdata) {
        Look *l = userdata;

        if (strcmp(line->file, l->service) == 0 && !in_names(known_modules, ELEMENTSOF(known_modules), line->module))
                note(l, line->module, l->service);
        return false;
}

static bool look_guarded(const PamLine *line, void *userdata) {
        Look *l = userdata;

        if (strcmp(line->type, l->type) != 0)
                return false;
        /* these alone let nobody in but root */
        l->any |= strcmp(line->module, "pam_deny.so") != 0 && strcmp(line->module, "pam_rootok.so") != 0;
        l->guarded |= strcmp(line->file, l->file) == 0 || strcmp(line->module, "pam_keishi.so") == 0;
        return l->guarded;
}

static bool look_nullok(const PamLine *line, void *userdata) {
        Look *l = userdata;

        if (strcmp(line->file, l->service) == 0 && strcmp(line->type, "password") != 0 &&
                strstr(line->arguments, "nullok"))
                note(l, l->service, line->module);
        return false;
}

/* Looks at every service; PRECONDITION_MISSING when anything was noted, the notes in *ret_detail. */
static PreconditionState look_at_stacks(const char *root, pam_line_fn fn, const char *type, char **ret_detail) {
        _cleanup_(strings_free_p) char **services = NULL;
        Look l = { .type = type, .file = type && strcmp(type, "auth") == 0 ? "common-auth" : "common-account" };
        _cleanup_free_ char *notes = NULL;
        size_t size;
        int r;

        r = pam_services(root, &services);
        if (r < 0)
                return say(PRECONDITION_UNKNOWN, ret_detail, "/etc/pam.d: %s", strerror(-r));
        l.f = open_memstream(&notes, &size);
        if (!l.f)
                return PRECONDITION_UNKNOWN;
        for (char **s = services; r == 0 && *s; s++) {
                l.service = *s;
                l.any = l.guarded = false;
                r = pam_stack_read(root, *s, fn, &l);
                if (r == 0 && fn == look_guarded && l.any && !l.guarded && strncmp(*s, "common-", 7) != 0 &&
                        !in_names(own_stacks, ELEMENTSOF(own_stacks), *s))
                        note(&l, *s, NULL);
        }
        if (fclose(l.f) != 0)
                return PRECONDITION_UNKNOWN;
        if (r < 0)
                return say(PRECONDITION_UNKNOWN, ret_detail, "/etc/pam.d/%s: %s", l.service, strerror(-r));
        if (l.found == 0)
                return PRECONDITION_HELD;
        *ret_detail = TAKE_PTR(notes);
        return PRECONDITION_MISSING;
}

static PreconditionState check_foreign(const char *root, char **ret_detail) {
        return look_at_stacks(root, look_foreign, NULL, ret_detail);
}

static PreconditionState check_auth(const char *root, char **ret_detail) {
        return look_at_stacks(root, look_guarded, "auth", ret_detail);
}

static PreconditionState check_account(const char *root, char **ret_detail) {
        return look_at_stacks(root, look_guarded, "account", ret_detail);
}

static PreconditionState check_nullok(const char *root, char **ret_detail) {
        return look_at_stacks(root, look_nullok, NULL, ret_detail);
}

/* ---- the kernel's keys, and who stays ---- */

/* What the SysRq keys may do without taking anything from anyone: sync, remount read-only, reboot (kernel
 * documentation, sysrq.rst). */
#define SYSRQ_HARMLESS (16u | 32u | 128u)

static PreconditionState check_sysrq(const char *root, char **ret_detail) {
        _cleanup_free_ char *text = NULL;
        uint64_t value;
        int r;

        r = read_below(root, "/proc/sys/kernel/sysrq", &text, NULL);
        if (r < 0)
                return say(PRECONDITION_UNKNOWN, ret_detail, "/proc/sys/kernel/sysrq: %s", strerror(-r));
        text[strcspn(text, "\n")] = '\0';
        if (parse_uint64(text, 0, UINT32_MAX, &value) < 0)
                return say(PRECONDITION_UNKNOWN, ret_detail, "/proc/sys/kernel/sysrq: %s", text);
        if (value != 1 && (value & ~(uint64_t)SYSRQ_HARMLESS) == 0)
                return PRECONDITION_HELD;
        return say(PRECONDITION_MISSING, ret_detail,
                _("kernel.sysrq is %s: keys at the keyboard kill programs, a screen lock too"), text);
}

int precondition_lingering(const char *root, char ***ret) {
        _cleanup_free_ char *directory = io_prefix(root, LINGER_DIR),
                            *config_path = io_prefix(root, KEISHI_CONFIG_FILE);
        _cleanup_(config_free_p) Config *config = NULL;
        _cleanup_(strings_free_p) char **users = NULL;
        uint64_t uid_min = 1000;
        struct dirent *entry;
        size_t n = 0;
        int r = 0;
        DIR *d;

        if (!directory || !config_path)
                return -ENOMEM;
        if (config_load(&config, config_path, NULL) == 0)
                uid_min = config->staff_uid_min;
        d = opendir(directory);
        if (!d && errno != ENOENT)
                return -errno;
        while (d && r == 0 && (entry = readdir(d))) {
                const struct passwd *p = entry->d_name[0] != '.' ? getpwnam(entry->d_name) : NULL;
                char **grown;

                if (entry->d_name[0] == '.' || (p && p->pw_uid < uid_min))
                        continue;
                grown = reallocarray(users, n + 2, sizeof(*users));
                if (grown) {
                        users = grown;
                        users[n + 1] = NULL;
                        users[n] = strdup(entry->d_name);
                }
                r = grown && users[n++] ? 0 : -ENOMEM;
        }
        if (d)
                closedir(d);
        if (r == 0)
                *ret = TAKE_PTR(users);
        return r;
}

static PreconditionState check_linger(const char *root, char **ret_detail) {
        _cleanup_(strings_free_p) char **users = NULL;
        _cleanup_free_ char *notes = NULL;
        Look l = {};
        size_t size;
        int r;

        r = precondition_lingering(root, &users);
        if (r < 0)
                return say(PRECONDITION_UNKNOWN, ret_detail, LINGER_DIR ": %s", strerror(-r));
        if (!users || !*users)
                return PRECONDITION_HELD;
        l.f = open_memstream(&notes, &size);
        for (char **u = users; l.f && *u; u++)
                note(&l, *u, NULL);
        if (!l.f || fclose(l.f) != 0)
                return PRECONDITION_MISSING;
        return say(PRECONDITION_MISSING, ret_detail, _("programs of these users go on after logout: %s"), notes);
}

const Precondition preconditions[] = {
        { "boot-loader-password", N_("boot loader password"),
                N_("set superusers and password_pbkdf2 in /etc/grub.d/40_custom, then run update-grub"),
                check_boot_loader },
        { "rescue-shells", N_("rescue shells"),
                N_("keishictl setup --harden, or systemctl mask rescue.service emergency.service debug-shell.service"),
                check_rescue },
        { "sysrq", N_("SysRq keys"), N_("keishictl setup --harden, or kernel.sysrq = 0 in /etc/sysctl.d"),
                check_sysrq },
        { "linger", N_("lingering users"), N_("keishictl setup --harden, or loginctl disable-linger USER"),
                check_linger },
        { "disk-encryption", N_("disk encryption"), N_("install the terminal anew on an encrypted disk (LUKS)"),
                check_disk },
        { "secure-boot", N_("Secure Boot"), N_("switch it on in the firmware, and give the firmware a password"),
                check_secure_boot },
        { "kernel-lockdown", N_("kernel lockdown"),
                N_("add lockdown=integrity to the kernel's command line (Secure Boot brings it by itself)"),
                check_lockdown },
        { "iommu", N_("IOMMU"), N_("switch it on in the firmware, and add intel_iommu=on to the kernel's command line"),
                check_iommu },
        { "pam-foreign-modules", N_("PAM modules of others"),
                N_("look whether they let anyone in beside keishi; pam-auth-update removes profiles"), check_foreign },
        { "pam-auth", N_("PAM services without common-auth"),
                N_("add \"@include common-auth\" to each, or remove it when it is not used"), check_auth },
        { "pam-account", N_("PAM services without common-account"),
                N_("add \"@include common-account\" to each, or remove it when it is not used"), check_account },
        { "nullok", N_("empty passwords"), N_("take nullok out of the lines of pam_unix in /etc/pam.d"), check_nullok },
        {},
};
