/* redis: tables against a real redis-server (own folder and port), and against servers that are slow, garbled, or gone. */
#include "module/loader.h"
#include "module/table.h"
#include "config/config.h"
#include "base/loop.h"
#include <posthouse/co.h>
#include "mapfile.h"
#include "tap.h"

#include <arpa/inet.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

static struct ph_config *config;
static const struct ph_conf *conf;
static struct ph_arena *arena;
static char last_error[512];
static pid_t server;

static void note(const char *title, const char *table, const char *key, enum ph_lookup status, const char *value, const char *text)
{
	snprintf(last_error, sizeof last_error, "%s", text);
}

static const char *ask(const char *table, const char *key)
{
	const char *value = NULL;
	struct ph_err err = { 0 };
	enum ph_lookup s = ph_maps_find(ph_maps_open(conf, "t", table), key, false, arena, &value, &err);

	switch (s) {
	case PH_LOOKUP_FOUND: return ph_arena_printf(arena, "=%s", value);
	case PH_LOOKUP_NOTFOUND: return "not found";
	case PH_LOOKUP_TEMPFAIL: return "TEMPFAIL";
	case PH_LOOKUP_PERMERR: return "PERMERR";
	}
	return "?";
}

#define IS(table, key, want) tap_is(ask(table, key), want, ph_arena_printf(arena, "%s %s -> %s", strrchr(table, '/') ? strrchr(table, '/') : table, key, want))

/* A table with these settings. */
static const char *table(const char *name, const char *settings)
{
	return ph_arena_printf(arena, "redis:%s", tmp_write(name, settings, 10));
}

static int free_port(void)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof sin;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (bind(fd, (struct sockaddr *)&sin, sizeof sin) < 0 || getsockname(fd, (struct sockaddr *)&sin, &len) < 0)
		exit(1);
	close(fd);
	return ntohs(sin.sin_port);
}

static void start_redis(int port)
{
	char number[16], socket_path[400];
	struct sockaddr_un sun = { .sun_family = AF_UNIX };

	snprintf(number, sizeof number, "%d", port);
	snprintf(socket_path, sizeof socket_path, "%s/redis.sock", tmp_dir);
	server = fork();
	if (server == 0) {
		int null = open("/dev/null", O_RDWR);

		dup2(null, 1);
		dup2(null, 2);
		if (chdir(tmp_dir) == 0)
			execlp("redis-server", "redis-server", "--port", number, "--bind", "127.0.0.1", "--unixsocket", socket_path,
			       "--save", "", "--appendonly", "no", "--requirepass", "secret", NULL);
		_exit(127);
	}
	snprintf(sun.sun_path, sizeof sun.sun_path, "%.100s", socket_path);
	for (int i = 0; i < 200; i++) {
		int fd = socket(AF_UNIX, SOCK_STREAM, 0);

		if (connect(fd, (struct sockaddr *)&sun, sizeof sun) == 0) {
			close(fd);
			return;
		}
		close(fd);
		usleep(20000);
	}
	printf("Bail out! redis-server does not start\n");
	exit(1);
}

static void stop_redis(void)
{
	if (server > 0) {
		kill(server, SIGKILL);
		waitpid(server, NULL, 0);
	}
	server = 0;
}

static void command(const char *text)
{
	char cmd[1000];

	snprintf(cmd, sizeof cmd, "redis-cli --no-auth-warning -s '%s/redis.sock' -a secret %s >/dev/null", tmp_dir, text);
	if (system(cmd) != 0)
		printf("# %s failed\n", cmd);
}

/* ---- a server that says what it is told to ---- */
struct fake {
	int fd;
	int port;
	const char *answer;     /* NULL: accepts and says nothing */
	int accepted;
};

static void fake_loop(void *arg)
{
	struct fake *f = arg;
	int fd;

	for (;;) {
		if (ph_fd_wait(f->fd, EV_READ, ph_now_ms() + 60000) < 0)
			return;
		fd = accept(f->fd, NULL, NULL);
		if (fd < 0)
			continue;
		f->accepted++;
		if (f->answer && write(fd, f->answer, strlen(f->answer)) < 0)
			continue;
		/* left open: the client has to give up by itself */
	}
}

static struct ph_co *fake_start(struct fake *f, const char *answer)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof sin;

	f->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (bind(f->fd, (struct sockaddr *)&sin, sizeof sin) < 0 || getsockname(f->fd, (struct sockaddr *)&sin, &len) < 0 ||
	    listen(f->fd, 50) < 0)
		exit(1);
	f->port = ntohs(sin.sin_port);
	f->answer = answer;
	return ph_co_spawn("fake", fake_loop, f);
}

static void test_fakes(void)
{
	static const struct { const char *name, *answer; } fakes[] = {
		{ "silent", NULL }, { "garbled", "hello, I am not redis\r\n" }, { "smtp", "220 mail ESMTP\r\n" },
		{ "half", "$100\r\nabc" }, { "huge", "$2147483647\r\nabc" }, { "array", "*2147483647\r\n" },
		{ "array64", "*9223372036854775807\r\n" }, { "negative", "$-5\r\n" }, { "nested", "*1\r\n*1\r\n*1\r\n$1\r\na\r\n" },
		{ "error", "-LOADING Redis is loading\r\n" }, { "extra", "$1\r\na\r\n$1\r\nb\r\n" },
	};
	static struct fake f[PH_ARRAY_LEN(fakes)];
	struct ph_co *co[PH_ARRAY_LEN(fakes)];

	for (size_t i = 0; i < PH_ARRAY_LEN(fakes); i++) {
		const char *t;
		int64_t start, took;

		co[i] = fake_start(&f[i], fakes[i].answer);
		t = table(fakes[i].name, ph_arena_printf(arena, "host = 127.0.0.1:%d\ntimeout = 300ms\n", f[i].port));
		start = ph_now_ms_exact();
		if (strcmp(fakes[i].name, "extra") == 0) {
			IS(t, "k", "=a");
			continue;
		}
		IS(t, "k", "TEMPFAIL");
		took = ph_now_ms_exact() - start;
		tap_ok(took < 1500 && strstr(last_error, "127.0.0.1:"), "after %d ms: %s", (int)took, last_error);
	}
	for (size_t i = 0; i < PH_ARRAY_LEN(fakes); i++) {
		ph_co_cancel(co[i]);
		ph_co_sleep(0);
		close(f[i].fd);
	}
}

/* ---- the real one ---- */

static struct {
	int running, good;
	const char *table;
} many;

static void one_of_many(void *arg)
{
	struct ph_arena *a = ph_arena_new();
	const char *value = NULL;
	struct ph_err err = { 0 };

	if (ph_maps_find(ph_maps_open(conf, "t", many.table), "joe@example.com", false, a, &value, &err) == PH_LOOKUP_FOUND &&
	    strcmp(value, "box1") == 0)
		many.good++;
	else
		printf("# %s\n", err.text);
	many.running--;
	ph_arena_free(&a);
}

static void test_real(int port)
{
	const char *t, *sock, *hash, *set, *bad, *form, *dom, *res, *two;

	command("set joe@example.com box1");
	command("set u:joe box2");
	command("set empty ''");
	command("hset users joe@example.com h1");
	command("sadd list:joe@example.com one");
	command("set multi \"$(printf 'a\\nb')\"");
	command("-n 3 set joe@example.com db3");
	t = table("plain", ph_arena_printf(arena, "host = 127.0.0.1\nport = %d\npassword = secret\n", port));
	sock = table("sock", ph_arena_printf(arena, "socket = %s/redis.sock\npassword = secret\ndatabase = 3\n", tmp_dir));
	hash = table("hash", ph_arena_printf(arena, "host = 127.0.0.1:%d\npassword = secret\ncommand = hget users\n", port));
	set = table("set", ph_arena_printf(arena, "host = 127.0.0.1:%d\npassword = secret\ncommand = smembers\nkey_format = list:%%s\n", port));
	bad = table("bad", ph_arena_printf(arena, "host = 127.0.0.1:%d\npassword = wrong\n", port));
	form = table("form", ph_arena_printf(arena, "host = 127.0.0.1:%d\npassword = secret\nkey_format = u:%%u\n", port));
	dom = table("dom", ph_arena_printf(arena, "host = 127.0.0.1:%d\npassword = secret\nkey_format = %%u@%%2.%%1\n", port));
	res = table("res", ph_arena_printf(arena, "host = 127.0.0.1:%d\npassword = secret\nresult_format = %%s/%%U/%%%%\n", port));
	two = table("two", ph_arena_printf(arena, "host = 127.0.0.1:1, 127.0.0.1:%d\npassword = secret\n", port));
	IS(t, "joe@example.com", "=box1");
	IS(t, "JOE@example.com", "=box1");
	IS(t, "nobody", "not found");
	IS(t, "empty", "PERMERR");
	IS(t, "multi", "PERMERR");
	IS(t, "with space\r\nDEL joe@example.com", "not found");
	IS(t, "joe@example.com", "=box1");
	IS(t, "users", "TEMPFAIL");
	IS(sock, "joe@example.com", "=db3");
	IS(hash, "joe@example.com", "=h1");
	IS(hash, "nobody", "not found");
	IS(set, "joe@example.com", "=one");
	IS(set, "nobody", "not found");
	IS(bad, "joe@example.com", "TEMPFAIL");
	tap_ok(strstr(last_error, "AUTH") && !strstr(last_error, "wrong"), "%s", last_error);
	IS(form, "joe", "=box2");
	IS(form, "joe@x.y", "=box2");
	IS(dom, "joe@sub.example.com", "=box1");
	IS(dom, "joe@com", "not found");
	IS(dom, "joe", "not found");
	IS(res, "joe@example.com", "=box1/joe/%");
	IS(two, "joe@example.com", "=box1");
	many.table = t;
	many.running = 500;
	for (int i = 0; i < 500; i++)
		ph_co_spawn("many", one_of_many, NULL);
	while (many.running > 0)
		ph_co_sleep(5);
	tap_ok(many.good == 500, "%d of 500 look-ups at once", many.good);
}

/* Answers are good for a tenth of a second. */
static void forget(void)
{
	ph_co_sleep(120);
}

static void test_failures(int port)
{
	const char *t = table("fail", ph_arena_printf(arena, "host = 127.0.0.1:%d\npassword = secret\ntimeout = 500ms\n", port));
	int64_t start, took;

	IS(t, "joe@example.com", "=box1");
	kill(server, SIGSTOP);
	forget();
	start = ph_now_ms_exact();
	IS(t, "joe@example.com", "TEMPFAIL");
	took = ph_now_ms_exact() - start;
	tap_ok(took >= 400 && took < 1500, "a server that hangs costs %d ms: %s", (int)took, last_error);
	start = ph_now_ms_exact();
	IS(t, "joe@example.com", "TEMPFAIL");
	took = ph_now_ms_exact() - start;
	tap_ok(took < 50, "and is left alone for a while (%d ms): %s", (int)took, last_error);
	kill(server, SIGCONT);
	ph_co_sleep(1100);
	IS(t, "joe@example.com", "=box1");
	stop_redis();
	forget();
	IS(t, "joe@example.com", "TEMPFAIL");
	tap_ok(strstr(last_error, "127.0.0.1") != NULL, "a server that is gone: %s", last_error);
	start_redis(port);
	command("set joe@example.com again");
	ph_co_sleep(2100);
	IS(t, "joe@example.com", "=again");
	stop_redis();
	start_redis(port);
	command("set joe@example.com third");
	forget();
	IS(t, "joe@example.com", "=third");     /* the idle connection was closed by the restart: no failure */
}

static void test_settings(void)
{
	IS("redis:/nonexistent/x.cf", "k", "TEMPFAIL");
	IS(table("s1", "host\n"), "k", "PERMERR");
	IS(table("s2", "port = 99999\n"), "k", "PERMERR");
	IS(table("s3", "key_format = %q\n"), "k", "PERMERR");
	IS(table("s4", "timeout = soon\n"), "k", "PERMERR");
	IS(table("s5", "command = \n"), "k", "PERMERR");
	IS(table("s6", "host = unix:relative\n"), "k", "TEMPFAIL");
	IS("redis:fromconf", "k", "TEMPFAIL");
	tap_ok(strstr(last_error, "127.0.0.1:1") != NULL, "settings from main.cf: %s", last_error);
}

static void run(void *arg)
{
	ph_maps_set_trace(note);
	int port = free_port();

	test_settings();
	test_fakes();
	start_redis(port);
	test_real(port);
	test_failures(port);
	stop_redis();
}

int main(void)
{
	struct ph_err err = { 0 };

	if (access("/usr/bin/redis-server", X_OK) < 0 && system("command -v redis-server >/dev/null") != 0) {
		printf("1..0 # SKIP redis-server is not installed\n");
		return 0;
	}
	setenv("PH_MODULE_PATH", ".libs", 0);
	tmp_start();
	if (ph_config_parse("fromconf_host = 127.0.0.1:1\n", "", &config, &err) < 0) {
		printf("Bail out! %s\n", err.text);
		return 1;
	}
	conf = ph_config_main(config);
	arena = ph_arena_new();
	if (ph_module_load(PH_KIND_LOOKUP, "redis", &err) == NULL)
		printf("1..0 # SKIP %s\n", err.text);
	else
		ph_run_blocking(run, NULL);
	ph_arena_free(&arena);
	ph_config_free(&config);
	ph_modules_done();
	tmp_end();
	return tap_done();
}
