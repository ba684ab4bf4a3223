/* dest.c: destinations as transport maps write them: "example.com", "[host]:port", "host:service", and for LMTP "unix:path" and "inet:...".  No yield. */
#include "smtp.h"

#include <errno.h>
#include <idn2.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static int bad(struct smtp_state *st, const char *text, const char *why)
{
	ph_log(PH_LOG_WARNING, "%s: bad destination \"%s\": %s", st->queue_id, text, why);
	smtp_why_set(st, "4.3.5", "mail system configuration error");
	return -EINVAL;
}

/* The name as the DNS knows it. */
static const char *a_label(struct smtp_state *st, const char *host)
{
	uint8_t *out = NULL;
	const char *name = host;

	if (!ph_str_ascii(host) && idn2_lookup_u8((const uint8_t *)host, &out, IDN2_NFC_INPUT | (st->service->set->idna2003 ? IDN2_TRANSITIONAL : IDN2_NONTRANSITIONAL)) == IDN2_OK)
		name = ph_arena_strdup(st->arena, (const char *)out);
	idn2_free(out);
	return name;
}

/* Split "[host]:port", "host:port", "host"; copy is changed. */
static int split(struct smtp_state *st, char *copy, const char *text, struct smtp_dest *ret)
{
	char *end, *port = NULL;

	if (copy[0] == '[') {
		end = strchr(copy, ']');
		if (end == NULL || (end[1] != '\0' && end[1] != ':'))
			return bad(st, text, "unbalanced [ and ]");
		if (end[1] == ':')
			port = end + 2;
		*end = '\0';
		ret->host = copy + 1;
		ret->no_mx = true;
		if (ph_str_istarts(ret->host, "ipv6:"))
			ret->host += 5;
	} else {
		end = strrchr(copy, ':');
		if (end && strchr(copy, ':') == end) {
			*end = '\0';
			port = end + 1;
		}
		ret->host = copy;
	}
	if (ret->host[0] == '\0')
		return bad(st, text, "no host name");
	if (port) {
		ret->port = ph_conf_tcp_port(st->service->conf, port);
		ret->service = port[strspn(port, "0123456789")] ? port : NULL;
		if (ret->port == 0)
			return bad(st, text, "unknown port");
	}
	ret->host = a_label(st, ret->host);
	return 0;
}

int smtp_dest_parse(struct smtp_state *st, const char *text, struct smtp_dest *ret)
{
	const char *name = st->service->set->tcp_port;

	memset(ret, 0, sizeof(*ret));
	ret->port = st->service->default_port;
	ret->service = name[strspn(name, "0123456789")] ? name : NULL;
	if (SMTP_IS_LMTP && strncmp(text, "unix:", 5) == 0) {
		ret->is_unix = true;
		ret->host = ph_arena_strdup(st->arena, text + 5);
		ret->port = 0;
		return ret->host[0] ? 0 : bad(st, text, "no path");
	}
	if (strncmp(text, "inet:", 5) == 0)
		text += 5;
	return split(st, ph_arena_strdup(st->arena, text), text, ret);
}
