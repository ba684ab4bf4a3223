/* cmd_xclient.c: XCLIENT and XFORWARD: what trusted hosts say about the real client.  Yields.
 * Source: XCLIENT_README, XFORWARD_README. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "route/hostname.h"
#include "smtpd/session.h"

#define VALUE_MAX 255

static bool unavailable(const char *v) { return strcasecmp(v, "[UNAVAILABLE]") == 0; }
static bool temp_unavailable(const char *v) { return strcasecmp(v, "[TEMPUNAVAIL]") == 0; }

/* "NAME=xtext": *ret_name upper case, *ret_value decoded.  0, or 1: a reply was given. */
static int attribute(struct ph_session *s, struct ph_slice w, char name[20], char value[VALUE_MAX + 1])
{
	const char *eq = memchr(w.p, '=', w.n);
	struct ph_slice v;
	size_t n;

	if (!eq || eq + 1 == w.p + w.n)
		return ph_smtpd_refuse(s, "501 5.5.4 Error: attribute=value expected");
	n = (size_t)(eq - w.p);
	v.p = eq + 1;
	v.n = w.n - n - 1;
	if (v.n > VALUE_MAX)
		return ph_smtpd_refuse(s, "501 5.5.4 Error: attribute value too long");
	if (n >= 20)
		n = 19;
	for (size_t i = 0; i < n; i++)
		name[i] = (char)(w.p[i] >= 'a' && w.p[i] <= 'z' ? w.p[i] - 32 : w.p[i]);
	name[n] = '\0';
	value[0] = '\0';
	if (ph_smtpd_xtext_decode(v, value) < 0)
		return ph_smtpd_refuse(s, "501 5.5.4 Bad %s syntax: %.*s", name, (int)v.n, v.p);
	return 0;
}

static int bad(struct ph_session *s, const char *name, const char *value)
{
	return ph_smtpd_refuse(s, "501 5.5.4 Bad %s syntax: %s", name, value);
}

/* "1.2.3.4", "IPV6:::1", "[UNAVAILABLE]": in its shortest form, a mapped address as IPv4.  false: none of these. */
static bool parse_addr(const char *v, char out[48])
{
	struct in6_addr a6;
	struct in_addr a4;

	if (inet_pton(AF_INET, v, &a4) == 1)
		return inet_ntop(AF_INET, &a4, out, 48) != NULL;
	if (strncasecmp(v, "IPv6:", 5) != 0 || inet_pton(AF_INET6, v + 5, &a6) != 1)
		return false;
	if (IN6_IS_ADDR_V4MAPPED(&a6))
		return inet_ntop(AF_INET, a6.s6_addr + 12, out, 48) != NULL;
	return inet_ntop(AF_INET6, &a6, out, 48) != NULL;
}

static bool parse_port(const char *v, int *ret)
{
	int64_t n;

	if (ph_str_int64(v, 0, 65535, &n) < 0)
		return false;
	*ret = (int)n;
	return true;
}

/* What XCLIENT asks for, until all of it is known to be right. */
struct xclient {
	char name[VALUE_MAX + 1], reverse[VALUE_MAX + 1], addr[48], server[48], helo[VALUE_MAX + 1], login[VALUE_MAX + 1];
	bool has_name, has_reverse, has_addr, has_server, has_helo, has_login, has_proto, esmtp;
	int name_status, reverse_status, port, server_port;
	bool has_port, has_server_port;
};

static bool parse_name(const char *v, char *out, int *ret_status)
{
	*ret_status = unavailable(v) ? 5 : temp_unavailable(v) ? 4 : 2;
	strcpy(out, *ret_status == 2 ? v : "unknown");
	return *ret_status != 2 || ph_hostname_valid(v, PH_HOST_NUMERIC);
}

static bool xclient_set(struct xclient *x, const char *name, const char *v)
{
	if (strcmp(name, "NAME") == 0)
		return x->has_name = parse_name(v, x->name, &x->name_status);
	if (strcmp(name, "REVERSE_NAME") == 0)
		return x->has_reverse = parse_name(v, x->reverse, &x->reverse_status);
	if (strcmp(name, "ADDR") == 0) {
		if (unavailable(v))
			strcpy(x->addr, "unknown");
		return x->has_addr = unavailable(v) || parse_addr(v, x->addr);
	}
	if (strcmp(name, "DESTADDR") == 0) {
		if (unavailable(v))
			strcpy(x->server, "unknown");
		return x->has_server = unavailable(v) || parse_addr(v, x->server);
	}
	if (strcmp(name, "PORT") == 0)
		return x->has_port = unavailable(v) || parse_port(v, &x->port);
	if (strcmp(name, "DESTPORT") == 0)
		return x->has_server_port = unavailable(v) || parse_port(v, &x->server_port);
	if (strcmp(name, "HELO") == 0) {
		strcpy(x->helo, unavailable(v) ? "" : v);
		return x->has_helo = true;
	}
	if (strcmp(name, "LOGIN") == 0) {
		strcpy(x->login, unavailable(v) ? "" : v);
		return x->has_login = true;
	}
	x->esmtp = strcasecmp(v, "ESMTP") == 0;
	return x->has_proto = x->esmtp || strcasecmp(v, "SMTP") == 0;
}

static bool known_xclient(const char *name)
{
	static const char *const names[] = { "NAME", "REVERSE_NAME", "ADDR", "PORT", "PROTO", "HELO", "LOGIN", "DESTADDR", "DESTPORT" };

	for (size_t i = 0; i < PH_ARRAY_LEN(names); i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

static void neuter(char *p)
{
	for (; *p; p++)
		if (strchr(" <>()\\\";@", *p) || (unsigned char)*p < 32)
			*p = '?';
}

static void xclient_apply(struct ph_session *s, struct xclient *x)
{
	if (x->has_name) {
		ph_smtpd_set(&s->name, x->name);
		s->name_status = x->name_status;
		if (!x->has_reverse) {
			ph_smtpd_set(&s->reverse_name, x->name);
			s->reverse_status = x->name_status;
		}
	}
	if (x->has_reverse) {
		ph_smtpd_set(&s->reverse_name, x->reverse);
		s->reverse_status = x->reverse_status;
	}
	if (x->has_addr)
		strcpy(s->addr, x->addr);
	if (x->has_port)
		s->port = x->port;
	if (x->has_server)
		strcpy(s->server_addr, x->server);
	if (x->has_server_port)
		s->server_port = x->server_port;
	ph_smtpd_session_restart(s);
	if (x->has_helo && x->helo[0]) {
		neuter(x->helo);
		ph_smtpd_set(&s->helo, x->helo);
	}
	if (x->has_proto)
		s->proto = x->esmtp ? "ESMTP" : "SMTP";
	if (x->has_login && x->login[0]) {
		ph_smtpd_set(&s->sasl_method, "XCLIENT");
		ph_smtpd_set(&s->sasl_user, x->login);
	}
	ph_smtpd_set_namaddr(s);
}

static int xclient(struct ph_session *s, struct ph_smtpd_cmdline *c, struct xclient *x)
{
	char name[20], value[VALUE_MAX + 1];
	int r;

	for (size_t i = 1; i < c->n; i++) {
		r = attribute(s, c->w[i].text, name, value);
		if (r)
			return r;
		if (!known_xclient(name))
			return ph_smtpd_refuse(s, "501 5.5.4 Bad XCLIENT attribute name: %s", name);
		if (!xclient_set(x, name, value))
			return bad(s, name, value);
	}
	return 0;
}

int ph_smtpd_cmd_xclient(struct ph_session *s, struct ph_smtpd_cmdline *c)
{
	struct xclient *x;
	int r;

	if (s->t)
		return ph_smtpd_refuse(s, "503 5.5.1 Error: MAIL transaction in progress");
	if (c->n < 2)
		return ph_smtpd_refuse(s, "501 5.5.4 Syntax: XCLIENT attribute=value...");
	if (!s->xclient_ok)
		return ph_smtpd_refuse(s, "550 5.7.0 Error: insufficient authorization");
	x = ph_alloc(sizeof(*x));
	r = xclient(s, c, x);
	if (r == 0)
		xclient_apply(s, x);
	free(x);
	if (r)
		return r;
	return ph_smtpd_greet(s);
}

/* ---- XFORWARD ---- */

static int xforward_set(struct ph_session *s, const char *name, const char *v)
{
	struct ph_smtpd_xforward *f = s->xforward;
	bool none = unavailable(v);
	char addr[48];
	int port;

	if (strcmp(name, "NAME") == 0) {
		if (!none && !ph_hostname_valid(v, PH_HOST_NUMERIC))
			return bad(s, name, v);
		ph_smtpd_set(&f->name, none ? "unknown" : v);
	} else if (strcmp(name, "ADDR") == 0) {
		if (!none && !parse_addr(v, addr))
			return bad(s, name, v);
		ph_smtpd_set(&f->addr, none ? "unknown" : addr);
	} else if (strcmp(name, "PORT") == 0) {
		if (!none && !parse_port(v, &port))
			return bad(s, name, v);
		ph_smtpd_set(&f->port, none ? NULL : v);
	} else if (strcmp(name, "PROTO") == 0) {
		ph_smtpd_set(&f->proto, none ? NULL : v);
		if (f->proto)
			neuter(f->proto);
	} else if (strcmp(name, "HELO") == 0) {
		ph_smtpd_set(&f->helo, none ? NULL : v);
		if (f->helo)
			neuter(f->helo);
	} else if (strcmp(name, "IDENT") == 0) {
		for (const char *p = none ? "" : v; *p; p++)
			if ((unsigned char)*p >= 127 || !strchr("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz._-", *p))
				return bad(s, name, v);
		ph_smtpd_set(&f->ident, none ? NULL : v);
	} else if (strcmp(name, "SOURCE") == 0) {
		if (!none && strcasecmp(v, "LOCAL") != 0 && strcasecmp(v, "REMOTE") != 0)
			return bad(s, name, v);
		ph_smtpd_set(&f->source, none ? NULL : v);
	} else {
		return ph_smtpd_refuse(s, "501 5.5.4 Bad XFORWARD attribute name: %s", name);
	}
	return 0;
}

int ph_smtpd_cmd_xforward(struct ph_session *s, struct ph_smtpd_cmdline *c)
{
	char name[20], value[VALUE_MAX + 1];
	int r;

	if (s->t)
		return ph_smtpd_refuse(s, "503 5.5.1 Error: MAIL transaction in progress");
	if (c->n < 2)
		return ph_smtpd_refuse(s, "501 5.5.4 Syntax: XFORWARD attribute=value...");
	if (!s->xforward_ok)
		return ph_smtpd_refuse(s, "550 5.7.0 Error: insufficient authorization");
	if (!s->xforward)
		s->xforward = ph_alloc(sizeof(*s->xforward));
	for (size_t i = 1; i < c->n; i++) {
		r = attribute(s, c->w[i].text, name, value);
		if (r == 0)
			r = xforward_set(s, name, value);
		if (r)
			return r;
	}
	return ph_smtpd_reply(s, "250 2.0.0 Ok");
}
