/* link.c: the connection to the queue manager.
 *
 * One coroutine for the life of the process: connects to private/qmgr, says HELLO with the deliveries that are still under way (a queue manager that was
 * restarted must not start them twice), and takes requests.  When the connection breaks, deliveries go on: their results are in the journal, which the queue
 * manager reads before it starts.  Yields. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/agent_private.h"
#include "base/co_private.h"
#include "base/pack.h"
#include "base/time.h"

#define AGAIN_MS 200                    /* between two attempts to connect */
#define COMPLAIN_MS PH_SECONDS(60)

void ph_agent_send(uint16_t type, const struct ph_buf *payload)
{
	struct ph_agent *a = &ph_agent_self;

	/* Not connected, or broken: what is sent now stands in the journal, and HELLO will tell the rest. */
	if (a->link)
		(void)ph_ipc_send(a->link, type, payload->data, payload->len);
}

static void send_hello(struct ph_agent *a)
{
	struct ph_buf b = PH_BUF_INIT(PH_IPC_FRAME_MAX);
	size_t i;

	ph_pack_u32(&b, (uint32_t)getpid());
	ph_pack_u8(&b, (uint8_t)a->cfg->slot);
	ph_pack_u8(&b, a->cfg->root);
	ph_pack_str(&b, ph_journal_file(a->journal));
	ph_pack_u32(&b, (uint32_t)a->n_deliveries);
	ph_list_for_each(d, &a->deliveries, struct ph_delivery, node) {
		uint32_t left = 0;

		ph_pack_u64(&b, d->req->id);
		ph_pack_str(&b, d->req->ref.queue_id);
		for (i = 0; i < d->req->n_rcpts; i++)
			left += !d->rcpts[i].done;
		ph_pack_u32(&b, left);
		for (i = 0; i < d->req->n_rcpts; i++) {
			if (!d->rcpts[i].done)
				ph_pack_u32(&b, d->req->rcpts[i].index);
		}
	}
	ph_agent_send(PH_F_HELLO_AGENT, &b);
	ph_buf_clear(&b);
	if (a->stopping)
		ph_agent_send(PH_F_AGENT_LEAVE, &b);
	ph_buf_done(&b);
}

static struct ph_ipc *link_open(struct ph_agent *a)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd;

	if (snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/private/qmgr", a->cfg->queue_dir) >= (int)sizeof(addr.sun_path))
		return NULL;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return NULL;
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		close(fd);
		return NULL;
	}
	return ph_ipc_new(fd);
}

/* All results that stand in older files were sent before. */
static void rotate(struct ph_agent *a)
{
	struct ph_buf b = PH_BUF_INIT(4096);
	struct ph_err err;

	if (ph_journal_rotate(a->journal, &err) < 0) {
		ph_log(PH_LOG_WARNING, "cannot go on in a new journal file: %s", err.text);
		return;
	}
	ph_agent_children_rotate();
	ph_pack_str(&b, ph_journal_file(a->journal));
	ph_agent_send(PH_F_ROTATED, &b);
	ph_buf_done(&b);
}

/* We are ending: a request that was on its way goes back. */
static void refuse(struct ph_slice request)
{
	struct ph_buf b = PH_BUF_INIT(64);
	struct ph_unpack u;

	ph_unpack_init(&u, request);
	ph_pack_u64(&b, ph_unpack_u64(&u));     /* its number comes first */
	if (!u.bad)
		ph_agent_send(PH_F_REFUSED, &b);
	ph_buf_done(&b);
}

static void serve(struct ph_agent *a)
{
	struct ph_slice payload;
	uint16_t type;
	int r;

	while ((r = ph_ipc_recv(a->link, &type, &payload, PH_NEVER)) == 0) {
		switch (type) {
		case PH_F_DELIVER:
			if (a->stopping)
				refuse(payload);
			else
				ph_delivery_begin(payload);
			break;
		case PH_F_ROTATE:
			rotate(a);
			break;
		default:
			ph_log(PH_LOG_WARNING, "unexpected frame %d from the queue manager", type);
		}
	}
	if (r != -ENODATA && r != -ECANCELED && r != -ECONNRESET)
		ph_log(PH_LOG_WARNING, "connection to the queue manager: %s", strerror(-r));
}

void ph_agent_link_run(void *unused)
{
	struct ph_agent *a = &ph_agent_self;
	int64_t complain = ph_now_ms() + COMPLAIN_MS;

	while (!ph_co_cancelled()) {
		a->link = link_open(a);
		if (a->link) {
			send_hello(a);
			serve(a);
			ph_ipc_close(&a->link);
			complain = ph_now_ms() + COMPLAIN_MS;
		} else if (ph_now_ms() > complain) {
			ph_log(PH_LOG_WARNING, "cannot connect to the queue manager at %s/private/qmgr", a->cfg->queue_dir);
			complain = ph_now_ms() + COMPLAIN_MS;
		}
		if (ph_co_sleep(AGAIN_MS) < 0)
			break;
	}
	a->link_co = NULL;
}
