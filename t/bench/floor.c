/* floor: the least that a server can do for the clients of "reject" and "rejectconn": it reads, looks at one letter and answers from
 * constants; no table, no log, no limit.  What a router reaches of its rate is what the kernel and the client leave to it.
 * floor PORT [PROCESSES]: on 127.0.0.1, until its standard input ends. */
#define _GNU_SOURCE
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define EHLO "250-mta.test\r\n250-PIPELINING\r\n250-SIZE 52428800\r\n250-VRFY\r\n250-ETRN\r\n250-STARTTLS\r\n250-ENHANCEDSTATUSCODES\r\n" \
	"250-8BITMIME\r\n250-DSN\r\n250 CHUNKING\r\n"
#define UNKNOWN "550 5.1.1 <nobody@valid.test>: Recipient address rejected: User unknown in relay recipient table\r\n"

static void say(int fd, const char *text)
{
	ssize_t n = write(fd, text, strlen(text));

	(void)n;
}

/* One command a read: these clients wait for each reply.  -1: the session is over. */
static int answer(int fd)
{
	char b[4096];
	ssize_t n = read(fd, b, sizeof(b));

	if (n <= 0)
		return -1;
	switch (b[0]) {
	case 'E':
		say(fd, EHLO);
		return 0;
	case 'Q':
		say(fd, "221 2.0.0 Bye\r\n");
		return -1;
	case 'M':
		say(fd, "250 2.1.0 Ok\r\n");
		return 0;
	}
	say(fd, n > 1 && b[1] == 'C' ? UNKNOWN : "250 2.0.0 Ok\r\n");
	return 0;
}

static void watch(int ep, int fd)
{
	struct epoll_event e = { .events = EPOLLIN, .data.fd = fd };

	epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
}

static void serve(int listener)
{
	struct epoll_event ev[64];
	int ep = epoll_create1(0), n, fd;

	watch(ep, listener);
	for (;;) {
		n = epoll_wait(ep, ev, 64, -1);
		for (int i = 0; i < n; i++) {
			fd = ev[i].data.fd;
			if (fd != listener) {
				if (answer(fd) < 0)
					close(fd);
				continue;
			}
			fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
			if (fd < 0)
				continue;
			say(fd, "220 mta.test ESMTP\r\n");
			watch(ep, fd);
		}
	}
}

int main(int argc, char **argv)
{
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1, processes = argc > 2 ? atoi(argv[2]) : 2;
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	char c;

	sin.sin_port = htons((uint16_t)(argc > 1 ? atoi(argv[1]) : 0));
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (bind(listener, (struct sockaddr *)&sin, sizeof(sin)) < 0 || listen(listener, 1024) < 0) {
		perror("floor");
		return 1;
	}
	for (int i = 0; i < processes; i++) {
		if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGTERM);
			serve(listener);
		}
	}
	while (read(0, &c, 1) > 0)
		;
	return 0;
}
