/* The pure half of the SASL modules: security options, and the lines of Dovecot's auth server. */
#include <string.h>

#include "../../modules/sasl/common/options.h"
#include "../../modules/sasl/dovecot/proto.h"
#include "unit/tap.h"

static int parse(const char *text, struct dovecot_reply *r)
{
	static char line[400];

	snprintf(line, sizeof(line), "%s", text);
	return dovecot_parse(line, r);
}

static void options(void)
{
	struct ph_err err;
	unsigned o = 99;

	tap_ok(sasl_options_parse("noanonymous, noplaintext", &o, &err) == 0 && o == (SASL_NO_ANONYMOUS | SASL_NO_PLAINTEXT), "words");
	tap_ok(sasl_options_parse("", &o, &err) == 0 && o == 0, "none");
	tap_ok(sasl_options_parse("noanonymous nofoo", &o, &err) < 0 && strstr(err.text, "nofoo"), "an unknown word is an error that names it");
	tap_ok(!sasl_options_allow(SASL_NO_PLAINTEXT, SASL_NO_PLAINTEXT), "a weakness that is not wanted");
	tap_ok(sasl_options_allow(SASL_NO_PLAINTEXT, SASL_NO_DICTIONARY), "a weakness that nobody minds");
	tap_ok(!sasl_options_allow(SASL_MUTUAL_AUTH, 0) && sasl_options_allow(SASL_MUTUAL_AUTH, SASL_MUTUAL_AUTH), "a strength that is wanted");
}

static void greeting(void)
{
	struct dovecot_reply r;

	tap_ok(parse("VERSION\t1\t2", &r) == DOVECOT_VERSION && r.id == 1, "version");
	tap_ok(parse("VERSION\tx", &r) < 0 && parse("VERSION", &r) < 0, "version that is none");
	tap_ok(parse("MECH\tCRAM-MD5\tdictionary\tactive\tnew-word", &r) == DOVECOT_MECH && strcmp(r.mech, "CRAM-MD5") == 0 &&
	       r.properties == (SASL_NO_DICTIONARY | SASL_NO_ACTIVE), "mechanism");
	tap_ok(parse("MECH\tA B", &r) < 0 && parse("MECH\t", &r) < 0 && parse("MECH", &r) < 0, "mechanism with a bad name");
	tap_ok(parse("SPID\t7", &r) == DOVECOT_OTHER && parse("", &r) == DOVECOT_OTHER && parse("DONE", &r) == DOVECOT_DONE, "the rest");
}

static void answers(void)
{
	struct dovecot_reply r;

	tap_ok(parse("OK\t7\tuser=alice", &r) == DOVECOT_OK && r.id == 7 && strcmp(r.user, "alice") == 0, "ok");
	tap_ok(parse("OK\t7", &r) < 0 && parse("OK\t7\tuser=", &r) < 0, "N-121 OK without a user is no OK");
	tap_ok(parse("OK", &r) < 0 && parse("OK\t-1\tuser=a", &r) < 0 && parse("OK\t7x\tuser=a", &r) < 0, "N-121 no number");
	tap_ok(parse("FAIL\t7\tuser=a\001tb\treason=bad \001\061 luck", &r) == DOVECOT_FAIL && strcmp(r.user, "a\tb") == 0 &&
	       strcmp(r.reason, "bad \001 luck") == 0 && !r.temporary, "escapes");
	tap_ok(parse("FAIL\t7\tuser=a\0010b", &r) == DOVECOT_FAIL && !r.user, "a NUL in a name is no name");
	tap_ok(parse("FAIL\t7\ttemp", &r) == DOVECOT_FAIL && r.temporary && !r.reason, "temporary");
	tap_ok(parse("FAIL\t7\tcode=temp_fail", &r) == DOVECOT_FAIL && r.temporary, "temporary, newer word");
	tap_ok(parse("CONT\t7\tQQ==", &r) == DOVECOT_CONT && strcmp(r.data, "QQ==") == 0, "challenge");
	tap_ok(parse("CONT\t7", &r) == DOVECOT_CONT && !*r.data && parse("CONT\t7\t", &r) == DOVECOT_CONT && !*r.data, "empty challenge");
}

int main(void)
{
	options();
	greeting();
	answers();
	return tap_done();
}
