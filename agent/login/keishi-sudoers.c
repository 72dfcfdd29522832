/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* keishi-sudoers: whether sudo, as it is set now, writes about each command (sudo-settings.h). Request: the prefix of
 * /etc, "/" for none. Reply: "ok", "absent" (there is no sudo, or no sudoers, without which it does nothing), or what
 * is wrong, separated by "; ". It reads sudoers as root does, by cvtsudoers(1), and gives up root before it looks at
 * what that says. */

#include <fcntl.h>
#include <grp.h>
#include <spawn.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "factor/helper.h"
#include "login/sudo-settings.h"
#include "util/io.h"
#include "util/json.h"

#define NOBODY     65534
#define SUDO       "/usr/bin/sudo"
#define CVTSUDOERS "/usr/bin/cvtsudoers"
#define CONF_MAX   (64u * 1024u)

static int spawn(const char *const argv[], int stdin_fd, int stdout_fd, pid_t *ret) {
        static const char *const environment[] = { "LC_ALL=C", "PATH=/usr/bin:/usr/sbin", NULL };
        posix_spawn_file_actions_t actions;
        int r;

        if (posix_spawn_file_actions_init(&actions) != 0)
                return -ENOMEM;
        r = posix_spawn_file_actions_adddup2(&actions, stdin_fd, STDIN_FILENO);
        if (r == 0)
                r = posix_spawn_file_actions_adddup2(&actions, stdout_fd, STDOUT_FILENO);
        if (r == 0)
                r = posix_spawn_file_actions_adddup2(&actions, stdin_fd, STDERR_FILENO);
        if (r == 0)
                r = posix_spawn(ret, argv[0], &actions, NULL, (char *const *)argv, (char *const *)environment);
        posix_spawn_file_actions_destroy(&actions);
        return -r;
}

static int drop_root(void) {
        if (geteuid() == 0 && (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
                                      setresuid(NOBODY, NOBODY, NOBODY) < 0))
                return -errno;
        return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
}

static int read_all(int fd, char *text, size_t room) {
        size_t size = 0;
        ssize_t n;

        while ((n = read(fd, text + size, room - 1 - size)) > 0)
                size += (size_t)n;
        if (n < 0)
                return -errno;
        if (size == room - 1)
                return -EFBIG;
        text[size] = '\0';
        return 0;
}

/* Its output, once it has ended well. -EBADMSG: it says that sudoers is wrong, or what it says is too much. */
static int convert(const char *root, char *text, size_t room) {
        _cleanup_free_ char *sudoers = io_prefix(root, "/etc/sudoers");
        const char *const argv[] = { CVTSUDOERS, "-f", "json", "-s", "aliases,privileges", "-o", "-", sudoers, NULL };
        _cleanup_close_ int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        int pipes[2], r, status;
        pid_t pid;

        if (!sudoers)
                return -ENOMEM;
        if (null < 0 || pipe2(pipes, O_CLOEXEC) < 0)
                return -errno;
        r = spawn(argv, null, pipes[1], &pid);
        close(pipes[1]);
        if (r == 0) {
                r = read_all(pipes[0], text, room);
                if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
                        r = -EBADMSG;
        }
        close(pipes[0]);
        return r;
}

static int look(const char *root, SudoFindings *findings) {
        static char text[JSON_TEXT_MAX];
        _cleanup_json_ json_object *sudoers = NULL;
        _cleanup_free_ char *path = io_prefix(root, "/etc/sudo.conf"), *conf = NULL;
        size_t size;
        int r;

        if (!path)
                return -ENOMEM;
        r = convert(root, text, sizeof(text));
        if (r == 0 && io_read_file(AT_FDCWD, path, CONF_MAX, &conf, &size) == 0)
                sudo_settings_look_conf(conf, findings);
        if (drop_root() < 0)
                exit(EXIT_FAILURE);
        if (r == 0)
                r = json_parse_object(text, &sudoers);
        return r == 0 ? sudo_settings_look(sudoers, findings) : r;
}

static bool is_missing(const char *root) {
        _cleanup_free_ char *path = io_prefix(root, "/etc/sudoers");

        return path && access(path, F_OK) < 0 && errno == ENOENT;
}

static size_t write_reply(char *reply, size_t room, int r, const SudoFindings *f) {
        size_t size = 0;
        int n = 0;

        if (r < 0)
                n = snprintf(reply, room, "sudoers cannot be read");
        else if (f->n == 0)
                n = snprintf(reply, room, "ok");
        size = (size_t)n;
        for (size_t i = 0; r == 0 && i < f->n && i < SUDO_FINDINGS_MAX; i++) {
                n = snprintf(reply + size, room - size, "%s%s", i > 0 ? "; " : "", f->items[i].text);
                size += (size_t)n;
        }
        if (r == 0 && f->n > SUDO_FINDINGS_MAX)
                size += (size_t)snprintf(reply + size, room - size, "; …");
        return size;
}

int main(void) {
        static SudoFindings findings;
        char root[256], reply[8192];
        size_t size;
        ssize_t n;
        int r;

        n = recv(HELPER_FD, root, sizeof(root) - 1, MSG_TRUNC);
        if (n <= 0 || (size_t)n > sizeof(root) - 1)
                return EXIT_FAILURE;
        root[n] = '\0';
        if (strcmp(root, "/") == 0)
                *root = '\0';
        if (access(SUDO, F_OK) < 0 || is_missing(root))
                size = (size_t)snprintf(reply, sizeof(reply), "absent");
        else {
                r = look(root, &findings);
                size = write_reply(reply, sizeof(reply), r, &findings);
        }
        if (!helper_dies_with_agent())
                return EXIT_FAILURE;
        n = send(HELPER_FD, reply, size, MSG_NOSIGNAL);
        return n == (ssize_t)size ? EXIT_SUCCESS : EXIT_FAILURE;
}
