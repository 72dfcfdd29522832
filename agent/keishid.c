/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <locale.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-id128.h>

#include "config/config.h"
#include "factor/factor-wire.h"
#include "factor/helper.h"
#include "factor/lookup.h"
#include "keishi/paths.h"
#include "login/admin-log.h"
#include "login/bus.h"
#include "login/drift.h"
#include "login/identity.h"
#include "login/lifecycle.h"
#include "login/password-secret.h"
#include "login/password.h"
#include "login/presence.h"
#include "login/server.h"
#include "login/service.h"
#include "login/session.h"
#include "login/software.h"
#include "login/text.h"
#include "login/trusted-clock.h"
#include "registry/registry.h"
#include "trail/trail.h"
#include "util/clock.h"
#include "util/io.h"

#define SUDOERS_USEC         (10 * USEC_PER_SEC)
#define PASSWORD_PARALLEL    16
#define QUALITY_PARALLEL     4
#define QUALITY_USEC         (10 * USEC_PER_SEC)
#define FINGERPRINT_PARALLEL 2 /* each takes 32 MiB */
#define FINGERPRINT_USEC     (20 * USEC_PER_SEC)
#define END_PARALLEL         4
#define END_USEC             (10 * USEC_PER_SEC)
#define SOFTWARE_USEC        (30 * USEC_PER_SEC)
#define LOCK_TRIES           20
#define LOCK_PAUSE_USEC      (50 * USEC_PER_MSEC)
#define CARD_PARALLEL        32
#define CARD_USEC            ((FACTOR_CARD_SIGN_SEC + 3) * USEC_PER_SEC)
#define KEY_USEC             ((FACTOR_KEY_LIST_SEC + 3) * USEC_PER_SEC)

typedef struct Options {
        const char *root;    /* prefix of state, configuration and sockets */
        const char *helpers; /* directory of the helper programs */
} Options;

typedef struct Keishid {
        Options options;
        int lock_fd;
        sd_event *event;
        Config *config;
        Registry *registry;
        Trail *trail;
        Identity *identity;
        Lookup *lookup;
        HelperPool *password;
        HelperPool *quality, *fingerprint, *background;
        Passwords *passwords;
        HelperPool *card, *key;
        TrustFile *card_trust, *key_trust;
        TrustedClock clock;
        HelperPool *end;
        HelperPool *software_helpers;
        Software *software;
        HelperPool *admin_helpers, *sudoers_helpers;
        AdminLog *admin_log;
        SessionList *sessions;
        Enforcer *enforcer;
        Presence *presence;
        Drift *drift;
        LoginServer *server;
        Bus *bus;
} Keishid;

/* In the reverse order of use: who borrows goes first. */
static void keishid_done(Keishid *k) {
        k->server = login_server_free(k->server);
        k->bus = bus_free(k->bus);
        k->enforcer = enforcer_free(k->enforcer);
        k->presence = presence_free(k->presence);
        k->drift = drift_free(k->drift);
        k->admin_log = admin_log_free(k->admin_log);
        k->admin_helpers = helper_pool_free(k->admin_helpers);
        k->sudoers_helpers = helper_pool_free(k->sudoers_helpers);
        k->sessions = session_list_free(k->sessions);
        k->passwords = passwords_free(k->passwords);
        k->quality = helper_pool_free(k->quality);
        k->fingerprint = helper_pool_free(k->fingerprint);
        k->background = helper_pool_free(k->background);
        k->password = helper_pool_free(k->password);
        k->card = helper_pool_free(k->card);
        k->key = helper_pool_free(k->key);
        k->card_trust = trust_file_free(k->card_trust);
        k->key_trust = trust_file_free(k->key_trust);
        k->end = helper_pool_free(k->end);
        k->software = software_free(k->software);
        k->software_helpers = helper_pool_free(k->software_helpers);
        k->lookup = lookup_free(k->lookup);
        k->trail = trail_free(k->trail);
        k->identity = identity_free(k->identity);
        k->registry = registry_free(k->registry);
        k->config = config_free(k->config);
        k->event = sd_event_unref(k->event);
        if (k->lock_fd >= 0)
                close(TAKE_FD(k->lock_fd));
}

/* What other rooms keep of the directory follows it. */
static void refresh(Keishid *k) {
        _cleanup_(terminal_done) Terminal t = {};
        char **netgroups = NULL;

        if (registry_terminal_self(k->registry, &t) == 0)
                trail_set_terminal(k->trail, t.name, t.uuid, t.unit);
        if (registry_netgroups(k->registry, &netgroups) == 0) {
                (void)lookup_set_netgroups(k->lookup, netgroups);
                for (char **n = netgroups; n && *n; n++)
                        free(*n);
                free(netgroups);
        }
}

static void on_directory_changed(NounId noun, void *userdata) {
        Keishid *k = userdata;

        refresh(k);
        enforcer_kick(k->enforcer);
}

static sd_bus *on_bus(void *userdata) {
        Keishid *k = userdata;

        return bus_connection(k->bus);
}

static bool on_clock_trusted(void *userdata) {
        Keishid *k = userdata;
        uint64_t now;

        return trusted_clock_now(&k->clock, &now);
}

static int on_clock_confirm(void *userdata) {
        Keishid *k = userdata;

        return trusted_clock_confirm(&k->clock);
}

static void on_clock_confirmed(void *userdata) {
        Keishid *k = userdata;

        trusted_clock_confirmed(&k->clock);
}

static int fail(const char *what, int r) {
        fprintf(stderr, SD_ERR "%s: %s\n", what, strerror(-r));
        return EXIT_FAILURE;
}

/* The same for what the registry is needed for; a positive `r` is one of REGISTRY_E_…. */
static int fail_registry(Keishid *k, const char *what, int r) {
        if (r < 0)
                return fail(what, r);
        fprintf(stderr, SD_ERR "%s: %s%s: %s (is the disk full, or the file damaged?)\n", what, k->options.root,
                KEISHI_REGISTRY_FILE, sqlite3_errmsg(registry_db(k->registry)));
        return EXIT_FAILURE;
}

static Family family_of(const char *service) {
        const Service *s = service_find(service);

        return s ? s->family : _FAMILY_INVALID;
}

/* One agent a place: a second one would take the sockets away from the first. */
static int lock(Keishid *k) {
        _cleanup_free_ char *path = io_prefix(k->options.root, KEISHI_RUN_DIR);

        if (!path)
                return fail("start", -ENOMEM);
        k->lock_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (k->lock_fd < 0)
                return fail(path, -errno);
        /* A helper that an agent was just starting when it was killed lets go of the lock when it is executed. */
        for (unsigned tries = 0; flock(k->lock_fd, LOCK_EX | LOCK_NB) < 0; tries++) {
                if (errno != EWOULDBLOCK)
                        return fail(path, -errno);
                if (tries >= LOCK_TRIES) {
                        fprintf(stderr, SD_ERR "%s: another keishid runs here\n", path);
                        return EXIT_FAILURE;
                }
                usleep(LOCK_PAUSE_USEC);
        }
        return 0;
}

static int open_registry(Keishid *k) {
        _cleanup_free_ char *path = io_prefix(k->options.root, KEISHI_REGISTRY_FILE);
        RegistryError error = {};
        int r;

        if (!path)
                return fail("registry", -ENOMEM);
        r = registry_open(&k->registry, path, &error);
        if (r != 0) {
                fprintf(stderr, SD_ERR "%s: %s\n", path,
                        error.text[0] ? error.text
                        : r < 0       ? strerror(-r)
                                      : "cannot be used");
                return EXIT_FAILURE;
        }
        registry_set_service_family(k->registry, family_of);
        return 0;
}

/* Before the trail: it may have to begin a new epoch. */
static int open_identity(Keishid *k) {
        int r = identity_new(&k->identity, k->registry, k->options.root);

        return r == 0 ? 0 : fail_registry(k, "identity", r);
}

static int open_trail(Keishid *k, const char *boot_id) {
        _cleanup_free_ char *reserve = io_prefix(k->options.root, KEISHI_RESERVE_FILE);
        _cleanup_free_ char *spool = io_prefix(k->options.root, KEISHI_BREAK_GLASS_SPOOL);
        _cleanup_free_ char *journal = io_prefix(k->options.root, KEISHI_JOURNAL_SOCKET);
        TrailOptions options = {
                .reserve_path = reserve,
                .break_glass_spool_path = spool,
                .journal_socket_path = journal,
                .power_was_cut = lifecycle_power_was_cut(k->registry, boot_id),
        };
        int r;

        if (!reserve || !spool || !journal)
                return fail("trail", -ENOMEM);
        r = trail_new(&k->trail, k->event, k->registry, &options);
        return r == 0 ? 0 : fail_registry(k, "trail", r);
}

static int start_pool(Keishid *k, HelperPool **ret, const char *name, unsigned limit, uint64_t usec) {
        _cleanup_free_ char *path = NULL;

        if (asprintf(&path, "%s/%s", k->options.helpers, name) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        return helper_pool_new(ret, k->event, path, limit, usec);
}

static int start_helpers(Keishid *k) {
        _cleanup_free_ char *lookup = NULL;
        int r;

        if (asprintf(&lookup, "%s/keishi-lookup", k->options.helpers) < 0) {
                lookup = NULL;
                return fail("helpers", -ENOMEM);
        }
        r = lookup_new(&k->lookup, k->event, lookup, k->config->lookup_usec, k->config->lookup_cache_usec);
        if (r == 0)
                r = start_pool(k, &k->password, "keishi-password", PASSWORD_PARALLEL, k->config->password_usec);
        if (r == 0)
                r = start_pool(k, &k->quality, "keishi-quality", QUALITY_PARALLEL, QUALITY_USEC);
        if (r == 0)
                r = start_pool(k, &k->fingerprint, "keishi-fingerprint", FINGERPRINT_PARALLEL, FINGERPRINT_USEC);
        if (r == 0)
                r = start_pool(k, &k->background, "keishi-fingerprint", 1, FINGERPRINT_USEC);
        if (r == 0)
                r = start_pool(k, &k->card, FACTOR_PROGRAM_CARD, CARD_PARALLEL, CARD_USEC);
        if (r == 0)
                r = start_pool(k, &k->key, FACTOR_PROGRAM_KEY, CARD_PARALLEL, KEY_USEC);
        if (r == 0)
                r = trust_file_new(&k->card_trust, k->config->card_ca, k->config->card_crl);
        if (r == 0)
                r = trust_file_new(&k->key_trust, k->config->attestation_roots, NULL);
        if (r == 0)
                r = start_pool(k, &k->end, "keishi-end", END_PARALLEL, END_USEC);
        if (r == 0)
                r = start_pool(k, &k->software_helpers, "keishi-software", 1, SOFTWARE_USEC);
        if (r == 0)
                r = start_pool(k, &k->admin_helpers, "keishi-admin", 1, UINT64_MAX);
        if (r == 0)
                r = start_pool(k, &k->sudoers_helpers, "keishi-sudoers", 1, SUDOERS_USEC);
        return r == 0 ? 0 : fail("helpers", r);
}

static int start_enforcer(Keishid *k) {
        _cleanup_free_ char *users_dir = io_prefix(k->options.root, KEISHI_USERS_DIR);
        _cleanup_free_ char *notice_dir = io_prefix(k->options.root, KEISHI_NOTICE_DIR);
        EnforcerContext context = {
                .event = k->event,
                .registry = k->registry,
                .trail = k->trail,
                .lookup = k->lookup,
                .config = k->config,
                .clock = &k->clock,
                .sessions = k->sessions,
                .end = k->end,
                .users_dir = users_dir,
                .notice_dir = notice_dir,
                .bus = on_bus,
                .userdata = k,
        };

        return users_dir && notice_dir ? enforcer_new(&k->enforcer, &context) : -ENOMEM;
}

static int start_admin_log(Keishid *k) {
        AdminLogContext context = {
                .event = k->event,
                .registry = k->registry,
                .trail = k->trail,
                .lookup = k->lookup,
                .reader = k->admin_helpers,
                .sudoers = k->sudoers_helpers,
                .root = k->options.root,
        };
        int r = admin_log_new(&k->admin_log, &context);

        return r < 0 ? fail("administrators", r) : 0;
}

static void on_drift(void *userdata) {
        Keishid *k = userdata;

        admin_log_look(k->admin_log);
}

/* After the start is recorded: a change of the configuration comes behind the hash of what was loaded. */
static int start_drift(Keishid *k) {
        DriftContext context = {
                .event = k->event,
                .registry = k->registry,
                .trail = k->trail,
                .config = k->config,
                .root = k->options.root,
                .changed = on_drift,
                .userdata = k,
        };
        int r = drift_new(&k->drift, &context);

        return r == 0 ? 0 : fail_registry(k, "configuration", r);
}

static int start_software(Keishid *k) {
        SoftwareContext context = {
                .event = k->event,
                .registry = k->registry,
                .trail = k->trail,
                .helpers = k->software_helpers,
                .root = k->options.root,
        };
        int r = software_new(&k->software, &context);

        return r == 0 ? 0 : fail("software", r);
}

static int start_passwords(Keishid *k) {
        _cleanup_free_ char *secret = io_prefix(k->options.root, KEISHI_PASSWORD_SECRET);
        PasswordsContext context = {
                .event = k->event,
                .registry = k->registry,
                .trail = k->trail,
                .config = k->config,
                .clock = &k->clock,
                .password = k->password,
                .quality = k->quality,
                .fingerprint = k->fingerprint,
                .background = k->background,
                .secret_path = secret,
        };

        return secret ? passwords_new(&k->passwords, &context) : -ENOMEM;
}

static int start_presence(Keishid *k) {
        PresenceContext context = {
                .event = k->event,
                .trail = k->trail,
                .config = k->config,
                .watch = k->card,
                .sessions = k->sessions,
                .bus = on_bus,
                .userdata = k,
        };

        return presence_new(&k->presence, &context);
}

static int start_login(Keishid *k, const char *boot_id) {
        LoginContext context;
        int r;

        r = session_list_new(&k->sessions, k->event, k->registry, k->trail, boot_id);
        if (r != 0)
                return fail_registry(k, "sessions", r);

        r = start_enforcer(k);
        if (r < 0)
                return fail("sessions", r);
        r = start_presence(k);
        if (r < 0)
                return fail("sessions", r);
        r = start_passwords(k);
        if (r < 0)
                return fail("passwords", r);

        context = (LoginContext){
                .event = k->event,
                .registry = k->registry,
                .trail = k->trail,
                .lookup = k->lookup,
                .password = k->password,
                .passwords = k->passwords,
                .card = k->card,
                .card_trust = k->card_trust,
                .key = k->key,
                .root = k->options.root,
                .config = k->config,
                .clock = &k->clock,
                .sessions = k->sessions,
                .enforcer = k->enforcer,
                .presence = k->presence,
                .drift = k->drift,
                .identity = k->identity,
                .admin_log = k->admin_log,
        };
        r = login_server_new(&k->server, &context, k->options.root);
        return r == 0 ? 0 : fail(KEISHI_RUN_DIR, r);
}

static int start_bus(Keishid *k) {
        BusContext context = {
                .event = k->event,
                .registry = k->registry,
                .trail = k->trail,
                .lookup = k->lookup,
                .card = k->card,
                .key = k->key,
                .key_trust = k->key_trust,
                .card_trust = k->card_trust,
                .config = k->config,
                .root = k->options.root,
                .drift = k->drift,
                .identity = k->identity,
                .admin_log = k->admin_log,
                .passwords = k->passwords,
                .clock_trusted = on_clock_trusted,
                .clock_confirm = on_clock_confirm,
                .clock_confirmed = on_clock_confirmed,
                .directory_changed = on_directory_changed,
                .userdata = k,
        };
        int r;

        r = bus_new(&k->bus, &context, NULL);
        return r == 0 ? 0 : fail("bus", r);
}

static int run(Keishid *k) {
        _cleanup_free_ char *config_path = io_prefix(k->options.root, KEISHI_CONFIG_FILE);
        _cleanup_free_ char *error = NULL;
        char boot_id[SD_ID128_STRING_MAX];
        sd_id128_t id;
        int r;

        if (!config_path)
                return fail("start", -ENOMEM);
        r = config_load(&k->config, config_path, &error);
        if (r < 0) {
                fprintf(stderr, SD_ERR "%s\n", error ? error : strerror(-r));
                return EXIT_FAILURE;
        }
        r = sd_id128_get_boot(&id);
        if (r < 0)
                return fail("boot id", r);
        sd_id128_to_string(id, boot_id);

        r = sd_event_new(&k->event);
        if (r >= 0)
                r = sd_event_add_signal(k->event, NULL, SIGTERM, NULL, NULL);
        if (r >= 0)
                r = sd_event_add_signal(k->event, NULL, SIGINT, NULL, NULL);
        if (r >= 0)
                r = sd_event_set_watchdog(k->event, true);
        if (r < 0)
                return fail("event loop", r);

        if (lock(k) != 0 || open_registry(k) != 0 || open_identity(k) != 0 || open_trail(k, boot_id) != 0 ||
                start_helpers(k) != 0)
                return EXIT_FAILURE;
        refresh(k);
        /* Before anything is recorded now: the newest entry is what the clock is held against. */
        r = trusted_clock_init(&k->clock, k->registry, k->trail, k->config);
        if (r != 0)
                return fail_registry(k, "clock", r);
        r = lifecycle_started(k->registry, k->trail, k->config, boot_id);
        if (r != 0)
                return fail_registry(k, "trail", r);
        r = identity_start(k->identity, k->trail);
        if (r != 0)
                return fail_registry(k, "identity", r);
        if (start_admin_log(k) != 0 || start_drift(k) != 0 || start_software(k) != 0 || start_login(k, boot_id) != 0 ||
                start_bus(k) != 0)
                return EXIT_FAILURE;

        (void)sd_notify(0, "READY=1\nSTATUS=Deciding logins.");
        r = sd_event_loop(k->event);
        (void)sd_notify(0, "STOPPING=1");
        if (r < 0)
                return fail("event loop", r);

        k->server = login_server_free(k->server);
        lifecycle_stopped(k->registry, k->trail);
        return EXIT_SUCCESS;
}

static int store_new_secret(Keishid *k) {
        _cleanup_free_ char *path = io_prefix(k->options.root, KEISHI_PASSWORD_SECRET);
        _cleanup_(event_free_p) Event *e = NULL;
        int r;

        if (!path || event_new(&e, EVENT_PASSWORD_SECRET) < 0)
                return -ENOMEM;
        event_set(e, FIELD_RESULT, "renewed");
        event_set_uint(e, FIELD_UID, getuid());
        r = registry_begin(k->registry);
        if (r == 0)
                r = trail_append(k->trail, e);
        if (r == 0)
                r = password_secret_renew(k->registry, path);
        if (r == 0)
                r = registry_commit(k->registry);
        if (r != 0)
                registry_rollback(k->registry);
        return r;
}

/* --new-password-secret: what the agent itself cannot do when it is lost, because it would then be worth nothing to
 * have one. */
static int renew_secret(Keishid *k) {
        char boot_id[SD_ID128_STRING_MAX];
        sd_id128_t id;
        int r;

        r = sd_id128_get_boot(&id);
        if (r < 0)
                return fail("boot id", r);
        sd_id128_to_string(id, boot_id);
        if (lock(k) != 0 || open_registry(k) != 0 || open_trail(k, boot_id) != 0)
                return EXIT_FAILURE;
        r = store_new_secret(k);
        if (r != 0)
                return fail_registry(k, "password secret", r);
        printf("%s%s: renewed\n", k->options.root, KEISHI_PASSWORD_SECRET);
        return EXIT_SUCCESS;
}

static void help(void) {
        printf("keishid [OPTIONS...]\n\n"
               "The agent that decides and records logins on this terminal; see keishid(8).\n\n"
               "  --root=DIR      put DIR in front of every path of configuration, state and sockets (tests)\n"
               "  --helpers=DIR   where the helper programs are (default " KEISHI_LIBEXEC_DIR ")\n"
               "  --new-password-secret\n"
               "                  renew what passwords are compared by, when it is lost, and end\n"
               "  --check         only load the configuration, and say whether it is right\n"
               "  --version\n"
               "  --help\n");
}

static int check(const char *root) {
        _cleanup_free_ char *path = io_prefix(root, KEISHI_CONFIG_FILE), *error = NULL;
        _cleanup_(config_free_p) Config *config = NULL;
        int r;

        if (!path)
                return fail("start", -ENOMEM);
        r = config_load(&config, path, &error);
        if (r < 0) {
                fprintf(stderr, "%s\n", error ? error : strerror(-r));
                return EXIT_FAILURE;
        }
        printf("%s: right\n", path);
        return EXIT_SUCCESS;
}

int main(int argc, char **argv) {
        enum { OPTION_ROOT = 256, OPTION_HELPERS, OPTION_CHECK, OPTION_SECRET, OPTION_VERSION, OPTION_HELP };
        static const struct option long_options[] = {
                { "root", required_argument, NULL, OPTION_ROOT },
                { "helpers", required_argument, NULL, OPTION_HELPERS },
                { "check", no_argument, NULL, OPTION_CHECK },
                { "new-password-secret", no_argument, NULL, OPTION_SECRET },
                { "version", no_argument, NULL, OPTION_VERSION },
                { "help", no_argument, NULL, OPTION_HELP },
                {},
        };
        Keishid k = { .options = { .root = "", .helpers = KEISHI_LIBEXEC_DIR }, .lock_fd = -EBADF };
        bool only_check = false, only_secret = false;
        sigset_t signals;
        int c, r;

        while ((c = getopt_long(argc, argv, "", long_options, NULL)) >= 0)
                switch (c) {
                case OPTION_ROOT:
                        k.options.root = optarg;
                        break;
                case OPTION_HELPERS:
                        k.options.helpers = optarg;
                        break;
                case OPTION_CHECK:
                        only_check = true;
                        break;
                case OPTION_SECRET:
                        only_secret = true;
                        break;
                case OPTION_VERSION:
                        puts("keishid " KEISHI_VERSION);
                        return EXIT_SUCCESS;
                case OPTION_HELP:
                        help();
                        return EXIT_SUCCESS;
                default:
                        return 2;
                }
        if (optind < argc) {
                fprintf(stderr, "keishid: takes no arguments: %s\n", argv[optind]);
                return 2;
        }
        if (only_check)
                return check(k.options.root);

        umask(0077);
        text_init();
        sigemptyset(&signals);
        sigaddset(&signals, SIGTERM);
        sigaddset(&signals, SIGINT);
        sigaddset(&signals, SIGCHLD);
        sigprocmask(SIG_BLOCK, &signals, NULL);

        r = only_secret ? renew_secret(&k) : run(&k);
        keishid_done(&k);
        return r;
}
