/* shim.c: preloaded by resources.t: descriptors, fork and allocation run out and the wall clock jumps as the page that SHIM_FILE names says.  The page is mapped before
 * any rights are given up and is inherited by each worker. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

struct page {
	_Atomic int64_t wall;           /* seconds added to the wall clock */
	_Atomic int64_t forks;          /* so many forks fail */
	_Atomic int64_t pid;            /* in this process ... */
	_Atomic int64_t allocation;     /* ... the n-th allocation from now fails; 0: none */
	struct {
		_Atomic int64_t pid, files;     /* this process may have so many descriptors; 0: as many as it wants */
	} limits[8];
};
static struct page none, *page = &none;

extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);

__attribute__((constructor)) static void map(void)
{
	const char *path = getenv("SHIM_FILE");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *p = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p != MAP_FAILED)
		page = p;
	if (fd >= 0)
		close(fd);
}

#ifdef ALLOCATION
static int refused(void)
{
	if (page->pid == 0 || page->pid != getpid() || page->allocation <= 0 || atomic_fetch_sub(&page->allocation, 1) != 1)
		return 0;
	errno = ENOMEM;
	return 1;
}

void *malloc(size_t n) { return refused() ? NULL : __libc_malloc(n); }
void *calloc(size_t k, size_t n) { return refused() ? NULL : __libc_calloc(k, n); }
void *realloc(void *p, size_t n) { return refused() ? NULL : __libc_realloc(p, n); }
#endif

pid_t fork(void)
{
	static pid_t (*next)(void);

	if (page->forks > 0 && atomic_fetch_sub(&page->forks, 1) > 0) {
		errno = EAGAIN;
		return -1;
	}
	if (next == NULL)
		next = (pid_t (*)(void))dlsym(RTLD_NEXT, "fork");
	return next();
}

static void limit(void)
{
	struct rlimit now;

	for (int i = 0; i < 8; i++) {
		if (page->limits[i].pid == 0 || page->limits[i].pid != getpid())
			continue;
		getrlimit(RLIMIT_NOFILE, &now);
		now.rlim_cur = page->limits[i].files > 0 ? (rlim_t)page->limits[i].files : now.rlim_max;
		setrlimit(RLIMIT_NOFILE, &now);
	}
}

/* Each turn of the loop comes here. */
int clock_gettime(clockid_t id, struct timespec *ts)
{
	static int (*next)(clockid_t, struct timespec *);
	int r;

	if (next == NULL)
		next = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
	limit();
	r = next(id, ts);
	if (r == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
		ts->tv_sec += page->wall;
	return r;
}

time_t time(time_t *t)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	if (t)
		*t = ts.tv_sec;
	return ts.tv_sec;
}

int gettimeofday(struct timeval *restrict tv, void *restrict tz)
{
	struct timespec ts;

	(void)tz;
	clock_gettime(CLOCK_REALTIME, &ts);
	tv->tv_sec = ts.tv_sec;
	tv->tv_usec = ts.tv_nsec / 1000;
	return 0;
}
