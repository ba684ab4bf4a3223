/* maps_address.c: the keys under which an address is looked for, in Postfix's order.
 *
 * Owns nothing.  Yields where a table does.  Source: canonical(5), virtual(5), access(5), "TABLE SEARCH ORDER" and "ADDRESS
 * EXTENSION"; relative order of partial keys as in Postfix's mail_addr_find. */
#include "module/table.h"
#include "config/config.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

struct find {
	struct ph_maps *maps;
	const struct ph_conf *conf;
	struct ph_arena *arena;
	const char **ret_value;
	struct ph_err *err;
};

/* Does the local part need quotes to stand in an address?  RFC 5321 section 4.1.2: dot-string or quoted-string. */
static bool is_dot_string(const char *s, size_t n)
{
	if (n == 0 || s[0] == '.' || s[n - 1] == '.')
		return false;
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];

		if (isalnum(c) || c >= 0x80)
			continue;
		if (c <= ' ' || c == 0x7f || strchr("()<>[]:;@\\,\"", c) || (c == '.' && s[i + 1] == '.'))
			return false;
	}
	return true;
}

static const char *quoted(struct ph_arena *a, const char *local, size_t n)
{
	char *out, *p;

	p = out = ph_arena_alloc(a, 2 * n + 3);
	*p++ = '"';
	for (size_t i = 0; i < n; i++) {
		if (local[i] == '"' || local[i] == '\\')
			*p++ = '\\';
		*p++ = local[i];
	}
	*p++ = '"';
	return out;
}

static const char *joined(struct ph_arena *a, const char *local, size_t n, const char *tail)
{
	size_t t = strlen(tail);
	char *out = ph_arena_alloc(a, n + t + 1);

	memcpy(out, local, n);
	memcpy(out + n, tail, t + 1);
	return out;
}

/* local + tail ("@dom", "@" or ""); the quoted form first when it is another one. */
static enum ph_lookup try_local(struct find *f, const char *local, size_t n, const char *tail, bool partial)
{
	bool plain = n == 0 || is_dot_string(local, n);
	const char *q = plain ? joined(f->arena, local, n, tail) : ph_arena_printf(f->arena, "%s%s", quoted(f->arena, local, n), tail);
	enum ph_lookup status;

	status = ph_maps_find(f->maps, q, partial, f->arena, f->ret_value, f->err);
	if (status == PH_LOOKUP_NOTFOUND && !plain)
		status = ph_maps_find(f->maps, joined(f->arena, local, n, tail), partial, f->arena,
				      f->ret_value, f->err);
	return status;
}

/* Where the extension starts in a local part of n bytes, or n.  Never at its first byte; not in the names of
 * postmasters, and with '-' not in owner-foo and foo-request. */
static size_t extension_at(const struct ph_conf *conf, const char *local, size_t n)
{
	static const char *const whole[] = { "postmaster", "mailer-daemon", "double-bounce" };
	const char *delims = ph_conf_get(conf, "recipient_delimiter"), *special = ph_conf_get(conf, "owner_request_special");
	size_t at;

	if (delims == NULL || delims[0] == '\0')
		return n;
	for (size_t i = 0; i < PH_ARRAY_LEN(whole); i++)
		if (n == strlen(whole[i]) && strncasecmp(local, whole[i], n) == 0)
			return n;
	if (strchr(delims, '-') && (special == NULL || !ph_str_ieq(special, "no"))) {
		if (n > 6 && strncasecmp(local, "owner-", 6) == 0)
			return n;
		if (n > 8 && strncasecmp(local + n - 8, "-request", 8) == 0)
			return n;
	}
	for (at = 0; at < n && !strchr(delims, local[at]); at++)
		;
	return at == 0 ? n : at;
}

/* Is the domain one of ours in the sense of mydestination, inet_interfaces and proxy_interfaces, or myorigin? */
static enum ph_lookup is_local(struct find *f, const char *domain)
{
	const char *origin = ph_conf_get(f->conf, "myorigin"), *addrs;
	static const char *const interfaces[] = { "inet_interfaces", "proxy_interfaces" };
	char *literal, *cursor, *word;
	size_t n = strlen(domain);
	struct ph_match *home;

	if (origin && ph_str_ieq(origin, domain))
		return PH_LOOKUP_FOUND;
	if (domain[0] == '[' && n > 2 && domain[n - 1] == ']') {
		literal = ph_arena_strndup(f->arena, domain + 1, n - 2);
		if (ph_str_istarts(literal, "ipv6:"))
			literal += 5;
		for (size_t i = 0; i < PH_ARRAY_LEN(interfaces); i++) {
			addrs = ph_conf_get(f->conf, interfaces[i]);
			cursor = ph_arena_strdup(f->arena, addrs ? addrs : "");
			while ((word = ph_str_token(&cursor, PH_SEP_LIST)) != NULL)
				if (ph_str_ieq(word, literal))
					return PH_LOOKUP_FOUND;
		}
	}
	home = ph_maps_mydestination(f->maps, f->conf);
	return home ? ph_match_find(home, domain, NULL, f->err) : PH_LOOKUP_NOTFOUND;
}

static bool parents_plain(const struct ph_conf *conf, const char *style, struct ph_arena *arena)
{
	const char *list = ph_conf_get(conf, "parent_domain_matches_subdomains");
	char *cursor, *word;

	if (style == NULL || list == NULL)
		return false;
	cursor = ph_arena_strdup(arena, list);
	while ((word = ph_str_token(&cursor, PH_SEP_LIST)) != NULL)
		if (ph_str_ieq(word, style))
			return true;
	return false;
}

/* example.com, then com or .com. */
static enum ph_lookup try_domain(struct find *f, const char *domain, const char *style)
{
	bool plain = parents_plain(f->conf, style, f->arena);
	enum ph_lookup status;
	const char *next;

	for (const char *name = domain; *name; name = plain ? next + 1 : next) {
		status = ph_maps_find(f->maps, name, true, f->arena, f->ret_value, f->err);
		if (status != PH_LOOKUP_NOTFOUND)
			return status;
		next = strchr(name + 1, '.');
		if (next == NULL)
			break;
	}
	return PH_LOOKUP_NOTFOUND;
}

static enum ph_lookup try_forms(struct find *f, const char *local, size_t n, size_t base, const char *at, unsigned forms,
				const char *style, bool *ret_cut)
{
	enum ph_lookup status, ours = PH_LOOKUP_NOTFOUND;

#define TRY(cut, call) do { if ((status = (call)) != PH_LOOKUP_NOTFOUND) { *ret_cut = (cut); return status; } } while (0)
	if (forms & PH_ADDR_FULL)
		TRY(false, try_local(f, local, n, at, false));
	if ((forms & PH_ADDR_NOEXT) && base < n)
		TRY(true, try_local(f, local, base, at, true));
	if ((forms & PH_ADDR_LOCALPART) && *at) {
		ours = is_local(f, at + 1);
		if (ours < 0)
			return ours;
	}
	if (ours == PH_LOOKUP_FOUND) {
		TRY(false, try_local(f, local, n, "", true));
		if (base < n)
			TRY(true, try_local(f, local, base, "", true));
	}
	if ((forms & PH_ADDR_AT_DOMAIN) && *at)
		TRY(false, ph_maps_find(f->maps, at, true, f->arena, f->ret_value, f->err));
	if ((forms & PH_ADDR_DOMAIN) && *at)
		TRY(false, try_domain(f, at + 1, style));
	if (forms & PH_ADDR_USER_AT) {
		TRY(false, try_local(f, local, n, "@", true));
		if (base < n)
			TRY(true, try_local(f, local, base, "@", true));
	}
#undef TRY
	return PH_LOOKUP_NOTFOUND;
}

enum ph_lookup ph_maps_find_address(struct ph_maps *m, const struct ph_conf *conf, const char *address, unsigned forms,
				    const char *parent_style, struct ph_arena *arena, const char **ret_value, const char **ret_ext,
				    struct ph_err *err)
{
	struct find f = { m, conf, arena, ret_value, err };
	const char *at = strrchr(address, '@');
	size_t n = at ? (size_t)(at - address) : strlen(address), base;
	enum ph_lookup status;
	bool cut = false;

	if (ret_ext)
		*ret_ext = NULL;
	if (ph_maps_empty(m) || address[0] == '\0')
		return PH_LOOKUP_NOTFOUND;
	base = extension_at(conf, address, n);
	status = try_forms(&f, address, n, base, at ? at : "", forms, parent_style, &cut);
	if (status == PH_LOOKUP_FOUND && cut && ret_ext)
		*ret_ext = ph_arena_strndup(arena, address + base, n - base);
	return status;
}
