/* session_api.c: what modules can ask about a session (posthouse/session.h). */
#include <errno.h>
#include <posthouse/dns.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "config/general.h"
#include "queue/verify.h"
#include "smtpd/expand.h"
#include "smtpd/restrict.h"

#define CHECK(s) ph_assert((s)->magic == PH_SMTPD_SESSION_MAGIC)

const struct ph_conf *ph_session_conf(const struct ph_session *s)
{
	CHECK(s);
	return s->svc->conf;
}

struct ph_arena *ph_session_arena(struct ph_session *s)
{
	CHECK(s);
	if (s->t)
		return s->t->arena;
	if (!s->scratch)
		s->scratch = ph_arena_new();
	return s->scratch;
}

const char *ph_session_client_name(const struct ph_session *s) { return s->name; }
const char *ph_session_client_reverse_name(const struct ph_session *s) { return s->reverse_name; }
const char *ph_session_client_addr(const struct ph_session *s) { return s->addr; }
int ph_session_client_port(const struct ph_session *s) { return s->port; }
int ph_session_client_name_status(const struct ph_session *s) { return s->name_status; }
int ph_session_client_reverse_name_status(const struct ph_session *s) { return s->reverse_status; }
const char *ph_session_server_addr(const struct ph_session *s) { return s->server_addr; }
int ph_session_server_port(const struct ph_session *s) { return s->server_port; }
const char *ph_session_protocol(const struct ph_session *s) { return s->proto; }
bool ph_session_improper_pipelining(const struct ph_session *s) { return s->ill_pipelining; }
const char *ph_session_helo(const struct ph_session *s) { return s->helo; }
const struct ph_tls_info *ph_session_tls(const struct ph_session *s) { return s->io ? ph_stream_tls(s->io) : NULL; }
const char *ph_session_sasl_method(const struct ph_session *s) { return s->sasl_method; }
const char *ph_session_sasl_user(const struct ph_session *s) { return s->sasl_user; }
const char *ph_session_sasl_sender(const struct ph_session *s) { return s->t ? s->t->auth_sender : NULL; }
enum ph_stage ph_session_stage(const struct ph_session *s) { return s->stage; }
const char *ph_session_sender(const struct ph_session *s) { return s->t ? s->t->sender : NULL; }
size_t ph_session_recipient_count(const struct ph_session *s) { return s->t ? s->t->n_rcpts : 0; }
const char *ph_session_queue_id(const struct ph_session *s) { return s->t ? s->t->queue_id : NULL; }
const char *ph_session_etrn_domain(const struct ph_session *s) { return s->etrn_domain; }

enum ph_access_class ph_session_list(const struct ph_session *s, const char **ret_what)
{
	CHECK(s);
	*ret_what = s->list_what ? s->list_what : "";
	return s->list_class;
}

const char *ph_session_command(const struct ph_session *s) { return s->where; }

const char *ph_session_instance(struct ph_session *s)
{
	if (s->stage != PH_STAGE_RCPT && s->stage != PH_STAGE_DATA && s->stage != PH_STAGE_EOD)
		return "";
	return ph_arena_printf(ph_session_arena(s), "%x.%llx.%x.0", (unsigned)getpid(), (unsigned long long)s->born_us, s->n_trans);
}

int ph_session_address_family(const struct ph_session *s)
{
	const struct ph_general_settings *g = ph_conf_general(s->svc->conf);

	return g->ipv4 && g->ipv6 ? AF_UNSPEC : g->ipv6 ? AF_INET6 : AF_INET;
}

bool ph_session_discards(const struct ph_session *s)
{
	CHECK(s);
	return s->t && s->t->discard;
}

int ph_session_dns_filter(struct ph_session *s, struct ph_dns_answer *answer)
{
	ph_dns_answer_filter(s->svc->dns_filter, "smtpd_dns_reply_filter", ph_session_arena(s), answer);
	return answer->status;
}

int ph_session_dns_query(struct ph_session *s, const char *name, int type, int64_t deadline_ms, struct ph_dns_answer **ret)
{
	ph_dns_query(ph_session_arena(s), name, type, deadline_ms, ret);
	return ph_session_dns_filter(s, *ret);
}

const char *ph_session_expand(struct ph_session *s, const char *text, const struct ph_session_var *vars, size_t n)
{
	CHECK(s);
	return ph_smtpd_expand(s, ph_session_arena(s), text, vars, n);
}

const char *ph_session_recipient(const struct ph_session *s)
{
	if (s->recipient)
		return s->recipient;
	if (s->stage == PH_STAGE_EOD && s->t && s->t->n_rcpts == 1)
		return s->t->rcpts[0];
	return NULL;
}

const char *ph_session_accepted(const struct ph_session *s, size_t i)
{
	ph_assert(s->t && i < s->t->n_rcpts);
	return s->t->rcpts[i];
}

int64_t ph_session_size(const struct ph_session *s)
{
	if (!s->t)
		return 0;
	return s->stage == PH_STAGE_EOD ? s->t->content : s->t->size;
}

const char *ph_session_full_address(struct ph_session *s, const char *address)
{
	const char *full;

	if (!*address || ph_route_rewrite(s->svc->route, true, address, ph_session_arena(s), &full) < 0)
		return address;
	return full;
}

int ph_session_verify(struct ph_session *s, const char *address, enum ph_verified *ret, const char **ret_text)
{
	if (s->tracer) {                /* a question may send a probe */
		ph_trace(s, "whether mail to <%s> is delivered is not asked: no probe is sent", address);
		return -EOPNOTSUPP;
	}
	return ph_verify_ask(ph_session_full_address(s, address), ph_session_arena(s), ph_now_ms() + PH_SECONDS(10), ret, ret_text);
}

bool ph_session_is_own_address(const struct ph_session *s, const char *addr)
{
	return ph_route_own_address(s->svc->route, addr);
}

int ph_session_is_local_domain(struct ph_session *s, const char *domain, struct ph_err *err)
{
	return ph_route_is_local(s->svc->route, domain, err);
}

/* A table of routing or recipients that is configured wrongly is no fault of the restriction that asks, and no "Server configuration error"
 * (4.3.5): as with Postfix's resolver, which says no more than that it failed. */
static int no_verdict(int r)
{
	return r == PH_LOOKUP_PERMERR ? PH_LOOKUP_TEMPFAIL : r;
}

int ph_session_is_authorized_destination(struct ph_session *s, const char *address, struct ph_err *err)
{
	return no_verdict(ph_route_is_authorized(s->svc->route, address, ph_session_arena(s), err));
}

/* "5.1.6 User has moved to x": the table speaks of a recipient; of a sender it would say 5.1.7. */
static const char *adapt_dsn(struct ph_session *s, const char *text, const char *cls)
{
	size_t n = strcspn(text, " ");
	char dsn[12];

	if (n >= sizeof(dsn) || (text[0] != '4' && text[0] != '5') || text[1] != '.' || text[n] != ' ')
		return text;
	memcpy(dsn, text, n);
	dsn[n] = '\0';
	ph_dsn_fix(dsn, cls);
	return ph_arena_printf(ph_session_arena(s), "%s%s", dsn, text + n);
}

int ph_session_recipient_known(struct ph_session *s, const char *address, const char **ret_text, int *ret_code, struct ph_err *err)
{
	const char *sender = ph_session_sender(s);

	/* The checks that stand at the end of the lists by themselves need not ask again. */
	if (address == s->recipient)
		s->rcpt_map_checked = true;
	else if (s->t && address == s->t->sender)
		s->sender_map_checked = true;
	int r = ph_route_recipient_known(s->svc->route, sender ? sender : "", address, ph_session_arena(s), ret_text, ret_code, err);

	s->unlisted = r == PH_LOOKUP_NOTFOUND;
	if (s->unlisted)
		*ret_text = adapt_dsn(s, *ret_text, address == s->recipient ? "Recipient address" : "Sender address");
	return no_verdict(r);
}

size_t ph_session_args(const struct ph_session *s, const struct ph_slice **ret)
{
	*ret = s->args;
	return s->n_args;
}

int ph_session_client_connections(const struct ph_session *s)
{
	return (int)s->connections;
}

int ph_session_resolve(struct ph_session *s, const char *address, struct ph_session_route *ret)
{
	struct ph_resolved res;
	struct ph_err err;
	enum ph_lookup r = ph_route_resolve(s->svc->route, s->t && s->t->sender ? s->t->sender : "", address, ph_session_arena(s), &res, &err);

	if (r == PH_LOOKUP_FOUND)
		*ret = (struct ph_session_route){ res.transport, res.nexthop, res.recipient };
	return no_verdict(r);
}

/* Can the resolver make another address of it?  By a route in its local part, a dot at the end, a half that is missing (resolve_null_domain,
 * empty_address_recipient), a domain of digits (resolve_numeric_domain). */
static bool may_lead_elsewhere(const char *full)
{
	const char *at = strrchr(full, '@');

	return !at || at == full || !at[1] || strcspn(full, "@%!") != (size_t)(at - full) || full[strlen(full) - 1] == '.' ||
	       strspn(at + 1, "0123456789.") == strlen(at + 1);
}

int ph_session_destination(struct ph_session *s, const char *address, const char **ret_address, bool *ret_routed, struct ph_err *err)
{
	const char *full = ph_session_full_address(s, address), *sender = s->t && s->t->sender ? s->t->sender : "";
	struct ph_smtpd_destination *last = s->t ? &s->t->destination : NULL;
	struct ph_resolved res;
	enum ph_lookup r;

	*ret_address = full;
	*ret_routed = false;
	if (!may_lead_elsewhere(full))
		return PH_LOOKUP_FOUND;
	/* Each table of a list asks for the same address. */
	if (!last || !last->full || strcmp(last->full, full) != 0 || strcmp(last->sender, sender) != 0) {
		r = ph_route_resolve(s->svc->route, sender, full, ph_session_arena(s), &res, err);
		if (r != PH_LOOKUP_FOUND)
			return no_verdict(r);
		if (!res.bad_syntax) {
			*ret_address = res.recipient;
			*ret_routed = res.routed;
		}
		if (last)
			*last = (struct ph_smtpd_destination){ full, sender, *ret_address, *ret_routed };
		return r;
	}
	*ret_address = last->address;
	*ret_routed = last->routed;
	return PH_LOOKUP_FOUND;
}

const char *ph_session_external_address(struct ph_session *s, const char *address)
{
	return ph_address_quote(ph_session_arena(s), address);
}

bool ph_trace_on(const struct ph_session *s)
{
	return s->tracer || ph_log_debug_on();
}

bool ph_session_explaining(const struct ph_session *s)
{
	return s->tracer && !s->tracer->ask_servers;
}

void ph_smtpd_trace(struct ph_session *s, const char *what, const char *name, const char *answer)
{
	if (s->tracer)
		s->tracer->fn(s->tracer->arg, what, name, answer);
	if (ph_log_debug_on())
		ph_log(PH_LOG_DEBUG, "%s %s%s%s", what, name, answer ? " -> " : "", answer ? answer : "");
}

void ph_trace(struct ph_session *s, const char *fmt, ...)
{
	struct ph_buf b = PH_BUF_INIT(4096);
	va_list ap;

	if (!ph_trace_on(s))
		return;
	va_start(ap, fmt);
	ph_buf_vprintf(&b, fmt, ap);
	va_end(ap);
	ph_smtpd_trace(s, "note", ph_buf_str(&b), NULL);
	ph_buf_done(&b);
}
