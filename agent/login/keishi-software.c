/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#include "factor/helper.h"
#include "util/cleanup.h"
#include "util/text.h"

/* Reads dpkg's status file (deb822, see dpkg(1) and deb-control(5)), which is as large as the descriptions in it, as a
 * user without rights. Request: "SKIP\nPATH". Reply: a line "STATE NEXT", where STATE names the file as it is now and
 * NEXT is what to skip for the next page, 0 at the end; then a line "PACKAGE:ARCHITECTURE VERSION" for each package
 * that is there, unpacked or more.
 *
 * Request "@SINCE\nPATH": what apt's history (/var/log/apt/history.log) claims about who asked for the changes that
 * ended at SINCE (seconds) or later, newest first: a line "+CLAIM", then a line "PACKAGE" for each package that it
 * names. apt takes the name from its environment: whoever is root can write there what they like. */

#define NOBODY   65534
#define LINE_MAX 512u

typedef struct Stanza {
        char package[128], architecture[32], version[256], status[64];
} Stanza;

typedef struct Page {
        char text[HELPER_REPLY_MAX - 256];
        size_t size;
        uint64_t skip, seen, next;
} Page;

static void take(char *to, size_t room, const char *line, const char *field) {
        size_t n = strlen(field);

        if (strncmp(line, field, n) == 0 && strlen(line + n) < room)
                (void)snprintf(to, room, "%s", line + n);
}

static bool is_there(const char *status) {
        const char *state = strrchr(status, ' ');

        return state && strcmp(state, " not-installed") != 0 && strcmp(state, " config-files") != 0 &&
               strcmp(state, " half-installed") != 0;
}

/* False when the page is full. */
static bool add(Page *p, Stanza *s) {
        bool fits = true;
        int n;

        if (*s->package && *s->version && is_there(s->status) && p->seen++ >= p->skip) {
                n = snprintf(p->text + p->size, sizeof(p->text) - p->size, "%s:%s %s\n", s->package, s->architecture,
                        s->version);
                fits = n > 0 && (size_t)n < sizeof(p->text) - p->size;
                if (fits)
                        p->size += (size_t)n;
                else
                        p->next = p->seen - 1;
        }
        *s = (Stanza){};
        return fits;
}

static int read_page(FILE *f, Page *p) {
        _cleanup_free_ char *line = NULL;
        Stanza s = {};
        size_t room = 0;
        ssize_t n;

        while ((n = getline(&line, &room, f)) > 0) {
                if (line[n - 1] == '\n')
                        line[--n] = '\0';
                if (n == 0) {
                        if (!add(p, &s))
                                return 0;
                        continue;
                }
                take(s.package, sizeof(s.package), line, "Package: ");
                take(s.architecture, sizeof(s.architecture), line, "Architecture: ");
                take(s.version, sizeof(s.version), line, "Version: ");
                take(s.status, sizeof(s.status), line, "Status: ");
        }
        if (ferror(f))
                return -EIO;
        (void)add(p, &s);
        return 0;
}

/* ---- apt's history ---- */

#define HISTORY_TAIL (4 * 1024 * 1024)
#define RUNS_MAX     64u
#define CLAIM_MAX    200u

/* One run of apt, as a paragraph of the file. */
typedef struct Run {
        long offset;
        bool recent;
} Run;

/* "2026-11-20  10:01:02", local time. 0 when it is none. */
static time_t parse_date(const char *text) {
        struct tm tm = { .tm_isdst = -1 };
        const char *end = strptime(text, "%Y-%m-%d %H:%M:%S", &tm);
        time_t t = end && *end == '\0' ? mktime(&tm) : 0;

        return t > 0 ? t : 0;
}

static bool is_line(const char *line, const char *field, const char **ret) {
        size_t n = strlen(field);

        if (strncmp(line, field, n) != 0)
                return false;
        *ret = line + n;
        return true;
}

/* Where the runs begin, and which are recent. Returns how many, the newest last. */
static size_t find_runs(FILE *f, time_t since, Run runs[static RUNS_MAX]) {
        _cleanup_free_ char *line = NULL;
        const char *value;
        size_t room = 0, n = 0;
        ssize_t size;

        for (long at = ftell(f); (size = getline(&line, &room, f)) > 0; at += size) {
                line[strcspn(line, "\n")] = '\0';
                if (is_line(line, "Start-Date: ", &value)) {
                        if (n == RUNS_MAX)
                                memmove(runs, runs + 1, --n * sizeof(*runs));
                        /* One that has not ended yet counts by its beginning. */
                        runs[n++] = (Run){ at, parse_date(value) >= since };
                } else if (n > 0 && is_line(line, "End-Date: ", &value))
                        runs[n - 1].recent = parse_date(value) >= since;
        }
        return n;
}

static bool put(Page *p, const char *before, const char *text, size_t size) {
        int n = snprintf(p->text + p->size, sizeof(p->text) - p->size, "%s%.*s\n", before, (int)size, text);

        if (n <= 0 || (size_t)n >= sizeof(p->text) - p->size)
                return false;
        p->size += (size_t)n;
        return true;
}

/* "gimp:amd64 (2.10-1, automatic), …": the names. */
static bool put_packages(Page *p, const char *list) {
        while (*list) {
                if (!put(p, "", list, strcspn(list, ": (")))
                        return false;
                list += strcspn(list, ")");
                list += *list == ')';
                list += strspn(list, ", ");
        }
        return true;
}

/* False when the page is full. */
static bool put_run(FILE *f, const Run *run, Page *p) {
        static const char *const lists[] = {
                "Install: ", "Reinstall: ", "Upgrade: ", "Downgrade: ", "Remove: ", "Purge: "
        };
        _cleanup_free_ char *line = NULL;
        char command[CLAIM_MAX] = "", who[CLAIM_MAX] = "", claim[2 * CLAIM_MAX + 8];
        const char *value;
        size_t room = 0;
        ssize_t size;
        bool first = true;

        /* Twice: who asked stands before what was asked for, but nothing promises that. */
        for (int pass = 0; pass < 2; pass++) {
                if (fseek(f, run->offset, SEEK_SET) < 0)
                        return false;
                for (first = true; (size = getline(&line, &room, f)) > 1; first = false) {
                        line[strcspn(line, "\n")] = '\0';
                        if (!first && is_line(line, "Start-Date: ", &value))
                                break;
                        if (is_line(line, "Commandline: ", &value))
                                (void)snprintf(command, sizeof(command), "%s", value);
                        if (is_line(line, "Requested-By: ", &value))
                                (void)snprintf(who, sizeof(who), "%s", value);
                        for (size_t i = 0; pass == 1 && i < ELEMENTSOF(lists); i++)
                                if (is_line(line, lists[i], &value) && !put_packages(p, value))
                                        return false;
                }
                (void)snprintf(claim, sizeof(claim), "%s%s%s", who, *who && *command ? ": " : "", command);
                if (pass == 0 && (!*claim || !put(p, "+", claim, strlen(claim))))
                        return *claim == '\0';
        }
        return true;
}

static int read_history(FILE *f, off_t file_size, time_t since, Page *p) {
        Run runs[RUNS_MAX];
        size_t n;

        if (file_size > HISTORY_TAIL && fseek(f, file_size - HISTORY_TAIL, SEEK_SET) < 0)
                return -EIO;
        n = find_runs(f, since, runs);
        if (ferror(f))
                return -EIO;
        while (n > 0 && runs[--n].recent)
                if (!put_run(f, &runs[n], p))
                        break;
        return 0;
}

static int drop_root(void) {
        if (geteuid() == 0 && (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
                                      setresuid(NOBODY, NOBODY, NOBODY) < 0))
                return -errno;
        return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
}

int main(void) {
        static char reply[HELPER_REPLY_MAX];
        static Page page;
        _cleanup_fclose_ FILE *f = NULL;
        char request[LINE_MAX], *path;
        bool history;
        struct stat st;
        ssize_t n;
        int head, fd;

        if (drop_root() < 0 || !helper_dies_with_agent())
                return EXIT_FAILURE;
        n = recv(HELPER_FD, request, sizeof(request) - 1, MSG_TRUNC);
        if (n <= 0 || (size_t)n > sizeof(request) - 1)
                return EXIT_FAILURE;
        request[n] = '\0';
        path = strchr(request, '\n');
        if (!path)
                return EXIT_FAILURE;
        *path++ = '\0';
        history = *request == '@';
        if (parse_uint64(request + history, 0, UINT32_MAX, &page.skip) < 0)
                return EXIT_FAILURE;

        fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY); /* one that is no file must not hold it up */
        f = fd >= 0 ? fdopen(fd, "r") : NULL;
        if (!f || fstat(fileno(f), &st) < 0 || !S_ISREG(st.st_mode) ||
                (history ? read_history(f, st.st_size, (time_t)page.skip, &page) : read_page(f, &page)) < 0)
                return EXIT_FAILURE;
        head = history ? 0
                       : snprintf(reply, sizeof(reply), "%llu-%lld.%09ld-%lld %llu\n", (unsigned long long)st.st_ino,
                                 (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec, (long long)st.st_size,
                                 (unsigned long long)page.next);
        if (head < 0 || (size_t)head + page.size > sizeof(reply))
                return EXIT_FAILURE;
        memcpy(reply + head, page.text, page.size);
        if ((size_t)head + page.size == 0)
                reply[head++] = '\n'; /* an answer is not empty */
        n = send(HELPER_FD, reply, (size_t)head + page.size, MSG_NOSIGNAL);
        return n == (ssize_t)((size_t)head + page.size) ? EXIT_SUCCESS : EXIT_FAILURE;
}
