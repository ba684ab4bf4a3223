/* dns_wire.c: parse DNS answers.
 *
 * Pure, hostile input: every read is bounded by the packet, names by RFC 1035 section 2.3.4, compression pointers may only go backwards and are counted.
 * A label with a dot or a byte that is not printable makes the whole name bad: it could be mistaken for another one.  RFC 1035 section 4, RFC 2782, RFC 7505. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "net/dns_wire.h"

#define POINTERS_MAX 64

struct packet {
	const uint8_t *p;
	size_t n, at;
	bool bad;               /* read past the end */
};

static unsigned get8(struct packet *k)
{
	if (k->at >= k->n) {
		k->bad = true;
		return 0;
	}
	return k->p[k->at++];
}

static unsigned get16(struct packet *k)
{
	unsigned hi = get8(k);

	return hi << 8 | get8(k);
}

static uint32_t get32(struct packet *k)
{
	uint32_t hi = get16(k);

	return hi << 16 | get16(k);
}

static bool label_byte_ok(unsigned c)
{
	return c > ' ' && c < 0x7f && c != '.' && c != '\\' && c != '"' && c != '@' && c != '(' && c != ')' && c != ';' && c != '$';
}

/* Append one label.  False: no room in a legal name. */
static bool label_add(const uint8_t *p, size_t n, char *out, size_t *len, bool *ret_ok)
{
	size_t i;

	if (*len + n + (*len ? 1 : 0) > PH_DNS_NAME_MAX - 1)
		return false;
	if (*len)
		out[(*len)++] = '.';
	for (i = 0; i < n; i++) {
		if (!label_byte_ok(p[i]))
			*ret_ok = false;
		out[(*len)++] = label_byte_ok(p[i]) ? (char)p[i] : '?';
	}
	return true;
}

/* Read a name at k->at into out (text, no trailing dot, "" is the root) and go behind it.  *ret_ok false: well-formed, but with bytes that we do not
 * put up with.  False: the packet is broken. */
static bool get_name(struct packet *k, char out[PH_DNS_NAME_MAX], bool *ret_ok)
{
	size_t at = k->at, end = 0, len = 0, next;
	int pointers = 0;
	unsigned c;

	*ret_ok = true;
	for (;;) {
		if (at >= k->n)
			return false;
		c = k->p[at];
		if ((c & 0xc0) == 0xc0) {
			if (at + 1 >= k->n || ++pointers > POINTERS_MAX)
				return false;
			next = (c & 0x3fu) << 8 | k->p[at + 1];
			if (!end)
				end = at + 2;
			if (next >= at)         /* only backwards: no loop can arise */
				return false;
			at = next;
			continue;
		}
		if (c & 0xc0)
			return false;
		at++;
		if (c == 0)
			break;
		if (at + c > k->n || !label_add(k->p + at, c, out, &len, ret_ok))
			return false;
		at += c;
	}
	out[len] = '\0';
	k->at = end ? end : at;
	return true;
}

bool ph_dns_name_ok(const char *name)
{
	size_t label = 0, total = 0;

	for (; *name; name++, total++) {
		if (*name == '.') {
			if (label == 0 || (name[1] == '\0' && total > PH_DNS_NAME_MAX - 1))
				return false;
			label = 0;
		} else if (++label > 63 || !label_byte_ok((unsigned char)*name)) {
			return false;
		}
	}
	return total > 0 && total < PH_DNS_NAME_MAX + (label == 0);
}

bool ph_dns_hostname_ok(const char *name)
{
	const char *s;

	for (s = name; *s; s++) {
		bool alnum = (*s >= '0' && *s <= '9') || ((*s | 32) >= 'a' && (*s | 32) <= 'z');

		if (!alnum && *s != '-' && *s != '_' && *s != '.')
			return false;
		if (*s == '-' && (s == name || s[-1] == '.' || s[1] == '.' || s[1] == '\0'))
			return false;
	}
	return ph_dns_name_ok(name);
}

/* ---- one record --------------------------------------------------------------------------- */

enum rr_result { RR_OK, RR_BAD /* leave it out */, RR_BROKEN /* the packet lies about its lengths */ };

/* The name in the rdata; nothing may follow it there. */
static enum rr_result rdata_name(struct packet *k, size_t end, struct ph_arena *arena, struct ph_dns_rr *rr)
{
	char name[PH_DNS_NAME_MAX];
	bool ok;

	if (!get_name(k, name, &ok) || k->at != end)
		return RR_BROKEN;
	if (!ok || (name[0] && rr->type != PH_DNS_CNAME && !ph_dns_hostname_ok(name)))
		return RR_BAD;
	if (name[0] == '\0' && rr->type != PH_DNS_MX && rr->type != PH_DNS_SRV)
		return RR_BAD;
	rr->name = ph_arena_strdup(arena, name);
	return RR_OK;
}

static enum rr_result rdata_txt(struct packet *k, size_t end, struct ph_arena *arena, struct ph_dns_rr *rr)
{
	char *out = ph_arena_alloc(arena, end - k->at + 1);
	size_t len = 0, n;

	while (k->at < end) {
		n = k->p[k->at++];
		if (n > end - k->at)
			return RR_BROKEN;
		memcpy(out + len, k->p + k->at, n);
		len += n;
		k->at += n;
	}
	rr->data = (struct ph_slice){ out, len };
	return RR_OK;
}

static enum rr_result rdata_parse(struct packet *k, size_t end, struct ph_arena *arena, struct ph_dns_rr *rr)
{
	size_t n = end - k->at, want = rr->type == PH_DNS_A ? 4 : rr->type == PH_DNS_AAAA ? 16 : 0;

	rr->name = "";
	switch (rr->type) {
	case PH_DNS_MX:
		if (n < 3)
			return RR_BROKEN;
		rr->pref = (uint16_t)get16(k);
		return rdata_name(k, end, arena, rr);
	case PH_DNS_SRV:
		if (n < 7)
			return RR_BROKEN;
		rr->pref = (uint16_t)get16(k);
		rr->weight = (uint16_t)get16(k);
		rr->port = (uint16_t)get16(k);
		return rdata_name(k, end, arena, rr);
	case PH_DNS_NS:
	case PH_DNS_CNAME:
	case PH_DNS_PTR:
		return rdata_name(k, end, arena, rr);
	case PH_DNS_TXT:
		return rdata_txt(k, end, arena, rr);
	default:
		if (want && n != want)
			return RR_BROKEN;
		rr->data.p = memcpy(ph_arena_alloc(arena, n + 1), k->p + k->at, n);
		rr->data.n = n;
		k->at = end;
		return RR_OK;
	}
}

/* ---- the answer section ------------------------------------------------------------------- */

struct walk {
	struct packet k;
	char current[PH_DNS_NAME_MAX];  /* the name whose records are looked for: qname, then along the CNAMEs */
	int qtype, links;
	struct ph_arena *arena;
	struct ph_dns_answer *ans;
	unsigned dropped, bad;
};

/* One record of the answer section.  False: give up, the packet is broken. */
static bool walk_rr(struct walk *w)
{
	char owner[PH_DNS_NAME_MAX];
	struct ph_dns_rr rr = { 0 };
	enum rr_result r;
	unsigned rclass;
	size_t len, end;
	bool ok;

	if (!get_name(&w->k, owner, &ok))
		return false;
	rr.type = (uint16_t)get16(&w->k);
	rclass = get16(&w->k);
	rr.ttl = get32(&w->k);
	len = get16(&w->k);
	if (w->k.bad || len > w->k.n - w->k.at)
		return false;
	end = w->k.at + len;
	if (!ok || rclass != 1 || strcasecmp(owner, w->current) != 0 || (rr.type != w->qtype && rr.type != PH_DNS_CNAME)) {
		w->k.at = end;
		return true;
	}
	if (rr.type == w->qtype && w->ans->n == PH_DNS_RR_MAX) {
		w->dropped++;
		w->k.at = end;
		return true;
	}
	r = rdata_parse(&w->k, end, w->arena, &rr);
	w->k.at = end;
	if (r == RR_BROKEN)
		return false;
	if (r == RR_BAD) {
		w->bad++;
	} else if (rr.type == w->qtype) {
		w->ans->rr[w->ans->n++] = rr;
	} else {
		if (++w->links > PH_DNS_CNAME_MAX)
			return false;
		snprintf(w->current, sizeof(w->current), "%s", rr.name);
	}
	return true;
}

static enum ph_dns_status walk_answer(struct walk *w)
{
	unsigned flags, questions, answers, rcode;
	char name[PH_DNS_NAME_MAX];
	bool ok;

	get16(&w->k);
	flags = get16(&w->k);
	questions = get16(&w->k);
	answers = get16(&w->k);
	get32(&w->k);
	rcode = flags & 15;
	if (w->k.bad || !(flags & 0x8000) || questions > 1 || (rcode != 0 && rcode != 3))
		return PH_DNS_TEMPFAIL;
	if (questions && (!get_name(&w->k, name, &ok) || (get32(&w->k), w->k.bad)))
		return PH_DNS_TEMPFAIL;
	w->ans->rr = ph_arena_alloc(w->arena, sizeof(struct ph_dns_rr) * (answers < PH_DNS_RR_MAX ? answers + 1 : PH_DNS_RR_MAX));
	while (answers-- > 0) {
		if (!walk_rr(w))
			return PH_DNS_TEMPFAIL;
	}
	if (w->ans->n)
		return PH_DNS_OK;
	if (w->bad)
		return PH_DNS_BADNAME;
	if (flags & 0x0200)             /* truncated and empty: nobody asked again over TCP */
		return PH_DNS_TEMPFAIL;
	return rcode == 3 ? PH_DNS_NXDOMAIN : PH_DNS_NODATA;
}

void ph_dns_wire_parse(const uint8_t *packet, size_t n, const char *qname, int qtype, struct ph_arena *arena,
		       struct ph_dns_answer *ans, unsigned *ret_dropped, unsigned *ret_bad)
{
	struct walk w = { .k = { packet, n, 0, false }, .qtype = qtype, .arena = arena, .ans = ans };
	size_t len = strlen(qname);

	memset(ans, 0, sizeof(*ans));
	if (len && qname[len - 1] == '.')
		len--;
	snprintf(w.current, sizeof(w.current), "%.*s", (int)(len < PH_DNS_NAME_MAX ? len : PH_DNS_NAME_MAX - 1), qname);
	ans->status = walk_answer(&w);
	ans->owner = w.links ? ph_arena_strdup(arena, w.current) : qname;
	if (ans->status != PH_DNS_OK)
		ans->n = 0;
	*ret_dropped = w.dropped;
	*ret_bad = w.bad;
}
