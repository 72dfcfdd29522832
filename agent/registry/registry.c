/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "registry/registry.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "registry/internal.h"
#include "util/text.h"

/* 1000 frames, after which SQLite checkpoints, fit. */
#define LOG_SIZE 4194304

#define STRINGIFY_VALUE(x) #x
#define STRINGIFY(x)       STRINGIFY_VALUE(x)

int registry_error(RegistryError *e, int condition, const char *field, const char *format, ...) {
        size_t used = 0;
        uint32_t c;
        va_list ap;

        if (!e)
                return condition;

        snprintf(e->field, sizeof(e->field), "%s", field ? field : "");
        va_start(ap, format);
        vsnprintf(e->text, sizeof(e->text), format, ap);
        va_end(ap);
        for (size_t n, size = strlen(e->text); (n = utf8_decode(e->text + used, size - used, &c)) > 0;)
                used += n;
        e->text[used] = '\0';
        return condition;
}

int registry_result(int sqlite_rc) {
        switch (sqlite_rc & 0xff) {
        case SQLITE_OK:
        case SQLITE_ROW:
        case SQLITE_DONE:
                return 0;
        case SQLITE_NOMEM:
                return -ENOMEM;
        case SQLITE_PERM:
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
        case SQLITE_READONLY:
        case SQLITE_CORRUPT:
        case SQLITE_FULL:
        case SQLITE_CANTOPEN:
        case SQLITE_PROTOCOL:
        case SQLITE_NOTADB:
                return REGISTRY_E_UNUSABLE;
        case SQLITE_IOERR:
                return sqlite_rc == SQLITE_IOERR_NOMEM ? -ENOMEM : REGISTRY_E_UNUSABLE;
        default:
                return -EINVAL;
        }
}

int registry_statement(Registry *r, const char *sql, sqlite3_stmt **ret) {
        CachedStatement *grown;
        sqlite3_stmt *s;
        int rc;

        for (size_t i = 0; i < r->n_statements; i++)
                if (r->statements[i].sql == sql) {
                        *ret = r->statements[i].statement;
                        return 0;
                }

        grown = reallocarray(r->statements, r->n_statements + 1, sizeof(*grown));
        if (!grown)
                return -ENOMEM;
        r->statements = grown;

        rc = sqlite3_prepare_v3(r->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &s, NULL);
        if (rc != SQLITE_OK)
                return registry_result(rc);
        r->statements[r->n_statements++] = (CachedStatement){ .sql = sql, .statement = s };
        *ret = s;
        return 0;
}

void registry_statement_done(sqlite3_stmt **s) {
        if (!*s)
                return;
        sqlite3_reset(*s);
        sqlite3_clear_bindings(*s);
        *s = NULL;
}

int statement_with(Registry *r, const char *sql, sqlite3_stmt **ret, const char *types, ...) {
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        va_list ap;
        int q;

        q = registry_statement(r, sql, &s);
        va_start(ap, types);
        for (int i = 0; q == 0 && types[i]; i++) {
                if (types[i] == 't')
                        q = registry_result(sqlite3_bind_text(s, i + 1, va_arg(ap, const char *), -1, SQLITE_STATIC));
                else
                        q = registry_result(sqlite3_bind_int64(s, i + 1, (sqlite3_int64)va_arg(ap, uint64_t)));
        }
        va_end(ap);
        if (q == 0)
                *ret = TAKE_PTR(s);
        return q;
}

int statement_row(sqlite3_stmt *s) {
        int rc = sqlite3_step(s);

        if (rc == SQLITE_DONE)
                return REGISTRY_E_NOT_FOUND;
        return registry_result(rc);
}

int statement_run(sqlite3_stmt *s) {
        int rc;

        do
                rc = sqlite3_step(s);
        while (rc == SQLITE_ROW);
        return registry_result(rc);
}

int column_text(sqlite3_stmt *s, int column, const char **ret) {
        const char *text = NULL;

        /* The type comes first: what cannot be had for want of memory becomes NULL. */
        if (sqlite3_column_type(s, column) != SQLITE_NULL) {
                text = (const char *)sqlite3_column_text(s, column);
                if (!text)
                        return -ENOMEM;
        }
        *ret = text;
        return 0;
}

int column_dup(sqlite3_stmt *s, int column, char **ret) {
        const char *text;
        char *copy = NULL;
        int r;

        r = column_text(s, column, &text);
        if (r != 0)
                return r;
        if (text) {
                copy = strdup(text);
                if (!copy)
                        return -ENOMEM;
        }
        *ret = copy;
        return 0;
}

static int execute(sqlite3 *db, const char *sql) {
        return registry_result(sqlite3_exec(db, sql, NULL, NULL, NULL));
}

/* First column of the first row of a pragma as a new string. */
static int query_text(sqlite3 *db, const char *sql, char **ret) {
        sqlite3_stmt *s;
        char *text = NULL;
        int r;

        r = registry_result(sqlite3_prepare_v2(db, sql, -1, &s, NULL));
        if (r != 0)
                return r;
        r = statement_row(s);
        if (r == 0)
                r = column_dup(s, 0, &text);
        sqlite3_finalize(s);
        if (r == 0 && !text)
                r = REGISTRY_E_UNUSABLE;
        if (r == 0)
                *ret = text;
        return r;
}

static int query_int(sqlite3 *db, const char *sql, int *ret) {
        sqlite3_stmt *s;
        int r;

        r = registry_result(sqlite3_prepare_v2(db, sql, -1, &s, NULL));
        if (r != 0)
                return r;
        r = statement_row(s);
        if (r == 0)
                *ret = sqlite3_column_int(s, 0);
        sqlite3_finalize(s);
        return r;
}

static int connect_database(sqlite3 **ret, const char *path, RegistryError *ret_error) {
        static const char pragmas[] = "PRAGMA busy_timeout = 0;"
                                      "PRAGMA synchronous = FULL;"
                                      "PRAGMA secure_delete = ON;"
                                      "PRAGMA cell_size_check = ON;"
                                      "PRAGMA cache_size = -256;"
                                      "PRAGMA mmap_size = 0;"
                                      "PRAGMA temp_store = MEMORY;"
                                      "PRAGMA journal_size_limit = " STRINGIFY(LOG_SIZE) ";";
        static const struct {
                int option, value;
        } options[] = {
                { SQLITE_DBCONFIG_DEFENSIVE, 1 },
                { SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0 },
                { SQLITE_DBCONFIG_ENABLE_FKEY, 1 },
                { SQLITE_DBCONFIG_ENABLE_TRIGGER, 1 },
                { SQLITE_DBCONFIG_DQS_DDL, 0 },
                { SQLITE_DBCONFIG_DQS_DML, 0 },
                { SQLITE_DBCONFIG_ENABLE_VIEW, 1 },
        };
        sqlite3 *db = NULL;
        int r;

        r = registry_result(
                sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL));
        for (size_t i = 0; r == 0 && i < ELEMENTSOF(options); i++)
                r = registry_result(sqlite3_db_config(db, options[i].option, options[i].value, NULL));
        if (r == 0)
                r = execute(db, pragmas);
        if (r != 0) {
                registry_error(ret_error, r, "", "cannot open %s: %s", path, sqlite3_errmsg(db));
                sqlite3_close(db);
                return r;
        }
        *ret = db;
        return 0;
}

static int migrate(sqlite3 *db, int from) {
        for (int i = from; i < registry_n_migrations; i++) {
                char version[64];
                int r;

                snprintf(version, sizeof(version), "PRAGMA user_version = %d; COMMIT", i + 1);
                r = execute(db, "BEGIN IMMEDIATE");
                if (r == 0)
                        r = execute(db, registry_migrations[i]);
                if (r == 0)
                        r = execute(db, version);
                if (r != 0) {
                        if (!sqlite3_get_autocommit(db))
                                (void)execute(db, "ROLLBACK");
                        return r;
                }
        }
        return 0;
}

static int sync_directory_of(const char *path) {
        _cleanup_free_ char *copy = strdup(path);
        _cleanup_close_ int fd = -EBADF;

        if (!copy)
                return -ENOMEM;
        fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 || fsync(fd) < 0)
                return -errno;
        return 0;
}

/* Makes a complete, empty registry under another name and then gives it its own. */
static int create_database(const char *path, RegistryError *ret_error) {
        _cleanup_free_ char *temporary = NULL;
        _cleanup_close_ int fd = -EBADF;
        sqlite3 *db;
        int r;

        if (asprintf(&temporary, "%s.new", path) < 0)
                return -ENOMEM;
        if (unlink(temporary) < 0 && errno != ENOENT)
                return registry_error(ret_error, REGISTRY_E_UNUSABLE, "", "cannot remove %s: %m", temporary);
        fd = open(temporary, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0)
                return registry_error(ret_error, REGISTRY_E_UNUSABLE, "", "cannot create %s: %m", temporary);

        r = connect_database(&db, temporary, ret_error);
        if (r == 0) {
                char set_id[64];

                snprintf(set_id, sizeof(set_id), "PRAGMA application_id = %d", REGISTRY_APPLICATION_ID);
                r = execute(db, set_id);
                if (r == 0)
                        r = migrate(db, 0);
                if (r == REGISTRY_E_UNUSABLE)
                        registry_error(ret_error, r, "", "cannot write %s: %s", temporary, sqlite3_errmsg(db));
                sqlite3_close(db);
        }
        if (r != 0) {
                (void)unlink(temporary);
                return r;
        }

        if (rename(temporary, path) < 0)
                return registry_error(ret_error, REGISTRY_E_UNUSABLE, "", "cannot name %s: %m", path);
        r = sync_directory_of(path);
        if (r < 0)
                return registry_error(
                        ret_error, REGISTRY_E_UNUSABLE, "", "cannot sync the directory of %s: %s", path, strerror(-r));
        return 0;
}

/* Makes sure of a file that is ours alone, and tells whether the last user of it left its log behind. */
static int prepare_file(const char *path, bool *ret_orderly, RegistryError *ret_error) {
        _cleanup_free_ char *log = NULL;
        bool log_there, log_used;
        struct stat st;
        int r;

        if (asprintf(&log, "%s-wal", path) < 0)
                return -ENOMEM;
        log_there = lstat(log, &st) == 0; /* SQLite removes it when the last connection is closed */
        log_used = log_there && st.st_size > 0;

        if (lstat(path, &st) < 0) {
                if (errno != ENOENT)
                        return registry_error(ret_error, REGISTRY_E_UNUSABLE, "", "cannot read %s: %m", path);
                if (log_used)
                        return registry_error(ret_error, REGISTRY_E_UNUSABLE, "",
                                "%s is missing although its log %s-wal is there; restore both", path, path);
                r = create_database(path, ret_error);
                if (r != 0)
                        return r;
                if (lstat(path, &st) < 0)
                        return registry_error(ret_error, REGISTRY_E_UNUSABLE, "", "cannot read %s: %m", path);
        }

        if (!S_ISREG(st.st_mode))
                return registry_error(ret_error, REGISTRY_E_UNUSABLE, "", "%s is not a regular file", path);
        if (st.st_uid != geteuid())
                return registry_error(ret_error, REGISTRY_E_UNUSABLE, "", "%s belongs to uid %u instead of %u", path,
                        (unsigned)st.st_uid, (unsigned)geteuid());
        if ((st.st_mode & 07777) != 0600 && chmod(path, 0600) < 0)
                return registry_error(ret_error, REGISTRY_E_UNUSABLE, "", "cannot set the mode of %s: %m", path);
        if (st.st_size == 0)
                return registry_error(ret_error, REGISTRY_E_UNUSABLE, "",
                        "%s is empty: it was truncated; restore it, or remove it and set the terminal up again", path);
        *ret_orderly = !log_there;
        return 0;
}

static int check_database(sqlite3 *db, const char *path, bool orderly, int *ret_version, RegistryError *ret_error) {
        _cleanup_free_ char *found = NULL;
        int id, version, r;

        r = query_int(db, "PRAGMA application_id", &id);
        if (r == 0)
                r = query_int(db, "PRAGMA user_version", &version);
        if (r != 0)
                return r;
        if (id != REGISTRY_APPLICATION_ID)
                return registry_error(ret_error, REGISTRY_E_UNUSABLE, "", "%s is not a keishi registry", path);
        if (version > registry_n_migrations)
                return registry_error(ret_error, REGISTRY_E_NEWER, "",
                        "%s has version %d, written by a newer keishid; this one knows up to %d", path, version,
                        registry_n_migrations);
        if (sqlite3_db_readonly(db, "main") != 0)
                return registry_error(ret_error, REGISTRY_E_UNUSABLE, "", "%s cannot be written", path);

        if (!orderly) {
                r = query_text(db, "PRAGMA quick_check(1)", &found);
                if (r != 0)
                        return r;
                if (strcmp(found, "ok") != 0)
                        return registry_error(ret_error, REGISTRY_E_UNUSABLE, "", "%s is damaged: %s", path, found);
        }
        *ret_version = version;
        return 0;
}

static int start_log(sqlite3 *db, const char *path, RegistryError *ret_error) {
        _cleanup_free_ char *mode = NULL;
        int version, r;

        r = query_text(db, "PRAGMA journal_mode = WAL", &mode);
        if (r != 0)
                return r;
        if (strcmp(mode, "wal") != 0)
                return registry_error(ret_error, REGISTRY_E_UNUSABLE, "", "%s cannot have a write-ahead log", path);
        return query_int(db, "PRAGMA user_version", &version); /* the first reader makes the file */
}

/* Gives the write-ahead log, from the start, the size that it has between checkpoints. A commit that writes over what
 * is there has only data to bring to the disk; one that makes the file longer has the file's size and blocks as well.
 * What follows the last frame of a log means nothing to SQLite, so zeros do not either. Without room it does without.
 */
static void extend_log(const char *path) {
        static const char zeros[16 * 1024];
        _cleanup_free_ char *log = NULL;
        _cleanup_close_ int fd = -EBADF;
        struct stat st;

        if (asprintf(&log, "%s-wal", path) < 0) {
                log = NULL;
                return;
        }
        fd = open(log, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0 || fstat(fd, &st) < 0)
                return;
        for (off_t at = st.st_size; at < LOG_SIZE;) {
                size_t left = (size_t)(LOG_SIZE - at);
                ssize_t n = pwrite(fd, zeros, left < sizeof(zeros) ? left : sizeof(zeros), at);

                if (n <= 0) {
                        (void)!ftruncate(fd, st.st_size);
                        return;
                }
                at += n;
        }
        (void)fdatasync(fd);
}

int registry_open(Registry **ret, const char *path, RegistryError *ret_error) {
        _cleanup_(registry_free_p) Registry *registry = NULL;
        RegistryError error = {};
        bool orderly = false;
        int version = 0, r;

        /* One thread, and nobody asks how much memory SQLite has: no locks around each allocation. Too late when the
         * program has used SQLite before, which is as good. */
        (void)sqlite3_config(SQLITE_CONFIG_SINGLETHREAD);
        (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);

        registry = calloc(1, sizeof(*registry));
        if (!registry)
                return -ENOMEM;

        r = prepare_file(path, &orderly, &error);
        if (r == 0)
                r = connect_database(&registry->db, path, &error);
        if (r == 0)
                r = check_database(registry->db, path, orderly, &version, &error);
        if (r == 0)
                r = start_log(registry->db, path, &error);
        if (r == 0)
                r = migrate(registry->db, version);
        if (r == 0)
                extend_log(path);
        if (r != 0) {
                if (error.text[0] == '\0')
                        registry_error(&error, r, "", "%s cannot be used: %s", path,
                                r < 0 ? strerror(-r) : sqlite3_errmsg(registry->db));
                if (ret_error)
                        *ret_error = error;
                return r;
        }

        *ret = TAKE_PTR(registry);
        return 0;
}

Registry *registry_free(Registry *r) {
        if (!r)
                return NULL;
        for (size_t i = 0; i < r->n_statements; i++)
                sqlite3_finalize(r->statements[i].statement);
        free(r->statements);
        here_subjects_free(r->here);
        sqlite3_close(r->db);
        free(r);
        return NULL;
}

void registry_set_service_family(Registry *r, Family (*fn)(const char *service)) {
        r->service_family = fn;
}

void registry_hold_more(Registry *r, bool more) {
        (void)execute(r->db, more ? "PRAGMA cache_size = -8192" : "PRAGMA cache_size = -256");
        if (!more) {
                (void)sqlite3_db_release_memory(r->db);
                (void)malloc_trim(0);
        }
}

sqlite3 *registry_db(Registry *r) {
        return r->db;
}

static int run(Registry *r, const char *sql) {
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        int q;

        q = registry_statement(r, sql, &s);
        return q != 0 ? q : statement_run(s);
}

int registry_begin(Registry *r) {
        static const char sql[] = "BEGIN IMMEDIATE";

        if (registry_in_transaction(r))
                return -EBUSY;
        return run(r, sql);
}

int registry_commit(Registry *r) {
        static const char sql[] = "COMMIT";
        int q;

        if (!registry_in_transaction(r))
                return REGISTRY_E_UNUSABLE; /* SQLite rolled back by itself after a failed write */
        q = run(r, sql);
        if (q != 0)
                registry_rollback(r);
        return q;
}

void registry_rollback(Registry *r) {
        static const char sql[] = "ROLLBACK";

        if (registry_in_transaction(r))
                (void)run(r, sql);
}

int registry_view_begin(Registry *r, bool *ret_own) {
        static const char sql[] = "BEGIN";
        bool own = !registry_in_transaction(r);
        int q;

        if (own) {
                q = run(r, sql);
                if (q != 0)
                        return q;
        }
        *ret_own = own;
        return 0;
}

void registry_view_end(Registry *r, bool own) {
        if (own && registry_commit(r) != 0)
                registry_rollback(r);
}

bool registry_in_transaction(Registry *r) {
        return !sqlite3_get_autocommit(r->db);
}

int registry_meta_get(Registry *r, const char *name, char **ret) {
        static const char sql[] = "SELECT value FROM meta WHERE name = ?1";
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        int q;

        q = registry_statement(r, sql, &s);
        if (q != 0)
                return q;
        sqlite3_bind_text(s, 1, name, -1, SQLITE_STATIC);
        q = statement_row(s);
        return q != 0 ? q : column_dup(s, 0, ret);
}

int registry_meta_set(Registry *r, const char *name, const char *value) {
        static const char set_sql[] = "INSERT INTO meta (name, value) VALUES (?1, ?2)"
                                      " ON CONFLICT (name) DO UPDATE SET value = excluded.value";
        static const char remove_sql[] = "DELETE FROM meta WHERE name = ?1";
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        int q;

        q = registry_statement(r, value ? set_sql : remove_sql, &s);
        if (q != 0)
                return q;
        q = registry_result(sqlite3_bind_text(s, 1, name, -1, SQLITE_STATIC));
        if (q == 0 && value)
                q = registry_result(sqlite3_bind_text(s, 2, value, -1, SQLITE_STATIC));
        return q != 0 ? q : statement_run(s);
}
