/* log_rotate.c: a worker goes on to the log file that its master has opened anew: it has not the rights to open it itself.
 * The master sends the descriptor over a socket and raises SIGUSR1; the next line that is written goes to the new file.
 * State: the worker's end of the socket.  No yield. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/log_rotate.h"

static volatile sig_atomic_t asked;
static int control = -1;

static void on_signal(int signo)
{
	asked = 1;
}

void ph_log_follow(int fd)
{
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = SA_RESTART };

	control = fd;
	sigaction(SIGUSR1, &sa, NULL);
}

void ph_log_follow_forget(void)
{
	control = -1;
	asked = 0;
}

bool ph_log_rotate_asked(void)
{
	return asked;
}

int ph_log_rotate_take(void)
{
	char byte, space[CMSG_SPACE(sizeof(int))];
	struct iovec iov = { &byte, 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof(space) };
	struct cmsghdr *c;
	int fd = -1, next;

	asked = 0;
	/* After several rotations the last file counts. */
	while (control >= 0 && recvmsg(control, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) > 0) {
		c = CMSG_FIRSTHDR(&m);
		if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(int))) {
			memcpy(&next, CMSG_DATA(c), sizeof(int));
			if (fd >= 0)
				close(fd);
			fd = next;
		}
		m.msg_controllen = sizeof(space);
	}
	return fd;
}

int ph_log_send(int to)
{
	char byte = 0;
	union { struct cmsghdr head; char space[CMSG_SPACE(sizeof(int))]; } u;
	struct iovec iov = { &byte, 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = u.space, .msg_controllen = sizeof(u.space) };
	int fd = ph_log_fd();

	if (fd < 0)
		return -EBADF;
	memset(&u, 0, sizeof(u));
	u.head.cmsg_level = SOL_SOCKET;
	u.head.cmsg_type = SCM_RIGHTS;
	u.head.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&u.head), &fd, sizeof(int));
	return sendmsg(to, &m, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}
