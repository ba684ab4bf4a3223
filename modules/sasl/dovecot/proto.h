/* proto.h: lines of Dovecot's auth server, taken apart.  Pure. */
#ifndef SASL_DOVECOT_PROTO_H
#define SASL_DOVECOT_PROTO_H

#include <posthouse/base.h>

#define DOVECOT_MAJOR 1
#define DOVECOT_LINE_MAX 16384

enum dovecot_line {
	DOVECOT_OTHER,          /* nothing that concerns us: SPID, CUID, COOKIE, what comes later */
	DOVECOT_VERSION, DOVECOT_MECH, DOVECOT_DONE,    /* the greeting */
	DOVECOT_OK, DOVECOT_FAIL, DOVECOT_CONT,         /* answers */
};

struct dovecot_reply {
	uint64_t id;                    /* VERSION: the major version */
	char *mech;                     /* MECH */
	unsigned properties;            /* MECH: SASL_* of common/options.h */
	const char *data;               /* CONT: base64 text */
	char *user;                     /* OK, FAIL; NULL: not told */
	char *reason;                   /* FAIL; NULL: not told */
	bool temporary;                 /* FAIL */
};

/* Take line (NUL-terminated, without its end) apart, in place: the texts of r point into it.  What it is, or -EPROTO: malformed. */
int dovecot_parse(char *line, struct dovecot_reply *r);
#endif
