/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "registry/noun.h"

/* Many rows of one noun at once, all or none, beside logins that go on.
 *
 * One transaction around 100,000 rows and their entries in the trail would hold the database's only write lock, and the
 * agent's only thread, for seconds, and every login needs both. So the work is cut into slices of a few hundredths of a
 * second, each a transaction, and an import goes through them in this order:
 *
 *  staging    rows come in batches; each is read, checked against the directory as it is, compared with the row of the
 *             same key, and what would be done is written, ready, to the table import_rows, which nothing else looks
 *             at. Whatever goes wrong up to here (a bad row, a killed caller, a full disk, a crash) costs those rows
 *             only: they are thrown away, and the directory has not changed.
 *  decision   one short transaction writes the table imports and the import's entry in the trail. Before it is asked
 *             whether anybody changed what the rows were checked against since the import began, and the room on the
 *             disk that the rest can take is taken. From here on it is done, whatever happens.
 *  applying   each slice moves staged rows into their table, with the entry of each row (before and after, law 6) in
 *             the same transaction. Removals come last: whoever has a right before and after the import, by whichever
 *             rows, has it all the time, and no session ends for a right that is only written anew. Until the last
 *             slice the nouns that the checks looked at cannot be changed by others; restrictions always can. A crash,
 *             or a disk that fails for a while, only interrupts: the rest is applied at the next start, or when the
 *             disk is back.
 *
 * When a slice holds all there is (an import of a few hundred changes), decision and application are one transaction.
 * A larger one becomes visible to logins over some seconds: each single row is as before or as after. The other way, a
 * flag that makes all staged rows visible at once, was not taken: every reader and index of the directory would have to
 * know of it, and the entries of the trail would have to be written before what they tell of happened. */

#define IMPORT_ROWS_MAX  250000u /* rows of a file */
#define IMPORT_BATCH_MAX 1000u   /* rows of a batch */
#define IMPORT_SLICE     500u    /* rows of a slice of applying */

typedef enum ImportOutcome {
        IMPORT_REMOVED,
        IMPORT_CHANGED,
        IMPORT_ADDED,
        IMPORT_UNCHANGED,
        _IMPORT_OUTCOME_MAX,
} ImportOutcome;

typedef struct Import Import;

/* Begins: `columns` are names of fields, or "uuid", in the order of a row's cells. Removes nothing unless
 * import_scan() is called. REGISTRY_E_INVALID: a column is unknown or stands twice, or the key's are not all there;
 * REGISTRY_E_UNUSABLE. */
int import_new(
        Import **ret, Registry *r, NounId noun, json_object *columns, uint64_t now_usec, RegistryError *ret_error);
/* Forgets; what it staged is left to import_purge(). */
Import *import_free(Import *i);
DEFINE_CLEANUP(Import *, import_free)

typedef struct ImportRow {
        ImportOutcome outcome;
        json_object *before, *after; /* both for what is changed; neither for what is unchanged */
} ImportRow;
void import_row_done(ImportRow *row);

/* Around what is only staged, looked through, or thrown away: a transaction that need not be on the disk when it is
 * over. A crash may take it away, and would take it away anyhow; the decision, and all before it in the log, is
 * durable. The end commits when `q` is 0, else rolls back; it returns what came of it. */
int import_staging_begin(Registry *r);
int import_staging_end(Registry *r, int q);

/* Whether a row may be written (`before` and `after` as for a change, either may be NULL): 0, and in `deputy` the uuid
 * of the deputy's row by which, if any; in import_scan() also 1: the row is left alone; or a negative errno. */
typedef int (*import_permit_fn)(json_object *before, json_object *after, void *userdata, char deputy[static 37]);

/* Checks and stages one row, within an open transaction: [LINE, CELL…], texts or null. An empty cell means: no value;
 * for a field that is filled in when it is not given (review): that, or no change. A row is known by its uuid, when it
 * has one, or else by its key. Conditions of registry_row_add() and _change(); REGISTRY_E_EXISTS: the file has two. */
int import_stage(
        Import *i, json_object *cells, import_permit_fn fn, void *userdata, ImportRow *ret, RegistryError *ret_error);

/* Looks at the next `limit` rows of the noun, within an open transaction, and stages the removal of those that the file
 * did not have, if `fn` lets it. *ret_done when there are no more. REGISTRY_E_IN_USE and others. */
int import_scan(
        Import *i, unsigned limit, import_permit_fn fn, void *userdata, bool *ret_done, RegistryError *ret_error);

uint64_t import_count(const Import *i, ImportOutcome outcome);
/* What is staged: rows that import_apply() will write. */
uint64_t import_total(const Import *i);
uint64_t import_applied(const Import *i);
NounId import_noun(const Import *i);
const char *import_uuid(const Import *i);

/* The decision, within an open transaction; `who` is kept for import_resume(). From here on writers of the noun, and of
 * those that it was checked against, are refused (REGISTRY_E_UNUSABLE). REGISTRY_E_CONFLICT: these changed since
 * import_new(); REGISTRY_E_UNUSABLE: there is not enough room. */
int import_decide(Import *i, json_object *who, RegistryError *ret_error);

typedef struct ImportChange {
        NounId noun;
        ImportOutcome outcome;
        const char *uuid, *first; /* value of the noun's first field, when that is text */
        const char *deputy, *before, *after;
} ImportChange;
/* For each row that is written, in the transaction that writes it: 0, or as trail_append(). */
typedef int (*import_apply_fn)(const ImportChange *change, void *userdata);
/* Writes the next `limit` rows, within an open transaction. *ret_done: these were the last, and the import is over when
 * the transaction is committed; call import_settle() then. */
int import_apply(Import *i, unsigned limit, import_apply_fn fn, void *userdata, bool *ret_done);
/* Ends an import that was decided and cannot be applied, within an open transaction; what is staged is left to
 * import_purge(). */
int import_give_up(Import *i);
/* To be called after the commit, or rollback, of a transaction with import_apply() in it. */
void import_settle(Import *i, bool committed);

/* At the start: the import that was decided, and not wholly applied when the agent stopped. REGISTRY_E_NOT_FOUND. */
int import_resume(Import **ret, Registry *r, json_object **ret_who);
/* Throws away up to `limit` staged rows of an import that was not decided, in a transaction of its own. */
int import_purge(Registry *r, unsigned limit, bool *ret_done);
/* Whether rows of the noun are being written just now. */
bool import_busy(Registry *r, NounId noun);
