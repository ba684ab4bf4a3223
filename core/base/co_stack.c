/* co_stack.c: stacks of coroutines.
 *
 * 256 KiB each, mapped lazily, with a guard page at the low end.  Freed stacks are kept: the newest few as they
 * are (warm), more of them without their memory, and beyond that they are unmapped.
 *
 * Two things would cost far more memory than the stacks themselves: transparent huge pages (2 MiB for the first
 * byte touched), which are switched off; and one kernel mapping for each guard page, of which a process may
 * have 65530 by default: Linux 6.13 has guard pages inside one mapping, older kernels get mprotect.
 * State: the free list.  No yield. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <posthouse/base.h>
#include "base/co_switch.h"

#include "config.h"
#ifdef HAVE_VALGRIND_VALGRIND_H
#include <valgrind/valgrind.h>
#else
#define VALGRIND_STACK_REGISTER(low, high) 0
#define VALGRIND_STACK_DEREGISTER(id) ((void)(id))
#endif
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

#define KEEP_WARM 64
#define KEEP_COLD 1024

static struct ph_stack kept[KEEP_COLD];         /* kept[0..cold) have no memory, the rest is warm */
static unsigned kept_n, cold_n;
static bool no_guard_warned, no_light_guard;

static void guard_install(char *page, size_t bytes)
{
	if (!no_light_guard) {
		if (madvise(page, bytes, MADV_GUARD_INSTALL) == 0)
			return;
		no_light_guard = true;
	}
	if (mprotect(page, bytes, PROT_NONE) == 0 || no_guard_warned)
		return;
	no_guard_warned = true;
	ph_log(PH_LOG_WARNING, "too many mappings (sysctl vm.max_map_count): coroutine stacks without guard pages");
}

static void stack_map(struct ph_stack *s)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *p = mmap(NULL, PH_STACK_BYTES, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);

	if (p == MAP_FAILED)
		ph_log(PH_LOG_PANIC, "cannot map a coroutine stack: %s", strerror(errno));
	ph_assert(p != MAP_FAILED);
	(void)madvise(p, PH_STACK_BYTES, MADV_NOHUGEPAGE);
	guard_install(p, page);
	s->map = p;
	s->low = p + page;
	s->bytes = PH_STACK_BYTES - page;
	s->resting = false;
	s->valgrind_id = VALGRIND_STACK_REGISTER(s->low, s->low + s->bytes - 1);
}

void ph_stack_get(struct ph_stack *s)
{
	if (kept_n == 0) {
		stack_map(s);
		return;
	}
	*s = kept[--kept_n];
	if (cold_n > kept_n)
		cold_n = kept_n;
}

void ph_stack_put(struct ph_stack *s)
{
	if (kept_n == KEEP_COLD) {
		VALGRIND_STACK_DEREGISTER(s->valgrind_id);
		munmap(s->map, PH_STACK_BYTES);
		return;
	}
	kept[kept_n++] = *s;
	if (kept_n - cold_n > KEEP_WARM) {
		(void)madvise(kept[cold_n].low, kept[cold_n].bytes, MADV_DONTNEED);
		kept[cold_n].resting = false;
		cold_n++;
	}
}
