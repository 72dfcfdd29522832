/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <pwd.h>
#include <shadow.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "ctl/setup.h"
#include "keishi/paths.h"
#include "util/io.h"
#include "util/json.h"

#define BREAK_GLASS_SIZE_MAX 4096u
#define SECONDS_PER_DAY      86400

void setup_plan_done(SetupPlan *p) {
        json_object_put(p->document);
        for (char **a = p->break_glass; a && *a; a++)
                free(*a);
        free(p->break_glass);
        free(p->try_user);
        free(p->try_password_file);
        *p = (SetupPlan){};
}

int setup_add_account(SetupPlan *p, const char *account) {
        char **grown;
        size_t n = 0;

        for (; p->break_glass && p->break_glass[n]; n++)
                if (strcmp(p->break_glass[n], account) == 0)
                        return 0;
        grown = reallocarray(p->break_glass, n + 2, sizeof(*grown));
        if (!grown)
                return -ENOMEM;
        p->break_glass = grown;
        grown[n] = strdup(account);
        if (!grown[n])
                return -ENOMEM;
        grown[n + 1] = NULL;
        return 0;
}

static FILE *open_below(const char *root, const char *path) {
        _cleanup_free_ char *full = io_prefix(root, path);

        return full ? fopen(full, "re") : NULL;
}

/* The account's line of /etc/passwd itself: NSS may be what is down. 0: found; 1: not. */
static int find_local(const char *root, const char *account, char **ret_shell, bool *ret_shadowed, char **ret_hash) {
        _cleanup_fclose_ FILE *f = open_below(root, "/etc/passwd");
        struct passwd *p;

        if (!f)
                return -errno;
        while ((p = fgetpwent(f)))
                if (strcmp(p->pw_name, account) == 0) {
                        *ret_shadowed = strcmp(p->pw_passwd, "x") == 0;
                        *ret_shell = strdup(p->pw_shell);
                        *ret_hash = strdup(p->pw_passwd);
                        return *ret_shell && *ret_hash ? 0 : -ENOMEM;
                }
        return 1;
}

static int find_hash(const char *root, const char *account, char **ret_hash, bool *ret_expired) {
        _cleanup_fclose_ FILE *f = open_below(root, "/etc/shadow");
        struct spwd *s;

        if (!f)
                return -errno;
        while ((s = fgetspent(f)))
                if (strcmp(s->sp_namp, account) == 0) {
                        *ret_expired = s->sp_expire > 0 && s->sp_expire <= (long)(time(NULL) / SECONDS_PER_DAY);
                        *ret_hash = strdup(s->sp_pwdp);
                        return *ret_hash ? 0 : -ENOMEM;
                }
        return 1;
}

int break_glass_check(const char *root, const char *account, const char **ret_why) {
        _cleanup_free_ char *shell = NULL, *hash = NULL;
        bool shadowed = false, expired = false;
        int r;

        r = find_local(root, account, &shell, &shadowed, &hash);
        if (r < 0)
                return r;
        if (r > 0) {
                *ret_why = N_(
                        "it is not in /etc/passwd; an account of a directory service is not there when it is needed");
                return 1;
        }
        if (!shell || strstr(shell, "nologin") || strcmp(shell, "/bin/false") == 0 ||
                strcmp(shell, "/usr/bin/false") == 0) {
                *ret_why = N_("it has no shell");
                return 1;
        }
        if (shadowed) {
                free(TAKE_PTR(hash));
                r = find_hash(root, account, &hash, &expired);
                if (r < 0)
                        return r;
                if (r > 0) {
                        *ret_why = N_("it is not in /etc/shadow");
                        return 1;
                }
        }
        if (expired) {
                *ret_why = N_("it has expired; set another date with chage -E");
                return 1;
        }
        if (!hash || *hash == '\0') {
                *ret_why = N_("it has an empty password; set one with passwd");
                return 1;
        }
        if (*hash == '!' || *hash == '*' || strlen(hash) < 13) {
                *ret_why = N_("it has no password, or a locked one; set one with passwd");
                return 1;
        }
        return 0;
}

int break_glass_read(const char *root, SetupPlan *ret) {
        _cleanup_free_ char *path = io_prefix(root, KEISHI_BREAK_GLASS_FILE), *text = NULL;
        char *rest, *line;
        int r;

        if (!path)
                return -ENOMEM;
        r = io_read_file(AT_FDCWD, path, BREAK_GLASS_SIZE_MAX, &text, NULL);
        if (r < 0)
                return r;
        for (rest = text; (line = strsep(&rest, "\n"));) {
                line[strcspn(line, "#")] = '\0';
                line += strspn(line, " \t");
                line[strcspn(line, " \t\r")] = '\0';
                if (*line) {
                        r = setup_add_account(ret, line);
                        if (r < 0)
                                return r;
                }
        }
        return 0;
}

static int write_synced(int fd, char *const *accounts) {
        _cleanup_fclose_ FILE *f = NULL;

        f = fdopen(fd, "w");
        if (!f) {
                close(fd);
                return -errno;
        }
        (void)fputs(
                "# Accounts that may log in at the console while keishid does not run; see keishi-break-glass(5).\n",
                f);
        for (; *accounts; accounts++)
                (void)fprintf(f, "%s\n", *accounts);
        if (fflush(f) != 0 || fchmod(fileno(f), 0644) < 0 || fsync(fileno(f)) < 0)
                return -errno;
        return 0;
}

int break_glass_write(const char *root, char *const *accounts) {
        _cleanup_free_ char *directory = io_prefix(root, KEISHI_CONFIG_DIR),
                            *path = io_prefix(root, KEISHI_BREAK_GLASS_FILE), *fresh = NULL;
        _cleanup_close_ int directory_fd = -EBADF;
        int fd, r;

        if (!directory || !path || asprintf(&fresh, "%s.XXXXXX", path) < 0) {
                fresh = NULL;
                return -ENOMEM;
        }
        directory_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (directory_fd < 0)
                return -errno;
        fd = mkostemp(fresh, O_CLOEXEC);
        if (fd < 0)
                return -errno;
        r = write_synced(fd, accounts);
        if (r == 0 && rename(fresh, path) < 0)
                r = -errno;
        if (r < 0) {
                (void)unlink(fresh);
                return r;
        }
        return fsync(directory_fd) < 0 ? -errno : 0;
}
