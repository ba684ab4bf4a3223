/* loop.c: the event loop: one turn after the other.
 * State: libevent's base, signals and hooks of this process.  ph_fd_wait yields. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/co_private.h"
#include "base/log.h"
#include "base/loop_private.h"
#include "base/watchdog.h"

#define FAKE_CLOCK_NAP_MS 20    /* how long a sleeping loop may miss that a test has moved the clock */
#define BUSY_TURNS 8            /* libevent's own descriptors are asked every so many busy turns */

static struct {
	struct event_base *base;
	struct event *wake;             /* the timer that ends a sleep */
	int64_t wake_at;                /* what it is set to; PH_NEVER: not set */
	pid_t pid;
	bool running, stop;
	uint64_t turn;
	void (*idle_fn)(void *);
	void *idle_arg;
	struct signal_slot {
		struct event *event;
		void (*fn)(int signo, void *arg);
		void *arg;
	} signals[65];
} loop;

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
	loop.wake_at = PH_NEVER;
}

/* What the parent registered stays with it.  event_reinit first, or else freeing the base would take
 * the parent's descriptors out of the epoll instance that both still share. */
static void forget_parent(void)
{
	int i;

	event_reinit(loop.base);
	ph_co_forget_all();
	ph_timers_forget();
	ph_defers_forget();
	for (i = 0; i < 65; i++) {
		if (loop.signals[i].event)
			event_free(loop.signals[i].event);
	}
	event_base_free(loop.base);
	memset(&loop, 0, sizeof(loop));
}

int ph_loop_init(void)
{
	struct event_config *config;
	int r;

	if (loop.base && loop.pid == getpid())
		return 0;
	if (loop.base)
		forget_parent();
	config = event_config_new();
	if (config == NULL)
		return -ENOMEM;
	event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
	loop.base = event_base_new_with_config(config);
	event_config_free(config);
	if (loop.base == NULL)
		return -ENOMEM;
	r = ph_fdw_init_process(loop.base);
	if (r < 0)
		return r;
	loop.wake = event_new(loop.base, -1, 0, on_wake, NULL);
	if (loop.wake == NULL)
		return -ENOMEM;
	loop.wake_at = PH_NEVER;
	loop.pid = getpid();
	signal(SIGPIPE, SIG_IGN);
	return 0;
}

struct event_base *ph_loop_base(void)
{
	return loop.base;
}

bool ph_loop_running(void)
{
	return loop.running;
}

uint64_t ph_loop_turn(void)
{
	return loop.turn;
}

/* ---- one turn ----------------------------------------------------------------------------- */

/* Make the sleep that follows end when the next timer is due.  The timer is only touched when it must ring earlier
 * than it is set to; one that rings for nothing costs a turn. */
static void set_wake(void)
{
	int64_t at = ph_timers_next(), now = ph_now_ms_exact();
	struct timeval tv;

	if (ph_time_is_fake() && at > now + FAKE_CLOCK_NAP_MS)
		at = now + FAKE_CLOCK_NAP_MS;
	if (at == PH_NEVER || (loop.wake_at <= at && !ph_time_is_fake()))
		return;
	loop.wake_at = at;
	at = at > now ? at - now : 0;
	tv.tv_sec = at / 1000;
	tv.tv_usec = at % 1000 * 1000;
	event_add(loop.wake, &tv);
}

static bool work_left(void)
{
	return ph_co_ready_any() || ph_defers_pending() || ph_timers_next() <= ph_now_ms();
}

/* Streams are asked directly; only when they are quiet does the loop sleep, in libevent. */
static void wait_events(void)
{
	bool busy = work_left();

	if (ph_fdw_poll() > 0)
		busy = true;
	if (busy && loop.turn % BUSY_TURNS != 0)
		return;
	if (!busy) {
		if (loop.idle_fn)
			loop.idle_fn(loop.idle_arg);
		busy = work_left();
	}
	if (!busy)
		set_wake();
	event_base_loop(loop.base, EVLOOP_ONCE | (busy ? EVLOOP_NONBLOCK : 0));
}

static void turn(void)
{
	loop.turn++;
	wait_events();
	ph_time_turn();
	ph_watchdog_enter("timers");
	ph_timers_run(ph_now_ms());
	ph_watchdog_leave();
	ph_co_run_ready();
	ph_watchdog_enter("end of turn");
	ph_defers_run();
	ph_log_flush();
	ph_watchdog_leave();
}

void ph_loop_run(void)
{
	ph_assert(loop.base && loop.pid == getpid());
	ph_assert(!loop.running && ph_co_self() == NULL);
	loop.running = true;
	loop.stop = false;
	ph_log_set_immediate(false);
	ph_time_turn();
	while (!loop.stop)
		turn();
	ph_time_uncached();
	ph_log_set_immediate(true);
	loop.running = false;
}

void ph_loop_stop(void)
{
	loop.stop = true;
}

void ph_loop_idle_hook(void (*fn)(void *), void *arg)
{
	loop.idle_fn = fn;
	loop.idle_arg = arg;
}

/* ---- signals ------------------------------------------------------------------------------ */

static void on_signal(evutil_socket_t signo, short what, void *arg)
{
	struct signal_slot *slot = arg;

	ph_watchdog_enter("signal");
	slot->fn((int)signo, slot->arg);
	ph_watchdog_leave();
}

int ph_signal_on(int signo, void (*fn)(int signo, void *arg), void *arg)
{
	struct signal_slot *slot;

	if (signo < 1 || signo >= (int)PH_ARRAY_LEN(loop.signals))
		return -EINVAL;
	slot = &loop.signals[signo];
	if (slot->event) {
		event_free(slot->event);
		slot->event = NULL;
	}
	slot->fn = fn;
	slot->arg = arg;
	if (fn == NULL)
		return 0;
	slot->event = evsignal_new(loop.base, signo, on_signal, slot);
	if (slot->event == NULL || evsignal_add(slot->event, NULL) < 0)
		return -ENOMEM;
	return 0;
}

/* ---- single descriptors ------------------------------------------------------------------- */

static void on_fd(evutil_socket_t fd, short what, void *arg)
{
	ph_co_wake(arg, 0);
}

int ph_fd_wait(int fd, short ev, int64_t deadline_ms)
{
	struct event *e;
	int r;

	e = event_new(loop.base, fd, ev & (EV_READ | EV_WRITE), on_fd, ph_co_self());
	if (e == NULL)
		return -ENOMEM;
	if (event_add(e, NULL) < 0)
		r = -EBADF;
	else
		r = ph_co_park("fd", deadline_ms);
	event_free(e);
	return r;
}

/* ---- for command-line tools ---------------------------------------------------------------- */

struct blocking {
	void (*fn)(void *);
	void *arg;
};

static void blocking_main(void *arg)
{
	struct blocking *b = arg;

	b->fn(b->arg);
	ph_loop_stop();
}

int ph_run_blocking(void (*fn)(void *), void *arg)
{
	struct blocking b = { fn, arg };
	int r = ph_loop_init();

	if (r < 0)
		return r;
	ph_co_spawn("main", blocking_main, &b);
	ph_loop_run();
	return 0;
}
