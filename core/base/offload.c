/* offload.c: helper threads.
 *
 * Jobs go to a queue under the pool's lock; what is done comes back through one list and an eventfd per process,
 * written to only when the list was empty, so many completions cost one wake-up.  Threads are started one by one
 * while jobs wait, up to the pool's limit.  They inherit the identity for log lines of the coroutine they work for.
 * After a fork the child has none of the threads; a pool notices that and starts over.
 * State: the pools and the list of completions.  ph_offload yields. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/co_private.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/offload.h"

#define THREAD_STACK ((size_t)1024 * 1024)      /* client libraries are not as careful as coroutines */

struct job {
	struct job *next;
	void (*fn)(void *);
	void (*done)(void *);           /* NULL: wake co */
	void *arg;
	struct ph_co *co;
	bool finished;
	const char *syslog_name, *prog;
	struct ph_offload_pool *pool;
};

struct ph_offload_pool {
	const char *name;
	int max_threads;
	pid_t pid;                      /* the process whose threads these are */
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct job *first, **last;      /* waiting */
	int threads, idle, queued;      /* queued: jobs in the list; idle threads may not have woken up for them yet */
	unsigned pending;               /* loop thread only */
};

static struct {
	pid_t pid;
	int fd;
	struct event *event;
	pthread_mutex_t lock;
	struct job *first, **last;
} back = { .fd = -1 };

static struct ph_offload_pool *default_pool;
static int default_threads = 4;

/* ---- completions -------------------------------------------------------------------------- */

static void on_done(evutil_socket_t fd, short what, void *arg)
{
	struct job *j, *next;
	uint64_t n;
	ssize_t r = read(back.fd, &n, sizeof(n));

	(void)r;
	pthread_mutex_lock(&back.lock);
	j = back.first;
	back.first = NULL;
	back.last = &back.first;
	pthread_mutex_unlock(&back.lock);
	for (; j; j = next) {
		next = j->next;
		j->pool->pending--;
		j->finished = true;
		if (j->done) {
			j->done(j->arg);
			free(j);
		} else {
			ph_co_wake(j->co, 0);   /* the job lies on its stack */
		}
	}
}

static void back_init(void)
{
	if (back.pid == getpid())
		return;
	if (back.fd >= 0)
		close(back.fd);
	back.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ph_assert(back.fd >= 0);
	pthread_mutex_init(&back.lock, NULL);
	back.first = NULL;
	back.last = &back.first;
	back.event = event_new(ph_loop_base(), back.fd, EV_READ | EV_PERSIST, on_done, NULL);
	ph_assert(back.event && event_add(back.event, NULL) == 0);
	back.pid = getpid();
}

static void give_back(struct job *j)
{
	uint64_t one = 1;
	bool first;
	ssize_t r;

	j->next = NULL;
	pthread_mutex_lock(&back.lock);
	first = back.first == NULL;
	*back.last = j;
	back.last = &j->next;
	pthread_mutex_unlock(&back.lock);
	if (first) {
		r = write(back.fd, &one, sizeof(one));
		(void)r;
	}
}

/* ---- threads ------------------------------------------------------------------------------ */

static void *work(void *arg)
{
	struct ph_offload_pool *pool = arg;
	struct job *j;

	pthread_setname_np(pthread_self(), pool->name);
	for (;;) {
		pthread_mutex_lock(&pool->lock);
		pool->idle++;
		while (pool->first == NULL)
			pthread_cond_wait(&pool->more, &pool->lock);
		pool->idle--;
		j = pool->first;
		pool->first = j->next;
		pool->queued--;
		if (pool->first == NULL)
			pool->last = &pool->first;
		pthread_mutex_unlock(&pool->lock);
		ph_log_set_thread_ident(j->syslog_name, j->prog);
		j->fn(j->arg);
		ph_log_set_thread_ident(NULL, NULL);
		give_back(j);
	}
	return NULL;
}

static int thread_start(struct ph_offload_pool *pool)
{
	pthread_attr_t attr;
	pthread_t thread;
	sigset_t all, old;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);       /* signals are the loop's */
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, THREAD_STACK);
	r = pthread_create(&thread, &attr, work, pool);
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -r;
}

static void pool_start_over(struct ph_offload_pool *pool)
{
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->more, NULL);
	pool->first = NULL;
	pool->last = &pool->first;
	pool->threads = pool->idle = pool->queued = 0;
	pool->pending = 0;
	pool->pid = getpid();
}

static void submit(struct ph_offload_pool *pool, struct job *j)
{
	bool start;
	int r;

	back_init();
	if (pool->pid != getpid())
		pool_start_over(pool);
	j->pool = pool;
	j->next = NULL;
	pool->pending++;
	pthread_mutex_lock(&pool->lock);
	*pool->last = j;
	pool->last = &j->next;
	start = ++pool->queued > pool->idle && pool->threads < pool->max_threads;
	if (start)
		pool->threads++;
	pthread_mutex_unlock(&pool->lock);
	pthread_cond_signal(&pool->more);       /* behind the lock: who wakes must not have to wait for it */
	if (!start)
		return;
	r = thread_start(pool);
	if (r == 0)
		return;
	ph_log(PH_LOG_WARNING, "cannot start a helper thread: %s", strerrordesc_np(-r));
	pthread_mutex_lock(&pool->lock);
	ph_assert(--pool->threads > 0);         /* none at all: nobody would do the work */
	pthread_mutex_unlock(&pool->lock);
}

/* ---- the interface ------------------------------------------------------------------------ */

void ph_offload_threads(int n)
{
	default_threads = n < 1 ? 1 : n > 64 ? 64 : n;
	if (default_pool)
		default_pool->max_threads = default_threads;
}

struct ph_offload_pool *ph_offload_pool_new(const char *name, int n)
{
	struct ph_offload_pool *pool = ph_alloc(sizeof(*pool));

	pool->name = name;
	pool->max_threads = n < 1 ? 1 : n;
	return pool;
}

struct ph_offload_pool *ph_offload_default(void)
{
	if (default_pool == NULL)
		default_pool = ph_offload_pool_new("helper", default_threads);
	return default_pool;
}

int ph_offload_on(struct ph_offload_pool *pool, void (*fn)(void *), void *arg)
{
	struct job j = { .fn = fn, .arg = arg, .co = ph_co_self() };

	ph_assert(j.co != NULL);
	ph_co_ident(j.co, &j.syslog_name, &j.prog);
	submit(pool, &j);
	while (!j.finished)
		ph_co_park_hard("helper thread");
	return 0;
}

int ph_offload(void (*fn)(void *), void *arg)
{
	return ph_offload_on(ph_offload_default(), fn, arg);
}

void ph_offload_async(struct ph_offload_pool *pool, void (*fn)(void *), void (*done)(void *), void *arg)
{
	struct job *j = ph_alloc(sizeof(*j));

	j->fn = fn;
	j->done = done;
	j->arg = arg;
	submit(pool, j);
}

unsigned ph_offload_pending(const struct ph_offload_pool *pool)
{
	return pool->pending;
}
