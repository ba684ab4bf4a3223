/* The SMTP and LMTP client in a real agent process, with a fake queue manager and scripted servers: results, texts, dialogues, hostile servers. */
#include "agent_world.h"

static struct { int plain, rules, nopipe, lmtp, tls, tls_bad, auth[4], hostile[30]; } port;
static char hop[24][64];
static int hops;

static const char *at(int p)
{
	snprintf(hop[hops % 24], sizeof(hop[0]), "[127.0.0.1]:%d", p);
	return hop[hops++ % 24];
}

__attribute__((format(printf, 1, 2)))
static const char *host(const char *fmt, ...)
{
	static char text[4][400];
	static int n;
	char *t = text[n++ % 4];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(t, sizeof(text[0]), fmt, ap);
	va_end(ap);
	return t;
}

static void test_sent(void)
{
	struct outcome *o;
	char *log;

	o = DELIVER(.nexthop = at(port.plain), .rcpts = { "a@example.org", "b@example.org" });
	tap_ok(result_is(o, 0, PH_SENT, "2.0.0", "250 2.0.0 Ok delivered") && result_is(o, 1, PH_SENT, "2.0.0", "250 2.0.0 Ok delivered"), "two recipients, one message");
	tap_is(o->relay[0], host("127.0.0.1[127.0.0.1]:%d", port.plain), "relay");
	tap_ok(o->dsn_passed[0], "the server speaks DSN");
	tap_ok(!o->dest_down, "the destination is not down");
	log = sink_log("plain");
	tap_ok(strstr(log, "C EHLO me.test\n") && strstr(log, "C MAIL FROM:<s@example.com> SIZE=18\n"), "EHLO, MAIL with SIZE");
	tap_ok(strstr(log, "C RCPT TO:<a@example.org> ORCPT=rfc822;a@example.org\n"), "RCPT with ORCPT");
	tap_ok(strstr(log, "D Subject: x\nD \nD hello\nS 250 2.0.0 Ok"), "the content");
	tap_ok(logged("to=<a@example.org>, relay=127.0.0.1[127.0.0.1]:"), "the log line");
	tap_ok(logged("dsn=2.0.0, status=sent (250 2.0.0 Ok delivered)"), "its end");
}

static void test_reuse(void)
{
	struct outcome *o = DELIVER(.nexthop = at(port.plain), .rcpts = { "c@example.org" });
	char *log = sink_log("plain"), *s;
	int sessions = 0;

	tap_ok(o->status[0] == PH_SENT, "sent again");
	for (s = log; (s = strstr(s, "-- session")); s++)
		sessions++;
	tap_ok(sessions == 1, "over the same connection");
	tap_ok(logged("conn_use=2,"), "which the log says");
}

static const char *host_content(const char *body)
{
	static char text[2200];

	snprintf(text, sizeof(text), "A: b\n\n%s", body);
	return text;
}

static void test_content(void)
{
	static char big[600001];
	struct outcome *o;
	size_t i;

	o = DELIVER(.nexthop = at(port.plain), .rcpts = { "dots@example.org" }, .content = "A: b\n\n.\n..x\nbare\rcr\nno end");
	tap_ok(o->status[0] == PH_SENT && strstr(sink_log("plain"), "D ..\nD ...x\nD bare cr\nD no end\n"), "dots are doubled, a CR becomes a space, the last line ends");
	memset(big, 'x', 600000);
	memcpy(big, "A: b\n\n", 6);
	for (i = 0; i < 100; i++)
		big[70 + i * 6000] = '\n';
	o = DELIVER(.nexthop = at(port.plain), .rcpts = { "big@example.org" }, .content = big);
	tap_ok(o->status[0] == PH_SENT, "a large message");
	tap_ok(logged("breaking line > 998 bytes with <CR><LF>SPACE"), "with lines that are too long");
	tap_ok(strstr(sink_log("plain"), "-- bare LF") == NULL, "nothing but CRLF was sent");
	/* A line is cut at 998 bytes: what follows goes on behind a space, so a dot there is never the first of its line. */
	for (i = 997; i <= 1000; i++) {
		static char line[2000], want[2200];
		size_t cut = i > 998 ? 998 : i;

		memset(line, 'y', i - 1);
		snprintf(line + i - 1, sizeof(line) - i, ".\n.\nQUIT\nend\n");
		snprintf(want, sizeof(want), "D \nD %.*s\nD ..\nD QUIT\nD end\nS 250", (int)i, line);
		if (i > cut)
			snprintf(want, sizeof(want), "D \nD %.*s\nD  %.*s\nD ..\nD QUIT\nD end\nS 250", (int)cut, line, (int)(i - cut), line + cut);
		o = DELIVER(.nexthop = at(port.plain), .rcpts = { "fold@example.org" }, .content = host_content(line));
		tap_ok(o->status[0] == PH_SENT && strstr(sink_log("plain"), want), "N-017 a line of %zu bytes that ends in a dot", i);
	}
}

static void test_dsn(void)
{
	struct outcome *o = DELIVER(.nexthop = at(port.plain), .rcpts = { "n@example.org" }, .envid = "a+b", .ret = "HDRS", .notify = PH_NOTIFY_SUCCESS | PH_NOTIFY_DELAY,
				    .encoding = "8bit");
	char *log = sink_log("plain");

	tap_ok(o->status[0] == PH_SENT && strstr(log, " BODY=8BITMIME ENVID=a+2Bb RET=HDRS\n"), "BODY, ENVID, RET");
	tap_ok(strstr(log, "ORCPT=rfc822;n@example.org NOTIFY=SUCCESS,DELAY\n"), "NOTIFY");
}

static void test_replies(void)
{
	struct outcome *o;

	o = DELIVER(.nexthop = at(port.rules), .rcpts = { "ok@x.test", "bad@x.test", "later@x.test", "multi@x.test", "noenh@x.test", "mism@x.test" });
	tap_ok(o->status[0] == PH_SENT, "one is sent");
	tap_ok(result_is(o, 1, PH_BOUNCED, "5.1.1", "host 127.0.0.1[127.0.0.1] said: 550 5.1.1 no such user (in reply to RCPT TO command)"), "one bounces");
	tap_is(o->mta[1], "127.0.0.1", "whose server is named");
	tap_is(o->diag[1], "smtp; 550 5.1.1 no such user", "and its words");
	tap_ok(result_is(o, 2, PH_DEFERRED, "4.2.1", "host 127.0.0.1[127.0.0.1] said: 450 4.2.1 later (in reply to RCPT TO command)"), "one waits");
	tap_ok(result_is(o, 3, PH_BOUNCED, "5.1.1", "host 127.0.0.1[127.0.0.1] said: 550-5.1.1 one 550 5.1.1 two (in reply to RCPT TO command)"), "two lines");
	tap_ok(!strcmp(o->dsn[4], "5.0.0") && !strcmp(o->dsn[5], "5.0.0"), "no enhanced code, or one that does not match: made from the code");
	tap_ok(!o->dest_down, "the destination works");
	o = DELIVER(.nexthop = at(port.rules), .sender = "mail5@x.test", .rcpts = { "a@x.test" });
	tap_ok(result_is(o, 0, PH_BOUNCED, "5.7.1", "host 127.0.0.1[127.0.0.1] said: 550 5.7.1 not you (in reply to MAIL FROM command)"), "MAIL is refused");
	o = DELIVER(.nexthop = at(port.rules), .rcpts = { "all-bad@x.test" });
	tap_ok(o->status[0] == PH_BOUNCED && sink_saw("rules", "S 554 5.5.1 no valid recipients\nC RSET\n"), "all recipients refused: RSET");
	o = DELIVER(.nexthop = at(port.rules), .rcpts = { "bad\r\nDATA@x.test", "ok@x.test" });
	tap_ok(result_is(o, 0, PH_BOUNCED, "5.1.3", "bad recipient address syntax") && o->status[1] == PH_SENT, "N-214 a line end in an address is no command");
}

static void test_without_pipelining(void)
{
	struct outcome *o = DELIVER(.nexthop = at(port.nopipe), .rcpts = { "a@x.test", "bad@x.test" });

	tap_ok(o->status[0] == PH_SENT && o->status[1] == PH_BOUNCED, "one command, one reply");
	o = DELIVER(.nexthop = at(port.nopipe), .rcpts = { "bad@x.test" });
	tap_ok(o->status[0] == PH_BOUNCED && sink_saw("nopipe", "C RCPT TO:<bad@x.test>\nS 550 5.1.1 no such user\nC RSET\n"), "no DATA without recipients");
	tap_ok(!o->dsn_passed[0], "this server does not speak DSN");
}

static void test_many(void)
{
	struct order many = { .service = "smtp", .nexthop = at(port.plain), .sender = "s@x.test", .content = "a: b\n\nx\n" };
	static char name[RCPTS][120];
	struct outcome *o;
	int i, sent = 0;

	for (i = 0; i < RCPTS - 1; i++) {
		snprintf(name[i], sizeof(name[i]), "%0100d@x.test", i);
		many.rcpts[i] = name[i];
	}
	o = deliver(&many);
	for (i = 0; i < RCPTS - 1; i++)
		sent += o->status[i] == PH_SENT;
	tap_ok(sent == RCPTS - 1, "more commands than one batch");
}

static void test_lmtp(void)
{
	struct outcome *o = DELIVER(.service = "lmtp", .nexthop = host("inet:[127.0.0.1]:%d", port.lmtp), .rcpts = { "a@x.test", "b@x.test", "c@x.test" });
	char path[128];

	tap_ok(o->status[0] == PH_SENT && result_is(o, 1, PH_DEFERRED, "4.2.2", "host 127.0.0.1[127.0.0.1] said: 452 4.2.2 full (in reply to end of DATA command)") &&
	       o->status[2] == PH_SENT, "a reply for each recipient");
	tap_ok(strstr(sink_log("lmtp"), "C LHLO me.test\n"), "LHLO");
	snprintf(path, sizeof(path), "unix:%s/lmtp", w.dir);
	o = DELIVER(.service = "lmtp", .nexthop = path, .rcpts = { "a@x.test" });
	tap_ok(o->status[0] == PH_SENT && strncmp(o->relay[0], "me.test[/", 9) == 0, "over a unix-domain socket: %s", o->relay[0]);
	o = DELIVER(.service = "lmtp", .nexthop = "unix:/nonexistent/x", .rcpts = { "a@x.test" });
	tap_ok(result_is(o, 0, PH_DEFERRED, "4.4.1", "connect to me.test[/nonexistent/x]: No such file or directory") && o->dest_down, "that is not there");
}

static void test_connect(void)
{
	struct outcome *o = DELIVER(.nexthop = "[127.0.0.1]:1", .rcpts = { "a@x.test" });

	tap_ok(result_is(o, 0, PH_DEFERRED, "4.4.1", "connect to 127.0.0.1[127.0.0.1]:1: Connection refused") && o->dest_down, "refused");
	tap_is(o->relay[0], "none", "no relay");
	o = DELIVER(.nexthop = host("[127.0.0.1]:1, [127.0.0.1]:%d", port.plain), .rcpts = { "a@x.test" });
	tap_ok(o->status[0] == PH_SENT, "the second nexthop takes it");
	o = DELIVER(.service = "fallback", .nexthop = "[127.0.0.1]:1", .rcpts = { "a@x.test" });
	tap_ok(o->status[0] == PH_SENT, "smtp_fallback_relay takes it");
	o = DELIVER(.nexthop = "[127.0.0.1", .rcpts = { "a@x.test" });
	tap_ok(result_is(o, 0, PH_DEFERRED, "4.3.5", "mail system configuration error"), "a nexthop that cannot be read");
}

static void hostile(int i, const char *service, const char *dsn, const char *text, const char *name)
{
	struct outcome *o = DELIVER(.service = service, .nexthop = at(port.hostile[i]), .rcpts = { "a@x.test" });

	tap_ok(result_is(o, 0, dsn[0] == '5' ? PH_BOUNCED : PH_DEFERRED, dsn, text), "%s", name);
}

#define HERE "127.0.0.1[127.0.0.1]"

static void test_hostile(void)
{
	struct outcome *o;
	char *huge, *s;
	int i;

	hostile(0, "smtp", "4.3.2", "host " HERE " refused to talk to me: 554 5.3.2 go away", "N-208 greeting 554");
	hostile(1, "smtp", "4.4.2", "lost connection with " HERE " while receiving the initial server greeting", "N-208 nothing but a close");
	hostile(2, "quick", "4.4.2", "conversation with " HERE " timed out while receiving the initial server greeting", "N-208 silence");
	hostile(3, "smtp", "4.4.2", "lost connection with " HERE " while sending end of data -- message may be sent more than once", "N-209 close after the dot");
	hostile(4, "quick", "4.4.2", "conversation with " HERE " timed out while sending end of data -- message may be sent more than once", "N-208 N-209 silence after the dot");
	hostile(5, "smtp", "4.5.0", "reply of " HERE " is too long while performing the EHLO handshake", "N-203 a reply without end");
	hostile(6, "smtp", "5.5.0", "Protocol error: host " HERE " said: 250 not what you expect (in reply to DATA command)", "250 to DATA");
	hostile(7, "smtp", "5.5.1", "host " HERE " refused to talk to me: 550 5.5.1 no", "EHLO and HELO are refused");
	hostile(8, "quick", "4.4.2", "conversation with " HERE " timed out while sending MAIL FROM", "N-203 a line without end");
	huge = calloc(1, 12000001);
	memset(huge, 'x', 12000000);
	for (i = 70; i < 12000000; i += 70)
		huge[i] = '\n';
	o = DELIVER(.service = "quick", .nexthop = at(port.hostile[9]), .rcpts = { "a@x.test" }, .content = huge);
	tap_ok(result_is(o, 0, PH_DEFERRED, "4.4.2", "conversation with " HERE " timed out while sending message body"), "N-213 nothing is read");
	free(huge);
	hostile(10, "smtp", "4.3.2", "host " HERE " said: 421 4.3.2 closing (in reply to RCPT TO command)", "N-208 421 and close at RCPT");
	o = DELIVER(.nexthop = at(port.hostile[11]), .rcpts = { "a@x.test" });
	tap_ok(o->status[0] == PH_SENT, "N-207 replies that were sent before their commands");
	o = DELIVER(.nexthop = at(port.hostile[11]), .rcpts = { "a@x.test" });
	for (i = 0, s = sink_log("h11"); (s = strstr(s, "-- session")); s++)
		i++;
	tap_ok(i == 2, "N-207 and such a connection is not used again");
	o = DELIVER(.nexthop = at(port.hostile[12]), .rcpts = { "a@x.test" });
	tap_ok(o->status[0] == PH_BOUNCED && strchr(o->text[0], '\033') == NULL && strstr(o->text[0], "550 5.1.1 ?[2J%s"), "N-206 control bytes in a reply: %s", o->text[0]);
}

/* N-204 N-205 N-208 N-210 N-211 N-212: further odd servers. */
static void test_odd(void)
{
	struct outcome *o;
	char *s, dest[64];
	int i;

	hostile(13, "smtp", "5.1.1", "host " HERE " said: 550 5.1.1 no (in reply to RCPT TO command)", "N-210 354 although no recipient was taken");
	tap_ok(strstr(sink_log("h13"), "S 354 go\n") && strstr(sink_log("h13"), "\nD ") == NULL, "N-210 it gets no content");
	hostile(14, "smtp", "5.0.0", "host " HERE " said: 553 (in reply to RCPT TO command)", "N-205 a code without text, then the end");
	hostile(15, "smtp", "4.4.2", "lost connection with " HERE " while performing the HELO handshake", "N-208 close at EHLO and HELO");
	hostile(16, "smtp", "4.4.2", "lost connection with " HERE " while sending MAIL FROM", "N-208 close at MAIL");
	hostile(17, "smtp", "4.4.2", "lost connection with " HERE " while sending DATA command", "N-208 close at DATA");
	hostile(18, "smtp", "4.7.1", "host " HERE " said: 451 4.7.1 later (in reply to end of DATA command)", "N-208 451 after the dot");
	hostile(19, "smtp", "5.0.0", "host " HERE " said: 250-yes 550 no (in reply to end of DATA command)", "N-204 the code changes within a reply: the last one counts");
	o = DELIVER(.nexthop = at(port.hostile[20]), .rcpts = { "a@x.test" });
	tap_ok(o->status[0] == PH_SENT, "N-212 SIZE beyond all numbers, negative, and text; AUTH twice");
	hostile(21, "quick", "4.5.0", "reply of " HERE " is too long while performing the EHLO handshake", "N-212 10,000 keywords");
	snprintf(dest, sizeof(dest), "inet:[127.0.0.1]:%d", port.hostile[22]);
	o = DELIVER(.service = "lmtp", .nexthop = dest, .rcpts = { "a@x.test", "b@x.test", "c@x.test" });
	tap_ok(o->status[0] == PH_SENT && result_is(o, 1, PH_DEFERRED, "4.4.2", "lost connection with " HERE " while sending end of data -- message may be sent more than once") &&
	       o->status[2] == PH_DEFERRED, "N-211 too few answers: who has none is tried again");
	o = DELIVER(.service = "lmtp", .nexthop = dest, .rcpts = { "a@x.test" });
	tap_ok(o->status[0] == PH_SENT, "N-211 too many");
	o = DELIVER(.service = "lmtp", .nexthop = dest, .rcpts = { "a@x.test" });
	for (i = 0, s = sink_log("h22"); (s = strstr(s, "-- session")); s++)
		i++;
	tap_ok(o->status[0] == PH_SENT && i == 3, "N-211 and that connection is not used again");
}

static void test_tls_policy(void)
{
	struct outcome *o;
	char *s;
	int i;

	o = DELIVER(.service = "badpolicy", .nexthop = at(port.tls), .rcpts = { "a@x.test" });
	tap_ok(result_is(o, 0, PH_DEFERRED, "4.7.5", "client TLS configuration problem"), "N-099 the policy cannot be looked up: nothing goes in clear");
	o = DELIVER(.service = "policy", .nexthop = at(port.hostile[23]), .rcpts = { "a@x.test" });
	tap_ok(o->status[0] == PH_SENT, "N-110 a connection in clear");
	o = DELIVER(.service = "policy", .nexthop = host("127.0.0.1:%d", port.hostile[23]), .rcpts = { "a@x.test" });
	for (i = 0, s = sink_log("h23"); (s = strstr(s, "-- session")); s++)
		i++;
	tap_ok(o->status[0] == PH_SENT && i == 2 && strstr(sink_log("h23"), "-- TLS"), "N-110 is not used for who wants TLS");
	o = DELIVER(.service = "authtls", .nexthop = at(port.hostile[24]), .rcpts = { "a@x.test" });
	tap_ok(o->status[0] == PH_SENT && strstr(sink_log("h24"), "C AUTH") == NULL, "N-096 what was offered before TLS is forgotten");
}

static void test_retry_after_cache(void)
{
	struct outcome *o;
	int p = SINK("once", "mail~twox1=!close");

	o = DELIVER(.nexthop = at(p), .sender = "one@x.test", .rcpts = { "a@x.test" });
	tap_ok(o->status[0] == PH_SENT, "a first message");
	o = DELIVER(.nexthop = at(p), .sender = "two@x.test", .rcpts = { "a@x.test" });
	tap_ok(o->status[0] == PH_SENT, "the server hangs up when the connection is used again: a new one is made");
}

static void test_probe(void)
{
	struct outcome *o = DELIVER(.nexthop = at(port.rules), .flags = PH_ENV_VERIFY, .rcpts = { "ok@x.test", "bad@x.test" });

	tap_ok(o->status[0] == PH_SENT && !strcmp(o->text[0], "250 2.1.5 Ok") && o->status[1] == PH_BOUNCED, "a probe gets answers");
	tap_ok(logged("status=deliverable (250 2.1.5 Ok)") && logged("status=undeliverable (host"), "and says so in the log");
}

static void test_cache_end(void)
{
	tap_ok(sink_saw("plain", "C QUIT\n"), "an idle connection ends with QUIT");
}

static void test_downgrade(void)
{
	struct outcome *o = DELIVER(.nexthop = at(port.nopipe), .encoding = "8bit", .rcpts = { "a@x.test" },
				    .content = "MIME-Version: 1.0\nContent-Type: text/plain\nContent-Transfer-Encoding: 8bit\n\ncaf\303\251 = \n.\n");

	tap_ok(o->status[0] == PH_SENT && strstr(sink_log("nopipe"), "D Content-Transfer-Encoding: quoted-printable\nD \nD caf=C3=A9 =3D=20\nD ..\n"), "8bit becomes quoted-printable");
}

static void test_size(void)
{
	struct outcome *o;
	int p = SINK("small", "--ehlo", "SIZE 100, PIPELINING");
	static char big[300];

	memset(big, 'x', 299);
	big[70] = big[140] = big[298] = '\n';
	o = DELIVER(.nexthop = at(p), .rcpts = { "a@x.test" }, .content = big);
	tap_ok(o->status[0] == PH_BOUNCED && !strcmp(o->dsn[0], "5.3.4") && strstr(o->text[0], "message size 299 exceeds size limit 100 of server 127.0.0.1"), "too large for the server");
	o = DELIVER(.nexthop = at(p), .rcpts = { "\303\244@x.test" }, .flags = PH_ENV_SMTPUTF8);
	tap_ok(result_is(o, 0, PH_BOUNCED, "5.6.7", "SMTPUTF8 is required, but was not offered by host 127.0.0.1[127.0.0.1]"), "SMTPUTF8 is needed");
}

static void test_auth(void)
{
	struct outcome *o = DELIVER(.service = "auth", .nexthop = at(port.auth[0]), .rcpts = { "a@x.test" });

	tap_ok(o->status[0] == PH_SENT && strstr(sink_log("auth0"), "-- auth b'\\x00user\\x00pa:ss'\n"), "PLAIN");
	o = DELIVER(.service = "auth", .nexthop = at(port.auth[1]), .rcpts = { "a@x.test" });
	tap_ok(o->status[0] == PH_SENT && strstr(sink_log("auth1"), "-- auth b'user' b'pa:ss'\n"), "LOGIN");
	o = DELIVER(.service = "auth", .nexthop = at(port.auth[2]), .rcpts = { "a@x.test" });
	tap_ok(o->status[0] == PH_SENT && strstr(sink_log("auth2"), "-- auth b'user d2c5b6ed1f8adc4c1d96e3e3b3c5d6e5'") == NULL && strstr(sink_log("auth2"), "-- auth b'user "), "CRAM-MD5");
	o = DELIVER(.service = "auth", .nexthop = at(port.auth[3]), .rcpts = { "a@x.test" });
	tap_ok(result_is(o, 0, PH_DEFERRED, "4.7.8", "SASL authentication failed; server 127.0.0.1[127.0.0.1] said: 535 5.7.8 wrong"), "refused");
	o = DELIVER(.service = "strict", .nexthop = at(port.auth[0]), .rcpts = { "a@x.test" });
	tap_ok(o->status[0] == PH_DEFERRED && !strcmp(o->dsn[0], "4.7.0"), "no plaintext password without leave: %s", o->text[0]);
	o = DELIVER(.service = "auth", .sender = "special@x.test", .nexthop = at(port.auth[0]), .rcpts = { "a@x.test" });
	tap_ok(o->status[0] == PH_SENT && strstr(sink_log("auth0"), "-- auth b'\\x00other\\x00one'\n"), "by sender");
}

static void test_tls(void)
{
	struct outcome *o;

	o = DELIVER(.service = "may", .nexthop = at(port.tls), .rcpts = { "a@x.test" });
	tap_ok(o->status[0] == PH_SENT && strstr(sink_log("tls"), "-- TLS\nC EHLO"), "STARTTLS, and EHLO again");
	tap_ok(logged("Untrusted TLS connection established to 127.0.0.1[127.0.0.1]:"), "the log says how");
	o = DELIVER(.service = "may", .nexthop = at(port.tls_bad), .rcpts = { "a@x.test" });
	tap_ok(result_is(o, 0, PH_DEFERRED, "4.7.5", "Cannot start TLS: handshake failure"), "N-094 a reply behind that of STARTTLS: no handshake, and tried again later");
	o = DELIVER(.service = "may", .nexthop = at(port.tls_bad), .rcpts = { "a@x.test" }, .age_s = 301);
	tap_ok(o->status[0] == PH_SENT && strstr(sink_log("tlsbad"), "-- TLS") == NULL, "and then in plaintext at level may");
	o = DELIVER(.service = "encrypt", .nexthop = at(port.tls_bad), .rcpts = { "a@x.test" });
	tap_ok(result_is(o, 0, PH_DEFERRED, "4.7.5", "Cannot start TLS: handshake failure"), "N-094 but not at level encrypt");
	o = DELIVER(.service = "encrypt", .nexthop = at(port.nopipe), .rcpts = { "a@x.test" });
	tap_ok(result_is(o, 0, PH_DEFERRED, "4.7.4", "TLS is required, but was not offered by host 127.0.0.1[127.0.0.1]"), "N-095 TLS is not offered");
	o = DELIVER(.service = "encrypt", .nexthop = at(port.tls), .rcpts = { "a@x.test" });
	tap_ok(o->status[0] == PH_SENT, "level encrypt");
	o = DELIVER(.service = "verify", .nexthop = at(port.tls), .rcpts = { "a@x.test" });
	tap_ok(result_is(o, 0, PH_DEFERRED, "4.7.5", "Server certificate not verified"), "level verify");
}

static void all_tests(void *arg)
{
	world_open();
	test_sent();
	test_reuse();
	test_content();
	test_dsn();
	test_replies();
	test_without_pipelining();
	test_many();
	test_lmtp();
	test_connect();
	test_probe();
	test_downgrade();
	test_size();
	test_auth();
	test_tls();
	test_hostile();
	test_odd();
	test_tls_policy();
	test_retry_after_cache();
	test_cache_end();
}

static void certificate(char cert[100], char key[100])
{
	char cmd[512];

	path_in(cert, 100, "cert.pem");
	path_in(key, 100, "key.pem");
	snprintf(cmd, sizeof(cmd), "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=sink.test -days 2 -out %s -keyout %s 2>/dev/null", cert, key);
	if (system(cmd) != 0)
		abort();
}

int main(void)
{
	static const char master[] = "smtp unix - - n - - smtp\nlmtp unix - - n - - lmtp\n"
		"quick unix - - n - - smtp\n -o smtp_helo_timeout=1s -o smtp_data_done_timeout=1s -o smtp_mail_timeout=1s -o smtp_data_xfer_timeout=2s\n"
		"auth unix - - n - - smtp\n -o smtp_sasl_auth_enable=yes -o smtp_sasl_security_options=noanonymous -o smtp_sender_dependent_authentication=yes\n"
		"strict unix - - n - - smtp\n -o smtp_sasl_auth_enable=yes\n"
		"may unix - - n - - smtp\n -o smtp_tls_security_level=may\nencrypt unix - - n - - smtp\n -o smtp_tls_security_level=encrypt\n"
		"verify unix - - n - - smtp\n -o smtp_tls_security_level=verify\n"
		"badpolicy unix - - n - - smtp\n -o smtp_tls_policy_maps=hash:/nonexistent/policy\n"
		"policy unix - - n - - smtp\n -o smtp_tls_policy_maps=$user_policy\n"
		"authtls unix - - n - - smtp\n -o smtp_tls_security_level=may -o smtp_sasl_auth_enable=yes -o smtp_sasl_security_options=noanonymous\n"
		"fallback unix - - n - - smtp\n -o smtp_fallback_relay=$user_fallback\n";
	char main_cf[1024], path[100], cert[100], key[100], *keywords;
	int status, n;

	world_dirs();
	path_in(path, sizeof(path), "lmtp");
	port.plain = SINK("plain");
	port.rules = SINK("rules", "rcpt~bad=550 5.1.1 no such user", "rcpt~later@=450 4.2.1 later", "rcpt~multi@=550-5.1.1 one\\n550 5.1.1 two", "rcpt~noenh@=550 plain",
			  "rcpt~mism@=550 4.1.1 mismatch", "mail~mail5=550 5.7.1 not you");
	port.nopipe = SINK("nopipe", "--ehlo", "SIZE", "rcpt~bad=550 5.1.1 no such user");
	port.lmtp = SINK("lmtp", "--lmtp", "eodx1=250 2.0.0 Ok", "eodx1=452 4.2.2 full");
	SINK("unix", "--lmtp", "--unix", path);
	port.hostile[0] = SINK("h0", "connect=554 5.3.2 go away");
	port.hostile[1] = SINK("h1", "connect=!close");
	port.hostile[2] = SINK("h2", "connect=!silent");
	port.hostile[3] = SINK("h3", "eod=!close");
	port.hostile[4] = SINK("h4", "eod=!silent");
	port.hostile[5] = SINK("h5", "ehlo=!flood");
	port.hostile[6] = SINK("h6", "data=250 not what you expect");
	port.hostile[7] = SINK("h7", "ehlo=550 5.5.1 no", "helo=550 5.5.1 no");
	port.hostile[8] = SINK("h8", "--ehlo", "8BITMIME", "mail=!raw 250 no end");
	port.hostile[9] = SINK("h9", "--ehlo", "PIPELINING", "data=!noread 354 go");
	port.hostile[10] = SINK("h10", "rcpt=!close 421 4.3.2 closing");
	port.hostile[11] = SINK("h11", "eod=!raw 250 2.0.0 Ok\\r\\n250 2.0.0 Ok\\r\\n250 2.0.0 Ok\\r\\n354 go\\r\\n250 yes\\r\\n");
	port.hostile[12] = SINK("h12", "rcpt=!raw 550 5.1.1 \\x1b[2J%s%n\\r\\n");
	port.auth[0] = SINK("auth0", "--ehlo", "AUTH PLAIN LOGIN, PIPELINING");
	port.auth[1] = SINK("auth1", "--ehlo", "AUTH=LOGIN");
	port.auth[2] = SINK("auth2", "--ehlo", "AUTH LOGIN CRAM-MD5");
	port.auth[3] = SINK("auth3", "--ehlo", "AUTH PLAIN", "auth=535 5.7.8 wrong");
	port.hostile[13] = SINK("h13", "rcpt=550 5.1.1 no", "data=354 go");
	port.hostile[14] = SINK("h14", "rcpt=!close 553");
	port.hostile[15] = SINK("h15", "ehlo=500 5.5.1 what?", "helo=!close");
	port.hostile[16] = SINK("h16", "mail=!close");
	port.hostile[17] = SINK("h17", "--ehlo", "8BITMIME", "data=!close");
	port.hostile[18] = SINK("h18", "eod=451 4.7.1 later");
	port.hostile[19] = SINK("h19", "eod=250-yes\\n550 no");
	port.hostile[20] = SINK("h20", "--ehlo", "SIZE 99999999999999999999999999, SIZE -5, SIZE many, AUTH PLAIN, AUTH LOGIN");
	keywords = calloc(1, 90001);
	for (n = 0; n < 10000; n++)
		memcpy(keywords + n * 9, "KEYWORDS,", 9);
	port.hostile[21] = SINK("h21", "--ehlo", keywords);
	free(keywords);
	port.hostile[22] = SINK("h22", "--lmtp", "eodx1=250 2.0.0 Ok", "eodx1=!close", "eodx1=250 2.0.0 Ok\\n250 2.0.0 more\\n250 2.0.0 and more");
	certificate(cert, key);
	port.hostile[23] = SINK("h23", "--tls", cert, key, "--ehlo", "STARTTLS, PIPELINING");
	port.hostile[24] = SINK("h24", "--tls", cert, key, "--ehlo", "PIPELINING", "ehlox1=250-sink.test\\n250-STARTTLS\\n250 AUTH PLAIN");
	port.tls = SINK("tls", "--tls", cert, key, "--ehlo", "STARTTLS, PIPELINING");
	port.tls_bad = SINK("tlsbad", "--tls", cert, key, "--ehlo", "STARTTLS, PIPELINING", "starttls=220 2.0.0 go\\n500 5.5.1 garbage");
	snprintf(main_cf, sizeof(main_cf), "user_fallback = [127.0.0.1]:%d\nsmtp_sasl_password_maps = inline:{ 127.0.0.1=user:pa:ss, special@x.test=other:one }\nsmtp_tls_loglevel = 1\n"
		 "user_policy = inline:{ [127.0.0.1]:%d=none, 127.0.0.1:%d=encrypt }\n", port.plain, port.hostile[23], port.hostile[23]);
	world_start(main_cf, master, false);
	ph_run_blocking(all_tests, NULL);
	status = world_end();
	tap_ok(status == 0, "the agent ends when it is told to: %d", status);
	return tap_done();
}
