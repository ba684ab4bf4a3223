/* conn.c: the connection to a filter: connecting, agreeing on the protocol, packets in and out.
 *
 * Owns c->io and its buffers.  Everything but hangup and broken yields.  What goes wrong is logged here, in Postfix's words, and becomes the default
 * action: a caller only has to stop. */
#include "milter.h"

#include <posthouse/dns.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define STEP 65536              /* a claimed length is believed by this much at a time */

int64_t milter_deadline(const struct milter *c)
{
	return ph_now_ms() + (c->m ? c->svc->content_ms : c->svc->command_ms);
}

static void warn(const struct milter *c, const char *text)
{
	if (c->m)
		ph_log_as("cleanup", PH_LOG_WARNING, "%s", text);
	else
		ph_log(PH_LOG_WARNING, "%s", text);
}

void milter_hangup(struct milter *c, bool politely)
{
	/* A filter that does not take four bytes at once is not waited for. */
	if (c->io && politely) {
		milter_end(&c->out, milter_begin(&c->out, SMFIC_QUIT));
		if (ph_stream_write(c->io, c->out.data, c->out.len, ph_now_ms() + 1000) == 0)
			ph_stream_flush(c->io, ph_now_ms() + 1000);
	}
	ph_stream_close(&c->io);
	ph_buf_done(&c->out);
	ph_buf_done(&c->in);
}

int milter_broken(struct milter *c, const char *fmt, ...)
{
	struct ph_err text;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text.text, sizeof(text.text), fmt, ap);
	va_end(ap);
	warn(c, text.text);
	milter_hangup(c, false);
	c->failed = true;
	milter_default(c, c->svc->action);
	return -EPROTO;
}

/* A connection that ended is no error of the system: Postfix says so in its own way. */
static const char *why(int r)
{
	return r == -ENODATA ? "Application error" : strerrordesc_np(-r);
}

#define NO_REPLIES (SMFIP_NR_HDR | SMFIP_NR_CONN | SMFIP_NR_HELO | SMFIP_NR_MAIL | SMFIP_NR_RCPT | SMFIP_NR_DATA | SMFIP_NR_UNKN | SMFIP_NR_EOH | SMFIP_NR_BODY)

/* A filter that answers what it said it would not answer: from here on its replies would be taken for those to other commands. */
static bool out_of_step(struct milter *c)
{
	if (!(c->protocol & NO_REPLIES))
		return false;
	return ph_stream_peek(c->io).n > 0 || ph_stream_fill(c->io, ph_now_ms()) > 0;
}

int milter_flush(struct milter *c)
{
	int64_t deadline = milter_deadline(c);
	int r;

	if (!c->out.len)
		return 0;
	if (out_of_step(c))
		return milter_broken(c, "milter %s: unexpected reply before command %s", c->svc->name, milter_command_name(c->command));
	r = ph_stream_write(c->io, c->out.data, c->out.len, deadline);
	if (r == 0)
		r = ph_stream_flush(c->io, deadline);
	ph_buf_clear(&c->out);
	if (c->out.cap > STEP)
		ph_buf_done(&c->out);
	if (r < 0)
		return milter_broken(c, "milter %s: error writing command: %s", c->svc->name, why(r));
	return 0;
}

static int read_some(struct milter *c, size_t n, int64_t deadline)
{
	int r = ph_buf_reserve(&c->in, n);

	if (r == 0)
		r = ph_stream_read_full(c->io, c->in.data + c->in.len, n, deadline);
	if (r == 0) {
		c->in.len += n;
		c->in.data[c->in.len] = '\0';
	}
	return r;
}

/* A packet into c->in, without its length. */
static int read_packet(struct milter *c)
{
	int64_t deadline = milter_deadline(c);
	unsigned char head[MILTER_HEAD];
	uint32_t n;
	int r = ph_stream_read_full(c->io, head, sizeof(head), deadline);

	if (r < 0)
		return milter_broken(c, "milter %s: can't read %s reply packet header: %s", c->svc->name, milter_command_name(c->command), why(r));
	n = (uint32_t)head[0] << 24 | (uint32_t)head[1] << 16 | (uint32_t)head[2] << 8 | head[3];
	if (n < 1)
		return milter_broken(c, "milter %s: bad packet length: %u", c->svc->name, n);
	if (n > MILTER_REPLY_MAX)
		return milter_broken(c, "milter %s: unreasonable packet length: %u > %d", c->svc->name, n, MILTER_REPLY_MAX);
	ph_buf_clear(&c->in);
	r = read_some(c, 1, deadline);
	if (r < 0)
		return milter_broken(c, "milter %s: EOF while reading command code: %s", c->svc->name, why(r));
	if (n > 1 && milter_reply_bare(c->in.data[0]))
		return milter_broken(c, "milter %s: reply %s was followed by %u data bytes", c->svc->name, milter_reply_name(c->in.data[0]), n - 1);
	while (r == 0 && c->in.len < n)
		r = read_some(c, n - c->in.len < STEP ? n - c->in.len : STEP, deadline);
	if (r < 0)
		return milter_broken(c, "milter %s: EOF while reading %s data: %s", c->svc->name, milter_reply_name(c->in.data[0]), why(r));
	return 0;
}

int milter_read(struct milter *c, struct milter_reply *ret)
{
	struct ph_err err;
	int r = read_packet(c);

	if (r == 0 && milter_reply_decode(c->in.data, c->in.len, ret, &err) < 0)
		r = milter_broken(c, "milter %s: %s", c->svc->name, err.text);
	return r;
}

/* ---- connecting ---- */

static int connect_inet(struct milter *c, struct ph_arena *a, int64_t deadline, struct ph_err *err)
{
	struct ph_endpoint *list;
	const char *text = NULL;
	size_t n = 0;
	int r = -EHOSTUNREACH;

	if (ph_dns_addresses(a, c->svc->host, c->svc->family, true, deadline, &list, &n, &text) != PH_DNS_OK)
		return ph_err_set(err, -EHOSTUNREACH, "%s", text ? text : "host not found");
	for (size_t i = 0; i < n && r < 0 && r != -ECANCELED; i++) {
		char addr[108];
		struct ph_endpoint e;

		if (ph_endpoint_ip(&e, ph_endpoint_addr(&list[i], addr, sizeof(addr)), c->svc->port) == 0)
			r = ph_stream_connect(&e, NULL, deadline, &c->io, err);
	}
	return r;
}

static int connect_service(struct milter *c)
{
	int64_t deadline = ph_now_ms() + c->svc->connect_ms;
	struct ph_arena *a = ph_arena_new();
	struct ph_err err = { 0 };
	struct ph_endpoint e;
	int r;

	if (c->svc->family == AF_UNIX) {
		r = ph_endpoint_unix(&e, c->svc->path);
		if (r == 0)
			r = ph_stream_connect(&e, NULL, deadline, &c->io, &err);
	} else {
		r = connect_inet(c, a, deadline, &err);
	}
	ph_arena_free(&a);
	if (r == -EHOSTUNREACH && *err.text)
		return milter_broken(c, "connect to Milter service %s: %s", c->svc->name, err.text);
	if (r < 0)
		return milter_broken(c, "connect to Milter service %s: %s", c->svc->name, strerrordesc_np(-r));
	return 0;
}

/* ---- agreeing ---- */

static uint32_t our_protocol(const struct milter_service *s)
{
	switch (s->version) {
	case 2:
		return SMFI_V2_PROT;
	case 3:
		return SMFI_V2_PROT | SMFIP_NOUNKNOWN;
	case 4:
		return SMFI_V2_PROT | SMFIP_NOUNKNOWN | SMFIP_NODATA;
	default:
		return SMFI_CURR_PROT;
	}
}

static void send_offer(struct milter *c)
{
	size_t p = milter_begin(&c->out, SMFIC_OPTNEG);

	milter_put_u32(&c->out, c->svc->version);
	milter_put_u32(&c->out, SMFI_CURR_ACTS);
	milter_put_u32(&c->out, our_protocol(c->svc));
	milter_end(&c->out, p);
	c->command = SMFIC_OPTNEG;
}

static int take_offer(struct milter *c, const struct milter_offer *o)
{
	const char *name = c->svc->name;

	if (o->version > c->svc->version)
		return milter_broken(c, "milter %s: protocol version %u conflict with MTA protocol version %u", name, o->version, c->svc->version);
	if (o->actions & ~(uint32_t)SMFI_CURR_ACTS)
		return milter_broken(c, "milter %s: request mask 0x%x conflict with MTA request mask 0x%lx", name, o->actions, SMFI_CURR_ACTS);
	if (o->version < 2)
		warn(c, ph_arena_printf(milter_arena(c), "milter %s: unexpected protocol version %u", name, o->version));
	if (o->unknown_stage >= 0)
		warn(c, ph_arena_printf(milter_arena(c), "milter %s: ignoring unknown macro type %lld", name, (long long)o->unknown_stage));
	c->actions = o->actions;
	c->protocol = o->protocol & our_protocol(c->svc);
	c->version = o->version < 2 ? c->svc->version : o->version;     /* events of later versions are not sent */
	if (c->svc->no_header_reply)
		c->protocol |= SMFIP_NR_HDR;
	for (size_t i = 0; i < MILTER_STAGES; i++)
		if (o->macros[i]) {
			milter_words_free(c->macros[i]);
			c->macros[i] = milter_words(o->macros[i]);
		}
	return 0;
}

static int negotiate(struct milter *c)
{
	struct milter_offer offer;
	struct ph_err err;
	int r;

	send_offer(c);
	r = milter_flush(c);
	if (r < 0)
		return r;
	r = read_packet(c);
	if (r < 0) {
		warn(c, ph_arena_printf(milter_arena(c), "milter %s: read error in initial handshake", c->svc->name));
		return r;
	}
	if (c->in.data[0] != SMFIC_OPTNEG)
		return milter_broken(c, "milter %s: unexpected reply \"%c\" in initial handshake", c->svc->name, c->in.data[0]);
	if (milter_offer_decode(c->in.data + 1, c->in.len - 1, &offer, &err) < 0)
		return milter_broken(c, "milter %s: %s", c->svc->name, err.text);
	return take_offer(c, &offer);
}

int milter_open(struct milter *c)
{
	int r;

	if (c->io)
		return 0;
	if (!c->svc->version) {
		warn(c, ph_arena_printf(milter_arena(c), "milter %s: bad protocol information: %s", c->svc->name, c->svc->bad_protocol));
		milter_default(c, MILTER_DO_CONFIG);
		return -EINVAL;
	}
	r = connect_service(c);
	return r < 0 ? r : negotiate(c);
}
