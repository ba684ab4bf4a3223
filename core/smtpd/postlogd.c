/* postlogd.c: see postlogd.h.  Runs in the pickup process, which has the log file open and no rights to lose.  One datagram is one line; who may
 * send is decided by the folder's permissions (set-gid commands).  Yields.  Source: postlogd(8). */
#include <errno.h>
#include <posthouse/co.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "base/loop.h"
#include "smtpd/postlogd.h"

#define LINE_BYTES 8192         /* the log cuts lines sooner */
#define AT_ONCE 64

static void serve(void *arg)
{
	int fd = (int)(intptr_t)arg, i;
	char *line = ph_alloc(LINE_BYTES);
	ssize_t n;

	while (ph_fd_wait(fd, EV_READ, PH_NEVER) == 0) {
		for (i = 0; i < AT_ONCE && (n = recv(fd, line, LINE_BYTES, MSG_DONTWAIT)) >= 0; i++)
			ph_log_relay(line, (size_t)n);
	}
	free(line);
	close(fd);
}

void ph_postlogd_start(const char *queue_dir, const char *service)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd;

	if (!service || !*service || strchr(service, '/'))
		return;
	if ((size_t)snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/public/%s", queue_dir, service) >= sizeof(sun.sun_path))
		return;
	unlink(sun.sun_path);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0 || chmod(sun.sun_path, 0666) < 0) {
		ph_log(PH_LOG_WARNING, "postlog service %s: %s", sun.sun_path, strerrordesc_np(errno));
		if (fd >= 0)
			close(fd);
		return;
	}
	ph_co_spawn("postlog", serve, (void *)(intptr_t)fd);
}
