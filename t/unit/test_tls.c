/* TLS on streams: handshakes, what they agreed on, policies, session reuse, injected plaintext, bulk data. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <posthouse/co.h>
#include "base/loop.h"
#include "net/tls.h"
#include "tap.h"

#define SOON (ph_now_ms() + 10000)

static char dir[] = "/tmp/test_tls.XXXXXX";
static char cert_path[64], key_path[64], chain_path[64];
static unsigned char spki_sha256[32];

/* ---- a certificate for mx.example.org ------------------------------------------------------ */

static void write_pem(const char *path, const char *mode, X509 *cert, EVP_PKEY *key)
{
	FILE *f = fopen(path, mode);

	if (key)
		PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL);
	if (cert)
		PEM_write_X509(f, cert);
	fclose(f);
}

static void make_cert(void)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = X509_new();
	X509_NAME *name = X509_get_subject_name(x);
	X509_EXTENSION *san;
	unsigned char *der = NULL;
	unsigned n;
	int len;

	if (mkdtemp(dir) == NULL)
		abort();
	snprintf(cert_path, sizeof(cert_path), "%s/cert.pem", dir);
	snprintf(key_path, sizeof(key_path), "%s/key.pem", dir);
	snprintf(chain_path, sizeof(chain_path), "%s/chain.pem", dir);
	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), -3600);
	X509_gmtime_adj(X509_getm_notAfter(x), 86400);
	X509_set_pubkey(x, key);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"mx.example.org", -1, -1, 0);
	X509_set_issuer_name(x, name);
	san = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "DNS:mx.example.org,DNS:*.wild.example");
	X509_add_ext(x, san, -1);
	X509_EXTENSION_free(san);
	X509_sign(x, key, EVP_sha256());
	write_pem(cert_path, "w", x, NULL);
	write_pem(key_path, "w", NULL, key);
	write_pem(chain_path, "w", x, key);
	len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &der);
	EVP_Digest(der, (size_t)len, spki_sha256, &n, EVP_sha256(), NULL);
	OPENSSL_free(der);
	X509_free(x);
	EVP_PKEY_free(key);
}

static struct ph_tls_ctx *server_ctx(const char *protocols)
{
	struct ph_tls_settings s = { .chain_files = chain_path, .protocols = protocols };
	struct ph_tls_ctx *ctx = NULL;
	struct ph_err err = { 0 };

	if (ph_tls_server_ctx(&s, &ctx, &err) < 0)
		printf("# %s\n", err.text);
	return ctx;
}

static const char *excluded = "aNULL";

static struct ph_tls_ctx *client_ctx(const char *protocols, bool trust)
{
	struct ph_tls_settings s = { .protocols = protocols, .ca_file = trust ? cert_path : NULL,
				     .exclude_ciphers = excluded };
	struct ph_tls_ctx *ctx = NULL;
	struct ph_err err = { 0 };

	if (ph_tls_client_ctx(&s, &ctx, &err) < 0)
		printf("# %s\n", err.text);
	return ctx;
}

/* ---- one connection ------------------------------------------------------------------------ */

struct peer {
	struct ph_stream *s;
	struct ph_tls_ctx *ctx;
	int result, line;
	char text[512];
	bool done, reused;
	const char *cert_cn;
};

/* STARTTLS server: answers, shakes hands, echoes lines until the end. */
static void serve(void *arg)
{
	struct peer *p = arg;
	struct ph_slice line;
	struct ph_err err = { 0 };
	const struct ph_tls_info *info;

	p->line = (int)ph_stream_getline(p->s, 512, &line, SOON);
	ph_stream_puts(p->s, "220 go\r\n", SOON);
	p->result = ph_stream_tls_accept(p->s, p->ctx, SOON, &err);
	snprintf(p->text, sizeof(p->text), "%s", err.text);
	info = ph_stream_tls(p->s);
	p->reused = info && info->reused;
	while (p->result == 0 && ph_stream_getline(p->s, 100000, &line, SOON) >= 0) {
		ph_stream_write(p->s, line.p, line.n, SOON);
		ph_stream_puts(p->s, "\r\n", SOON);
		ph_stream_flush(p->s, SOON);
	}
	ph_stream_close(&p->s);
	p->done = true;
}

static struct ph_stream *dial(struct peer *p, struct ph_tls_ctx *ctx, const char *hello)
{
	struct ph_stream *c;
	struct ph_slice line;
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
		abort();
	*p = (struct peer){ .s = ph_stream_from_fd(fds[0]), .ctx = ctx };
	c = ph_stream_from_fd(fds[1]);
	ph_co_spawn("tls server", serve, p);
	ph_stream_puts(c, hello, SOON);
	ph_stream_flush(c, SOON);
	ph_stream_getline(c, 512, &line, SOON);
	return c;
}

static void hang_up(struct ph_stream **c, struct peer *p)
{
	ph_stream_close(c);
	while (!p->done)
		ph_co_sleep(1);
}

static bool echo(struct ph_stream *c, const char *text)
{
	struct ph_slice line;

	ph_stream_printf(c, SOON, "%s\r\n", text);
	ph_stream_flush(c, SOON);
	return ph_stream_getline(c, 100000, &line, SOON) == (ssize_t)strlen(text) &&
	       memcmp(line.p, text, line.n) == 0;
}

static void test_plain_and_simple(const char *protocols, const char *want)
{
	struct ph_tls_ctx *sc = server_ctx(protocols), *cc = client_ctx(protocols, false);
	const struct ph_tls_info *info;
	struct ph_stream *c;
	struct ph_err err;
	struct peer p;
	int r;

	c = dial(&p, sc, "STARTTLS\r\n");
	tap_ok(ph_stream_tls(c) == NULL, "plaintext so far");
	r = ph_stream_tls_connect(c, cc, "mx.example.org", SOON, &err);
	tap_ok(r == 0, "handshake %s", want);
	info = ph_stream_tls(c);
	if (info) {
		tap_is(info->protocol, want, "protocol");
		tap_ok(info->bits >= 128 && info->cipher, "%s (%d/%d bits) %s %s %s", info->cipher, info->bits,
		       info->alg_bits, info->key_exchange ? info->key_exchange : "-",
		       info->server_signature ? info->server_signature : "-",
		       info->server_digest ? info->server_digest : "-");
		tap_is(info->peer_cn, "mx.example.org", "the server's name");
		tap_ok(!info->peer_verified && !info->peer_matched, "nobody vouches for it");
		tap_ok(strlen(info->peer_fingerprint) == 95, "SHA-256 fingerprint");
	}
	tap_ok(echo(c, "hello"), "data go through");
	tap_ok(echo(c, "again"), "both ways");
	hang_up(&c, &p);
	tap_ok(p.result == 0 && p.line == 8, "the server is content");
	ph_tls_ctx_free(&sc);
	ph_tls_ctx_free(&cc);
}

static void test_reuse(const char *protocols)
{
	struct ph_tls_ctx *sc = server_ctx(protocols), *cc = client_ctx(protocols, false);
	struct ph_stream *c;
	struct ph_err err;
	struct peer p;
	int i;

	for (i = 0; i < 3; i++) {
		c = dial(&p, sc, "STARTTLS\r\n");
		tap_ok(ph_stream_tls_connect(c, cc, "mx.example.org", SOON, &err) == 0 && echo(c, "x"),
		       "connection %d", i);
		tap_ok(ph_stream_tls(c)->reused == (i > 0), "%s", i ? "session reused" : "new session");
		hang_up(&c, &p);
		tap_ok(p.reused == (i > 0), "the server thinks so, too");
	}
	ph_tls_ctx_free(&sc);
	ph_tls_ctx_free(&cc);
}

static void test_injection(void)
{
	struct ph_tls_ctx *sc = server_ctx(NULL), *cc = client_ctx(NULL, false);
	struct ph_stream *c;
	struct ph_err err;
	struct ph_slice line;
	struct peer p;

	/* Sent in one piece: the server has the second line in its buffer when the handshake starts. */
	c = dial(&p, sc, "STARTTLS\r\nRSET\r\n");
	tap_ok(ph_stream_tls_connect(c, cc, NULL, SOON, &err) == 0, "handshake after injected plaintext");
	ph_stream_puts(c, "real\r\n", SOON);
	ph_stream_flush(c, SOON);
	tap_ok(ph_stream_getline(c, 100, &line, SOON) == 4 && memcmp(line.p, "real", 4) == 0,
	       "the injected command was dropped");
	hang_up(&c, &p);
	ph_tls_ctx_free(&sc);
	ph_tls_ctx_free(&cc);
}

static int try_policy(struct ph_tls_ctx *sc, struct ph_tls_ctx *cc, const struct ph_tls_policy *policy,
		      struct ph_err *err, bool *matched)
{
	struct ph_stream *c;
	struct peer p;
	int r;

	err->text[0] = '\0';
	c = dial(&p, sc, "STARTTLS\r\n");
	r = ph_stream_tls_connect_policy(c, cc, policy, SOON, err);
	*matched = ph_stream_tls(c) && ph_stream_tls(c)->peer_matched;
	if (r == 0)
		(void)echo(c, "x");     /* a session ticket comes with the first data */
	hang_up(&c, &p);
	return r;
}

/* Between two that do not look at certificates, Postfix's lists prefer to do without. */
static void test_anonymous(void)
{
	struct ph_tls_ctx *sc = server_ctx("TLSv1.2"), *cc;
	struct ph_tls_policy p = { .require_trust = true };
	struct ph_stream *c;
	struct ph_err err;
	struct peer peer;
	bool m;

	excluded = NULL;
	cc = client_ctx("TLSv1.2", true);
	excluded = "aNULL";
	c = dial(&peer, sc, "STARTTLS\r\n");
	tap_ok(ph_stream_tls_connect(c, cc, "mx.example.org", SOON, &err) == 0 && echo(c, "x"), "anonymous TLS");
	tap_ok(ph_stream_tls(c)->peer_fingerprint == NULL && !ph_stream_tls(c)->peer_verified, "no certificate");
	hang_up(&c, &peer);
	tap_ok(try_policy(sc, cc, &p, &err, &m) == 0, "but a policy that wants one gets one");
	ph_tls_ctx_free(&sc);
	ph_tls_ctx_free(&cc);
}

static void test_policies(void)
{
	struct ph_tls_ctx *sc = server_ctx(NULL), *cc = client_ctx(NULL, true), *untrusting = client_ctx(NULL, false);
	const char *good[] = { "other.example", "mx.example.org" }, *bad[] = { "other.example" };
	const char *wild[] = { "a.b.wild.example" }, *sub[] = { ".example.org" };
	const char *prints[1] = { "00:11" };
	struct ph_tls_policy p = { .names = good, .names_n = 2, .require_trust = true, .require_name = true };
	struct ph_tls_tlsa tlsa = { 3, 1, 1, { (const char *)spki_sha256, 32 } };
	unsigned char wrong[32] = { 1 };
	struct ph_err err;
	char print[96];
	bool m;
	int i, n = 0;

	tap_ok(try_policy(sc, cc, &p, &err, &m) == 0 && m, "trusted, and one of the names matches");
	tap_ok(try_policy(sc, untrusting, &p, &err, &m) == -EKEYREJECTED && !m, "not trusted: %s", err.text);
	p.names = bad, p.names_n = 1;
	tap_ok(try_policy(sc, cc, &p, &err, &m) == -EKEYREJECTED && !m, "wrong name: %s", err.text);
	p.require_name = false;
	tap_ok(try_policy(sc, cc, &p, &err, &m) == 0 && !m, "only trust wanted");
	p.require_name = true;
	p.names = sub;
	tap_ok(try_policy(sc, cc, &p, &err, &m) == 0 && m, ".example.org");
	p.names = wild;
	tap_ok(try_policy(sc, cc, &p, &err, &m) == 0 && m, "* for several labels");
	p.single_label_wildcard = true;
	tap_ok(try_policy(sc, cc, &p, &err, &m) == -EKEYREJECTED, "* for one label only");

	p = (struct ph_tls_policy){ .fingerprints = prints, .fingerprints_n = 1 };
	tap_ok(try_policy(sc, untrusting, &p, &err, &m) == -EKEYREJECTED, "fingerprint: %s", err.text);
	for (i = 0; i < 32; i++)
		n += snprintf(print + n, sizeof(print) - (size_t)n, "%s%02x", i ? ":" : "", spki_sha256[i]);
	prints[0] = print;
	tap_ok(try_policy(sc, untrusting, &p, &err, &m) == 0 && m, "fingerprint of the public key, lower case");

	p = (struct ph_tls_policy){ .names = bad, .names_n = 1, .tlsa = &tlsa, .tlsa_n = 1 };
	tap_ok(try_policy(sc, untrusting, &p, &err, &m) == 0 && m, "TLSA 3 1 1 needs no name and no CA");
	tap_ok(try_policy(sc, untrusting, &p, &err, &m) == 0 && m, "once more (session may be reused)");
	tlsa.data.p = (const char *)wrong;
	tap_ok(try_policy(sc, cc, &p, &err, &m) == -EKEYREJECTED && !m, "TLSA mismatch: %s", err.text);
	tlsa.mtype = 77;
	tap_ok(try_policy(sc, cc, &p, &err, &m) == -EKEYREJECTED, "no usable TLSA: %s", err.text);
	ph_tls_ctx_free(&sc);
	ph_tls_ctx_free(&cc);
	ph_tls_ctx_free(&untrusting);
}

/* ---- server side: client certificates, several names, keys shared between workers ------------ */

static struct ph_tls_ctx *other_ctx;
static int refuse;

static bool on_sni(void *arg, const char *name, struct ph_tls_ctx **ret)
{
	*ret = other_ctx;
	return strcmp(name, arg) == 0;
}

static int check_peer(void *arg, struct ssl_st *ssl, const char *server_name, struct ph_tls_info *info,
		      struct ph_err *err)
{
	return refuse ? ph_err_set(err, -EKEYREJECTED, "not on the list") : 0;
}

static void test_client_certificates(void)
{
	struct ph_tls_settings s = { .chain_files = chain_path, .ca_file = cert_path, .verify = PH_TLS_VERIFY_ASK,
				     .check_peer = check_peer };
	struct ph_tls_settings k = { .chain_files = chain_path, .exclude_ciphers = "aNULL" };
	struct ph_tls_ctx *sc = NULL, *with = NULL, *without = client_ctx(NULL, false);
	struct ph_tls_policy p = { 0 };
	struct ph_err err = { 0 };
	struct ph_stream *c;
	struct peer peer;
	bool m;

	ph_tls_server_ctx(&s, &sc, &err);
	ph_tls_client_ctx(&k, &with, &err);
	c = dial(&peer, sc, "STARTTLS\r\n");
	ph_stream_tls_connect(c, with, NULL, SOON, &err);
	tap_ok(echo(c, "x"), "a client with a certificate");
	tap_is(ph_stream_tls(peer.s)->peer_cn, "mx.example.org", "the server sees its name");
	tap_ok(ph_stream_tls(peer.s)->peer_verified, "and trusts it");
	hang_up(&c, &peer);
	tap_ok(try_policy(sc, without, &p, &err, &m) == 0, "a client without one is let in");
	refuse = 1;
	c = dial(&peer, sc, "STARTTLS\r\n");
	ph_stream_tls_connect(c, with, NULL, SOON, &err);
	hang_up(&c, &peer);
	tap_ok(peer.result == -EKEYREJECTED && strcmp(peer.text, "not on the list") == 0, "refused by the hook");
	refuse = 0;
	ph_tls_ctx_free(&sc);
	s.verify = PH_TLS_VERIFY_REQUIRE;
	ph_tls_server_ctx(&s, &sc, &err);
	c = dial(&peer, sc, "STARTTLS\r\n");
	ph_stream_tls_connect(c, without, NULL, SOON, &err);
	hang_up(&c, &peer);
	tap_ok(peer.result < 0, "required, and not there: %s", peer.text);
	c = dial(&peer, sc, "STARTTLS\r\n");
	ph_stream_tls_connect(c, with, NULL, SOON, &err);
	tap_ok(echo(c, "x"), "required, and there");
	hang_up(&c, &peer);
	ph_tls_ctx_free(&sc);
	ph_tls_ctx_free(&with);
	ph_tls_ctx_free(&without);
}

static void test_sni(void)
{
	struct ph_tls_settings s = { .chain_files = chain_path, .on_sni = on_sni, .arg = "other.example" };
	struct ph_tls_ctx *plain = NULL, *cc = client_ctx(NULL, false);
	struct ph_err err;
	struct ph_stream *c;
	struct peer peer;

	ph_tls_server_ctx(&s, &other_ctx, &err);
	s.chain_files = NULL;           /* without a certificate this one can serve nobody itself */
	ph_tls_server_ctx(&s, &plain, &err);
	c = dial(&peer, plain, "STARTTLS\r\n");
	tap_ok(ph_stream_tls_connect(c, cc, "other.example", SOON, &err) == 0 && echo(c, "x"), "context by server name");
	hang_up(&c, &peer);
	c = dial(&peer, plain, "STARTTLS\r\n");
	tap_ok(ph_stream_tls_connect(c, cc, "unknown.example", SOON, &err) < 0, "not for another name");
	hang_up(&c, &peer);
	ph_tls_ctx_free(&plain);
	ph_tls_ctx_free(&other_ctx);
	ph_tls_ctx_free(&cc);
}

static void test_ticket_keys(void)
{
	static const unsigned char keys[80] = "the same in all workers";
	struct ph_tls_settings s = { .chain_files = chain_path, .ticket_keys = keys };
	struct ph_tls_ctx *worker[2] = { NULL, NULL }, *cc = client_ctx(NULL, false);
	struct ph_err err;
	struct ph_stream *c;
	struct peer peer;
	int i;

	for (i = 0; i < 2; i++) {
		ph_tls_server_ctx(&s, &worker[i], &err);
		c = dial(&peer, worker[i], "STARTTLS\r\n");
		tap_ok(ph_stream_tls_connect(c, cc, "x", SOON, &err) == 0 && echo(c, "x") &&
		       ph_stream_tls(c)->reused == (i == 1), "worker %d", i);
		hang_up(&c, &peer);
	}
	ph_tls_ctx_free(&worker[0]);
	ph_tls_ctx_free(&worker[1]);
	ph_tls_ctx_free(&cc);
}

static void test_failures(void)
{
	struct ph_tls_ctx *sc = server_ctx("TLSv1.3"), *cc = client_ctx("<=TLSv1.2", false);
	struct ph_stream *c;
	struct ph_err err;
	struct peer p;
	int r;

	c = dial(&p, sc, "STARTTLS\r\n");
	r = ph_stream_tls_connect(c, cc, NULL, SOON, &err);
	tap_ok(r == -EPROTO && ph_stream_tls(c) == NULL, "no common protocol: %s", err.text);
	tap_ok(ph_stream_puts(c, "x", SOON) == -EPROTO, "the stream is of no use any more");
	hang_up(&c, &p);
	tap_ok(p.result < 0, "server: %s", p.text);

	c = dial(&p, sc, "STARTTLS\r\n");
	ph_stream_puts(c, "MAIL FROM:<>\r\n", SOON);
	ph_stream_flush(c, SOON);
	while (!p.done)
		ph_co_sleep(1);
	tap_ok(p.result == -EPROTO, "plaintext instead of a handshake: %s", p.text);
	hang_up(&c, &p);

	c = dial(&p, sc, "STARTTLS\r\n");
	hang_up(&c, &p);
	tap_ok(p.result == -ECONNRESET, "the client hangs up: %s", p.text);
	ph_tls_ctx_free(&sc);
	ph_tls_ctx_free(&cc);
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
static int no_random(unsigned char *buf, int n)
{
	return 0;
}

static int not_seeded(void)
{
	return 0;
}

static void random_works(bool works)
{
	static RAND_METHOD none;

	none = *RAND_OpenSSL();
	none.bytes = none.pseudorand = no_random;
	none.status = not_seeded;
	RAND_set_rand_method(works ? NULL : &none);
}
#pragma GCC diagnostic pop

/* Without random numbers there are no keys: nothing may go on with what happens to stand in memory. */
static void test_no_random(void)
{
	struct ph_tls_ctx *sc = server_ctx(NULL), *cc = client_ctx(NULL, false), *ctx = NULL;
	struct ph_tls_settings s = { .chain_files = chain_path }, none = { 0 };
	struct ph_stream *c;
	struct ph_err err;
	struct peer p;
	int r;

	random_works(false);
	tap_ok(ph_tls_server_ctx(&s, &ctx, &err) < 0 && ctx == NULL, "N-088 no context of a server: %s", err.text);
	tap_ok(ph_tls_client_ctx(&none, &ctx, &err) < 0 && ctx == NULL, "N-088 no context of a client: %s", err.text);
	c = dial(&p, sc, "STARTTLS\r\n");
	r = ph_stream_tls_connect(c, cc, NULL, SOON, &err);
	tap_ok(r < 0 && ph_stream_tls(c) == NULL, "N-088 no handshake with one that was there before: %s", err.text);
	hang_up(&c, &p);
	tap_ok(p.result < 0, "N-088 on neither side: %s", p.text);
	random_works(true);
	c = dial(&p, sc, "STARTTLS\r\n");
	tap_ok(ph_stream_tls_connect(c, cc, NULL, SOON, &err) == 0 && echo(c, "x"), "and then it works again");
	hang_up(&c, &p);
	ph_tls_ctx_free(&sc);
	ph_tls_ctx_free(&cc);
}

static void test_bulk(void)
{
	struct ph_tls_ctx *sc = server_ctx(NULL), *cc = client_ctx(NULL, false);
	char *text = ph_alloc(90001);
	struct ph_stream *c;
	struct ph_err err;
	struct peer p;
	int i, good = 0, small = 4096;

	memset(text, 'x', 90000);
	c = dial(&p, sc, "STARTTLS\r\n");
	setsockopt(ph_stream_fd(c), SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	ph_stream_set_input_max(c, 100000);
	ph_stream_set_input_max(p.s, 100000);
	ph_stream_tls_connect(c, cc, NULL, SOON, &err);
	for (i = 0; i < 10; i++)
		good += echo(c, text);
	tap_ok(good == 10, "lines of 90000 bytes through small socket buffers");
	hang_up(&c, &p);
	free(text);
	ph_tls_ctx_free(&sc);
	ph_tls_ctx_free(&cc);
}

static void test_settings(void)
{
	struct ph_tls_settings s = { .cert_file = cert_path, .key_file = key_path };
	struct ph_tls_protocols v;
	struct ph_tls_ctx *ctx = NULL;
	struct ph_err err;

	tap_ok(ph_tls_server_ctx(&s, &ctx, &err) == 0, "certificate and key in two files");
	ph_tls_ctx_free(&ctx);
	s.key_file = cert_path;
	tap_ok(ph_tls_server_ctx(&s, &ctx, &err) < 0 && ctx == NULL, "no key: %s", err.text);
	s = (struct ph_tls_settings){ .chain_files = cert_path };
	tap_ok(ph_tls_server_ctx(&s, &ctx, &err) < 0, "%s", err.text);
	s = (struct ph_tls_settings){ .chain_files = key_path };
	tap_ok(ph_tls_server_ctx(&s, &ctx, &err) < 0, "%s", err.text);
	s = (struct ph_tls_settings){ .chain_files = "/nonexistent/file" };
	tap_ok(ph_tls_server_ctx(&s, &ctx, &err) < 0, "%s", err.text);
	s = (struct ph_tls_settings){ .ciphers = "wonderful" };
	tap_ok(ph_tls_client_ctx(&s, &ctx, &err) < 0, "%s", err.text);
	s = (struct ph_tls_settings){ .ciphers = "high", .exclude_ciphers = "aNULL, MD5 DES", .groups = "X25519 NoSuch P-256" };
	tap_ok(ph_tls_client_ctx(&s, &ctx, &err) == 0, "grade, exclusions, groups with an unknown one");
	ph_tls_ctx_free(&ctx);
	tap_ok(ph_tls_protocols_parse("!SSLv2, !SSLv3", &v, NULL) == 0 && v.no == SSL_OP_NO_SSLv3 && v.min == 0,
	       "exclusions");
	tap_ok(ph_tls_protocols_parse(">=TLSv1.2", &v, NULL) == 0 && v.no == 0 && v.min == TLS1_2_VERSION, "lower bound");
	tap_ok(ph_tls_protocols_parse(">=0303:<=tlsv1.3", &v, NULL) == 0 && v.max == TLS1_3_VERSION, "hex, upper bound");
	tap_ok(ph_tls_protocols_parse("TLSv1.2 TLSv1.3", &v, NULL) == 0 &&
	       v.no == (SSL_OP_NO_SSLv3 | SSL_OP_NO_TLSv1 | SSL_OP_NO_TLSv1_1), "inclusive");
	tap_ok(ph_tls_protocols_parse("TLSv2", &v, &err) == -EINVAL, "%s", err.text);
	tap_ok(ph_tls_protocols_parse("!SSLv3 !TLSv1 !TLSv1.1 !TLSv1.2 !TLSv1.3", &v, &err) == -EINVAL, "%s", err.text);
}

static void all_tests(void *arg)
{
	test_settings();
	test_plain_and_simple("TLSv1.3", "TLSv1.3");
	test_plain_and_simple("TLSv1.2", "TLSv1.2");
	test_reuse("TLSv1.3");
	test_reuse("TLSv1.2");
	test_injection();
	test_anonymous();
	test_policies();
	test_client_certificates();
	test_sni();
	test_ticket_keys();
	test_failures();
	test_no_random();
	test_bulk();
}

int main(void)
{
	make_cert();
	ph_run_blocking(all_tests, NULL);
	unlink(cert_path);
	unlink(key_path);
	unlink(chain_path);
	rmdir(dir);
	return tap_done();
}
