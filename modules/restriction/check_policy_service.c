/* check_policy_service.c: ask a policy server what to do.  "inet:host:port", "unix:path", or "{ server, name=value ... }" with the settings that
 * hold for this use.  Owns nothing but the use.  check yields.  Source: SMTPD_POLICY_README, access(5). */
#include <errno.h>
#include <posthouse/module.h>
#include <posthouse/restriction.h>
#include <stdlib.h>
#include <string.h>

#include "common/policy_proto.h"
#include "common/policy_server.h"

#define REQUEST_MAX ((size_t)64 * 1024)

struct settings {
	int64_t timeout_ms, max_idle_ms, max_ttl_ms, retry_delay_ms;
	int try_limit, request_limit;
	const char *default_action, *context;
};
#define S struct settings
static const struct ph_param params[] = {
	PH_P_TIME(S, timeout_ms, "smtpd_policy_service_timeout", "100s", 's', 1000, 0, "limit for connecting to, writing to and reading from a policy server"),
	PH_P_TIME(S, max_idle_ms, "smtpd_policy_service_max_idle", "300s", 's', 1000, 0, "how long an unused connection to a policy server is kept"),
	PH_P_TIME(S, max_ttl_ms, "smtpd_policy_service_max_ttl", "1000s", 's', 1000, 0, "how long a connection to a policy server is used"),
	PH_P_TIME(S, retry_delay_ms, "smtpd_policy_service_retry_delay", "1s", 's', 1000, 0, "pause before a policy server is asked again"),
	PH_P_INT(S, try_limit, "smtpd_policy_service_try_limit", "2", 1, 0, "how often a policy server is asked before the default action is taken"),
	PH_P_INT(S, request_limit, "smtpd_policy_service_request_limit", "0", 0, 0, "requests of one connection to a policy server; 0: no limit"),
	PH_P_STR1(S, default_action, "smtpd_policy_service_default_action", "451 4.3.5 Server configuration problem", "what to do when a policy server does not answer"),
	PH_P_STR(S, context, "smtpd_policy_service_policy_context", "", "text that a policy server gets with each request"),
};
#undef S

struct use {
	struct policy_server *server;
	struct policy_limits lim;
	char *default_action, *context;
	const char *stress;
};

/* ---- the argument ---- */

static int number(const char *text, int min, int *ret)
{
	int64_t n;

	if (ph_str_int64(text, min, INT32_MAX, &n) < 0)
		return -EINVAL;
	*ret = (int)n;
	return 0;
}

static int time_value(const char *text, int64_t *ret)
{
	return ph_conf_time(text, 's', ret) < 0 || *ret < 1000 ? -EINVAL : 0;
}

static void replace(char **field, const char *value)
{
	free(*field);
	*field = ph_strdup(value);
}

static int option(struct use *u, const char *name, const char *value)
{
	if (strcmp(name, "timeout") == 0)
		return time_value(value, &u->lim.timeout_ms);
	if (strcmp(name, "max_idle") == 0)
		return time_value(value, &u->lim.max_idle_ms);
	if (strcmp(name, "max_ttl") == 0)
		return time_value(value, &u->lim.max_ttl_ms);
	if (strcmp(name, "retry_delay") == 0)
		return time_value(value, &u->lim.retry_delay_ms);
	if (strcmp(name, "try_limit") == 0)
		return number(value, 1, &u->lim.try_limit);
	if (strcmp(name, "request_limit") == 0)
		return number(value, 0, &u->lim.request_limit);
	if (strcmp(name, "default_action") == 0 && *value)
		replace(&u->default_action, value);
	else if (strcmp(name, "policy_context") == 0)
		replace(&u->context, value);
	else
		return -ENOENT;
	return 0;
}

/* "name=value", "{ name = value }" */
static int option_word(struct use *u, char *word, struct ph_err *err)
{
	char *text = ph_str_unbrace(word), *eq = strchr(text, '='), *value, *end;
	int r = -EINVAL;

	if (eq) {
		value = eq + 1 + strspn(eq + 1, " \t");
		for (end = eq; end > text && (end[-1] == ' ' || end[-1] == '\t'); end--)
			;
		*end = '\0';
		r = option(u, text, value);
	}
	if (r == -ENOENT)
		return ph_err_set(err, -EINVAL, "unexpected attribute name: \"%.100s\"", text);
	return r < 0 ? ph_err_set(err, r, "bad policy service setting: \"%.100s\"", text) : 0;
}

static int parse(struct use *u, const struct ph_conf *conf, char *text, struct ph_err *err)
{
	const char *queue_dir = ph_conf_get(conf, "queue_directory");
	char *cursor, *w;
	int r;

	if (*text != '{')
		return policy_server_ref(text, queue_dir ? queue_dir : "", &u->server, err);
	cursor = ph_str_unbrace(text);
	if (*cursor == '{')
		return ph_err_set(err, -EINVAL, "missing '}' in policy service \"%.200s\"", text);
	w = ph_str_token(&cursor, PH_SEP_LIST);
	if (!w)
		return ph_err_set(err, -EINVAL, "empty policy service");
	r = policy_server_ref(w, queue_dir ? queue_dir : "", &u->server, err);
	while (r == 0 && (w = ph_str_token(&cursor, PH_SEP_LIST)))
		r = option_word(u, w, err);
	return r;
}

static void release(void *use)
{
	struct use *u = use;

	policy_server_unref(&u->server);
	free(u->default_action);
	free(u->context);
	free(u);
}

static int prepare(const struct ph_conf *conf, const void *settings, const char *arg, void **ret, struct ph_err *err)
{
	const struct settings *set = settings;
	struct use *u = ph_alloc(sizeof(*u));
	char *copy = ph_strdup(arg);
	int r;

	u->lim = (struct policy_limits){ set->timeout_ms, set->max_idle_ms, set->max_ttl_ms, set->retry_delay_ms, set->try_limit, set->request_limit };
	u->default_action = ph_strdup(set->default_action);
	u->context = ph_strdup(set->context);
	u->stress = ph_conf_get(conf, "stress");
	r = parse(u, conf, copy, err);
	free(copy);
	if (r < 0)
		release(u);
	else
		*ret = u;
	return r;
}

/* ---- the request ---- */

static void put(struct ph_buf *b, const char *name, const char *value)
{
	policy_put(b, name, value ? value : "");
}

static void put_number(struct ph_buf *b, const char *name, int64_t n)
{
	ph_buf_printf(b, "%s=%lld\n", name, (long long)n);
}

static void put_tls(struct ph_buf *b, const struct ph_tls_info *tls)
{
	bool trusted = tls && tls->peer_verified;

	policy_put_xtext(b, "ccert_subject", trusted && tls->peer_cn ? tls->peer_cn : "");
	policy_put_xtext(b, "ccert_issuer", trusted && tls->peer_issuer_cn ? tls->peer_issuer_cn : "");
	put(b, "ccert_fingerprint", tls ? tls->peer_fingerprint : NULL);
	put(b, "ccert_pubkey_fingerprint", tls ? tls->peer_pkey_fingerprint : NULL);
	put(b, "encryption_protocol", tls ? tls->protocol : NULL);
	put(b, "encryption_cipher", tls ? tls->cipher : NULL);
	put_number(b, "encryption_keysize", tls ? tls->bits : 0);
}

static void request(const struct use *u, struct ph_session *s, struct ph_buf *b)
{
	const char *command = ph_session_command(s);
	enum ph_stage stage = ph_session_stage(s);

	put(b, "request", "smtpd_access_policy");
	put(b, "protocol_state", strcmp(command, "BDAT") == 0 ? "DATA" : command);
	put(b, "protocol_name", ph_session_protocol(s));
	put(b, "client_address", ph_session_client_addr(s));
	put(b, "client_name", ph_session_client_name(s));
	put_number(b, "client_port", ph_session_client_port(s));
	put(b, "reverse_client_name", ph_session_client_reverse_name(s));
	put(b, "server_address", ph_session_server_addr(s));
	put_number(b, "server_port", ph_session_server_port(s));
	put(b, "helo_name", ph_session_helo(s));
	put(b, "sender", ph_session_sender(s));
	put(b, "recipient", ph_session_recipient(s));
	put_number(b, "recipient_count", stage == PH_STAGE_DATA || stage == PH_STAGE_EOD ? (int64_t)ph_session_recipient_count(s) : 0);
	put(b, "queue_id", ph_session_queue_id(s));
	put(b, "instance", ph_session_instance(s));
	put_number(b, "size", ph_session_size(s));
	put(b, "etrn_domain", ph_session_etrn_domain(s));
	put(b, "stress", u->stress);
	put(b, "sasl_method", ph_session_sasl_method(s));
	put(b, "sasl_username", ph_session_sasl_user(s));
	put(b, "sasl_sender", ph_session_sasl_sender(s));
	put_tls(b, ph_session_tls(s));
	put(b, "policy_context", u->context);
	ph_buf_putc(b, '\n');
}

static struct ph_verdict check(void *use, const void *settings, struct ph_session *s)
{
	struct use *u = use;
	struct ph_buf b = PH_BUF_INIT(REQUEST_MAX);
	const char *what, *action;
	enum ph_access_class cls = ph_session_list(s, &what);

	if (ph_session_explaining(s)) {
		ph_trace(s, "%s is not asked: it might remember that", policy_server_name(u->server));
		return ph_verdict_dunno();
	}
	request(u, s, &b);
	if (policy_server_ask(u->server, &u->lim, &b, ph_session_arena(s), &action) < 0)
		action = ph_arena_strdup(ph_session_arena(s), u->default_action);
	ph_buf_done(&b);
	return ph_access_action(s, policy_server_name(u->server), action, what, cls);
}

static const struct ph_restriction_ops ops = { .size = sizeof(ops), .n_args = 1, .prepare = prepare, .check = check, .release = release };

PH_MODULE(PH_KIND_RESTRICTION, "check_policy_service", "1.0", "ask a policy server what to do", PH_MODULE_PARAMS(params, struct settings),
	  .ops.restriction = &ops);
