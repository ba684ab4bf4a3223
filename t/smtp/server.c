/* server.c: the SMTP worker by itself, for the scripted dialogues.
 *
 *   server CONFIG-DIR         serves each inet smtpd line of master.cf on a port of its own; prints "NAME PORT" for each, then "ready"
 *   server -dump QUEUE-DIR    the messages of a queue as JSON lines: what was taken in, byte for byte */
#include <dirent.h>
#include <fcntl.h>
#include <jansson.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "module/loader.h"
#include "net/listen.h"
#include "queue/store.h"
#include "smtpd/limits.h"
#include "smtpd/smtpd.h"

static json_t *latin1(const char *p, size_t n)
{
	struct ph_buf b = PH_BUF_INIT(n * 2 + 16);
	json_t *j;

	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)p[i];

		if (c >= 128) {
			ph_buf_putc(&b, 0xc0 | c >> 6);
			ph_buf_putc(&b, 0x80 | (c & 63));
		} else {
			ph_buf_putc(&b, c);
		}
	}
	j = json_stringn(ph_buf_str(&b), b.len);
	ph_buf_done(&b);
	return j;
}

static int dump_one(void *arg, const struct ph_msg_ref *ref, struct ph_slice envelope)
{
	struct ph_arena *a = ph_arena_new();
	struct ph_stored *m;
	struct ph_err err;
	json_t *o = json_object(), *rcpts = json_array(), *attrs = json_object();
	char *body;

	json_object_set_new(o, "id", json_string(ref->queue_id));
	if (ref->env_length == 0 || ph_stored_open(*(int *)arg, ref, a, &m, &err) < 0) {
		json_object_set_new(o, "damaged", json_true());
	} else {
		body = ph_alloc((size_t)m->content_bytes + 1);
		if (ph_stored_read(m, 0, body, (size_t)m->content_bytes) != m->content_bytes)
			json_object_set_new(o, "damaged", json_true());
		json_object_set_new(o, "content", latin1(body, (size_t)m->content_bytes));
		json_object_set_new(o, "sender", latin1(m->env->sender, strlen(m->env->sender)));
		json_object_set_new(o, "flags", json_integer(m->env->flags));
		for (size_t i = 0; i < m->env->n_rcpts; i++)
			json_array_append_new(rcpts, latin1(m->env->rcpts[i].address, strlen(m->env->rcpts[i].address)));
		for (size_t i = 0; i < m->env->n_attrs; i++)
			json_object_set_new(attrs, m->env->attrs[i].name, latin1(m->env->attrs[i].value, strlen(m->env->attrs[i].value)));
		json_object_set_new(attrs, "envid", m->env->envid ? latin1(m->env->envid, strlen(m->env->envid)) : json_null());
		json_object_set_new(attrs, "ret", m->env->ret ? json_string(m->env->ret) : json_null());
		json_object_set_new(attrs, "filter", m->env->filter ? json_string(m->env->filter) : json_null());
		json_object_set_new(attrs, "encoding", json_string(m->env->encoding));
		free(body);
	}
	json_object_set_new(o, "rcpts", rcpts);
	json_object_set_new(o, "attrs", attrs);
	json_dumpf(o, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(o);
	ph_arena_free(&a);
	return 0;
}

static int dump(const char *queue_dir)
{
	int fd = open(queue_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char path[4096], file[300];
	struct dirent *e;
	struct ph_err err;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/incoming", queue_dir);
	dir = opendir(path);
	if (fd < 0 || !dir)
		return 1;
	while ((e = readdir(dir))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(file, sizeof(file), "incoming/%s", e->d_name);
		if (ph_segment_scan(fd, file, 0, dump_one, &fd, &err) < 0)
			fprintf(stderr, "%s: %s\n", file, err.text);
	}
	closedir(dir);
	return 0;
}

static int port_of(int fd)
{
	struct ph_endpoint e = { .len = sizeof(e.addr) };

	if (getsockname(fd, &e.addr.sa, &e.len) < 0)
		return 0;
	return ph_endpoint_port(&e);
}

static int listen_any(struct ph_err *err)
{
	struct ph_endpoint e;
	struct sockaddr_in *in = (void *)&e.addr.ss;

	/* All of 127.0.0.0/8, so that a client can be "from" there, too. */
	memset(&e, 0, sizeof(e));
	ph_endpoint_ip(&e, "127.0.0.1", 1);
	in->sin_port = 0;
	return ph_listen_bind(&e, false, 1024, err);
}

int main(int argc, char **argv)
{
	struct ph_smtpd_listener l[32];
	struct ph_smtpd_config cfg = { .slot = 1, .listeners = l, .n_workers = 1 };
	struct ph_log_config lc = { .syslog_name = "postfix", .prog = "smtpd" };
	const struct ph_service *s;
	struct ph_config *config;
	struct ph_err err;
	size_t n;
	int r;

	if (argc == 3 && strcmp(argv[1], "-dump") == 0)
		return dump(argv[2]);
	if (argc != 2 || ph_config_load(argv[1], 0, &config, &err) < 0) {
		fprintf(stderr, "%s\n", argc == 2 ? err.text : "usage: server CONFIG-DIR | -dump QUEUE-DIR");
		return 1;
	}
	cfg.config = config;
	cfg.queue_dir = ph_conf_get(ph_config_main(config), "queue_directory");
	lc.maillog_file = ph_conf_get(ph_config_main(config), "maillog_file");
	ph_log_open(&lc);
	ph_modules_configure(ph_config_main(config));
	if (ph_queue_dirs_make(cfg.queue_dir, geteuid(), getegid(), &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	s = ph_config_services(config, &n);
	for (size_t i = 0; i < n && cfg.n_listeners < PH_ARRAY_LEN(l); i++) {
		if (s[i].type != PH_SVC_INET || strcmp(s[i].command, "smtpd") != 0)
			continue;
		l[cfg.n_listeners].fd = listen_any(&err);
		l[cfg.n_listeners].service = &s[i];
		if (l[cfg.n_listeners].fd < 0) {
			fprintf(stderr, "%s\n", err.text);
			return 1;
		}
		printf("%s %d\n", s[i].name, port_of(l[cfg.n_listeners++].fd));
	}
	cfg.limits = ph_limits_create();
	ph_smtpd_prepare(config);
	printf("ready\n");
	fflush(stdout);
	r = ph_smtpd_run(&cfg);
	ph_config_free(&config);
	ph_modules_done();
	ph_log_flush();
	return r < 0;
}
