/* posthouse/dns.h: DNS answers for a coroutine.
 *
 * libunbound through the servers of resolv.conf, with its cache; /etc/hosts where a function says so.
 * A time-out, a refusal or a broken answer is TEMPFAIL, never NOTFOUND. */
#ifndef POSTHOUSE_DNS_H
#define POSTHOUSE_DNS_H

#include <posthouse/io.h>

#ifdef __cplusplus
extern "C" {
#endif

enum ph_dns_status {
	PH_DNS_OK,
	PH_DNS_NXDOMAIN,        /* the name does not exist */
	PH_DNS_NODATA,          /* the name exists without this type */
	PH_DNS_TEMPFAIL,        /* SERVFAIL, REFUSED, time-out, unreachable */
	PH_DNS_BADNAME,         /* not a name that DNS can hold */
};
enum { PH_DNS_A = 1, PH_DNS_NS = 2, PH_DNS_CNAME = 5, PH_DNS_PTR = 12, PH_DNS_MX = 15, PH_DNS_TXT = 16,
       PH_DNS_AAAA = 28, PH_DNS_SRV = 33, PH_DNS_TLSA = 52 };

struct ph_dns_rr {
	uint16_t type;
	uint32_t ttl;                   /* seconds */
	uint16_t pref;                  /* MX preference, SRV priority */
	uint16_t weight, port;          /* SRV */
	const char *name;               /* MX, PTR, NS, CNAME, SRV target: no trailing dot, "" is the root (null MX) */
	struct ph_slice data;           /* TXT: all strings joined; A, AAAA: 4 or 16 bytes; others: rdata as it came */
};
struct ph_dns_answer {
	enum ph_dns_status status;
	bool secure;                    /* validated by DNSSEC */
	size_t n;
	struct ph_dns_rr *rr;           /* in the order of the answer, CNAMEs followed */
	const char *text;               /* for status other than OK: Postfix's words, e.g. "Host not found, try again" */
	const char *owner;              /* the name that the records belong to: what was asked for, or where its CNAMEs lead */
};

/* Look up name (with or without a trailing dot; U-labels are converted).  *ret lives in arena.  Returns ret->status.
 * Limit: 30 s, less where resolv.conf says so, or deadline_ms.  Yields. */
PH_API enum ph_dns_status ph_dns_query(struct ph_arena *arena, const char *name, int type, int64_t deadline_ms,
				       struct ph_dns_answer **ret);
/* The same, and the answer is validated by DNSSEC where a trust anchor is configured: answer.secure says so; what fails validation is TEMPFAIL.
 * Without a trust anchor: as ph_dns_query.  Yields. */
PH_API enum ph_dns_status ph_dns_query_secure(struct ph_arena *arena, const char *name, int type, int64_t deadline_ms,
					      struct ph_dns_answer **ret);
/* Several at once: all of q are asked in parallel and all have ended on return.  Yields. */
struct ph_dns_question {
	const char *name;
	int type;
	struct ph_dns_answer *answer;   /* set on return, in arena */
};
PH_API void ph_dns_query_all(struct ph_arena *arena, struct ph_dns_question *q, size_t n, int64_t deadline_ms);
/* The same with DNSSEC, as ph_dns_query_secure.  Yields. */
PH_API void ph_dns_query_all_secure(struct ph_arena *arena, struct ph_dns_question *q, size_t n, int64_t deadline_ms);
/* Is there a trust anchor, so that answers can be validated at all? */
PH_API bool ph_dns_validates(void);

/* Addresses of a host: a numeric address is itself; then /etc/hosts when use_hosts; then A and AAAA in parallel.
 * want: AF_INET, AF_INET6 or AF_UNSPEC.  OK when at least one was found; TEMPFAIL when none was and one look-up
 * failed for now.  Yields. */
PH_API enum ph_dns_status ph_dns_addresses(struct ph_arena *arena, const char *host, int want, bool use_hosts,
					   int64_t deadline_ms, struct ph_endpoint **ret, size_t *ret_n,
					   const char **ret_text);
/* The name of an address (PTR, /etc/hosts first).  Yields. */
PH_API enum ph_dns_status ph_dns_name_of(struct ph_arena *arena, const struct ph_endpoint *e, int64_t deadline_ms,
					 const char **ret_name);

/* smtpd_dns_reply_filter, smtp_dns_reply_filter: drop the records of an answer that a table (maps; NULL: none) gives "ignore" for; its key is the record as
 * text, "owner. ttl IN MX 10 host.".  Nothing left: TEMPFAIL with the first of these texts; a table that fails, or says something else: TEMPFAIL with the second,
 * and logged.  Yields.  Source: postconf(5), smtp_dns_reply_filter. */
#define PH_DNS_FILTER_DROPPED "DNS reply filter drops all results"
#define PH_DNS_FILTER_BAD "Invalid DNS reply filter syntax"
struct ph_maps;
PH_API void ph_dns_answer_filter(struct ph_maps *maps, const char *parameter, struct ph_arena *arena, struct ph_dns_answer *answer);

/* "d.d.d.d" behind the "=" of a DNS list: which of its answers count.  One bit for each value that an octet may have. */
struct ph_dnslist_filter {
	uint32_t octet[4][8];
};
/* Each d is a number, or "[" numbers and ranges "a..b" with ";" between them "]".  0, or -EINVAL with err. */
PH_API int ph_dnslist_filter_parse(const char *text, struct ph_dnslist_filter *ret, struct ph_err *err);
PH_API bool ph_dnslist_filter_match(const struct ph_dnslist_filter *f, const unsigned char addr[4]);

#ifdef __cplusplus
}
#endif
#endif
