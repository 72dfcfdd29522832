/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The operations on cards. Connections to pcscd are made before worker_confine(), since afterwards there is no
 * connect(). */

#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#include "factor/card.h"
#include "factor/pcsc.h"
#include "factor/worker.h"

#define CARD_SEC   6 /* for one card to be read: what is slower misbehaves; below FACTOR_CARD_FIND_SEC */
#define STACK_SIZE ((size_t)256 << 10)

/* What libpcsclite needs beside the rest: when a wait is over it looks whether pcscd's socket is still there. */
static const int calls[] = {
        SYS_getsockopt,
        SYS_shutdown,
#ifdef SYS_stat
        SYS_stat,
#endif
#ifdef SYS_newfstatat
        SYS_newfstatat,
#endif
        SYS_statx,
        -1,
};

/* ---- find ---- */

typedef struct Search Search;

typedef struct Finding {
        Search *search;
        const PcscReader *reader;
        SCARDCONTEXT context;
        /* under the lock of the search */
        PcscStage stage;
        bool done;
        FactorStatus status;
        size_t n;
        CardContents *facts; /* CARD_KINDS of them */
} Finding;

struct Search {
        pthread_mutex_t lock;
        pthread_cond_t changed;
        size_t n_running;
};

static void finding_at_stage(PcscStage stage, void *userdata) {
        Finding *f = userdata;

        pthread_mutex_lock(&f->search->lock);
        f->stage = stage;
        pthread_mutex_unlock(&f->search->lock);
}

/* One card. Hands its findings over at the end and touches nothing afterwards: the process may be about to end. */
static void *finding_run(void *userdata) {
        Finding *f = userdata;
        CardContents *facts = calloc(CARD_KINDS, sizeof(*facts));
        FactorStatus s = FACTOR_INTERNAL;
        PcscCard card;
        size_t n = 0;

        if (facts) {
                s = pcsc_card_open(f->context, f->reader->name, finding_at_stage, f, &card);
                if (s == FACTOR_OK)
                        s = card_read(&card.link, facts, &n);
                pcsc_card_close(&card, false);
                pcsc_close(f->context);
        }
        pthread_mutex_lock(&f->search->lock);
        f->status = s;
        f->facts = facts;
        f->n = s == FACTOR_OK ? n : 0;
        f->done = true;
        f->search->n_running--;
        pthread_cond_signal(&f->search->changed);
        pthread_mutex_unlock(&f->search->lock);
        return NULL;
}

/* The cards at the same time: one that hangs holds up nobody else's. */
static FactorStatus findings_run(Search *s, Finding *findings, size_t n) {
        struct timespec until;
        pthread_attr_t attributes;

        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += CARD_SEC;
        if (pthread_attr_init(&attributes) != 0 || pthread_attr_setstacksize(&attributes, STACK_SIZE) != 0)
                return FACTOR_INTERNAL;
        pthread_mutex_lock(&s->lock);
        for (size_t i = 0; i < n; i++) {
                pthread_t thread;

                if (pthread_create(&thread, &attributes, finding_run, &findings[i]) != 0)
                        return FACTOR_INTERNAL;
                s->n_running++;
        }
        while (s->n_running > 0 && pthread_cond_timedwait(&s->changed, &s->lock, &until) == 0)
                ;
        return FACTOR_OK; /* with the lock held: nothing changes any more */
}

static CardState state_of_finding(const Finding *f) {
        if (!f->done && f->stage == PCSC_CONNECTING)
                return f->reader->in_use ? CARD_BUSY : CARD_MUTE; /* pcscd lets nobody connect during a transaction */
        if (!f->done)
                return f->stage == PCSC_WAITING ? CARD_BUSY : CARD_MISBEHAVED;
        switch (f->status) {
        case FACTOR_OK:
        case FACTOR_UNSUPPORTED: /* speaks a protocol that nobody does: a card, of no kind we know */
                return CARD_PRESENT;
        case FACTOR_BUSY:
                return CARD_BUSY;
        case FACTOR_MUTE:
                return CARD_MUTE;
        case FACTOR_NO_CARD:
        case FACTOR_NO_READER:
        case FACTOR_REMOVED:
                return CARD_ABSENT;
        default:
                return CARD_MISBEHAVED;
        }
}

/* Room that the readers behind this one need. */
#define ITEM_MAX(size) (sizeof(ItemHead) + (size))
#define READER_ROOM                                                                                                    \
        (ITEM_MAX(FACTOR_READER_MAX) + ITEM_MAX(sizeof(uint32_t)) + CARD_KINDS * 3 * ITEM_MAX(sizeof(uint32_t)))

static void facts_add(Frame *reply, const CardContents *f, size_t reserved) {
        size_t too_long = f->too_long;

        frame_add_uint(reply, FACTOR_ITEM_APPLICATION, f->application);
        if (f->has_tries)
                frame_add_uint(reply, FACTOR_ITEM_TRIES, f->tries);
        if (f->size > 0 && frame_room(reply) >= reserved + ITEM_MAX(f->size))
                frame_add(reply, FACTOR_ITEM_CERTIFICATE, f->certificate, f->size);
        else if (f->size > 0)
                too_long = f->size; /* for the frame: so many cards with so long ones */
        if (too_long > 0)
                frame_add_uint(reply, FACTOR_ITEM_TOO_LONG, (uint32_t)too_long);
}

static void reader_add(Frame *reply, const PcscReader *r, CardState state) {
        frame_add_text(reply, FACTOR_ITEM_READER, r->plain);
        frame_add_uint(reply, FACTOR_ITEM_CARD, state);
}

/* Leaves the reader that is asked for. */
static FactorStatus readers_choose(PcscReader *readers, size_t *n, const FrameItem *name) {
        for (size_t i = 0; i < *n; i++)
                if (strlen(readers[i].plain) == name->size && memcmp(readers[i].plain, name->bytes, name->size) == 0) {
                        readers[0] = readers[i];
                        *n = 1;
                        return FACTOR_OK;
                }
        return FACTOR_NO_READER;
}

static FactorStatus readers_read(const WorkerRequest *q, SCARDCONTEXT context, PcscReader *readers, size_t *ret_n) {
        FactorStatus s;
        FrameItem name;

        s = pcsc_readers(context, readers, ret_n);
        if (s == FACTOR_OK && worker_item(q, FACTOR_ITEM_READER, &name))
                s = readers_choose(readers, ret_n, &name);
        return s;
}

FactorStatus card_find(const WorkerRequest *q, Frame *reply) {
        static PcscReader readers[FACTOR_READERS_MAX];
        static Finding findings[FACTOR_READERS_MAX];
        static Search search = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0 };
        size_t n = 0, n_findings = 0, next = 0;
        SCARDCONTEXT context;
        FactorStatus s;

        s = pcsc_open(&context);
        if (s == FACTOR_OK)
                s = readers_read(q, context, readers, &n);
        for (size_t i = 0; s == FACTOR_OK && i < n; i++)
                if (readers[i].state == CARD_PRESENT) {
                        Finding *f = &findings[n_findings++];

                        *f = (Finding){ .search = &search, .reader = &readers[i], .context = context };
                        if (n_findings > 1)
                                s = pcsc_open(&f->context);
                }
        if (s == FACTOR_OK && worker_confine(calls) < 0)
                s = FACTOR_INTERNAL;
        if (s == FACTOR_OK && n_findings > 0)
                s = findings_run(&search, findings, n_findings);
        for (size_t i = 0; s == FACTOR_OK && i < n_findings; i++)
                if (findings[i].done && findings[i].status == FACTOR_NO_SERVICE)
                        s = FACTOR_NO_SERVICE;
        if (s != FACTOR_OK)
                return s;

        for (size_t i = 0; i < n; i++) {
                size_t reserved = (n - i) * READER_ROOM;
                const Finding *f = &findings[next];

                if (next == n_findings || f->reader != &readers[i]) {
                        reader_add(reply, &readers[i], readers[i].state);
                        continue;
                }
                next++;
                reader_add(reply, &readers[i], state_of_finding(f));
                for (size_t k = 0; f->done && k < f->n; k++)
                        facts_add(reply, &f->facts[k], reserved);
        }
        return FACTOR_OK;
}

/* ---- sign ---- */

static void sign_at_stage(PcscStage stage, void *userdata) {
        const PcscReader *reader = userdata;

        if (stage == PCSC_TALKING)
                worker_set_late(FACTOR_MISBEHAVED);
        else
                worker_set_late(stage == PCSC_WAITING || reader->in_use ? FACTOR_BUSY : FACTOR_MUTE);
}

static void question_read(const WorkerRequest *q, CardQuestion *ret) {
        FrameReader r = q->items;
        FrameItem i;

        *ret = (CardQuestion){ 0 };
        while (frame_next(&r, &i)) {
                if (i.item == FACTOR_ITEM_APPLICATION)
                        ret->application = (CardApplication)i.number;
                else if (i.item == FACTOR_ITEM_ALGORITHM)
                        ret->algorithm = (CardAlgorithm)i.number;
                else if (i.item == FACTOR_ITEM_PIN) {
                        ret->pin = (unsigned char *)i.bytes; /* of worker_main()'s own room */
                        ret->pin_size = i.size;
                } else if (i.item == FACTOR_ITEM_DIGEST)
                        ret->digest = (Bytes){ i.bytes, i.size };
                else if (i.item == FACTOR_ITEM_TRIES) {
                        ret->has_tries = true;
                        ret->tries = i.number;
                }
        }
}

FactorStatus card_sign(const WorkerRequest *q, Frame *reply) {
        PcscReader readers[FACTOR_READERS_MAX];
        CardAnswer answer = { 0 };
        SCARDCONTEXT context;
        CardQuestion question;
        FactorStatus s;
        PcscCard card;
        size_t n = 0;

        question_read(q, &question);
        s = pcsc_open(&context);
        if (s == FACTOR_OK)
                s = readers_read(q, context, readers, &n);
        if (s == FACTOR_OK && worker_confine(calls) < 0)
                s = FACTOR_INTERNAL;
        if (s != FACTOR_OK)
                return s;
        s = pcsc_card_open(context, readers[0].name, sign_at_stage, &readers[0], &card);
        if (s == FACTOR_OK)
                s = card_prove(&card.link, &question, &answer);
        pcsc_card_close(&card, true);
        pcsc_close(context);
        if (answer.has_tries && s != FACTOR_OK)
                frame_add_uint(reply, FACTOR_ITEM_TRIES, answer.tries);
        if (s == FACTOR_OK)
                frame_add(reply, FACTOR_ITEM_SIGNATURE, answer.signature, answer.size);
        return s;
}

/* ---- watch ---- */

static const PcscReader *reader_find(const PcscReader *readers, size_t n, const PcscReader *like) {
        for (size_t i = 0; i < n; i++)
                if (strcmp(readers[i].name, like->name) == 0)
                        return &readers[i];
        return NULL;
}

/* What is in a reader, when that is new. `before`: what was in it, or NULL. */
static void change_add(Frame *f, const PcscReader *before, const PcscReader *now) {
        bool in = now->state != CARD_ABSENT, was_in = before && before->state != CARD_ABSENT;

        if (before && before->state == now->state && before->changes == now->changes)
                return;
        /* Taken out and put in since: both are told. */
        if (in && was_in && before->changes != now->changes)
                reader_add(f, now, CARD_ABSENT);
        else if (before && before->state == now->state)
                return;
        reader_add(f, now, now->state);
}

static int changes_tell(const PcscReader *before, size_t n_before, const PcscReader *now, size_t n) {
        static Frame f;

        frame_init(&f, FACTOR_PROGRESS);
        for (size_t i = 0; i < n_before; i++)
                if (!reader_find(now, n, &before[i]))
                        frame_add_text(&f, FACTOR_ITEM_READER, before[i].plain);
        for (size_t i = 0; i < n; i++)
                change_add(&f, reader_find(before, n_before, &now[i]), &now[i]);
        return f.size == sizeof(FrameHeader) ? 0 : worker_progress(&f);
}

FactorStatus card_watch(const WorkerRequest *q, Frame *reply) {
        static PcscReader readers[2][FACTOR_READERS_MAX];
        size_t n[2] = { 0 };
        SCARDCONTEXT context;
        FactorStatus s;

        s = pcsc_open(&context);
        if (s == FACTOR_OK && worker_confine(calls) < 0)
                s = FACTOR_INTERNAL;
        for (unsigned now = 0; s == FACTOR_OK; now = !now) {
                n[now] = 0;
                s = pcsc_readers(context, readers[now], &n[now]);
                if (s == FACTOR_NO_READER)
                        s = FACTOR_OK;
                /* That another program holds a card comes and goes without notice. */
                for (size_t i = 0; i < n[now]; i++)
                        if (readers[now][i].state == CARD_BUSY)
                                readers[now][i].state = CARD_PRESENT;
                if (s == FACTOR_OK && changes_tell(readers[!now], n[!now], readers[now], n[now]) < 0)
                        s = FACTOR_INTERNAL;
                if (s == FACTOR_OK)
                        s = pcsc_wait(context, readers[now], n[now]);
        }
        return s;
}
