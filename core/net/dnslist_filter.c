/* dnslist_filter.c: which answers of a DNS list count.  Pure.  Source: postconf(5), reject_rbl_client. */
#include <posthouse/dns.h>

#include <errno.h>
#include <string.h>

static int parse_number(const char **p)
{
	int n = 0, digits = 0;

	for (; **p >= '0' && **p <= '9'; (*p)++, digits++) {
		n = n * 10 + (**p - '0');
		if (n > 255)
			return -ERANGE;
	}
	return digits ? n : -EINVAL;
}

/* "5", "5..9" */
static int parse_item(const char **p, uint32_t set[8])
{
	int from = parse_number(p), to = from;

	if (from < 0)
		return from;
	if ((*p)[0] == '.' && (*p)[1] == '.') {
		*p += 2;
		to = parse_number(p);
		if (to < from)
			return -EINVAL;
	}
	for (int i = from; i <= to; i++)
		set[i / 32] |= 1u << (i % 32);
	return 0;
}

static int parse_octet(const char **p, uint32_t set[8])
{
	int n;

	if (**p != '[') {
		n = parse_number(p);
		if (n >= 0)
			set[n / 32] |= 1u << (n % 32);
		return n < 0 ? n : 0;
	}
	do {
		(*p)++;
		n = parse_item(p, set);
		if (n < 0)
			return n;
	} while (**p == ';');
	if (**p != ']')
		return -EINVAL;
	(*p)++;
	return 0;
}

int ph_dnslist_filter_parse(const char *text, struct ph_dnslist_filter *ret, struct ph_err *err)
{
	struct ph_dnslist_filter f;
	const char *p = text;

	memset(&f, 0, sizeof(f));
	for (int i = 0; i < 4; i++) {
		if (i && *p++ != '.')
			return ph_err_set(err, -EINVAL, "need four numbers or [...] in the reply filter \"%.200s\"", text);
		if (parse_octet(&p, f.octet[i]) < 0)
			return ph_err_set(err, -EINVAL, "bad number or range in the reply filter \"%.200s\"", text);
	}
	if (*p)
		return ph_err_set(err, -EINVAL, "garbage at the end of the reply filter \"%.200s\"", text);
	*ret = f;
	return 0;
}

bool ph_dnslist_filter_match(const struct ph_dnslist_filter *f, const unsigned char addr[4])
{
	for (int i = 0; i < 4; i++)
		if (!(f->octet[i][addr[i] / 32] >> (addr[i] % 32) & 1))
			return false;
	return true;
}
