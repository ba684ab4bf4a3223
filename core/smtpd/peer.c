/* peer.c: who the client is: address, name, and whether name and address agree.  Yields (DNS). */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <posthouse/dns.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "route/hostname.h"
#include "smtpd/session.h"

#define LOOKUP_MS 60000

static int family_of(const struct ph_endpoint *e)
{
	return e->len ? e->addr.sa.sa_family : AF_UNSPEC;
}

/* An IPv4 client on an IPv6 socket is an IPv4 client. */
static void text_of(const struct ph_endpoint *e, char out[48])
{
	const struct sockaddr_in6 *s6 = (const void *)&e->addr.ss;
	char text[108];

	if (family_of(e) == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&s6->sin6_addr))
		inet_ntop(AF_INET, s6->sin6_addr.s6_addr + 12, out, 48);
	else
		snprintf(out, 48, "%.47s", ph_endpoint_addr(e, text, sizeof(text)));
}

void ph_smtpd_peer_set_addr(struct ph_session *s, const char *addr)
{
	snprintf(s->addr, sizeof(s->addr), "%s", addr);
	s->family = strchr(addr, ':') ? AF_INET6 : AF_INET;
}

void ph_smtpd_peer_from_socket(struct ph_session *s)
{
	const struct ph_endpoint *peer = ph_stream_peer(s->io), *local = ph_stream_local(s->io);
	char text[48];

	if (family_of(peer) != AF_INET && family_of(peer) != AF_INET6) {
		/* A pipe or a unix-domain socket: it is us. */
		ph_smtpd_peer_set_addr(s, "127.0.0.1");
		strcpy(s->server_addr, "127.0.0.1");
		ph_smtpd_set(&s->name, "localhost");
		ph_smtpd_set(&s->reverse_name, "localhost");
		s->name_status = s->reverse_status = 2;
	} else {
		text_of(peer, text);
		ph_smtpd_peer_set_addr(s, text);
		s->port = ph_endpoint_port(peer);
		text_of(local, s->server_addr);
		s->server_port = ph_endpoint_port(local);
	}
	ph_smtpd_set_namaddr(s);
}

static bool same_address(const struct ph_endpoint *e, const char *addr)
{
	char text[48];

	text_of(e, text);
	return strcmp(text, addr) == 0;
}

/* Does name have this address?  2, 4 or 5. */
static int forward_status(struct ph_session *s, struct ph_arena *a, const char *name)
{
	struct ph_endpoint *list;
	const char *why = "";
	size_t n;

	switch (ph_dns_addresses(a, name, s->family, true, ph_now_ms() + LOOKUP_MS, &list, &n, &why)) {
	case PH_DNS_OK:
		for (size_t i = 0; i < n; i++)
			if (same_address(&list[i], s->addr))
				return 2;
		ph_log(PH_LOG_WARNING, "hostname %s does not resolve to address %s", name, s->addr);
		return 5;
	case PH_DNS_TEMPFAIL:
		ph_log(PH_LOG_WARNING, "hostname %s does not resolve to address %s: %s", name, s->addr, why ? why : "try again");
		return 4;
	case PH_DNS_NODATA:
		why = "No address associated with hostname";
		break;
	case PH_DNS_NXDOMAIN:
	case PH_DNS_BADNAME:
		why = "Name or service not known";      /* as the system's resolver says it */
		break;
	}
	ph_log(PH_LOG_WARNING, "hostname %s does not resolve to address %s: %s", name, s->addr, why);
	return 5;
}

void ph_smtpd_peer_lookup(struct ph_session *s)
{
	struct ph_arena *a = ph_session_arena(s);
	struct ph_endpoint e;
	const char *name = NULL;
	enum ph_dns_status st;

	if (!s->set->peername_lookup || s->name_status == 2 || ph_endpoint_ip(&e, s->addr, 25) < 0)
		return;
	st = ph_dns_name_of(a, &e, ph_now_ms() + LOOKUP_MS, &name);
	if (st != PH_DNS_OK) {
		s->name_status = s->reverse_status = st == PH_DNS_TEMPFAIL ? 4 : 5;
		return;
	}
	/* A name that is an address, or no name at all, would say whatever its owner likes. */
	if (!ph_hostname_valid(name, 0) || ph_hostname_numeric(name)) {
		ph_log(PH_LOG_WARNING, "%s: numeric or malformed hostname: %.100s", s->addr, ph_str_printable(a, name, strlen(name), false));
		s->name_status = s->reverse_status = 5;
		return;
	}
	ph_smtpd_set(&s->reverse_name, name);
	s->reverse_status = 2;
	s->name_status = forward_status(s, a, name);
	if (s->name_status == 2)
		ph_smtpd_set(&s->name, name);
	ph_smtpd_set_namaddr(s);
}
