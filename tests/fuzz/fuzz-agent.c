/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* keishid with a PAM application that sends anything: a real transaction on a real registry, trail and loop; the input
 * is what arrives at its socket, after one byte that says whether the caller is root, and whether its call for a new
 * password was prepared. Stood in for: NSS (one account, below) and keishi-password and the helpers for new passwords
 * (a program that does not exist, so that no password is ever right or good). Nobody may get in. */

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <string.h>
#include <sys/stat.h>

#include "keishi/message.h"
#include "login/service.h"
#include "login/text.h"
#include "login/transaction.h"
#include "packets.h"
#include "util/clock.h"

static Account hanako = { .n_ref = 1, .name = (char *)"hanako", .uid = 1001, .gid = 1001, .gecos = (char *)"" };

int lookup_name(Lookup *l, const char *name, lookup_fn fn, void *userdata, LookupQuery **ret) {
        bool known = strcmp(name, hanako.name) == 0;

        *ret = NULL;
        fn(known ? 0 : LOOKUP_E_UNKNOWN, known ? &hanako : NULL, userdata);
        return 0;
}

int lookup_uid(Lookup *l, uid_t uid, lookup_fn fn, void *userdata, LookupQuery **ret) {
        bool known = uid == hanako.uid;

        *ret = NULL;
        fn(known ? 0 : LOOKUP_E_UNKNOWN, known ? &hanako : NULL, userdata);
        return 0;
}

LookupQuery *lookup_query_cancel(LookupQuery *q) {
        return NULL;
}

static LoginContext context;
static TrustedClock fuzz_clock;

static void write_file(const char *path, const char *text) {
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

        require(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && close(fd) == 0);
}

static char directory[] = "/dev/shm/keishi-fuzz-XXXXXX";

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw) {
        return remove(path);
}

static void clean_up(void) {
        (void)nftw(directory, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

/* Paths stay for as long as the program runs. */
static char *in_directory(const char *name) {
        static char paths[16][64];
        static size_t n;

        require(n < ELEMENTSOF(paths));
        (void)snprintf(paths[n], sizeof(paths[n]), "%s/%s", directory, name);
        return paths[n++];
}

static void set_up(void) {
        static Config *config;
        static Registry *registry;
        static Trail *trail;
        HelperPool *none;
        RegistryError error;
        TrailOptions options;
        char *text = NULL;

        require(mkdtemp(directory) && atexit(clean_up) == 0);
        text_init();
        write_file(in_directory("keishid.conf"), "[Attempts]\nDelaySec=0\nMax=64\n");
        require(sd_event_new(&context.event) >= 0);
        require(config_load(&config, in_directory("keishid.conf"), &text) == 0);
        require(registry_open(&registry, in_directory("registry.db"), &error) == 0);
        options = (TrailOptions){
                .reserve_path = in_directory("reserve"),
                .break_glass_spool_path = in_directory("spool"),
                .journal_socket_path = in_directory("journal"),
                .syslog_socket_path = in_directory("log"),
        };
        require(trail_new(&trail, context.event, registry, &options) == 0);
        require(helper_pool_new(&none, context.event, in_directory("none"), 4, 1000000) == 0);
        require(helper_pool_new(&context.password, context.event, in_directory("none"), 4, 1000000) == 0);
        require(trusted_clock_init(&fuzz_clock, registry, trail, config) == 0);
        require(session_list_new(
                        &context.sessions, context.event, registry, trail, "00000000000000000000000000000000") == 0);
        require(enforcer_new(&context.enforcer, &(EnforcerContext){
                                                        .event = context.event,
                                                        .registry = registry,
                                                        .trail = trail,
                                                        .config = config,
                                                        .clock = &fuzz_clock,
                                                        .sessions = context.sessions,
                                                        .end = none,
                                                        .users_dir = in_directory("users"),
                                                        .notice_dir = in_directory("notices"),
                                                }) == 0);
        require(passwords_new(&context.passwords, &(PasswordsContext){
                                                          .event = context.event,
                                                          .registry = registry,
                                                          .trail = trail,
                                                          .config = config,
                                                          .clock = &fuzz_clock,
                                                          .password = context.password,
                                                          .quality = none,
                                                          .fingerprint = none,
                                                          .background = none,
                                                          .secret_path = in_directory("password-secret"),
                                                  }) == 0);
        context.registry = registry;
        context.trail = trail;
        context.config = config;
        context.clock = &fuzz_clock;
}

static void on_end(Transaction *t, void *userdata) {
        *(bool *)userdata = true;
}

/* Reads what the agent answered: nothing but what the protocol describes, and never a success of a stage that opens. */
static void read_answers(int fd, bool opens) {
        unsigned char bytes[KEISHI_MESSAGE_MAX];
        ssize_t n;
        Message m;

        while ((n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_TRUNC)) > 0) {
                require(message_parse(&m, bytes, (size_t)n) == 0 && m.type >= MESSAGE_PROMPT);
                require(m.type != MESSAGE_RESULT || m.number[ITEM_RESULT] != RESULT_SUCCESS || !opens);
        }
}

static void note_stage(const uint8_t *packet, size_t n, void *userdata) {
        bool *opens = userdata;
        Message m;

        if (message_parse(&m, packet, n) == 0 && m.type == MESSAGE_BEGIN && m.number[ITEM_STAGE] == STAGE_SESSION_CLOSE)
                *opens = false;
        /* Root may change an account's entry without being asked anything, but for a new password. */
        if (message_parse(&m, packet, n) == 0 && m.type == MESSAGE_BEGIN &&
                m.number[ITEM_STAGE] != STAGE_PASSWORD_UPDATE)
                for (const Service *s = service_table(); s->name; s++)
                        if (s->root_changes && strlen(s->name) == m.size[ITEM_SERVICE] &&
                                memcmp(s->name, m.text[ITEM_SERVICE], m.size[ITEM_SERVICE]) == 0)
                                *opens = false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        Peer peer = { .process = { .pid = getpid(), .start = 1 }, .login_uid = (uid_t)-1 };
        bool ended = false, opens = true;
        Transaction *t;
        int pair[2];

        if (size == 0)
                return 0;
        if (!context.event)
                set_up();
        peer.uid = data[0] & 1 ? 0 : hanako.uid;
        /* A change of the password whose preliminary phase has been. */
        if (data[0] & 2)
                require(proof_add(&context.proofs, "password/passwd", hanako.name, &peer, clock_usec(CLOCK_BOOTTIME)));
        data++, size--;

        require(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0);
        packets_each(data, size, packet_send, &pair[1]);
        packets_each(data, size, note_stage, &opens);
        require(transaction_new(&t, &context, pair[0], &peer, on_end, &ended) == 0);
        transaction_start(t);
        for (unsigned i = 0; i < 200 && !ended; i++)
                if (sd_event_run(context.event, 0) == 0 && i > 100)
                        break;
        read_answers(pair[1], opens);
        transaction_free(t);
        close(pair[1]);
        while (sd_event_run(context.event, 0) > 0)
                ;
        return 0;
}
