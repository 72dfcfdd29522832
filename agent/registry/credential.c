/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "registry/credential.h"

#include <errno.h>
#include <openssl/evp.h>
#include <string.h>

#include "registry/noun.h"

/* Credentials as a login needs them. */

void credential_done(Credential *c) {
        free(c->uuid);
        free(c->person);
        free(c->application);
        free(c->key);
        free(c->id);
        free(c->rp);
        free(c->replaces);
        *c = (Credential){};
}

char *base64_write(const void *bytes, size_t size) {
        char *text;

        if (size > INT32_MAX / 2)
                return NULL;
        text = malloc((size + 2) / 3 * 4 + 1);
        if (text)
                (void)EVP_EncodeBlock((unsigned char *)text, bytes, (int)size);
        return text;
}

unsigned char *base64_read(const char *text, size_t max, size_t *ret_size) {
        static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        size_t size = strlen(text), padding;
        unsigned char *bytes;

        if (size == 0 || size % 4 != 0 || size / 4 > (max + 2) / 3)
                return NULL;
        padding = text[size - 1] == '=' ? (text[size - 2] == '=' ? 2 : 1) : 0;
        if (strspn(text, digits) != size - padding || size / 4 * 3 - padding > max)
                return NULL;
        bytes = malloc(size / 4 * 3);
        if (!bytes)
                return NULL;
        if (EVP_DecodeBlock(bytes, (const unsigned char *)text, (int)size) < 0) {
                free(bytes);
                return NULL;
        }
        *ret_size = size / 4 * 3 - padding;
        return bytes;
}

#define CREDENTIAL_COLUMNS                                                                                             \
        "c.uuid, c.person, c.application, c.rp, c.replaces, c.kind, c.state, c.key, c.credential, c.valid_from,"       \
        " c.valid_until, n.counter FROM credentials c LEFT JOIN credential_counters n ON n.credential = c.uuid"

/* Text in base64 as bytes. What cannot be read is as good as not there: it matches nothing. */
static int column_bytes(sqlite3_stmt *s, int column, size_t max, unsigned char **ret, size_t *ret_size) {
        const char *text;
        int q;

        q = column_text(s, column, &text);
        if (q == 0 && text)
                *ret = base64_read(text, max, ret_size);
        return q;
}

static int read_credential(sqlite3_stmt *s, Credential *ret) {
        _cleanup_(credential_done) Credential c = {};
        char **const texts[] = { &c.uuid, &c.person, &c.application, &c.rp, &c.replaces };
        const char *kind = NULL, *state = NULL;
        int q = 0;

        for (size_t i = 0; q == 0 && i < ELEMENTSOF(texts); i++)
                q = column_dup(s, (int)i, texts[i]);
        if (q == 0)
                q = column_text(s, 5, &kind);
        if (q == 0)
                q = column_text(s, 6, &state);
        if (q == 0)
                q = column_bytes(s, 7, CREDENTIAL_KEY_MAX, &c.key, &c.key_size);
        if (q == 0)
                q = column_bytes(s, 8, CREDENTIAL_ID_MAX, &c.id, &c.id_size);
        if (q != 0)
                return q;
        c.kind = credential_kind_from_string(kind);
        c.state = credential_state_from_string(state);
        c.from_usec = (uint64_t)sqlite3_column_int64(s, 9);
        c.until_usec = (uint64_t)sqlite3_column_int64(s, 10);
        c.counter = (uint32_t)sqlite3_column_int64(s, 11);
        *ret = c;
        c = (Credential){};
        return 0;
}

int registry_credentials(Registry *r, const char *person, CredentialKind kind, credential_fn fn, void *userdata) {
        static const char sql[] =
                "SELECT " CREDENTIAL_COLUMNS " WHERE c.person = ?1 AND c.kind = ?2 AND c.deleted = 0 ORDER BY c.id";
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        int q;

        q = registry_statement(r, sql, &s);
        if (q == 0)
                q = registry_result(sqlite3_bind_text(s, 1, person, -1, SQLITE_STATIC));
        if (q == 0)
                q = registry_result(sqlite3_bind_text(s, 2, credential_kind_to_string(kind), -1, SQLITE_STATIC));
        while (q == 0) {
                _cleanup_(credential_done) Credential c = {};

                q = statement_row(s);
                if (q != 0)
                        return q == REGISTRY_E_NOT_FOUND ? 0 : q;
                q = read_credential(s, &c);
                if (q == 0)
                        q = fn(&c, userdata);
        }
        return q;
}

static int read_one(Registry *r, const char *sql, const char *text, Credential *ret) {
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        int q;

        q = registry_statement(r, sql, &s);
        if (q == 0)
                q = registry_result(sqlite3_bind_text(s, 1, text, -1, SQLITE_STATIC));
        if (q == 0)
                q = statement_row(s);
        return q != 0 ? q : read_credential(s, ret);
}

int registry_credential_by_key(Registry *r, const void *key, size_t size, Credential *ret) {
        static const char sql[] = "SELECT " CREDENTIAL_COLUMNS " WHERE c.key = ?1 AND c.deleted = 0"
                                  " ORDER BY c.state = 'active' DESC, c.state = 'suspended' DESC, c.id DESC LIMIT 1";
        _cleanup_free_ char *text = base64_write(key, size);

        return text ? read_one(r, sql, text, ret) : -ENOMEM;
}

int registry_credential(Registry *r, const char *uuid, Credential *ret) {
        static const char sql[] = "SELECT " CREDENTIAL_COLUMNS " WHERE c.uuid = ?1 AND c.deleted = 0";

        return read_one(r, sql, uuid, ret);
}

int registry_credential_used(Registry *r, const char *uuid, uint32_t counter, uint64_t now_usec) {
        static const char sql[] = "INSERT INTO credential_counters (credential, counter, used) VALUES (?1, ?2, ?3)"
                                  " ON CONFLICT (credential) DO UPDATE SET"
                                  " counter = max(counter, excluded.counter), used = excluded.used";
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        int q;

        if (!registry_in_transaction(r))
                return -EPERM;
        q = registry_statement(r, sql, &s);
        if (q == 0)
                q = registry_result(sqlite3_bind_text(s, 1, uuid, -1, SQLITE_STATIC));
        if (q == 0)
                q = registry_result(sqlite3_bind_int64(s, 2, counter));
        if (q == 0)
                q = registry_result(sqlite3_bind_int64(s, 3, (sqlite3_int64)now_usec));
        return q != 0 ? q : statement_run(s);
}

bool credential_in_force(const Credential *c, uint64_t now_usec, bool trusted) {
        if (c->state != CREDENTIAL_ACTIVE)
                return false;
        if (!trusted && (c->from_usec > 0 || c->until_usec > 0))
                return false;
        return now_usec >= c->from_usec && (c->until_usec == 0 || now_usec < c->until_usec);
}

int registry_credentials_stopped(Registry *r, const char *uuids, char ret[static CREDENTIAL_UUID_SIZE]) {
        ret[0] = '\0';
        for (size_t n; uuids && (uuids += strspn(uuids, " "), (n = strcspn(uuids, " ")) > 0); uuids += n) {
                _cleanup_(credential_done) Credential c = {};
                char uuid[CREDENTIAL_UUID_SIZE] = "";
                int q;

                if (n >= sizeof(uuid))
                        return -EINVAL;
                memcpy(uuid, uuids, n);
                q = registry_credential(r, uuid, &c);
                if (q != 0 && q != REGISTRY_E_NOT_FOUND)
                        return q;
                if (q == REGISTRY_E_NOT_FOUND || c.state != CREDENTIAL_ACTIVE) {
                        memcpy(ret, uuid, sizeof(uuid));
                        return 0;
                }
        }
        return 0;
}

typedef struct StateEdit {
        char *state, *by, *reason;
} StateEdit;

static void replace_text(Value *v, char *text) {
        free(v->text);
        v->text = text;
}

static void edit_state(Row *row, void *userdata) {
        StateEdit *e = userdata;

        replace_text(&row->values[CREDENTIAL_F_STATE], TAKE_PTR(e->state));
        replace_text(&row->values[CREDENTIAL_F_STATE_BY], TAKE_PTR(e->by));
        replace_text(&row->values[CREDENTIAL_F_REASON], TAKE_PTR(e->reason));
}

int registry_credential_set_state(Registry *r, const char *uuid, CredentialState to, const char *by_person,
        const char *reason, uint64_t now_usec, json_object **ret_before, json_object **ret_after, RegistryError *e) {
        StateEdit edit = { .state = strdup(credential_state_to_string(to)), .by = strdup(by_person) };
        int q = -ENOMEM;

        edit.reason = reason ? strdup(reason) : NULL;
        if (edit.state && edit.by && (edit.reason || !reason))
                q = row_edit(r, NOUN_CREDENTIAL, uuid, edit_state, &edit, now_usec, ret_before, ret_after, e);
        free(edit.state);
        free(edit.by);
        free(edit.reason);
        return q;
}
