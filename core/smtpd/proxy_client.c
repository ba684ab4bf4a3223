/* proxy_client.c: the dialogue with a before-queue filter: an SMTP client as small as it can be.  Yields.
 *
 * The filter is trusted no more than any other peer: its replies are bounded, and what is no reply ends the connection. */
#include "smtpd/proxy.h"

#include <errno.h>
#include <posthouse/co.h>
#include <posthouse/dns.h>
#include <posthouse/io.h>
#include <string.h>
#include <strings.h>

#include "base/time.h"

#define LINE_MAX_BYTES 2048
#define REPLY_LINES_MAX 100

static int fail(struct ph_proxy_client *p, int rc)
{
	if (rc == -ETIMEDOUT)
		ph_log(PH_LOG_WARNING, "timeout talking to proxy %s", p->where);
	else
		ph_log(PH_LOG_WARNING, "lost connection with proxy %s", p->where);
	ph_stream_close(&p->io);
	return rc < 0 ? rc : -ECONNRESET;
}

/* ---- replies ---- */

int ph_proxy_reply_line(const char *line, size_t n, bool *ret_last)
{
	if (n < 3 || line[0] < '2' || line[0] > '5' || line[1] < '0' || line[1] > '9' || line[2] < '0' || line[2] > '9')
		return -EINVAL;
	if (n > 3 && line[3] != ' ' && line[3] != '-')
		return -EINVAL;
	*ret_last = n == 3 || line[3] == ' ';
	return (line[0] - '0') * 100 + (line[1] - '0') * 10 + (line[2] - '0');
}

static int garbage(struct ph_proxy_client *p, struct ph_slice line)
{
	ph_log(PH_LOG_WARNING, "received garbage from proxy %s: %s", p->where,
	       ph_str_printable(p->arena, line.p, line.n < 100 ? line.n : 100, true));
	ph_stream_close(&p->io);
	return -EPROTO;
}

static int read_reply(struct ph_proxy_client *p)
{
	struct ph_buf all = PH_BUF_INIT(64 * 1024);
	struct ph_slice line;
	bool last = false;
	int code = 0, first = 0;

	for (int i = 0; !last; i++) {
		ssize_t n = ph_stream_getline(p->io, LINE_MAX_BYTES, &line, ph_deadline(p->timeout_ms));

		if (n < 0) {
			ph_buf_done(&all);
			return n == -EMSGSIZE ? garbage(p, ph_stream_peek(p->io)) : fail(p, (int)n);
		}
		code = ph_proxy_reply_line(line.p, line.n, &last);
		if (i == 0)
			first = code;
		if (code < 0 || code != first || i == REPLY_LINES_MAX) {
			ph_buf_done(&all);
			return garbage(p, line);
		}
		if (i)
			ph_buf_putc(&all, '\n');
		ph_buf_puts(&all, ph_str_printable(p->arena, line.p, line.n, true));
	}
	p->reply = ph_arena_strdup(p->arena, ph_buf_str(&all));
	ph_buf_done(&all);
	return code;
}

/* ---- commands ---- */

int ph_proxy_command(struct ph_proxy_client *p, const char *fmt, ...)
{
	struct ph_buf b = PH_BUF_INIT(64 * 1024);
	va_list ap;
	int rc;

	if (!p->io)
		return -ENOTCONN;
	va_start(ap, fmt);
	rc = ph_buf_vprintf(&b, fmt, ap);
	va_end(ap);
	if (rc == 0)
		rc = ph_buf_puts(&b, "\r\n");
	if (rc == 0)
		rc = ph_stream_write(p->io, b.data, b.len, ph_deadline(p->timeout_ms));
	if (rc == 0)
		rc = ph_stream_flush(p->io, ph_deadline(p->timeout_ms));
	ph_buf_done(&b);
	return rc < 0 ? fail(p, rc) : read_reply(p);
}

int ph_proxy_expect(struct ph_proxy_client *p, char want, const char *command)
{
	int code = ph_proxy_command(p, "%s", command);

	if (code >= 0 && code / 100 != want - '0')
		ph_log(PH_LOG_WARNING, "proxy %s rejected \"%s\": \"%s\"", p->where, command, p->reply);
	return code;
}

int ph_proxy_write(struct ph_proxy_client *p, const char *data, size_t n)
{
	int rc = p->io ? ph_stream_write(p->io, data, n, ph_deadline(p->timeout_ms)) : -ENOTCONN;

	return rc < 0 && p->io ? fail(p, rc) : rc;
}

void ph_proxy_quit(struct ph_proxy_client *p)
{
	if (!p->io)
		return;
	if (ph_stream_puts(p->io, "QUIT\r\n", ph_deadline(1000)) == 0)
		(void)ph_stream_flush(p->io, ph_deadline(1000));
	ph_stream_close(&p->io);
}

/* ---- the connection ---- */

/* "[inet:]host:port", "[host]:port", "unix:path". */
static int addresses(struct ph_proxy_client *p, const char *service, const char *queue_dir, struct ph_endpoint **ret, size_t *ret_n, const char **why)
{
	const char *port;
	char *host;
	int64_t n;

	*why = "bad service name: need host:port or unix:path";
	if (strncmp(service, "unix:", 5) == 0) {
		const char *path = service[5] == '/' ? service + 5 : ph_arena_printf(p->arena, "%s/%s", queue_dir, service + 5);

		*ret = ph_arena_alloc(p->arena, sizeof **ret);
		*ret_n = 1;
		return ph_endpoint_unix(*ret, path);
	}
	if (strncmp(service, "inet:", 5) == 0)
		service += 5;
	port = strrchr(service, ':');
	if (ph_str_int64(port ? port + 1 : service, 1, 65535, &n) < 0)
		return -EINVAL;
	host = port ? ph_arena_strndup(p->arena, service, (size_t)(port - service)) : "";
	if (host[0] == '[' && host[strlen(host) - 1] == ']') {
		host[strlen(host) - 1] = '\0';
		host++;
	}
	if (ph_dns_addresses(p->arena, *host ? host : "127.0.0.1", AF_UNSPEC, true, ph_deadline(p->timeout_ms), ret, ret_n, why) != PH_DNS_OK)
		return -EHOSTUNREACH;
	for (size_t i = 0; i < *ret_n; i++) {
		char text[128];

		ph_endpoint_ip(&(*ret)[i], ph_endpoint_addr(&(*ret)[i], text, sizeof text), (int)n);
	}
	return 0;
}

int ph_proxy_connect(struct ph_proxy_client *p, const char *service, const char *queue_dir)
{
	struct ph_endpoint *e = NULL;
	size_t n = 0;
	const char *why = NULL;
	struct ph_err err;
	int rc;

	p->where = service;
	rc = addresses(p, service, queue_dir, &e, &n, &why);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		rc = ph_stream_connect(&e[i], NULL, ph_deadline(p->timeout_ms), &p->io, &err);
		why = strerror(-rc);
		if (rc == 0 || i + 1 == n)
			break;
		rc = 0;         /* try the next address */
	}
	if (rc < 0 || !p->io) {
		ph_log(PH_LOG_WARNING, "connect to proxy filter %s: %s", service, why);
		return rc < 0 ? rc : -EHOSTUNREACH;
	}
	rc = read_reply(p);
	if (rc >= 0 && rc / 100 != 2) {
		ph_log(PH_LOG_WARNING, "proxy %s rejected \"%s\": \"%s\"", p->where, "connection request", p->reply);
		ph_proxy_quit(p);
		return -ECONNREFUSED;
	}
	return rc < 0 ? rc : 0;
}

/* ---- EHLO ---- */

static void parse_xforward(struct ph_proxy_client *p, const char *words)
{
	static const struct { const char *name; unsigned bit; } known[] = {
		{ "NAME", PH_XF_NAME }, { "ADDR", PH_XF_ADDR }, { "PORT", PH_XF_PORT }, { "HELO", PH_XF_HELO }, { "IDENT", PH_XF_IDENT },
		{ "PROTO", PH_XF_PROTO }, { "SOURCE", PH_XF_SOURCE },
	};
	char *copy = ph_arena_strdup(p->arena, words), *word;

	while ((word = ph_str_token(&copy, " \t")))
		for (size_t i = 0; i < PH_ARRAY_LEN(known); i++)
			if (strcasecmp(known[i].name, word) == 0)
				p->xforward |= known[i].bit;
}

int ph_proxy_hello(struct ph_proxy_client *p, const char *name)
{
	char *lines, *line;
	int code = ph_proxy_command(p, "EHLO %s", name);

	if (code >= 500)
		code = ph_proxy_command(p, "HELO %s", name);
	if (code < 0)
		return code;
	if (code / 100 != 2) {
		ph_log(PH_LOG_WARNING, "proxy %s rejected \"EHLO %s\": \"%s\"", p->where, name, p->reply);
		return -EPROTO;
	}
	lines = ph_arena_strdup(p->arena, p->reply);
	while ((line = strsep(&lines, "\n")))
		if (strlen(line) > 4 && strncasecmp(line + 4, "XFORWARD ", 9) == 0)
			parse_xforward(p, line + 13);
	return 0;
}
