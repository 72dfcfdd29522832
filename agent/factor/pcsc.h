/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <winscard.h>

#include "factor/apdu.h"

/* pcscd through libpcsclite, in the words of factor-wire.h. A context belongs to one thread. */

/* FACTOR_NO_SERVICE, FACTOR_INTERNAL (pcscd refuses this user). */
FactorStatus pcsc_open(SCARDCONTEXT *ret);
void pcsc_close(SCARDCONTEXT context);

typedef struct PcscReader {
        char name[MAX_READERNAME];         /* as pcscd calls it */
        char plain[FACTOR_READER_MAX + 1]; /* as keishid hears it: what is not plain text is escaped */
        CardState state;
        bool in_use;      /* some program is connected to its card */
        unsigned changes; /* pcscd's count of insertions and removals */
} PcscReader;

/* Readers and what is in them, without touching a card. FACTOR_NO_READER when there is none. */
FactorStatus pcsc_readers(SCARDCONTEXT context, PcscReader ret[FACTOR_READERS_MAX], size_t *ret_n);

/* Waits until something differs from what pcsc_readers() said. FACTOR_OK also when it may not. */
FactorStatus pcsc_wait(SCARDCONTEXT context, const PcscReader *readers, size_t n);

/* Where a card's thread is: what it means when it does not come back. */
typedef enum PcscStage { PCSC_CONNECTING, PCSC_WAITING, PCSC_TALKING } PcscStage;
typedef void (*pcsc_stage_fn)(PcscStage stage, void *userdata);

typedef struct PcscCard {
        SCARDCONTEXT context;
        SCARDHANDLE handle;
        const char *reader;
        DWORD protocol;
        bool connected, alone;
        CardLink link; /* points back to this */
} PcscCard;

/* The card of a reader, held in a transaction: others wait. FACTOR_NO_READER, _NO_CARD, _MUTE, _BUSY, _REMOVED,
 * _UNSUPPORTED, _NO_SERVICE, _INTERNAL. To be closed whatever it returns. */
FactorStatus pcsc_card_open(
        SCARDCONTEXT context, const char *reader, pcsc_stage_fn at_stage, void *userdata, PcscCard *ret);

/* `reset`: whatever was presented to it is forgotten before another program gets it. */
void pcsc_card_close(PcscCard *c, bool reset);
