/* mime.h: where in the structure of a message are we?  A pure state machine over header values and body lines. */
#ifndef CORE_MESSAGE_MIME_H
#define CORE_MESSAGE_MIME_H

#include <posthouse/base.h>

enum ph_mime_state {
	PH_MIME_PRIMARY,        /* headers of the message */
	PH_MIME_PART,           /* headers of a part of a multipart */
	PH_MIME_NESTED,         /* headers of an attached message */
	PH_MIME_BODY,
};
enum ph_mime_encoding { PH_MIME_7BIT, PH_MIME_8BIT, PH_MIME_BINARY, PH_MIME_QP, PH_MIME_BASE64, PH_MIME_UNKNOWN };
enum {  /* what was found wrong; the caller's strict_* settings decide whether it matters */
	PH_MIME_E_NESTING = 1,          /* deeper than mime_nesting_limit: the rest is opaque */
	PH_MIME_E_8BIT_IN_HEADER = 2,
	PH_MIME_E_8BIT_IN_7BIT = 4,     /* 8-bit data without a declaration */
	PH_MIME_E_ENCODING = 8,         /* quoted-printable or base64 on multipart or message */
};

#define PH_MIME_STACK_MAX 256

struct ph_mime_level { char *boundary; size_t n; bool digest; };

struct ph_mime {
	enum ph_mime_state state;
	unsigned errors;
	bool enabled;
	size_t boundary_limit;          /* mime_boundary_length_limit: longer ones are cut */
	unsigned nesting_limit;
	unsigned depth;                 /* levels on the stack and messages in messages */
	unsigned n_levels;
	struct ph_mime_level *levels;   /* in arena, made on first use */
	struct ph_arena *arena;
	/* of the entity whose headers were read last */
	enum ph_mime_encoding encoding;
	const char *encoding_text;      /* name of the last known one */
	enum { PH_MIME_T_OTHER, PH_MIME_T_TEXT, PH_MIME_T_MULTIPART, PH_MIME_T_MESSAGE_RFC822, PH_MIME_T_MESSAGE_OTHER } type;
	char *boundary;                 /* the first one that its headers name */
	size_t boundary_n;
	bool digest;                    /* multipart/digest: its parts default to message/rfc822 */
};

void ph_mime_init(struct ph_mime *m, struct ph_arena *arena, bool enabled, unsigned nesting_limit, size_t boundary_limit);
/* A header of the entity whose headers are being read: name as found, value unfolded or not. */
void ph_mime_header(struct ph_mime *m, const char *name, size_t name_n, const char *value, size_t n);
/* An entity that is declared 8bit or binary is made 7bit: the encoding that it is declared with then.  What only holds other entities is 7bit as they will
 * be.  NULL: it is not declared so. */
const char *ph_mime_new_encoding(const struct ph_mime *m);
/* The headers have ended (empty line, or text that is none).  Sets state: BODY, or NESTED when an attached message begins. */
void ph_mime_headers_end(struct ph_mime *m);
/* A line of body.  true: it is a boundary line of ours, state is PART (headers follow) or BODY (behind a closing one). */
static inline bool ph_mime_is_boundary(struct ph_mime *m, const char *line, size_t n);
bool ph_mime_boundary(struct ph_mime *m, const char *line, size_t n);

static inline bool ph_mime_is_boundary(struct ph_mime *m, const char *line, size_t n)
{
	return m->n_levels && n > 2 && line[0] == '-' && line[1] == '-' && ph_mime_boundary(m, line, n);
}
#endif
