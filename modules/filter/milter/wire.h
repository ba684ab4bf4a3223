/* wire.h: the packets of the milter protocol, as bytes.  Pure: no I/O, no state, does not yield.
 *
 * A packet is a length (32 bits, network order; of what follows), a command byte, and data.  Everything that comes from a filter is hostile: what does not
 * have the exact shape of its command is refused, and nothing is read behind the packet.  Source: libmilter/mfdef.h and the behaviour of libmilter. */
#ifndef MODULES_FILTER_MILTER_WIRE_H
#define MODULES_FILTER_MILTER_WIRE_H

#include <posthouse/base.h>

#include <libmilter/mfdef.h>

#define MILTER_HEAD 4                           /* bytes of the length */
#define MILTER_REPLY_MAX (16 * 1024 * 1024)     /* longest packet that a filter may send; read piece by piece */
#define MILTER_OUT_MAX (256 * 1024 * 1024)      /* longest run of packets that we send at once */
#define MILTER_STAGES 7                         /* of SETSYMLIST: connect, helo, mail, rcpt, data, end of message, end of headers */

/* ---- building ---- */
/* Append a packet's head; the data follow with ph_buf_append and the two below; milter_end fills in the length. */
size_t milter_begin(struct ph_buf *b, char command);
void milter_end(struct ph_buf *b, size_t begun);
void milter_put_u32(struct ph_buf *b, uint32_t v);
void milter_put_str(struct ph_buf *b, const char *s);          /* with its NUL */
/* A body with LF line ends as CR LF, from *p on until the packet is full (MILTER_CHUNK_SIZE bytes of data) or all n are taken.  *cr_done: the CR of the
 * LF at the front has gone out in the packet before; false at first.  Returns bytes taken. */
size_t milter_put_body(struct ph_buf *b, size_t begun, const char *p, size_t n, bool *cr_done);

/* ---- taking apart ---- */
struct milter_reply {
	char command;
	uint32_t index;                 /* INSHEADER, CHGHEADER */
	const char *s1, *s2;            /* name and value, address and arguments, reason, reply; NULL: not there.  Point into the packet */
	const char *data;               /* REPLBODY */
	size_t n;
};
/* p: a packet without its length, n >= 1 bytes.  0, or -EBADMSG with what is wrong in err. */
int milter_reply_decode(const char *p, size_t n, struct milter_reply *ret, struct ph_err *err);

struct milter_offer {
	uint32_t version, actions, protocol;
	const char *macros[MILTER_STAGES];      /* lists that the filter asks for; NULL: ours.  Point into the packet */
	int64_t unknown_stage;                  /* the first stage that we do not know, or -1 */
};
/* The data of an OPTNEG packet (behind the command).  0 or -EBADMSG. */
int milter_offer_decode(const char *p, size_t n, struct milter_offer *ret, struct ph_err *err);

/* ---- replies for the SMTP client ---- */
struct milter_smtp {
	int code;
	char dsn[12];                   /* "": each line of text has its own, or none */
	const char *text;               /* lines parted by LF */
	bool verbatim;                  /* nothing is to be put between code and text */
};
/* The data of REPLYCODE: "550 5.7.1 text", or several lines "550-5.7.1 text" CR LF ... "550 5.7.1 text".  4xx or 5xx; each line has the same
 * code, each enhanced code its class; "%%" is "%", other "%" are dropped.  0, or -EBADMSG. */
int milter_smtp_parse(const char *text, struct ph_arena *arena, struct milter_smtp *ret);

bool milter_reply_bare(char c);                 /* a reply that brings no data */
const char *milter_command_name(char c);        /* "SMFIC_CONNECT" */
const char *milter_reply_name(char c);          /* "SMFIR_ACCEPT", "(unknown filter reply)" */
#endif
