/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/stat.h>

#include "ctl/backup.h"
#include "ctl/moment.h"
#include "ctl/table.h"
#include "registry/noun.h"
#include "util/clock.h"
#include "util/json.h"
#include "util/vault.h"

/* keishictl restore: the directory becomes that of a backup. The file is read here, by whoever calls, and its rows go
 * to the agent, which checks them and puts them aside; only when the whole file has proved itself, to its end, is the
 * agent told to take them. */

#define BATCH_ROWS    400u
#define BATCH_BYTES   (128u * 1024u)
#define PROGRESS_USEC (200 * USEC_PER_MSEC)

typedef struct Restore {
        Ctl *ctl;
        const char *path;
        int fd;
        EVP_MD_CTX *digest;
        uint64_t size, taken; /* bytes of the file */
        VaultReader *vault;

        char *line; /* what has come of the line that is being read */
        size_t line_size;
        json_object *head, *rows; /* the first line; the batch */
        const char *noun;         /* of the batch */
        size_t batch_bytes;
        uint64_t n_rows, told_usec;
        bool begun, ended;
} Restore;

static int read_file(void *userdata, void *data, size_t size, size_t *ret_size) {
        Restore *r = userdata;
        size_t n = 0;

        while (n < size) {
                ssize_t k = read(r->fd, (char *)data + n, size - n);

                if (k < 0 && errno == EINTR)
                        continue;
                if (k < 0)
                        return -errno;
                if (k == 0)
                        break;
                n += (size_t)k;
        }
        if (n > 0 && EVP_DigestUpdate(r->digest, data, n) != 1)
                return -ENOMEM;
        r->taken += n;
        *ret_size = n;
        return 0;
}

/* ---- telling ---- */

static ExitCode fail_vault(const Restore *r, int q) {
        static const char *const texts[] = {
                [VAULT_E_FOREIGN] = N_("this is not a backup of keishi"),
                [VAULT_E_NEWER] = N_("this backup was written by a newer keishi"),
                [VAULT_E_PASSPHRASE] = N_("the passphrase is not the backup's"),
                [VAULT_E_DAMAGED] = N_("the backup was altered or is damaged"),
                [VAULT_E_CUT] = N_("the backup is cut off: its end is missing"),
        };

        if (q < 0)
                return ctl_error(r->ctl, CTL_FAILED, "%s: %s", r->path, strerror(-q));
        return ctl_error(r->ctl, CTL_INVALID, _("%s; nothing was changed"), _(texts[q]));
}

static ExitCode fail_content(const Restore *r) {
        return ctl_error(
                r->ctl, CTL_INVALID, _("%s; nothing was changed"), _("the backup's content is not that of one"));
}

static void tell_progress(Restore *r, bool last) {
        uint64_t now = clock_usec(CLOCK_BOOTTIME);

        if (r->ctl->json || !isatty(STDERR_FILENO) || (!last && now - r->told_usec < PROGRESS_USEC))
                return;
        r->told_usec = now;
        (void)fputs("\r\033[K", stderr);
        if (!last)
                (void)fprintf(stderr, _("%llu rows read"), (unsigned long long)r->n_rows);
        if (!last && r->size > 0)
                (void)fprintf(
                        stderr, " (%u %%)", (unsigned)(r->taken * 100 / (r->size > r->taken ? r->size : r->taken)));
        (void)fflush(stderr);
}

/* ---- lines ---- */

static ExitCode send_batch(Restore *r) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const char *text;
        ExitCode code;

        if (!r->rows || json_object_array_length(r->rows) == 0)
                return CTL_DONE;
        text = json_text(r->rows);
        if (!text)
                return ctl_oom(r->ctl);
        code = client_call(r->ctl, &reply, "RestoreRows", "ss", r->noun, text);
        r->begun = r->begun && code == CTL_DONE;
        json_object_put(TAKE_PTR(r->rows));
        r->batch_bytes = 0;
        tell_progress(r, false);
        return code;
}

static ExitCode take_head(Restore *r, json_object *o) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const char *format = json_string(o, "format");
        json_object *version = NULL;
        ExitCode code;

        if (!format || strcmp(format, BACKUP_FORMAT) != 0 || !json_object_object_get_ex(o, "version", &version))
                return fail_content(r);
        if (json_object_get_int64(version) != BACKUP_VERSION)
                return fail_vault(r, VAULT_E_NEWER);
        r->head = json_object_get(o);
        code = client_call(r->ctl, &reply, "RestoreBegin", NULL);
        r->begun = code == CTL_DONE;
        return code;
}

static ExitCode take_row(Restore *r, json_object *o, size_t size) {
        NounId noun = noun_from_string(json_string(o, "noun"));
        json_object *row = NULL;
        ExitCode code = CTL_DONE;

        if (!json_object_object_get_ex(o, "row", &row))
                return fail_content(r);
        if (noun == _NOUN_INVALID)
                return fail_vault(r, VAULT_E_NEWER);
        if (r->rows && (strcmp(r->noun, noun_to_string(noun)) != 0 || json_object_array_length(r->rows) >= BATCH_ROWS ||
                               r->batch_bytes + size > BATCH_BYTES))
                code = send_batch(r);
        if (code != CTL_DONE)
                return code;
        if (!r->rows)
                r->rows = json_object_new_array();
        r->noun = noun_to_string(noun);
        if (!r->rows || json_object_array_add(r->rows, json_object_get(row)) < 0)
                return ctl_oom(r->ctl);
        r->batch_bytes += size;
        r->n_rows++;
        return CTL_DONE;
}

static ExitCode take_line(Restore *r, const char *text, size_t size) {
        _cleanup_json_ json_object *o = NULL;
        json_object *end = NULL;

        if (r->ended || json_parse_object(text, &o) < 0)
                return fail_content(r);
        if (!r->head)
                return take_head(r, o);
        if (!json_object_object_get_ex(o, "end", &end))
                return take_row(r, o, size);
        if (json_object_get_uint64(end) != r->n_rows)
                return fail_content(r);
        r->ended = true;
        return send_batch(r);
}

static ExitCode take_text(Restore *r, const char *data, size_t size) {
        while (size > 0) {
                const char *newline = memchr(data, '\n', size);
                size_t n = newline ? (size_t)(newline - data) : size;
                ExitCode code;

                if (r->line_size + n >= BACKUP_LINE_MAX || memchr(data, '\0', n))
                        return fail_content(r);
                memcpy(r->line + r->line_size, data, n);
                r->line_size += n;
                if (!newline)
                        return CTL_DONE;
                r->line[r->line_size] = '\0';
                code = take_line(r, r->line, r->line_size);
                if (code != CTL_DONE)
                        return code;
                r->line_size = 0;
                data += n + 1;
                size -= n + 1;
        }
        return CTL_DONE;
}

static ExitCode take_all(Restore *r, const Passphrase *passphrase) {
        int q = vault_reader_new(&r->vault, passphrase->bytes, passphrase->size, read_file, r);

        while (q == 0) {
                const char *data;
                size_t size;
                ExitCode code;

                q = vault_read(r->vault, &data, &size);
                if (q != 0)
                        break;
                if (size == 0)
                        return r->ended && r->line_size == 0 ? CTL_DONE : fail_content(r);
                code = take_text(r, data, size);
                if (code != CTL_DONE)
                        return code;
        }
        return fail_vault(r, q);
}

/* ---- the end ---- */

static int finish_digest(Restore *r, char ret[static 65]) {
        unsigned char bytes[EVP_MAX_MD_SIZE];
        unsigned size = 0;

        if (EVP_DigestFinal_ex(r->digest, bytes, &size) != 1)
                return -ENOMEM;
        for (unsigned i = 0; i < size && i < 32; i++)
                snprintf(ret + (size_t)2 * i, 3, "%02x", bytes[i]);
        return 0;
}

/* What a row is called: the texts of its first fields, but for the uuid of a scope. */
static void print_name(NounId noun, json_object *values) {
        const Noun *n = &registry_nouns[noun];
        unsigned shown_fields = 0;

        for (size_t i = 0; i < n->n_fields && shown_fields < 2; i++) {
                const char *text = n->fields[i].type == TYPE_TEXT ? json_string(values, n->fields[i].name) : NULL;
                _cleanup_free_ char *safe = text ? text_safe(text) : NULL;

                if (!safe)
                        continue;
                (void)printf(" %s", safe);
                shown_fields++;
        }
}

static void print_fields(NounId noun, json_object *before, json_object *after) {
        const Noun *n = &registry_nouns[noun];

        for (size_t i = 0; i < n->n_fields; i++) {
                json_object *a = NULL, *b = NULL;
                _cleanup_free_ char *old = NULL, *new = NULL;

                (void)json_object_object_get_ex(before, n->fields[i].name, &a);
                (void)json_object_object_get_ex(after, n->fields[i].name, &b);
                old = text_safe(a ? json_object_get_string(a) : "");
                new = text_safe(b ? json_object_get_string(b) : "");
                if (old && new &&strcmp(old, new) != 0)
                        (void)printf("  %s: \"%s\" → \"%s\"", n->fields[i].name, old, new);
        }
}

static json_object *values_of(json_object *change, const char *side) {
        json_object *row = NULL, *values = NULL;

        return json_object_object_get_ex(change, side, &row) && json_object_object_get_ex(row, "values", &values)
                       ? values
                       : NULL;
}

static void print_changes(json_object *result) {
        json_object *changes = NULL;

        (void)json_object_object_get_ex(result, "changes", &changes);
        for (size_t i = 0; changes && i < json_object_array_length(changes); i++) {
                json_object *change = json_object_array_get_idx(changes, i);
                json_object *before = values_of(change, "before"), *after = values_of(change, "after");
                NounId noun = noun_from_string(json_string(change, "noun"));

                if (noun == _NOUN_INVALID)
                        continue;
                (void)printf("%c %s", !before ? '+' : !after ? '-' : '~', noun_to_string(noun));
                print_name(noun, after ? after : before);
                if (before && after)
                        print_fields(noun, before, after);
                (void)putchar('\n');
        }
}

static uint64_t number(json_object *o, const char *name) {
        json_object *value;

        return json_object_object_get_ex(o, name, &value) ? json_object_get_uint64(value) : 0;
}

static ExitCode print_result(Restore *r, json_object *result, bool dry_run) {
        const char *terminal = json_string(r->head, "terminal"), *took_over = json_string(result, "took_over");
        _cleanup_free_ char *name = text_safe(terminal ? terminal : "-");
        json_object *nouns = NULL;
        char made[MOMENT_TEXT_MAX];

        if (r->ctl->json)
                return ctl_print_json(r->ctl, result);
        if (!name)
                return ctl_oom(r->ctl);
        moment_format(number(r->head, "made_usec"), made);
        if (dry_run)
                print_changes(result);
        (void)printf(_("backup of terminal %s, made %s\n"), name, made);
        if (json_object_object_get_ex(result, "nouns", &nouns)) {
                json_object_object_foreach(nouns, noun, o) {
                        (void)printf(_("%s: %" PRIu64 " added, %" PRIu64 " changed, %" PRIu64 " removed, %" PRIu64
                                       " unchanged, %" PRIu64 " stay as they are"),
                                noun, number(o, "added"), number(o, "changed"), number(o, "removed"),
                                number(o, "unchanged"), number(o, "kept"));
                        (void)putchar('\n');
                }
        }
        if (took_over)
                (void)puts(_("this terminal takes over the row of its name, in a new epoch of its trail"));
        (void)puts(dry_run ? _("a dry run: nothing was written")
                           : _("rights are as they were then: do again what was changed since (keishictl trail list)"));
        return CTL_DONE;
}

static ExitCode commit(Restore *r, bool dry_run) {
        _cleanup_json_ json_object *document = json_object_new_object(), *result = NULL;
        json_object *nouns = NULL;
        char digest[65] = "";
        const char *text;
        ExitCode code;

        if (!json_object_object_get_ex(r->head, "nouns", &nouns))
                return fail_content(r);
        if (!document || finish_digest(r, digest) < 0 || json_set_boolean(document, "dry_run", dry_run) < 0 ||
                json_set_string(document, "hash", digest) < 0 ||
                json_set_string(document, "terminal", json_string(r->head, "terminal")) < 0 ||
                json_set_uint(document, "made_usec", number(r->head, "made_usec")) < 0 ||
                json_set_uint(document, "rows", r->n_rows) < 0 ||
                json_set(document, "nouns", json_object_get(nouns)) < 0 || !(text = json_text(document)))
                return ctl_oom(r->ctl);
        r->begun = false; /* it ends there, whatever comes of it */
        code = client_call_json(r->ctl, &result, "RestoreCommit", "s", text);
        return code == CTL_DONE ? print_result(r, result, dry_run) : code;
}

static void restore_done(Restore *r) {
        vault_reader_free(r->vault);
        EVP_MD_CTX_free(r->digest);
        json_object_put(r->head);
        json_object_put(r->rows);
        if (r->line)
                explicit_bzero(r->line, BACKUP_LINE_MAX);
        free(r->line);
        if (r->fd >= 0)
                close(r->fd);
}

static ExitCode run(Ctl *ctl, const Verb *verb, const Args *args) {
        _cleanup_(passphrase_done) Passphrase passphrase = {};
        _cleanup_(restore_done) Restore r = { .ctl = ctl, .path = args->positional[0], .fd = -EBADF };
        struct stat st;
        ExitCode code;

        r.line = malloc(BACKUP_LINE_MAX);
        r.digest = EVP_MD_CTX_new();
        if (!r.line || !r.digest || EVP_DigestInit_ex(r.digest, EVP_sha256(), NULL) != 1)
                return ctl_oom(ctl);
        r.fd = open(r.path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        if (r.fd < 0 || fstat(r.fd, &st) < 0)
                return ctl_error(ctl, CTL_FAILED, "%s: %s", r.path, strerror(errno));
        r.size = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
        code = passphrase_get(ctl, args_get(args, "passphrase-file"), false, &passphrase);
        if (code == CTL_DONE)
                code = take_all(&r, &passphrase);
        tell_progress(&r, true);
        if (code == CTL_DONE)
                return commit(&r, args_has(args, "dry-run"));
        if (r.begun) {
                _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;

                (void)client_call(ctl, &reply, "RestoreAbort", NULL);
        }
        return code;
}

static const OptionSpec options[] = {
        { "passphrase-file", N_("FILE"), N_("take the passphrase from the first line of FILE, mode 0600") },
        { "dry-run", NULL, N_("only show what would change") },
        {},
};

const Verb restore_verbs[] = {
        { "restore", NULL, N_("FILE"), N_("make the directory that of a backup, all or nothing"), 1, 1, options, run,
                _NOUN_INVALID },
        {},
};
