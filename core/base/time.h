/* time.h: the clocks.
 *
 * Tests move both clocks (ph_now_ms and ph_wall_us) live: the environment variable PH_CLOCK_FILE names a file
 * whose first eight bytes are an int64 in the machine's byte order, milliseconds that are added.  It is mapped,
 * so writing to it takes effect at once (a sleeping loop notices within 20 ms).  Ignored in setuid programs. */
#ifndef PH_BASE_TIME_H
#define PH_BASE_TIME_H

#include <posthouse/base.h>

#define PH_NEVER INT64_MAX      /* a deadline that does not come */

/* Read the clock for this loop turn; from now on ph_now_ms returns this value. */
int64_t ph_time_turn(void);
/* The loop has stopped: ph_now_ms reads the clock each time again. */
void ph_time_uncached(void);
bool ph_time_is_fake(void);
/* now + ms without overflow; ms < 0 or PH_NEVER: PH_NEVER. */
int64_t ph_deadline(int64_t ms);
/* Seconds since 1970, wall clock. */
static inline int64_t ph_wall_s(void)
{
	return ph_wall_us() / 1000000;
}

#endif
