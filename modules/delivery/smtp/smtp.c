/* smtp.c: the module: a service's start and end, and one delivery from its nexthops to its results. */
#include "smtp.h"
#include "params.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- the service -------------------------------------------------------------------------- */

static const char *conf_text(const struct ph_conf *conf, const char *name, const char *otherwise)
{
	const char *text = ph_conf_get(conf, name);

	return text ? text : otherwise;
}

/* Parameters of others. */
static const struct ph_param shared_params[] = {
	PH_P_LONG(struct smtp_shared, body_limit, "body_checks_size_limit", "51200", 0, 0, "bytes of a body that body_checks look at"),
	PH_P_TIME(struct smtp_shared, min_backoff_ms, "minimal_backoff_time", "300s", 's', 1, 0, "least time between two attempts"),
};

static void read_shared(struct smtp_service *svc)
{
	const struct ph_conf *conf = svc->conf;
	struct ph_err err;

	if (ph_conf_settings(conf, shared_params, PH_ARRAY_LEN(shared_params), &svc->shared, &err) < 0) {
		svc->shared.min_backoff_ms = PH_SECONDS(300);
		svc->shared.body_limit = 51200;
	}

	svc->shared.inet_protocols = conf_text(conf, "inet_protocols", "all");
	svc->shared.inet_interfaces = conf_text(conf, "inet_interfaces", "all");
	svc->shared.myhostname = conf_text(conf, "myhostname", "localhost");
	svc->shared.myorigin = conf_text(conf, "myorigin", svc->shared.myhostname);
	svc->shared.propagate = conf_text(conf, "propagate_unmatched_extensions", "");
	svc->shared.relayhost = conf_text(conf, "relayhost", "");
	svc->shared.disable_dns = svc->set->disable_dns || strcasecmp(svc->set->dns_support_level, "disabled") == 0;
	svc->dnssec = strcasecmp(svc->set->dns_support_level, "dnssec") == 0;
}

static int read_words(struct smtp_service *svc, struct ph_err *err)
{
	char *copy = ph_strdup(svc->shared.inet_protocols), *cursor = copy, *word;
	int r = 0;

	while ((word = ph_str_token(&cursor, PH_SEP_LIST))) {
		bool all = strcasecmp(word, "all") == 0;

		svc->ipv4 = svc->ipv4 || all || strcasecmp(word, "ipv4") == 0;
		svc->ipv6 = svc->ipv6 || all || strcasecmp(word, "ipv6") == 0;
	}
	free(copy);
	cursor = copy = ph_strdup(svc->set->host_lookup);
	while ((word = ph_str_token(&cursor, PH_SEP_LIST)) && r == 0) {
		if (strcasecmp(word, "dns") == 0)
			svc->dns_first = true;
		else if (strcasecmp(word, "native") == 0)
			svc->native = true;
		else
			r = ph_err_set(err, -EINVAL, SMTP_PREFIX "host_lookup: unknown word \"%s\"", word);
	}
	free(copy);
	if (svc->shared.disable_dns) {
		svc->dns_first = false;
		svc->native = true;
	}
	return r;
}

static int probe_target(struct smtp_service *svc, struct ph_err *err)
{
	svc->probe_data = strcasecmp(svc->set->verify_target, "data") == 0;
	if (svc->probe_data || strcasecmp(svc->set->verify_target, "rcpt") == 0)
		return 0;
	return ph_err_set(err, -EINVAL, SMTP_PREFIX "address_verify_target: unknown target \"%s\"", svc->set->verify_target);
}

static int bind_address(struct ph_endpoint *e, const char *name, const char *text, int family, struct ph_err *err)
{
	struct sockaddr_in *in = (void *)&e->addr;

	if (*text == '\0')
		return 0;
	if (ph_endpoint_ip(e, text, 1) < 0 || e->addr.sa.sa_family != family)
		return ph_err_set(err, -EINVAL, "%s: bad address \"%s\"", name, text);
	in->sin_port = 0;               /* the same place for IPv6 */
	return 0;
}

/* A site that lives on one address speaks from there, too. */
static void bind_interface(struct smtp_service *svc)
{
	struct ph_endpoint e;

	if (ph_endpoint_ip(&e, svc->shared.inet_interfaces, 1) < 0)
		return;
	((struct sockaddr_in *)(void *)&e.addr)->sin_port = 0;
	if (e.addr.sa.sa_family == AF_INET && svc->bind4.len == 0 && *(const uint8_t *)&((struct sockaddr_in *)(void *)&e.addr)->sin_addr != 127)
		svc->bind4 = e;
	else if (e.addr.sa.sa_family == AF_INET6 && svc->bind6.len == 0 && !IN6_IS_ADDR_LOOPBACK(&((struct sockaddr_in6 *)(void *)&e.addr)->sin6_addr))
		svc->bind6 = e;
}

static struct ph_maps *maps(const struct ph_conf *conf, const char *title, const char *text)
{
	return *text ? ph_maps_open(conf, title, text) : NULL;
}

static int sasl_start(struct smtp_service *svc, struct ph_err *err)
{
	const struct smtp_settings *set = svc->set;
	int a, b, c;

	if (!set->sasl_enable)
		return 0;
	if (*set->sasl_maps == '\0')
		return ph_err_set(err, -EINVAL, SMTP_PREFIX "sasl_auth_enable is set, but " SMTP_PREFIX "sasl_password_maps is not");
	if (strcasecmp(set->sasl_type, "cyrus") != 0)
		return ph_err_set(err, -EINVAL, SMTP_PREFIX "sasl_type: unknown type \"%s\"", set->sasl_type);
	if (*set->sasl_delimiter == '\0')
		return ph_err_set(err, -EINVAL, SMTP_PREFIX "sasl_password_result_delimiter is empty");
	if (*set->sasl_cache) {
		a = ph_records_open(svc->conf, SMTP_PREFIX "sasl_auth_cache_name", set->sasl_cache, &svc->sasl_cache, err);
		if (a < 0)
			return a;
	}
	a = smtp_auth_options(SMTP_PREFIX "sasl_security_options", set->sasl_options, err);
	b = a < 0 ? a : smtp_auth_options(SMTP_PREFIX "sasl_tls_security_options", set->sasl_tls_options, err);
	c = b < 0 ? b : smtp_auth_options(SMTP_PREFIX "sasl_tls_verified_security_options", set->sasl_tls_verified_options, err);
	if (c < 0)
		return c;
	svc->sasl_options = (unsigned)a;
	svc->sasl_tls_options = (unsigned)b;
	svc->sasl_tls_verified_options = (unsigned)c;
	svc->sasl_filter = ph_match_open(svc->conf, SMTP_PREFIX "sasl_mechanism_filter", set->sasl_filter, PH_MATCH_STRING);
	svc->sasl_maps = ph_maps_open(svc->conf, SMTP_PREFIX "sasl_password_maps", set->sasl_maps);
	return 0;
}

static int smtp_start(const struct ph_conf *conf, const void *settings, void **ret, struct ph_err *err)
{
	struct smtp_service *svc = ph_alloc(sizeof(*svc));
	const struct smtp_settings *set = settings;
	int r;

	svc->conf = conf;
	svc->set = set;
	read_shared(svc);
	svc->reply_filter = maps(conf, SMTP_PREFIX "reply_filter", set->reply_filter);
	svc->discard_maps = maps(conf, SMTP_PREFIX "discard_keyword_address_maps", set->discard_keyword_maps);
	svc->dns_filter = maps(conf, SMTP_PREFIX "dns_reply_filter", set->dns_filter);
	svc->srv_services = ph_match_open(conf, "use_srv_lookup", svc->set->srv_services, PH_MATCH_STRING);
	svc->pix_maps = maps(conf, SMTP_PREFIX "pix_workaround_maps", set->pix_workaround_maps);
	svc->discard = smtp_ehlo_mask(set->discard_keywords);
	svc->cache_destinations = ph_match_open(conf, SMTP_PREFIX "connection_cache_destinations", set->cache_destinations, PH_MATCH_STRING);
	svc->default_port = ph_conf_tcp_port(conf, set->tcp_port);
	r = svc->default_port ? 0 : ph_err_set(err, -EINVAL, SMTP_PREFIX "tcp_port: unknown port \"%s\"", set->tcp_port);
	if (r == 0)
		r = probe_target(svc, err);
	if (r == 0)
		r = read_words(svc, err);
	if (r == 0)
		r = bind_address(&svc->bind4, SMTP_PREFIX "bind_address", set->bind_address, AF_INET, err);
	if (r == 0)
		r = bind_address(&svc->bind6, SMTP_PREFIX "bind_address6", set->bind_address6, AF_INET6, err);
	if (r == 0)
		r = smtp_dnssec_probe_check(set->dnssec_probe, err);
	if (r == 0)
		r = sasl_start(svc, err);
	if (r == 0 && set->requiretls)
		r = smtp_requiretls_start(svc, err);
	if (r == 0)
		r = smtp_tls_start(svc, err);
	if (r < 0) {
		smtp_requiretls_stop(svc);
		ph_records_free(&svc->sasl_cache);
		free(svc);
		return r;
	}
	bind_interface(svc);
	smtp_edit_start(svc);
	*ret = svc;
	return 0;
}

static void smtp_stop(void *service)
{
	struct smtp_service *svc = service;

	smtp_cache_stop(svc);
	smtp_tls_stop(svc);
	smtp_requiretls_stop(svc);
	smtp_edit_stop(svc);
	ph_records_free(&svc->sasl_cache);
	free(svc);
}

/* ---- one delivery ------------------------------------------------------------------------- */

static size_t split_list(struct ph_arena *arena, const char *text, char ***ret)
{
	char *cursor = ph_arena_strdup(arena, text), *word;
	size_t n = 0, max = strlen(text) / 2 + 1;

	*ret = ph_arena_alloc(arena, max * sizeof(**ret));
	while ((word = ph_str_token(&cursor, PH_SEP_LIST)) && n < max)
		(*ret)[n++] = word;
	return n;
}

/* Recipients that no server has answered for. */
static void finish(struct smtp_state *st)
{
	if (smtp_left(st) == 0)
		return;
	if (st->why.dsn[0] == '\0')
		smtp_why_set(st, "4.3.0", "server unavailable or unable to receive mail");
	/* No server can keep the promise, and none was only down: later is no better. */
	if (st->why.requiretls)
		st->why.dsn[0] = st->soft_failed ? '4' : '5';
	/* The relay host is this site's own configuration: what looks like a bad name is a mistake that can be corrected. */
	if (!st->why.requiretls && st->why.dsn[0] == '5' && strncmp(st->why.dsn, "5.4.6", 5) != 0 && *st->service->shared.relayhost &&
	    strcmp(ph_delivery_nexthop(st->d), st->service->shared.relayhost) == 0) {
		ph_log(PH_LOG_WARNING, "relayhost configuration problem: %s", st->why.text);
		strcpy(st->why.dsn, "4.3.5");
	}
	st->final_server = true;
	smtp_fail_all(st, true);
}

static void smtp_deliver(void *service, struct ph_delivery *d)
{
	struct smtp_service *svc = service;
	struct smtp_state st = { .service = svc, .d = d, .arena = ph_delivery_arena(d), .queue_id = ph_delivery_queue_id(d), .n = ph_delivery_rcpt_count(d) };
	char **site, **fallback;
	size_t n, n_fallback, i;
	bool self = false;

	st.mark = ph_arena_alloc(st.arena, st.n);
	n = split_list(st.arena, ph_delivery_nexthop(d), &site);
	n_fallback = split_list(st.arena, svc->set->fallback_relay, &fallback);
	if (smtp_edit_envelope(&st) < 0)
		n = n_fallback = 0;
	for (i = 0; i < n && smtp_left(&st) > 0; i++)
		smtp_try_dest(&st, site[i], i + 1 == n && n_fallback == 0, &self);
	/* An MX host does not pass mail on to hosts that are no better. */
	for (i = 0; i < n_fallback && !self && smtp_left(&st) > 0; i++) {
		bool ignored;

		smtp_try_dest(&st, fallback[i], i + 1 == n_fallback, &ignored);
	}
	finish(&st);
}

static const struct ph_delivery_ops ops = {
	.size = sizeof(ops), .start = smtp_start, .stop = smtp_stop, .deliver = smtp_deliver,
};

#ifdef SMTP_LMTP
PH_MODULE(PH_KIND_DELIVERY, "lmtp", "1.0", "LMTP client: local delivery over RFC 2033", .ops.delivery = &ops,
	  PH_MODULE_PARAMS(smtp_params, struct smtp_settings));
#else
PH_MODULE(PH_KIND_DELIVERY, "smtp", "1.0", "SMTP client: mail to other hosts", .ops.delivery = &ops,
	  PH_MODULE_PARAMS(smtp_params, struct smtp_settings));
#endif
