/* format.c: snprintf for the hot path.
 *
 * A session formats some twenty short texts for each command.  libc's vsnprintf sets up a stream for each, which costs ten times
 * as much as the copying; that was a third of a session's time outside of the kernel.  Done here are %s, %.Ns, %.*s, %c, %%, and %d, %i, %u
 * with l, ll or z, all without flags and width; any other format goes to libc as a whole.  No state; no yield. */
#include "base/format.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

struct out {
	char *p;
	size_t room;            /* without the NUL */
	size_t n;               /* what the whole text needs */
};

static inline void put(struct out *o, const char *s, size_t n)
{
	size_t left = o->n < o->room ? o->room - o->n : 0;

	memcpy(o->p + (left ? o->n : 0), s, n < left ? n : left);
	o->n += n;
}

static void put_number(struct out *o, unsigned long long v, bool negative)
{
	char digits[24], *p = digits + sizeof(digits);

	do {
		*--p = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	if (negative)
		*--p = '-';
	put(o, p, (size_t)(digits + sizeof(digits) - p));
}

/* One conversion, as it stands behind the '%'. */
struct spec {
	int precision;          /* -1: none */
	bool star;              /* precision is an argument */
	char size;              /* 0, 'l', 'L' (ll), 'z' */
	char conv;
};

/* Bytes that it takes, 0 when it is not one of ours. */
static size_t parse(const char *p, struct spec *s)
{
	const char *start = p;

	*s = (struct spec){ .precision = -1, .conv = *p };
	if (*p == 's' || *p == 'd' || *p == 'u')
		return 1;
	if (*p == '.') {
		p++;
		s->precision = 0;
		if (*p == '*') {
			s->star = true;
			p++;
		} else {
			while (*p >= '0' && *p <= '9' && s->precision < INT_MAX / 100)
				s->precision = s->precision * 10 + (*p++ - '0');
		}
	}
	if (*p == 'z') {
		s->size = *p++;
	} else if (*p == 'l') {
		p++;
		s->size = 'l';
		if (*p == 'l') {
			s->size = 'L';
			p++;
		}
	}
	s->conv = *p++;
	if (s->conv == 's')
		return s->size ? 0 : (size_t)(p - start);
	if (s->precision >= 0 || !s->conv || !strchr("diuc%", s->conv) || (s->size && strchr("c%", s->conv)))
		return 0;
	return (size_t)(p - start);
}

static void put_string(struct out *o, const char *text, int precision)
{
	if (!text)
		text = precision >= 0 && precision < 6 ? "" : "(null)";
	put(o, text, precision < 0 ? strlen(text) : strnlen(text, (size_t)precision));
}

/* A va_list may be an array, so it travels in a struct. */
struct args {
	va_list ap;
};

static void put_integer(struct out *o, const struct spec *s, struct args *a)
{
	long long v;

	if (s->conv == 'u') {
		put_number(o, s->size == 'L' ? va_arg(a->ap, unsigned long long) : s->size == 'l' ? va_arg(a->ap, unsigned long) :
			   s->size == 'z' ? va_arg(a->ap, size_t) : va_arg(a->ap, unsigned), false);
		return;
	}
	v = s->size == 'L' ? va_arg(a->ap, long long) : s->size == 'l' ? va_arg(a->ap, long) :
	    s->size == 'z' ? va_arg(a->ap, ssize_t) : va_arg(a->ap, int);
	put_number(o, v < 0 ? 0 - (unsigned long long)v : (unsigned long long)v, v < 0);
}

static void put_one(struct out *o, const struct spec *s, struct args *a)
{
	int precision = s->star ? va_arg(a->ap, int) : s->precision;
	char c;

	switch (s->conv) {
	case 's':
		put_string(o, va_arg(a->ap, const char *), precision);
		break;
	case 'c':
		c = (char)va_arg(a->ap, int);
		put(o, &c, 1);
		break;
	case '%':
		put(o, "%", 1);
		break;
	default:
		put_integer(o, s, a);
	}
}

int ph_vsnprintf(char *p, size_t size, const char *fmt, va_list ap)
{
	struct out o = { p, size ? size - 1 : 0, 0 };
	const char *at = fmt, *next;
	char nothing[1];
	struct args a;
	struct spec s;
	size_t n;

	if (!p)
		o.p = nothing;          /* of which nothing is written, but never to NULL */
	va_copy(a.ap, ap);
	while ((next = strchr(at, '%')) != NULL) {
		put(&o, at, (size_t)(next - at));
		n = parse(next + 1, &s);
		if (n == 0) {           /* not ours: from the start again, with the arguments as they came */
			va_end(a.ap);
			return vsnprintf(p, size, fmt, ap);
		}
		put_one(&o, &s, &a);
		at = next + 1 + n;
	}
	put(&o, at, strlen(at));
	va_end(a.ap);
	if (size)
		p[o.n < size ? o.n : size - 1] = '\0';
	return o.n > INT_MAX ? -1 : (int)o.n;
}

int ph_snprintf(char *p, size_t size, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = ph_vsnprintf(p, size, fmt, ap);
	va_end(ap);
	return n;
}
