/* dns_conf.c: the files that tell about names: resolv.conf(5) and hosts(5).
 *
 * State: the parsed hosts file of this process.  Does not yield (two small local files).  Bounded: 256 KiB of a file are read. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/time.h"
#include "net/dns_conf.h"
#include "net/dns_private.h"

#define FILE_MAX ((size_t)256 * 1024)
#define LOOK_EVERY_MS 5000

/* The file's text, to be freed; NULL: it cannot be read. */
static char *read_file(const char *path, struct stat *ret_st)
{
	char *text = NULL;
	size_t n = 0;
	ssize_t r;
	int fd;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return NULL;
	if (fstat(fd, ret_st) == 0 && S_ISREG(ret_st->st_mode)) {
		text = ph_alloc(FILE_MAX + 1);
		while (n < FILE_MAX && (r = read(fd, text + n, FILE_MAX - n)) > 0)
			n += (size_t)r;
		text[n] = '\0';
	}
	close(fd);
	return text;
}

/* ---- resolv.conf -------------------------------------------------------------------------- */

static void server_add(struct ph_dns_resolv *r, const char *word)
{
	char host[80], *at;
	struct in6_addr addr;

	if (r->n == PH_DNS_SERVERS_MAX || strlen(word) >= sizeof(host))
		return;
	strcpy(host, word);
	at = strchr(host, '@');
	if (at)
		*at = '\0';
	if (strchr(host, '%'))          /* a scope is for link-local servers; the library wants it as it is */
		*strchr(host, '%') = '\0';
	if (inet_pton(AF_INET, host, &addr) != 1 && inet_pton(AF_INET6, host, &addr) != 1)
		return;
	strcpy(r->server[r->n++], word);
}

static int option_number(const char *word, const char *name, int max)
{
	size_t n = strlen(name);
	long v;

	if (strncmp(word, name, n) != 0)
		return 0;
	v = strtol(word + n, NULL, 10);
	return v < 1 ? 0 : v > max ? max : (int)v;
}

void ph_dns_resolv_parse(const char *text, struct ph_dns_resolv *ret)
{
	char *copy = ph_strdup(text), *lines = copy, *line, *cursor, *word;
	int v;

	memset(ret, 0, sizeof(*ret));
	while ((line = strsep(&lines, "\n"))) {
		line[strcspn(line, "#;")] = '\0';
		cursor = line;
		word = ph_str_token(&cursor, " \t\r");
		if (word == NULL)
			continue;
		if (strcmp(word, "nameserver") == 0) {
			word = ph_str_token(&cursor, " \t\r");
			if (word)
				server_add(ret, word);
		} else if (strcmp(word, "options") == 0) {
			while ((word = ph_str_token(&cursor, " \t\r"))) {
				if ((v = option_number(word, "timeout:", 30)))
					ret->timeout_s = v;
				if ((v = option_number(word, "attempts:", 5)))
					ret->attempts = v;
			}
		}
	}
	if (ret->n == 0)
		strcpy(ret->server[ret->n++], "127.0.0.1");
	free(copy);
}

void ph_dns_resolv_read(struct ph_dns_resolv *ret)
{
	const char *path = secure_getenv("PH_RESOLV_CONF");
	struct stat st;
	char *text = read_file(path ? path : "/etc/resolv.conf", &st);

	ph_dns_resolv_parse(text ? text : "", ret);
	free(text);
}

/* ---- hosts -------------------------------------------------------------------------------- */

struct hosts_line {
	struct ph_endpoint e;
	char *names;            /* "canonical\0alias\0\0" */
};

static struct {
	struct hosts_line *line;
	size_t n, cap;
	struct timespec mtime;
	ino_t ino;
	off_t size;
	int64_t look_at;        /* when to look at the file next */
	bool loaded;
} hosts;

static void hosts_clear(void)
{
	while (hosts.n > 0)
		free(hosts.line[--hosts.n].names);
}

static void hosts_line(char *line)
{
	struct hosts_line *h;
	struct ph_buf names = PH_BUF_INIT(FILE_MAX);
	struct ph_endpoint e;
	char *cursor = line, *word;

	line[strcspn(line, "#")] = '\0';
	word = ph_str_token(&cursor, " \t\r");
	if (word == NULL || ph_endpoint_ip(&e, word, 1) < 0)
		return;
	ph_endpoint_set_port(&e, 0);
	while ((word = ph_str_token(&cursor, " \t\r")))
		ph_buf_append(&names, word, strlen(word) + 1);
	if (names.len == 0)
		return;
	ph_buf_putc(&names, '\0');
	if (hosts.n == hosts.cap) {
		hosts.cap = hosts.cap ? hosts.cap * 2 : 16;
		hosts.line = ph_realloc(hosts.line, hosts.cap * sizeof(hosts.line[0]));
	}
	h = &hosts.line[hosts.n++];
	h->e = e;
	h->names = names.data;
}

static void hosts_load(void)
{
	const char *path = secure_getenv("PH_HOSTS");
	char *text, *lines, *line;
	struct stat st;

	if (hosts.loaded && ph_now_ms() < hosts.look_at)
		return;
	hosts.look_at = ph_now_ms() + LOOK_EVERY_MS;
	if (path == NULL)
		path = "/etc/hosts";
	if (hosts.loaded && stat(path, &st) == 0 && st.st_mtim.tv_sec == hosts.mtime.tv_sec &&
	    st.st_mtim.tv_nsec == hosts.mtime.tv_nsec && st.st_size == hosts.size && st.st_ino == hosts.ino)
		return;
	text = read_file(path, &st);
	if (text == NULL && hosts.loaded)
		return;                 /* keep what we have: after a chroot the file is out of reach */
	hosts.loaded = true;
	if (text == NULL)
		return;
	hosts_clear();
	hosts.mtime = st.st_mtim;
	hosts.size = st.st_size;
	hosts.ino = st.st_ino;
	for (lines = text; (line = strsep(&lines, "\n"));)
		hosts_line(line);
	free(text);
}

size_t ph_hosts_find(const char *name, int want, struct ph_endpoint *ret, size_t max)
{
	size_t i, n = 0, len = strlen(name);
	const char *s;

	hosts_load();
	if (len && name[len - 1] == '.')
		len--;
	for (i = 0; i < hosts.n && n < max; i++) {
		if (want != AF_UNSPEC && hosts.line[i].e.addr.sa.sa_family != want)
			continue;
		for (s = hosts.line[i].names; *s; s += strlen(s) + 1) {
			if (strlen(s) == len && strncasecmp(s, name, len) == 0) {
				ret[n++] = hosts.line[i].e;
				break;
			}
		}
	}
	return n;
}

static bool same_address(const struct ph_endpoint *a, const struct ph_endpoint *b)
{
	const struct sockaddr_in *a4 = (const void *)&a->addr, *b4 = (const void *)&b->addr;
	const struct sockaddr_in6 *a6 = (const void *)&a->addr, *b6 = (const void *)&b->addr;

	if (a->addr.sa.sa_family != b->addr.sa.sa_family)
		return false;
	if (a->addr.sa.sa_family == AF_INET)
		return a4->sin_addr.s_addr == b4->sin_addr.s_addr;
	return a->addr.sa.sa_family == AF_INET6 && memcmp(&a6->sin6_addr, &b6->sin6_addr, 16) == 0;
}

const char *ph_hosts_name_of(const struct ph_endpoint *e)
{
	size_t i;

	hosts_load();
	for (i = 0; i < hosts.n; i++) {
		if (same_address(&hosts.line[i].e, e))
			return hosts.line[i].names;
	}
	return NULL;
}
