/* delivered.c: see delivered.h.  RFC 5322 section 2.2. */
#include "delivered.h"

#include <string.h>
#include <strings.h>

static const char name[] = "delivered-to";

/* The value is whole: keep it without blanks around it. */
static void keep(struct delivered *d)
{
	size_t a = 0, b = d->n;

	if (!d->have)
		return;
	d->have = false;
	while (a < b && (d->value[a] == ' ' || d->value[a] == '\t'))
		a++;
	while (b > a && strchr(" \t\r", d->value[b - 1]))
		b--;
	if (!d->too_long && b > a && d->bytes + (b - a) + 1 <= sizeof d->values) {
		for (; a < b; a++)
			d->values[d->bytes++] = d->value[a] >= 'A' && d->value[a] <= 'Z' ? (char)(d->value[a] + 32) : d->value[a];
		d->values[d->bytes++] = '\0';
	}
	d->too_long = false;
	d->n = 0;
}

static void add(struct delivered *d, char c)
{
	if (d->n == sizeof d->value || c == '\0')
		d->too_long = true;
	else
		d->value[d->n++] = c;
}

/* The first byte of a line.  true: it ends the headers. */
static bool begin(struct delivered *d, char c)
{
	if (c == '\n' || c == '\r')
		return true;
	if (c == ' ' || c == '\t') {
		d->state = d->have ? DELIVERED_VALUE : DELIVERED_OTHER;
		if (d->have)
			add(d, c);
		return false;
	}
	keep(d);
	d->n = 0;
	d->state = DELIVERED_NAME;
	add(d, c);
	return false;
}

static void in_name(struct delivered *d, char c)
{
	if (c != ':' && c != '\n') {
		if (d->n < sizeof name + 8)
			add(d, c);
		return;
	}
	while (d->n > 0 && (d->value[d->n - 1] == ' ' || d->value[d->n - 1] == '\t'))
		d->n--;
	d->have = c == ':' && d->n == sizeof name - 1 && strncasecmp(d->value, name, d->n) == 0;
	d->n = 0;
	d->too_long = false;
	d->state = c == '\n' ? DELIVERED_START : d->have ? DELIVERED_VALUE : DELIVERED_OTHER;
}

bool delivered_feed(struct delivered *d, const char *p, size_t n)
{
	for (const char *end = p + n; p < end; p++) {
		switch (d->state) {
		case DELIVERED_START:
			if (begin(d, *p))
				return true;
			break;
		case DELIVERED_NAME:
			in_name(d, *p);
			break;
		case DELIVERED_VALUE:
			if (*p == '\n')
				d->state = DELIVERED_START;
			else
				add(d, *p);
			break;
		case DELIVERED_OTHER:
			p = memchr(p, '\n', (size_t)(end - p));
			if (!p)
				return false;
			d->state = DELIVERED_START;
			break;
		}
	}
	return false;
}

void delivered_end(struct delivered *d)
{
	keep(d);
}

void delivered_reset(struct delivered *d)
{
	d->bytes = d->n = 0;
	d->state = DELIVERED_START;
	d->have = d->too_long = false;
}
