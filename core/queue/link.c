/* link.c: the intake side's connection to the queue manager.
 *
 * NEW frames are sent when there is a connection and forgotten when there is none: what is in a segment the queue manager finds by
 * reading it up to the committed offset of our HELLO.  A message in a file of its own has no such mark, so the last ones of
 * these are announced again with each connection (the queue manager ignores what it knows, and what is gone).
 * State: the one link of this process.  Its coroutine yields; ph_qmgr_announce does not. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <posthouse/co.h>
#include "base/ipc.h"
#include "base/loop.h"
#include "base/pack.h"
#include "queue/proto.h"
#include "queue/verify.h"

#define RETRY_MIN_MS 20
#define RETRY_MAX_MS 1000
#define OPEN_MAX 64
#define OWN_MAX 1024            /* messages in files of their own that are announced again */
#define ENVELOPE_MAX ((size_t)8 * 1024 * 1024)  /* larger ones the queue manager reads from the file */

static struct ph_qmgr_link {
	bool started;
	char path[108];
	struct ph_store *store;
	struct ph_ipc *ipc;             /* NULL: not connected */
	struct ph_waitq broken;
	int64_t throttle_ms;
	char file[40];                  /* segment of the last message */
	bool many_open;                 /* the last list had more than one */
	struct ph_timer *open_timer;
	struct ph_msg_ref *own;         /* ring */
	unsigned own_at, own_n;
	struct ph_msg_ref open[OPEN_MAX];
	void (*hook)(const struct ph_msg_ref *ref, const struct ph_envelope *env);
} link_;

static int link_connect(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", link_.path);
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0) {
		int r = -errno;

		close(fd);
		return r;
	}
	return fd;
}

/* u32 n, n refs */
static void pack_open(struct ph_buf *b)
{
	size_t n = ph_store_open_segments(link_.store, link_.open, OPEN_MAX), i;

	ph_pack_u32(b, (uint32_t)n);
	for (i = 0; i < n; i++)
		ph_ref_encode(&link_.open[i], b);
	link_.many_open = n > 1;
}

static void send_open(void)
{
	struct ph_buf b = PH_BUF_INIT(1 << 20);

	if (link_.ipc == NULL)
		return;
	pack_open(&b);
	ph_ipc_send(link_.ipc, PH_F_OPEN_SEGMENTS, b.data, b.len);
	ph_buf_done(&b);
	if (link_.many_open)            /* an older one still has commits under way: say so when it is closed */
		ph_timer_set(link_.open_timer, ph_now_ms() + 1000);
}

static void on_open_timer(void *arg)
{
	send_open();
}

static void send_new(const struct ph_msg_ref *ref, const struct ph_envelope *env)
{
	struct ph_buf b = PH_BUF_INIT(PH_IPC_FRAME_MAX), e = PH_BUF_INIT(ENVELOPE_MAX);

	ph_ref_encode(ref, &b);
	if (env && ph_envelope_encode(env, &e) < 0)
		ph_buf_clear(&e);
	ph_pack_bytes(&b, e.data, e.len);
	/* -ENOBUFS: the queue manager is 32 MiB behind.  Break the link: it reads the rest from the segment. */
	if (ph_ipc_send(link_.ipc, PH_F_NEW, b.data, b.len) == -ENOBUFS)
		shutdown(ph_ipc_fd(link_.ipc), SHUT_RDWR);
	ph_buf_done(&b);
	ph_buf_done(&e);
}

static void link_hello(void)
{
	struct ph_buf b = PH_BUF_INIT(1 << 20);
	unsigned i;

	ph_pack_u32(&b, (uint32_t)getpid());
	ph_pack_u8(&b, 0);              /* the slot stands in the names of the files */
	pack_open(&b);
	ph_ipc_send(link_.ipc, PH_F_HELLO_INTAKE, b.data, b.len);
	ph_buf_done(&b);
	for (i = 0; i < link_.own_n; i++)
		send_new(&link_.own[(link_.own_at + OWN_MAX - link_.own_n + i) % OWN_MAX], NULL);
}

/* ---- is an address deliverable? ---- */

/* One who waits for an answer; lives on his stack. */
struct question {
	struct question *next;
	uint32_t number;
	bool done;
	enum ph_verified status;
	struct ph_arena *arena;
	const char *text;               /* NULL: the link broke */
	struct ph_waitq wait;
};
static struct question *questions;

static void on_verified(struct ph_unpack *u)
{
	uint32_t number = ph_unpack_u32(u);
	uint8_t status = ph_unpack_u8(u);

	for (struct question *x = questions; x && !u->bad && status <= PH_VERIFIED_TODO; x = x->next) {
		if (x->number != number || x->done)
			continue;
		x->text = ph_unpack_str(u, x->arena);
		x->status = (enum ph_verified)status;
		x->done = true;
		ph_waitq_wake_all(&x->wait);
		return;
	}
}

static void questions_fail(void)
{
	for (struct question *x = questions; x; x = x->next) {
		x->done = true;
		ph_waitq_wake_all(&x->wait);
	}
}

int ph_verify_ask(const char *address, struct ph_arena *arena, int64_t deadline_ms, enum ph_verified *ret_status, const char **ret_text)
{
	static uint32_t number;
	struct question x = { .next = questions, .number = ++number, .arena = arena }, **at;
	struct ph_buf b = PH_BUF_INIT(64 * 1024);
	int r;

	if (!link_.ipc)
		return -ENOTCONN;
	ph_pack_u32(&b, x.number);
	ph_pack_str(&b, address);
	r = ph_ipc_send(link_.ipc, PH_F_VERIFY, b.data, b.len);
	ph_buf_done(&b);
	if (r < 0)
		return r;
	questions = &x;
	while (!x.done && r == 0)
		r = ph_waitq_wait(&x.wait, deadline_ms);
	for (at = &questions; *at != &x; at = &(*at)->next)
		;
	*at = x.next;
	if (!x.done || !x.text)
		return r < 0 ? r : -ECONNRESET;
	*ret_status = x.status;
	*ret_text = x.text;
	return 0;
}

static void on_frame(uint16_t type, struct ph_slice payload)
{
	struct ph_unpack u;
	uint32_t ms;

	ph_unpack_init(&u, payload);
	if (type == PH_F_VERIFIED)
		on_verified(&u);
	if (type == PH_F_THROTTLE) {
		ms = ph_unpack_u32(&u);
		if (!u.bad)
			link_.throttle_ms = ms <= 60000 ? ms : 60000;
	}
}

static void link_serve(void)
{
	struct ph_slice payload;
	uint16_t type;

	while (ph_ipc_recv(link_.ipc, &type, &payload, PH_NEVER) == 0)
		on_frame(type, payload);
}

static void link_main(void *arg)
{
	int64_t pause = RETRY_MIN_MS;

	while (!ph_co_cancelled()) {
		int fd = link_connect();

		if (fd >= 0) {
			pause = RETRY_MIN_MS;
			link_.ipc = ph_ipc_new(fd);
			link_hello();
			link_serve();
			link_.throttle_ms = 0;
			ph_ipc_close(&link_.ipc);
			questions_fail();
		}
		if (ph_co_sleep(pause) < 0)
			break;
		pause = pause * 2 < RETRY_MAX_MS ? pause * 2 : RETRY_MAX_MS;
	}
}

int ph_qmgr_link_start(const char *queue_dir, struct ph_store *store)
{
	if (link_.started)
		return 0;
	if ((size_t)snprintf(link_.path, sizeof(link_.path), "%s/private/qmgr", queue_dir) >= sizeof(link_.path))
		return -ENAMETOOLONG;
	link_.started = true;
	link_.store = store;
	link_.own = ph_alloc(OWN_MAX * sizeof(link_.own[0]));
	link_.open_timer = ph_timer_new(on_open_timer, NULL);
	ph_co_spawn("qmgr link", link_main, NULL);
	return 0;
}

static bool is_segment(const char *file)
{
	return strncmp(file, "incoming/S", 10) == 0 && strchr(file, '.') != NULL;
}

void ph_qmgr_announce(const struct ph_msg_ref *ref, const struct ph_envelope *env)
{
	if (link_.hook) {
		link_.hook(ref, env);
		return;
	}
	if (!link_.started)
		return;
	if (!is_segment(ref->file)) {
		link_.own[link_.own_at] = *ref;
		link_.own_at = (link_.own_at + 1) % OWN_MAX;
		if (link_.own_n < OWN_MAX)
			link_.own_n++;
	} else if (link_.ipc && strcmp(link_.file, ref->file) != 0) {
		memcpy(link_.file, ref->file, sizeof(link_.file));
		send_open();
	}
	if (link_.ipc)
		send_new(ref, env);
}

void ph_qmgr_announce_hook(void (*fn)(const struct ph_msg_ref *ref, const struct ph_envelope *env))
{
	link_.hook = fn;
}

int64_t ph_qmgr_throttle_ms(void)
{
	return link_.throttle_ms;
}
