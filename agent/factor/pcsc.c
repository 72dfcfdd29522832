/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "factor/pcsc.h"

#include <reader.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/text.h"

#define REMOVAL_MSEC 1500u /* until pcscd has noticed that a card has gone */
#define PNP_READER   "\\\\?PnP?\\Notification"

static FactorStatus status_of(LONG r) {
        switch (r) {
        case SCARD_S_SUCCESS:
                return FACTOR_OK;
        case SCARD_E_NO_SERVICE:
        case SCARD_E_SERVICE_STOPPED:
        case SCARD_F_COMM_ERROR: /* with pcscd, not with the card */
        case SCARD_P_SHUTDOWN:
        case SCARD_E_INVALID_HANDLE:
                return FACTOR_NO_SERVICE;
        case SCARD_E_NO_READERS_AVAILABLE:
        case SCARD_E_UNKNOWN_READER:
        case SCARD_E_READER_UNAVAILABLE:
                return FACTOR_NO_READER;
        case SCARD_E_NO_SMARTCARD:
                return FACTOR_NO_CARD;
        case SCARD_W_REMOVED_CARD:
                return FACTOR_REMOVED;
        case SCARD_E_SHARING_VIOLATION:
        case SCARD_W_RESET_CARD:
                return FACTOR_BUSY;
        case SCARD_W_UNRESPONSIVE_CARD:
        case SCARD_W_UNPOWERED_CARD:
                return FACTOR_MUTE;
        case SCARD_E_PROTO_MISMATCH:
        case SCARD_W_UNSUPPORTED_CARD:
        case SCARD_E_CARD_UNSUPPORTED:
                return FACTOR_UNSUPPORTED;
        case SCARD_E_INSUFFICIENT_BUFFER:
        case SCARD_E_NOT_TRANSACTED:
        case SCARD_E_COMM_DATA_LOST:
                return FACTOR_MISBEHAVED;
        default:
                return FACTOR_INTERNAL;
        }
}

FactorStatus pcsc_open(SCARDCONTEXT *ret) {
        return status_of(SCardEstablishContext(SCARD_SCOPE_SYSTEM, NULL, NULL, ret));
}

void pcsc_close(SCARDCONTEXT context) {
        (void)SCardReleaseContext(context);
}

static CardState state_of(DWORD s) {
        if (s & SCARD_STATE_MUTE)
                return CARD_MUTE;
        if (s & SCARD_STATE_EXCLUSIVE)
                return CARD_BUSY;
        return s & SCARD_STATE_PRESENT ? CARD_PRESENT : CARD_ABSENT;
}

static FactorStatus names_read(SCARDCONTEXT context, PcscReader *readers, size_t *ret_n) {
        /* Of more readers than these the last are not seen. */
        char names[FACTOR_READERS_MAX * MAX_READERNAME + 1];
        DWORD size = sizeof(names);
        size_t n = 0;
        LONG r;

        r = SCardListReaders(context, NULL, names, &size);
        if (r != SCARD_S_SUCCESS)
                return status_of(r);
        names[sizeof(names) - 1] = 0;
        for (const char *p = names; *p && p < names + size && n < FACTOR_READERS_MAX; p += strlen(p) + 1) {
                _cleanup_free_ char *plain = text_escape(p, strlen(p), FACTOR_READER_MAX);

                if (!plain)
                        return FACTOR_INTERNAL;
                readers[n] = (PcscReader){ .state = CARD_ABSENT };
                memcpy(readers[n].name, p, strnlen(p, sizeof(readers[n].name) - 1));
                memcpy(readers[n].plain, plain, strlen(plain));
                n++;
        }
        *ret_n = n;
        return n > 0 ? FACTOR_OK : FACTOR_NO_READER;
}

FactorStatus pcsc_readers(SCARDCONTEXT context, PcscReader ret[FACTOR_READERS_MAX], size_t *ret_n) {
        SCARD_READERSTATE states[FACTOR_READERS_MAX] = { 0 };
        FactorStatus s;
        size_t n = 0;
        LONG r;

        s = names_read(context, ret, &n);
        if (s != FACTOR_OK)
                return s;
        for (size_t i = 0; i < n; i++)
                states[i].szReader = ret[i].name;
        r = SCardGetStatusChange(context, 0, states, (DWORD)n);
        if (r != SCARD_S_SUCCESS && r != SCARD_E_TIMEOUT)
                return status_of(r);
        for (size_t i = 0; i < n; i++) {
                ret[i].state = state_of(states[i].dwEventState);
                ret[i].in_use = states[i].dwEventState & (SCARD_STATE_INUSE | SCARD_STATE_EXCLUSIVE);
                ret[i].changes = (unsigned)(states[i].dwEventState >> 16) & 0xffff;
        }
        *ret_n = n;
        return FACTOR_OK;
}

FactorStatus pcsc_wait(SCARDCONTEXT context, const PcscReader *readers, size_t n) {
        SCARD_READERSTATE states[FACTOR_READERS_MAX + 1] = { 0 };
        static const DWORD current[_CARD_STATE_MAX] = {
                [CARD_ABSENT] = SCARD_STATE_EMPTY,
                [CARD_PRESENT] = SCARD_STATE_PRESENT,
                [CARD_MUTE] = SCARD_STATE_PRESENT | SCARD_STATE_MUTE,
                [CARD_BUSY] = SCARD_STATE_PRESENT | SCARD_STATE_EXCLUSIVE,
        };
        LONG r;

        for (size_t i = 0; i < n; i++) {
                states[i].szReader = readers[i].name;
                states[i].dwCurrentState = current[readers[i].state] | (DWORD)readers[i].changes << 16;
        }
        states[n].szReader = PNP_READER;
        states[n].dwCurrentState = (DWORD)n << 16;
        r = SCardGetStatusChange(context, INFINITE, states, (DWORD)n + 1);
        return r == SCARD_E_TIMEOUT || r == SCARD_E_UNKNOWN_READER ? FACTOR_OK : status_of(r);
}

/* A card that did not answer: it has gone, or it fails. */
static FactorStatus why_not_transacted(const PcscCard *c) {
        SCARD_READERSTATE state = { .szReader = c->reader, .dwCurrentState = SCARD_STATE_UNAWARE };
        LONG r;

        for (unsigned n = 0; n < 2; n++) {
                r = SCardGetStatusChange(c->context, n == 0 ? 0 : REMOVAL_MSEC, &state, 1);
                if (r == SCARD_E_UNKNOWN_READER ||
                        (r == SCARD_S_SUCCESS && !(state.dwEventState & SCARD_STATE_PRESENT)))
                        return FACTOR_REMOVED;
                if (r != SCARD_S_SUCCESS && r != SCARD_E_TIMEOUT)
                        return status_of(r);
                state.dwCurrentState = state.dwEventState & ~(DWORD)SCARD_STATE_CHANGED;
        }
        return FACTOR_MISBEHAVED;
}

static FactorStatus card_transmit(
        void *userdata, const unsigned char *command, size_t length, unsigned char *reply, size_t *size) {
        PcscCard *c = userdata;
        DWORD got = (DWORD)*size;
        LONG r;

        r = SCardTransmit(c->handle, c->protocol == SCARD_PROTOCOL_T0 ? SCARD_PCI_T0 : SCARD_PCI_T1, command,
                (DWORD)length, NULL, reply, &got);
        /* Some drivers take the end of a card for a reply of no bytes. */
        if (r == SCARD_E_NOT_TRANSACTED || (r == SCARD_S_SUCCESS && got < 2))
                return why_not_transacted(c);
        if (r != SCARD_S_SUCCESS)
                return status_of(r);
        *size = got;
        return FACTOR_OK;
}

static FactorStatus card_reset(void *userdata) {
        PcscCard *c = userdata;

        return status_of(SCardReconnect(
                c->handle, SCARD_SHARE_SHARED, SCARD_PROTOCOL_T0 | SCARD_PROTOCOL_T1, SCARD_RESET_CARD, &c->protocol));
}

FactorStatus pcsc_card_open(
        SCARDCONTEXT context, const char *reader, pcsc_stage_fn at_stage, void *userdata, PcscCard *ret) {
        LONG r;

        *ret = (PcscCard){ .context = context, .reader = reader };
        at_stage(PCSC_CONNECTING, userdata);
        r = SCardConnect(context, reader, SCARD_SHARE_SHARED, SCARD_PROTOCOL_T0 | SCARD_PROTOCOL_T1, &ret->handle,
                &ret->protocol);
        if (r != SCARD_S_SUCCESS)
                return status_of(r);
        ret->connected = true;
        at_stage(PCSC_WAITING, userdata);
        r = SCardBeginTransaction(ret->handle);
        if (r == SCARD_W_RESET_CARD) {
                /* Whoever held it until now has reset it. */
                r = SCardReconnect(ret->handle, SCARD_SHARE_SHARED, SCARD_PROTOCOL_T0 | SCARD_PROTOCOL_T1,
                        SCARD_LEAVE_CARD, &ret->protocol);
                if (r == SCARD_S_SUCCESS)
                        r = SCardBeginTransaction(ret->handle);
        }
        if (r != SCARD_S_SUCCESS)
                return status_of(r);
        ret->alone = true;
        at_stage(PCSC_TALKING, userdata);
        ret->link = (CardLink){ card_transmit, card_reset, ret, ret->protocol == SCARD_PROTOCOL_T0 };
        return FACTOR_OK;
}

void pcsc_card_close(PcscCard *c, bool reset) {
        DWORD end = reset && c->alone ? SCARD_RESET_CARD : SCARD_LEAVE_CARD;

        if (!c->connected)
                return;
        if (c->alone)
                (void)SCardEndTransaction(c->handle, end);
        (void)SCardDisconnect(c->handle, SCARD_LEAVE_CARD);
        c->connected = c->alone = false;
}
