/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "login/bus-internal.h"
#include "login/facts.h"
#include "login/password-report.h"
#include "util/clock.h"
#include "util/text.h"

/* `keishictl check`: the verdict that a login would get, and its rule, from the same facts (law 10). For whoever holds
 * a role, and for people about themselves. The request is a JSON object of user, and optionally service (login),
 * target, terminal (this one), at (microseconds; now) and remote. */

/* Of one call: they are judged in one go, while nothing else is. */
#define CHECK_ALL_MAX 1000u

static const char *const request_fields[] = { "user", "service", "target", "terminal", "at", "remote", NULL };

char *factors_to_text(const unsigned *alternatives, size_t n) {
        static const struct {
                unsigned factor;
                const char *name;
        } names[] = {
                { FACTOR_PASSWORD, "password" },
                { FACTOR_CARD, "card" },
                { FACTOR_BIOMETRIC, "biometric" },
                { FACTOR_KEY, "key" },
        };
        char *text = NULL;
        size_t size;
        FILE *o;

        o = open_memstream(&text, &size);
        if (!o)
                return NULL;
        for (size_t i = 0; i < n; i++) {
                const char *between = i > 0 ? ", " : "";

                for (size_t j = 0; j < ELEMENTSOF(names); j++)
                        if (alternatives[i] & names[j].factor) {
                                (void)fprintf(o, "%s%s", between, names[j].name);
                                between = " ";
                        }
        }
        if (fclose(o) != 0) {
                free(text);
                return NULL;
        }
        return text;
}

int factors_add(const Config *c, unsigned confidentiality, json_object *o) {
        _cleanup_json_ json_object *all = json_object_new_object();

        if (!all)
                return -ENOMEM;
        for (Family f = 0; f < _FAMILY_MAX; f++) {
                const FactorSet *set = config_factors(c, f, confidentiality);
                _cleanup_free_ char *text = NULL;

                if (set->n == 0)
                        continue;
                text = factors_to_text(set->alternatives, set->n);
                if (!text || json_set_string(all, family_to_string(f), text) < 0)
                        return -ENOMEM;
        }
        return json_set(o, "factors", TAKE_PTR(all));
}

/* How other terminals are set is not known here. */
static bool observes_there(Bus *b, const CheckQuery *q, const FactsData *d) {
        _cleanup_(terminal_done) Terminal self = {};

        if (!config_observes(b->c.config, q->now_usec, q->clock_trusted))
                return false;
        return !q->terminal || (registry_terminal_self(b->c.registry, &self) == 0 && d->terminal.name &&
                                       strcmp(self.name, d->terminal.name) == 0);
}

int check_verdict(Bus *b, const CheckQuery *q, json_object **ret) {
        _cleanup_json_ json_object *o = NULL, *password = NULL;
        _cleanup_(facts_done) FactsData d = {};
        _cleanup_free_ char *factors = NULL;
        const Service *service = service_find(q->service);
        Verdict v = {}, seen;
        int r;

        r = facts_collect(&d, b->c.registry, b->c.config,
                &(FactsQuery){
                        .stage = STAGE_AUTH,
                        .service_name = q->service,
                        .service = service,
                        .family = service_family(service, (uid_t)-1, q->target && strcmp(q->target, q->account) == 0),
                        .authenticated = true,
                        .remote = q->remote || (service && service->family == FAMILY_REMOTE),
                        .account = q->account,
                        .nss = q->nss,
                        .target = q->target,
                        .target_nss = q->target_nss,
                        .terminal = q->terminal,
                        .now_usec = q->now_usec,
                        .clock_trusted = q->clock_trusted,
                        .drift_closes = !q->terminal && drift_closes(b->c.drift),
                        .identity_closes = !q->terminal && identity_closes(b->c.identity),
                });
        if (r == 0)
                r = facts_judge(&d, b->c.registry, &v);
        if (r == 0 && d.user.uuid)
                r = password_report_account(b->c.registry, b->c.config, &d.user, q->now_usec, &password);
        if (r != 0)
                return r;
        seen = v;
        if (observes_there(b, q, &d))
                verdict_observe(&seen, &d.facts);
        factors = factors_to_text(d.facts.alternatives, d.facts.n_alternatives);
        o = json_object_new_object();
        if (!factors || !o || json_set_boolean(o, "granted", v.granted) < 0 ||
                json_set_string(o, "reason", reason_to_string(v.reason)) < 0 ||
                json_set_string(o, "rule", v.rule) < 0 || json_set_string(o, "account", q->account) < 0 ||
                json_set_string(o, "person", d.user.person) < 0 || json_set_string(o, "name", d.user.name) < 0 ||
                json_set_string(o, "unit", d.user.unit) < 0 || json_set_string(o, "service", q->service) < 0 ||
                json_set_string(o, "family", family_to_string(d.facts.family)) < 0 ||
                json_set_string(o, "target", q->target) < 0 || json_set_string(o, "terminal", d.terminal.name) < 0 ||
                json_set_string(o, "business", *v.business ? v.business : NULL) < 0 ||
                json_set_string(o, "designation", *v.designation ? v.designation : NULL) < 0 ||
                (seen.observed && json_set_boolean(o, "observed", true) < 0) ||
                json_set_string(o, "factors", factors) < 0 || json_set_uint(o, "at", q->now_usec) < 0 ||
                (password && json_set(o, "password", TAKE_PTR(password)) < 0))
                return -ENOMEM;
        *ret = TAKE_PTR(o);
        return 0;
}

/* The query of a request, about the account (and target) that NSS was asked about. */
static CheckQuery make_query(Bus *b, json_object *request, const Resolved *user, const Resolved *target) {
        const char *service = json_string(request, "service");
        json_object *at;
        CheckQuery q = {
                .account = user->name,
                .nss = user->account,
                .target = target ? target->name : NULL,
                .target_nss = target ? target->account : NULL,
                .service = service ? service : "login",
                .terminal = json_string(request, "terminal"),
                .remote = json_boolean(request, "remote"),
                .now_usec = clock_usec(CLOCK_REALTIME),
                .clock_trusted = !b->c.clock_trusted || b->c.clock_trusted(b->c.userdata),
        };

        if (json_object_object_get_ex(request, "at", &at))
                q.now_usec = json_object_get_uint64(at);
        return q;
}

static int refuse_unavailable(sd_bus_message *m) {
        return bus_refuse(m, "Unavailable", N_("The name service does not answer; try again later"));
}

static int on_resolved(Bus *b, sd_bus_message *m, json_object *request, const Resolved *found, size_t n) {
        _cleanup_json_ json_object *verdict = NULL;
        CheckQuery q = make_query(b, request, &found[0], n > 1 ? &found[1] : NULL);
        int r;

        for (size_t i = 0; i < n; i++)
                if (found[i].r == LOOKUP_E_UNAVAILABLE)
                        return refuse_unavailable(m);
        r = check_verdict(b, &q, &verdict);
        return r != 0 ? bus_refuse_registry(m, r, NULL) : bus_reply_json(m, verdict);
}

/* NULL, or what is wrong with the request. */
static const char *request_wrong(json_object *request) {
        static const char *const texts[] = { "user", "service", "target", "terminal" };
        json_object *value;

        if (!json_only_has(request, request_fields, NULL))
                return N_("The request has an unknown member");
        for (size_t i = 0; i < ELEMENTSOF(texts); i++)
                if (json_object_object_get_ex(request, texts[i], &value) &&
                        (!json_string(request, texts[i]) || !*json_string(request, texts[i])))
                        return N_("A member of the request is not a text");
        if (!json_string(request, "user") || !account_valid(json_string(request, "user")))
                return N_("The request names no user");
        if (json_string(request, "target") && !account_valid(json_string(request, "target")))
                return N_("The target is not an account name");
        if (json_object_object_get_ex(request, "at", &value) &&
                (!json_object_is_type(value, json_type_int) || json_object_get_int64(value) < 0 ||
                        json_object_get_int64(value) == INT64_MAX))
                return N_("The time is not a number of microseconds");
        return NULL;
}

static int do_check(Bus *b, sd_bus_message *m, const Caller *caller) {
        _cleanup_json_ json_object *request = NULL;
        const char *names[2], *text, *wrong;
        int r;

        r = sd_bus_message_read(m, "s", &text);
        if (r < 0)
                return r;
        if (json_parse_object(text, &request) < 0)
                return bus_refuse(m, "Invalid", N_("The request is not a JSON object"));
        wrong = request_wrong(request);
        if (wrong)
                return bus_refuse(m, "Invalid", "%s", wrong);
        names[0] = json_string(request, "user");
        names[1] = json_string(request, "target");
        if (!caller_has(caller, ROLES_ALL)) {
                r = bus_account_is_callers(b, caller, names[0]);
                if (r < 0)
                        return r;
                if (r == 0) {
                        bus_record_refusal(
                                b, caller, "Check", NULL, NULL, "role", "asked about somebody else without a role");
                        return bus_refuse(m, "Refused", N_("Without a role people ask about themselves only"));
                }
        }
        return resolve(b, m, request, names, names[1] ? 2 : 1, on_resolved);
}

static int on_all_resolved(Bus *b, sd_bus_message *m, json_object *requests, const Resolved *found, size_t n) {
        _cleanup_json_ json_object *verdicts = json_object_new_array();

        if (!verdicts)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                CheckQuery q = make_query(b, json_object_array_get_idx(requests, i), &found[i], NULL);
                json_object *verdict = NULL;
                int r;

                if (found[i].r == LOOKUP_E_UNAVAILABLE)
                        return refuse_unavailable(m);
                r = check_verdict(b, &q, &verdict);
                if (r != 0)
                        return bus_refuse_registry(m, r, NULL);
                if (json_object_array_add(verdicts, verdict) < 0) {
                        json_object_put(verdict);
                        return -ENOMEM;
                }
        }
        return bus_reply_json(m, verdicts);
}

static int do_check_all(Bus *b, sd_bus_message *m, const Caller *caller) {
        _cleanup_json_ json_object *requests = NULL;
        const char *names[CHECK_ALL_MAX], *text;
        size_t n;
        int r;

        r = sd_bus_message_read(m, "s", &text);
        if (r < 0)
                return r;
        if (json_parse_text(text, &requests) < 0 || !json_object_is_type(requests, json_type_array))
                return bus_refuse(m, "Invalid", N_("The requests are not a JSON array"));
        n = json_object_array_length(requests);
        if (n > CHECK_ALL_MAX)
                return bus_refuse(m, "Invalid", N_("These are too many requests in one call"));
        for (size_t i = 0; i < n; i++) {
                json_object *request = json_object_array_get_idx(requests, i);
                const char *wrong;

                if (!json_object_is_type(request, json_type_object))
                        return bus_refuse(m, "Invalid", N_("The request is not a JSON object"));
                wrong = request_wrong(request);
                if (!wrong && json_string(request, "target"))
                        wrong = N_("The request has an unknown member");
                if (wrong)
                        return bus_refuse(m, "Invalid", "%s", wrong);
                names[i] = json_string(request, "user");
        }
        return resolve(b, m, requests, names, n, on_all_resolved);
}

int check_bus_check_all(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return authorize(userdata, m,
                &(Ask){ .method = "CheckAll", .action = ACTION_READ, .roles = ROLES_ALL, .fn = do_check_all });
}

int check_bus_check(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return authorize(userdata, m, &(Ask){ .method = "Check", .action = ACTION_READ, .fn = do_check });
}
