/* The local agent: an address is taken apart after folding, which can make it shorter or longer (modules/delivery/local/recipient.c). */
#include <config.h>

#include "tap.h"
#include "../../modules/delivery/local/local.h"

static const char *no_conf(const struct ph_conf *conf, const char *name)
{
	(void)conf;
	return strcmp(name, "recipient_delimiter") == 0 ? "+-" : NULL;
}

#define ph_conf_get no_conf
#include "../../modules/delivery/local/recipient.c"

/* What the rest of the agent would do. */
void local_result(struct local_state *st, enum ph_delivery_status status, const char *dsn, const char *fmt, ...)
{
	(void)st, (void)status, (void)dsn, (void)fmt;
}

bool local_seen(struct local_state *st, const char *fmt, ...)
{
	(void)st, (void)fmt;
	return false;
}

bool local_alias(struct local_state *st, const char *name)
{
	(void)st, (void)name;
	return true;
}

bool local_forward(struct local_state *st)
{
	(void)st;
	return true;
}

bool local_mailbox(struct local_state *st)
{
	(void)st;
	return true;
}

void local_unknown(struct local_state *st)
{
	(void)st;
}

void local_leave(struct local_state *st)
{
	(void)st;
}

static void is(const char *address, const char *local, const char *user, const char *extension)
{
	struct local_service svc = { .utf8 = true, .owner_special = true };
	struct local_state st = { .svc = &svc, .arena = ph_arena_new(), .address = address };
	/* Behind the copy the arena holds something that is not NUL. */
	memset(ph_arena_alloc(st.arena, 3000), 'Z', 3000);
	split_address(&st);
	tap_is(st.local, local, address);
	tap_is(st.user, user, "its user");
	tap_is(st.extension, extension, "its extension");
	tap_is(st.domain, strchr(address, '@') ? "here.test" : "", "its domain");
	tap_ok(st.delimiter == (extension ? local[strlen(user)] : '\0'), "its delimiter");
	ph_arena_free(&st.arena);
}

int main(void)
{
	is("user+ext@here.test", "user+ext", "user", "ext");
	is("user@here.test", "user", "user", NULL);
	is("owner-a-request@here.test", "owner-a-request", "owner-a-request", NULL);
#ifdef HAVE_UNISTRING
	is("\xc5\xbf\xc5\xbf\xc5\xbf\xc5\xbf@here.test", "ssss", "ssss", NULL);                        /* U+017F: two bytes to one */
	is("\xe2\x84\xaa\xe2\x84\xaa", "kk", "kk", NULL);                                              /* U+212A: three to one */
	is("\xe2\x84\xaa+\xe2\x84\xaa@here.test", "k+k", "k", "k");
	is("\xe2\x84\xaa\xe2\x84\xaa-request@here.test", "kk-request", "kk-request", NULL);
	is("\xc4\xb0\xc4\xb0\xc4\xb0@here.test", "i\xcc\x87i\xcc\x87i\xcc\x87", "i\xcc\x87i\xcc\x87i\xcc\x87", NULL);   /* U+0130: two to three */
	is("\xc4\xb0\xc4\xb0\xc4\xb0+x@here.test", "i\xcc\x87i\xcc\x87i\xcc\x87+x", "i\xcc\x87i\xcc\x87i\xcc\x87", "x");
	is("\xc4\xb0-request@here.test", "i\xcc\x87-request", "i\xcc\x87-request", NULL);
#endif
	return tap_done();
}
