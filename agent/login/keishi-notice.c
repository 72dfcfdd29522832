/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* keishi-notice UID: writes lines "TTY<tab>TEXT" from standard input onto those terminals of the user, at once; and on
 * virtual terminals once more when the user's session is gone and the next login prompt stands there, because the end
 * of a session clears them. Run by systemd (keishi-notice@.service), so that the agent neither has devices nor waits.
 * What a user could do to a terminal of theirs at most keeps the text from being seen. */

#include <errno.h>
#include <fcntl.h>
#include <linux/kd.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>

#include "login/notice.h"
#include "util/text.h"

#define TTY_MAJOR       4u
#define PTY_FIRST_MAJOR 136u
#define PTY_LAST_MAJOR  143u
#define TTYS_MAX        16u
#define PAUSE_NSEC      (100 * 1000 * 1000)
#define PROMPT_ROUNDS   100 /* until the session is gone */
#define SETTLE_ROUNDS   8   /* from then until getty has said what it has to say */

typedef struct Line {
        char path[32];
        const char *text;
        bool console; /* a virtual terminal */
} Line;

/* "tty1" or "pts/7", as logind says; nothing else is opened. */
static bool parse_tty(const char *name, Line *ret) {
        bool console = strncmp(name, "tty", 3) == 0;
        uint64_t number;

        if (!console && strncmp(name, "pts/", 4) != 0)
                return false;
        if (parse_uint64(name + (console ? 3 : 4), console ? 1 : 0, console ? 63 : 9999999, &number) < 0)
                return false;
        ret->console = console;
        (void)snprintf(ret->path, sizeof(ret->path), console ? "/dev/tty%u" : "/dev/pts/%u", (unsigned)number);
        return true;
}

/* A terminal device that belongs to `owner`, opened without becoming anybody's and without waiting; or a negative
 * errno. */
static int open_tty(const Line *l, uid_t owner) {
        _cleanup_close_ int fd = open(l->path, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        struct stat st;
        unsigned number;
        int mode;

        if (fd < 0)
                return -errno;
        if (fstat(fd, &st) < 0)
                return -errno;
        number = major(st.st_rdev);
        if (!S_ISCHR(st.st_mode) || st.st_uid != owner ||
                !(l->console ? number == TTY_MAJOR : number >= PTY_FIRST_MAJOR && number <= PTY_LAST_MAJOR) ||
                !isatty(fd))
                return -ENOTTY;
        /* Behind a desktop there is nothing to read; its greeter says it (login/enforce.h). */
        if (l->console && (ioctl(fd, KDGETMODE, &mode) < 0 || mode != KD_TEXT))
                return -ENOTTY;
        return TAKE_FD(fd);
}

/* `prompt` is what stood there before, and is to stand below the text again. */
static void say(const Line *l, uid_t owner, const char *prompt) {
        _cleanup_close_ int fd = open_tty(l, owner);
        char text[1400];
        int n;

        n = snprintf(text, sizeof(text), "\r\n\a\r\n%s\r\n\r\n%s", l->text, prompt);
        if (fd >= 0 && n > 0 && (size_t)n < sizeof(text) && write(fd, text, (size_t)n) < 0)
                return; /* stopped or hung up: nobody reads there */
}

static bool owned_by(const Line *l, uid_t uid) {
        struct stat st;

        return lstat(l->path, &st) == 0 && st.st_uid == uid;
}

static void pause_once(void) {
        const struct timespec t = { .tv_nsec = PAUSE_NSEC };

        nanosleep(&t, NULL);
}

/* getty takes the terminal back from the user and gives it to root. */
static void say_again(const Line *l) {
        char host[65] = "", prompt[80];
        unsigned round = 0;

        while (!owned_by(l, 0)) {
                if (round++ >= PROMPT_ROUNDS)
                        return;
                pause_once();
        }
        for (round = 0; round < SETTLE_ROUNDS; round++)
                pause_once();
        (void)gethostname(host, sizeof(host) - 1);
        (void)snprintf(prompt, sizeof(prompt), "%s login: ", host);
        say(l, 0, prompt);
}

static size_t parse(char *text, Line *ret) {
        size_t n = 0;

        for (char *line; n < TTYS_MAX && (line = strsep(&text, "\n"));) {
                char *tab = strchr(line, '\t');

                if (!tab)
                        continue;
                *tab = '\0';
                ret[n].text = tab + 1;
                if (parse_tty(line, &ret[n]))
                        n++;
        }
        return n;
}

int main(int argc, char **argv) {
        char text[NOTICE_TEXT_MAX + 1];
        Line lines[TTYS_MAX] = {};
        size_t size, n;
        uint64_t uid;

        if (argc != 2 || parse_uint64(argv[1], 1, UINT32_MAX - 1, &uid) < 0) {
                fprintf(stderr, "usage: keishi-notice UID <LINES\n");
                return EXIT_FAILURE;
        }
        size = fread(text, 1, sizeof(text) - 1, stdin);
        text[size] = '\0';
        n = parse(text, lines);
        for (size_t i = 0; i < n; i++)
                say(&lines[i], (uid_t)uid, "");
        for (size_t i = 0; i < n; i++)
                if (lines[i].console)
                        say_again(&lines[i]);
        return EXIT_SUCCESS;
}
