/* time.c: the clocks, and the fake one of the tests.  State: the value of this loop turn.  No yield. */
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/time.h"

static int64_t turn_ms = -1;                    /* -1: no loop runs */
static const _Atomic int64_t *fake_offset;      /* NULL: the real clock */

__attribute__((constructor)) static void fake_clock_open(void)
{
	const char *path = secure_getenv("PH_CLOCK_FILE");
	struct stat st;
	void *p;
	int fd;

	if (path == NULL)
		return;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	if (fstat(fd, &st) == 0 && st.st_size >= (off_t)sizeof(int64_t)) {
		p = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);
		if (p != MAP_FAILED)
			fake_offset = p;
	}
	close(fd);
}

static int64_t offset_ms(void)
{
	return fake_offset ? atomic_load_explicit(fake_offset, memory_order_relaxed) : 0;
}

int64_t ph_now_ms_exact(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000 + offset_ms();
}

int64_t ph_now_ms(void)
{
	return turn_ms >= 0 ? turn_ms : ph_now_ms_exact();
}

int64_t ph_time_turn(void)
{
	turn_ms = ph_now_ms_exact();
	return turn_ms;
}

void ph_time_uncached(void)
{
	turn_ms = -1;
}

bool ph_time_is_fake(void)
{
	return fake_offset != NULL;
}

int64_t ph_deadline(int64_t ms)
{
	int64_t now = ph_now_ms();

	return ms < 0 || ms > PH_NEVER - now ? PH_NEVER : now + ms;
}

int64_t ph_wall_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000 + offset_ms() * 1000;
}
