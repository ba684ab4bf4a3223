/* oneuser.c: sasl "oneuser": one user name and one password, in main.cf, over PLAIN and LOGIN.  An example of a SASL module; see
 * doc/modules.md.
 *
 * main.cf:  smtpd_sasl_type = oneuser
 *           oneuser_name = joe
 *           oneuser_password = secret */
#include <posthouse/sasl.h>
#include <posthouse/restriction.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct user {                   /* also the settings block: see params */
	const char *name, *password;    /* owned by the configuration */
};

struct exchange {
	const struct user *user;
	struct ph_session *session;
	char *login;                    /* LOGIN: what was answered to "Username:"; NULL before */
};

static int one_prepare(const struct ph_conf *conf, const void *settings, const char *path, void **ret, struct ph_err *err)
{
	const struct user *set = settings;
	struct user *u;

	if (*set->name == '\0' || *set->password == '\0')
		return ph_err_set(err, -EINVAL, "oneuser_name and oneuser_password must be set");
	u = ph_alloc(sizeof *u);
	*u = *set;
	*ret = u;
	return 0;
}

static int one_mechanisms(void *use, struct ph_session *s, const char **ret, struct ph_err *err)
{
	*ret = "PLAIN LOGIN";
	return 0;
}

/* Compare without telling by the time it takes how much was right. */
static bool same(const char *want, const char *got, size_t n)
{
	size_t len = strlen(want);
	unsigned char diff = len != n;

	for (size_t i = 0; i < n; i++)
		diff |= (unsigned char)(got[i] ^ want[len ? i % len : 0]);
	return diff == 0;
}

static enum ph_sasl_status decide(struct exchange *x, const char *name, size_t nn, const char *pw, size_t np, const char **ret_user,
				  const char **ret_reason)
{
	bool name_ok = same(x->user->name, name, nn), password_ok = same(x->user->password, pw, np);

	if (name_ok && password_ok) {
		*ret_user = x->user->name;
		return PH_SASL_OK;
	}
	*ret_reason = "wrong name or password";
	return PH_SASL_FAIL;
}

/* RFC 4616: [authzid] NUL authcid NUL password. */
static enum ph_sasl_status plain(struct exchange *x, struct ph_slice in, const char **ret_user, const char **ret_reason)
{
	const char *one = in.n ? memchr(in.p, '\0', in.n) : NULL, *end = in.p + in.n, *two;

	two = one ? memchr(one + 1, '\0', (size_t)(end - one - 1)) : NULL;
	if (two == NULL) {
		*ret_reason = "malformed response";
		return PH_SASL_BADPROTO;
	}
	return decide(x, one + 1, (size_t)(two - one - 1), two + 1, (size_t)(end - two - 1), ret_user, ret_reason);
}

static struct ph_slice prompt(const char *s)
{
	return (struct ph_slice){ s, strlen(s) };
}

static enum ph_sasl_status one_step(void *exchange, struct ph_slice in, struct ph_slice *ret_challenge, const char **ret_user,
				    const char **ret_reason)
{
	struct exchange *x = exchange;

	if (x->session == NULL)                 /* PLAIN without an initial response */
		return plain(x, in, ret_user, ret_reason);
	if (x->login == NULL) {
		x->login = ph_arena_strndup(ph_session_arena(x->session), in.p, in.n);
		*ret_challenge = prompt("Password:");
		return PH_SASL_CONTINUE;
	}
	return decide(x, x->login, strlen(x->login), in.p, in.n, ret_user, ret_reason);
}

static enum ph_sasl_status one_start(void *use, struct ph_session *s, const char *mech, struct ph_slice initial, void **ret_exchange,
				     struct ph_slice *ret_challenge, const char **ret_user, const char **ret_reason)
{
	struct exchange *x = ph_alloc(sizeof *x);

	x->user = use;
	*ret_exchange = x;
	*ret_challenge = prompt("");
	if (ph_str_ieq(mech, "LOGIN")) {
		x->session = s;
		*ret_challenge = prompt("Username:");
		return initial.p ? one_step(x, initial, ret_challenge, ret_user, ret_reason) : PH_SASL_CONTINUE;
	}
	return initial.p ? plain(x, initial, ret_user, ret_reason) : PH_SASL_CONTINUE;
}

static const struct ph_sasl_ops ops = {
	.size = sizeof ops, .prepare = one_prepare, .release = free, .mechanisms = one_mechanisms, .start = one_start,
	.step = one_step, .done = free,
};

static const struct ph_param params[] = {
	PH_P_STR(struct user, name, "oneuser_name", "", "the name that the oneuser SASL module lets in"),
	PH_P_STR(struct user, password, "oneuser_password", "", "its password"),
};

PH_MODULE(PH_KIND_SASL, "oneuser", "1.0", "one user, for tests and appliances", .ops.sasl = &ops,
	  PH_MODULE_PARAMS(params, struct user));
