/* mime.c: the structure of MIME messages, for checks, clean-up and conversion.
 *
 * Pure.  The stack of boundaries lives in the caller's arena; its depth is min(mime_nesting_limit + 2, PH_MIME_STACK_MAX): what is deeper is opaque.  Of
 * several Content-Type headers of one entity the first boundary and the last type count, of Content-Transfer-Encoding headers the last one; an attached message
 * is looked into whatever its encoding is said to be.  All as in Postfix.  RFC 2045, RFC 2046. */
#include "message/mime.h"

#include "message/header.h"
#include "route/token.h"

#include <string.h>
#include <strings.h>

void ph_mime_init(struct ph_mime *m, struct ph_arena *arena, bool enabled, unsigned nesting_limit, size_t boundary_limit)
{
	*m = (struct ph_mime){ .arena = arena, .enabled = enabled, .boundary_limit = boundary_limit, .encoding = PH_MIME_7BIT, .encoding_text = "" };
	m->nesting_limit = nesting_limit < PH_MIME_STACK_MAX - 2 ? nesting_limit : PH_MIME_STACK_MAX - 2;
}

static bool tok_is(const struct ph_tok *t, const char *word)
{
	return t->type == PH_TOK_ATOM && t->text.n == strlen(word) && strncasecmp(t->text.p, word, t->text.n) == 0;
}

/* MIME tokens: the RFC 5322 scanner also splits at . @ % !, and does not split at / = ?: cut again here. */
static void next_word(const char **p, const char *end, struct ph_tok *t)
{
	do
		ph_tok_next(p, end, t);
	while (t->type == PH_TOK_COMMENT);
	if (t->type == PH_TOK_ATOM) {
		size_t n = 0;

		while (n < t->text.n && !strchr("/=?", t->text.p[n]))
			n++;
		if (n == 0) {
			t->type = PH_TOK_OP;
			t->op = t->text.p[0];
			n = 1;
		}
		*p = t->text.p + n;
		t->text.n = n;
	}
}

static void skip_to(const char **p, const char *end, char op)
{
	struct ph_tok t;

	do
		next_word(p, end, &t);
	while (t.type != PH_TOK_END && !(t.type == PH_TOK_OP && t.op == op));
}

/* The value of boundary=, quotes and escapes gone.  Unquoted values may hold anything up to ; or a blank. */
static void set_boundary(struct ph_mime *m, const char **p, const char *end)
{
	struct ph_buf b = PH_BUF_INIT(m->boundary_limit + 1);
	const char *q = *p;
	struct ph_tok t;

	ph_tok_next(&q, end, &t);
	if (t.type == PH_TOK_QUOTED) {
		struct ph_tok cut = t;

		if (cut.text.n > m->boundary_limit)
			cut.text.n = m->boundary_limit;
		ph_tok_internal(&cut, &b);
		*p = q;
	} else {
		size_t n;

		q = t.text.p;
		for (n = 0; q + n < end && !strchr("; \t\r\n(", q[n]); n++)
			;
		ph_buf_append(&b, q, n < m->boundary_limit ? n : m->boundary_limit);
		*p = q + n;
	}
	m->boundary = ph_arena_strndup(m->arena, ph_buf_str(&b), b.len);
	m->boundary_n = strlen(m->boundary);       /* a NUL ends it */
	ph_buf_done(&b);
}

static void content_type(struct ph_mime *m, const char *p, const char *end)
{
	struct ph_tok type, slash, sub;

	next_word(&p, end, &type);
	next_word(&p, end, &slash);
	next_word(&p, end, &sub);
	if (slash.type != PH_TOK_OP || slash.op != '/') {
		m->type = tok_is(&type, "multipart") ? PH_MIME_T_OTHER : PH_MIME_T_TEXT;
		return;
	}
	if (tok_is(&type, "message")) {
		m->type = tok_is(&sub, "rfc822") || tok_is(&sub, "global") ? PH_MIME_T_MESSAGE_RFC822 : PH_MIME_T_MESSAGE_OTHER;
	} else if (tok_is(&type, "multipart")) {
		m->type = PH_MIME_T_MULTIPART;
		while (!m->boundary_n) {
			struct ph_tok name, eq;

			skip_to(&p, end, ';');
			next_word(&p, end, &name);
			if (name.type == PH_TOK_END)
				break;
			next_word(&p, end, &eq);
			if (tok_is(&name, "boundary") && eq.type == PH_TOK_OP && eq.op == '=') {
				set_boundary(m, &p, end);
				m->digest = tok_is(&sub, "digest");
				break;
			}
		}
	} else {
		m->type = tok_is(&type, "text") ? PH_MIME_T_TEXT : PH_MIME_T_OTHER;
	}
}

static void transfer_encoding(struct ph_mime *m, const char *p, const char *end)
{
	static const char *const names[] = { "7bit", "8bit", "binary", "quoted-printable", "base64" };
	struct ph_tok t;

	do
		ph_tok_next(&p, end, &t);
	while (t.type == PH_TOK_COMMENT);
	m->encoding = PH_MIME_UNKNOWN;
	for (size_t i = 0; i < PH_ARRAY_LEN(names); i++)
		if (tok_is(&t, names[i])) {
			m->encoding = (enum ph_mime_encoding)i;
			m->encoding_text = names[i];
		}
}

void ph_mime_header(struct ph_mime *m, const char *name, size_t name_n, const char *value, size_t n)
{
	if (!m->enabled || name_n < 12 || (name[0] | 32) != 'c')
		return;
	switch (ph_header_find(name, name_n)->id) {
	case PH_HDR_CONTENT_TYPE:
		content_type(m, value, value + n);
		break;
	case PH_HDR_CONTENT_ENCODING:
		transfer_encoding(m, value, value + n);
		break;
	default:
		break;
	}
}

const char *ph_mime_new_encoding(const struct ph_mime *m)
{
	if (m->encoding != PH_MIME_8BIT && m->encoding != PH_MIME_BINARY)
		return NULL;
	return m->type == PH_MIME_T_TEXT || m->type == PH_MIME_T_OTHER ? "quoted-printable" : "7bit";
}

static void push_level(struct ph_mime *m)
{
	if (!m->levels)
		m->levels = ph_arena_alloc(m->arena, PH_MIME_STACK_MAX * sizeof(m->levels[0]));
	m->levels[m->n_levels++] = (struct ph_mime_level){ m->boundary, m->boundary_n, m->digest };
}

static void reset_entity(struct ph_mime *m, bool digest)
{
	m->type = digest ? PH_MIME_T_MESSAGE_RFC822 : PH_MIME_T_TEXT;
	m->encoding = PH_MIME_7BIT;
	m->boundary = NULL;
	m->boundary_n = 0;
	m->digest = false;
}

void ph_mime_headers_end(struct ph_mime *m)
{
	bool message = m->type == PH_MIME_T_MESSAGE_RFC822, nests = m->type == PH_MIME_T_MULTIPART || message;

	m->state = PH_MIME_BODY;
	if (!m->enabled)
		return;
	if ((nests || m->type == PH_MIME_T_MESSAGE_OTHER) && (m->encoding == PH_MIME_QP || m->encoding == PH_MIME_BASE64))
		m->errors |= PH_MIME_E_ENCODING;
	if (!message && !m->boundary_n)
		return;
	if (m->depth > m->nesting_limit + 1) {          /* Postfix does not count the outermost two */
		m->errors |= m->boundary_n ? PH_MIME_E_NESTING : 0;
		return;
	}
	if (m->boundary_n) {
		m->depth++;
		push_level(m);
	}
	if (message) {
		m->depth++;
		m->state = PH_MIME_NESTED;
		reset_entity(m, false);
	}
}

bool ph_mime_boundary(struct ph_mime *m, const char *line, size_t n)
{
	for (unsigned i = m->n_levels; i-- > 0;) {
		const struct ph_mime_level *l = &m->levels[i];

		if (n - 2 < l->n || memcmp(line + 2, l->boundary, l->n) != 0)
			continue;
		/* Inner entities end with their container, whether they were closed or not. */
		m->n_levels = i + 1;
		if (n - 2 - l->n >= 2 && line[2 + l->n] == '-' && line[3 + l->n] == '-') {
			m->n_levels = i;
			m->state = PH_MIME_BODY;
		} else {
			m->state = PH_MIME_PART;
		}
		m->depth = m->n_levels;
		reset_entity(m, l->digest);
		return true;
	}
	return false;
}
