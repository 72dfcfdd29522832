/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/backup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>

#include "registry/registry.h"
#include "util/clock.h"
#include "util/json.h"
#include "util/vault.h"

/* keishictl backup: all rows of the directory into a file that only its passphrase opens. */

#define PASSPHRASE_MIN 12u
#define PROGRESS_USEC  (200 * USEC_PER_MSEC)

/* ---- the passphrase ---- */

static ExitCode passphrase_from_file(const Ctl *ctl, const char *path, Passphrase *ret) {
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
        struct stat st;
        ssize_t n;

        if (fd < 0 || fstat(fd, &st) < 0)
                return ctl_error(ctl, CTL_FAILED, "%s: %s", path, strerror(errno));
        if (!S_ISREG(st.st_mode) || (st.st_mode & 077) || (st.st_uid != geteuid() && st.st_uid != 0))
                return ctl_error(ctl, CTL_FAILED, _("%s must be a file of its owner alone, mode 0600"), path);
        n = read(fd, ret->bytes, sizeof(ret->bytes) - 1);
        if (n < 0)
                return ctl_error(ctl, CTL_FAILED, "%s: %s", path, strerror(errno));
        ret->bytes[n] = '\0';
        ret->size = strcspn(ret->bytes, "\r\n");
        return CTL_DONE;
}

/* Reads a line without echo. False: there was none. */
static bool ask(FILE *tty, const char *question, Passphrase *ret) {
        struct termios old, quiet;
        bool changed = tcgetattr(fileno(tty), &old) == 0, answered;

        if (changed) {
                quiet = old;
                quiet.c_lflag &= ~(tcflag_t)ECHO;
                (void)tcsetattr(fileno(tty), TCSAFLUSH, &quiet);
        }
        (void)fputs(question, tty);
        (void)fflush(tty);
        answered = fgets(ret->bytes, sizeof(ret->bytes), tty) != NULL;
        if (changed)
                (void)tcsetattr(fileno(tty), TCSAFLUSH, &old);
        (void)fputc('\n', tty);
        ret->size = answered ? strcspn(ret->bytes, "\n") : 0;
        return answered;
}

static ExitCode passphrase_from_tty(const Ctl *ctl, bool twice, Passphrase *ret) {
        _cleanup_(passphrase_done) Passphrase again = {};
        _cleanup_fclose_ FILE *tty = fopen("/dev/tty", "r+e");

        if (!tty)
                return ctl_error(
                        ctl, CTL_USAGE, "%s", _("there is nobody to ask for a passphrase; give --passphrase-file"));
        (void)setvbuf(tty, NULL, _IONBF, 0);
        if (!ask(tty, _("Passphrase of the backup: "), ret) ||
                (twice && !ask(tty, _("The same passphrase again: "), &again)))
                return ctl_error(ctl, CTL_FAILED, "%s", _("no passphrase was given"));
        if (twice && (again.size != ret->size || memcmp(again.bytes, ret->bytes, again.size) != 0))
                return ctl_error(ctl, CTL_FAILED, "%s", _("the two are not the same"));
        return CTL_DONE;
}

ExitCode passphrase_get(const Ctl *ctl, const char *file, bool twice, Passphrase *ret) {
        ExitCode code = file ? passphrase_from_file(ctl, file, ret) : passphrase_from_tty(ctl, twice, ret);

        if (code == CTL_DONE && twice && ret->size < PASSPHRASE_MIN)
                return ctl_error(ctl, CTL_INVALID,
                        _("a passphrase has at least %u bytes: the file has the names of all "
                          "staff, and it is all that keeps them"),
                        PASSPHRASE_MIN);
        return code;
}

/* ---- writing ---- */

typedef struct Backup {
        Ctl *ctl;
        const char *path;
        int fd;
        VaultWriter *vault;
        const Passphrase *passphrase;
        uint64_t rows, told_usec;
} Backup;

static int write_file(void *userdata, const void *data, size_t size) {
        Backup *b = userdata;
        const char *at = data;

        while (size > 0) {
                ssize_t n = write(b->fd, at, size);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return n < 0 ? -errno : -EIO;
                at += n;
                size -= (size_t)n;
        }
        return 0;
}

static ExitCode fail_writing(const Backup *b, int r) {
        return ctl_error(b->ctl, CTL_FAILED, "%s: %s", b->path, strerror(-r));
}

static ExitCode put_line(Backup *b, json_object *o) {
        const char *text = o ? json_text(o) : NULL;
        int r;

        if (!text)
                return ctl_oom(b->ctl);
        if (strlen(text) >= BACKUP_LINE_MAX)
                return ctl_error(b->ctl, CTL_FAILED, "%s", _("a row is longer than a line of a backup can be"));
        r = vault_write(b->vault, text, strlen(text));
        if (r == 0)
                r = vault_write(b->vault, "\n", 1);
        return r == 0 ? CTL_DONE : fail_writing(b, r);
}

static ExitCode put_head(Backup *b, json_object *page) {
        static const char *const copied[] = { "terminal", "terminal_uuid", "made_usec", "nouns" };
        _cleanup_json_ json_object *head = json_object_new_object();
        json_object *value;
        int r;

        /* Only now: whoever may not read the directory is told so at once. */
        r = vault_writer_new(&b->vault, b->passphrase->bytes, b->passphrase->size, VAULT_LOG_N, write_file, b);
        if (r < 0)
                return fail_writing(b, r);

        if (!head || json_set_string(head, "format", BACKUP_FORMAT) < 0 ||
                json_set_uint(head, "version", BACKUP_VERSION) < 0 ||
                json_set_string(head, "keishi", KEISHI_VERSION) < 0)
                return ctl_oom(b->ctl);
        for (size_t i = 0; i < ELEMENTSOF(copied); i++)
                if (json_object_object_get_ex(page, copied[i], &value) &&
                        json_set(head, copied[i], json_object_get(value)) < 0)
                        return ctl_oom(b->ctl);
        return put_line(b, head);
}

static ExitCode put_rows(Backup *b, json_object *page) {
        const char *noun = json_string(page, "noun");
        json_object *rows = NULL;

        if (!noun || !json_object_object_get_ex(page, "rows", &rows))
                return CTL_DONE;
        for (size_t i = 0; i < json_object_array_length(rows); i++) {
                _cleanup_json_ json_object *line = json_object_new_object();
                ExitCode code;

                if (!line || json_set_string(line, "noun", noun) < 0 ||
                        json_set(line, "row", json_object_get(json_object_array_get_idx(rows, i))) < 0)
                        return ctl_oom(b->ctl);
                code = put_line(b, line);
                if (code != CTL_DONE)
                        return code;
                b->rows++;
        }
        return CTL_DONE;
}

static void tell_progress(Backup *b, bool last) {
        uint64_t now = clock_usec(CLOCK_BOOTTIME);

        if (b->ctl->json || !isatty(STDERR_FILENO) || (!last && now - b->told_usec < PROGRESS_USEC))
                return;
        b->told_usec = now;
        (void)fputs("\r\033[K", stderr);
        if (!last)
                (void)fprintf(stderr, _("%llu rows read"), (unsigned long long)b->rows);
        (void)fflush(stderr);
}

static ExitCode put_all(Backup *b) {
        uint64_t after = 0, last;
        bool first = true;

        for (;; after = last) {
                _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
                _cleanup_json_ json_object *page = NULL, *end = NULL;
                const char *text;
                ExitCode code;

                code = client_call(b->ctl, &reply, "Backup", "t", after);
                if (code != CTL_DONE)
                        return code;
                if (sd_bus_message_read(reply, "st", &text, &last) < 0 || !(page = json_tokener_parse(text)))
                        return ctl_error(b->ctl, CTL_FAILED, "%s", _("keishid's answer cannot be read"));
                code = first ? put_head(b, page) : CTL_DONE;
                if (code == CTL_DONE)
                        code = put_rows(b, page);
                if (code != CTL_DONE)
                        return code;
                first = false;
                tell_progress(b, false);
                if (last != after)
                        continue;
                end = json_object_new_object();
                if (!end || json_set_uint(end, "end", b->rows) < 0)
                        return ctl_oom(b->ctl);
                code = put_line(b, end);
                if (code == CTL_DONE) {
                        int r = vault_finish(b->vault);

                        if (r < 0)
                                return fail_writing(b, r);
                }
                return code;
        }
}

/* Beside the file that is wanted, and then to its name: nobody finds half of one there. */
static ExitCode to_file(Backup *b) {
        _cleanup_free_ char *temporary = NULL;
        _cleanup_close_ int fd = -EBADF;
        ExitCode code;

        if (asprintf(&temporary, "%s.XXXXXX", b->path) < 0) {
                temporary = NULL;
                return ctl_oom(b->ctl);
        }
        fd = b->fd = mkostemp(temporary, O_CLOEXEC);
        if (fd < 0)
                return ctl_error(b->ctl, CTL_FAILED, "%s: %s", b->path, strerror(errno));
        code = put_all(b);
        tell_progress(b, true);
        b->vault = vault_writer_free(b->vault);
        if (code == CTL_DONE && fsync(fd) < 0)
                code = fail_writing(b, -errno);
        if (code == CTL_DONE && rename(temporary, b->path) < 0)
                code = fail_writing(b, -errno);
        if (code != CTL_DONE)
                (void)unlink(temporary);
        return code;
}

static ExitCode run(Ctl *ctl, const Verb *verb, const Args *args) {
        _cleanup_(passphrase_done) Passphrase passphrase = {};
        Backup b = { .ctl = ctl, .path = args->positional[0], .fd = -EBADF, .passphrase = &passphrase };
        ExitCode code;

        code = passphrase_get(ctl, args_get(args, "passphrase-file"), true, &passphrase);
        if (code == CTL_DONE)
                code = to_file(&b);
        if (code != CTL_DONE)
                return code;
        if (ctl->json)
                (void)printf("{\"rows\":%" PRIu64 "}\n", b.rows);
        else
                (void)printf(
                        _("%" PRIu64 " rows are in the backup; without its passphrase it is worth nothing\n"), b.rows);
        return CTL_DONE;
}

static const OptionSpec options[] = {
        { "passphrase-file", N_("FILE"), N_("take the passphrase from the first line of FILE, mode 0600") },
        {},
};

const Verb backup_verbs[] = {
        { "backup", NULL, N_("FILE"), N_("write the whole directory to an encrypted file"), 1, 1, options, run,
                _NOUN_INVALID },
        {},
};
