/* queue_id.c: names of messages.  State: the slot and the last time used.  No yield. */
#include <stdio.h>
#include <string.h>

#include <posthouse/base.h>
#include "base/queue_id.h"

static const char digits52[] = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz";
#define LONG_SEC 6              /* digits at least */
#define LONG_USEC 4             /* digits: 52^4 > 10^6 */
#define LONG_SLOT 4

static unsigned my_slot;
static int64_t last_us;

void ph_queue_id_init(unsigned slot)
{
	ph_assert(slot < 256);
	my_slot = slot;
}

/* At least width digits of value in this base. */
static char *put_base(char *p, uint64_t value, unsigned base, int width)
{
	char rev[16];
	int n = 0;

	do {
		rev[n++] = digits52[value % base];
		value /= base;
	} while (value > 0 || n < width);
	while (n > 0)
		*p++ = rev[--n];
	return p;
}

void ph_queue_id_new(char buf[PH_QUEUE_ID_MAX], bool long_form)
{
	int64_t us = ph_wall_us();
	char *p = buf;

	if (us <= last_us)
		us = last_us + 1;
	last_us = us;
	if (!long_form) {
		snprintf(buf, PH_QUEUE_ID_MAX, "%05X%07X%02X", (unsigned)(us % 1000000),
			 (unsigned)(us / 1000000 & 0xfffffff), my_slot);
		return;
	}
	p = put_base(p, (uint64_t)(us / 1000000), 52, LONG_SEC);
	p = put_base(p, (uint64_t)(us % 1000000), 52, LONG_USEC);
	*p++ = 'z';
	p = put_base(p, my_slot, 51, LONG_SLOT);
	*p = '\0';
}

static bool valid_long(const char *id, size_t n)
{
	const char *z;

	if (n < LONG_SEC + LONG_USEC + 2)
		return false;
	/* Base 52 has a digit 'z', too, but base 51 has not: the separator is the last one. */
	z = strrchr(id, 'z');
	return z && z >= id + LONG_SEC + LONG_USEC && z[1] != '\0' && strspn(id, digits52) == n;
}

bool ph_queue_id_valid(const char *id)
{
	size_t n = strnlen(id, PH_QUEUE_ID_MAX);

	if (n >= PH_QUEUE_ID_MAX)
		return false;
	if (n >= 6 && n <= 21 && strspn(id, "0123456789ABCDEF") == n)
		return true;
	return valid_long(id, n);
}

bool ph_queue_id_plausible(const char *id)
{
	size_t n = strspn(id, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_");

	return n > 0 && n <= 255 && id[n] == '\0';
}
