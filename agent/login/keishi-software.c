/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "factor/helper.h"
#include "util/cleanup.h"
#include "util/text.h"

/* Reads dpkg's status file (deb822, see dpkg(1) and deb-control(5)), which is as large as the descriptions in it, as a
 * user without rights. Request: "SKIP\nPATH". Reply: a line "STATE NEXT", where STATE names the file as it is now and
 * NEXT is what to skip for the next page, 0 at the end; then a line "PACKAGE:ARCHITECTURE VERSION" for each package
 * that is there, unpacked or more. */

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
        struct stat st;
        ssize_t n;
        int head;

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
        if (parse_uint64(request, 0, UINT32_MAX, &page.skip) < 0)
                return EXIT_FAILURE;

        f = fopen(path, "re");
        if (!f || fstat(fileno(f), &st) < 0 || !S_ISREG(st.st_mode) || read_page(f, &page) < 0)
                return EXIT_FAILURE;
        head = snprintf(reply, sizeof(reply), "%llu-%lld.%09ld-%lld %llu\n", (unsigned long long)st.st_ino,
                (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec, (long long)st.st_size, (unsigned long long)page.next);
        if (head < 0 || (size_t)head + page.size > sizeof(reply))
                return EXIT_FAILURE;
        memcpy(reply + head, page.text, page.size);
        n = send(HELPER_FD, reply, (size_t)head + page.size, MSG_NOSIGNAL);
        return n == (ssize_t)((size_t)head + page.size) ? EXIT_SUCCESS : EXIT_FAILURE;
}
