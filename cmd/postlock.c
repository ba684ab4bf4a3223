/* postlock.c: postlock(1): run a command while a mailbox is locked.  EX_TEMPFAIL when it cannot be, else the command's status. */
#include "cmd/cmd.h"
#include "base/log.h"
#include "config/config.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

enum { FLOCK = 1, FCNTL = 2, DOTLOCK = 4 };

struct lock {
	const char *file;
	char dot[4200];                 /* the dotlock; "": none is held */
	unsigned styles;
	int fd, attempts;
	int64_t delay_ms, stale_ms;
};

static int parse_styles(const char *text, unsigned *ret)
{
	static const struct { const char *name; unsigned bit; } words[] = { { "flock", FLOCK }, { "fcntl", FCNTL }, { "dotlock", DOTLOCK } };
	char *copy = ph_strdup(text), *cursor = copy, *word;
	int rc = 0;
	size_t i;

	for (*ret = 0; rc == 0 && (word = ph_str_token(&cursor, PH_SEP_LIST)); ) {
		for (i = 0; i < PH_ARRAY_LEN(words) && !ph_str_ieq(words[i].name, word); i++)
			;
		if (i < PH_ARRAY_LEN(words)) {
			*ret |= words[i].bit;
		} else {
			ph_log(PH_LOG_FATAL, "unknown mailbox_delivery_lock value \"%s\" in \"%s\"", word, text);
			rc = -EINVAL;
		}
	}
	free(copy);
	return rc;
}

static int64_t time_of(const struct ph_conf *conf, const char *name, int64_t otherwise)
{
	const char *v = ph_conf_get(conf, name);
	int64_t ms;

	return v && ph_parse_time(v, 's', &ms) == 0 ? ms : otherwise;
}

static void pause_for(int64_t ms)
{
	struct timespec t = { ms / 1000, (ms % 1000) * 1000000 };

	nanosleep(&t, NULL);
}

static int make_dotlock(struct lock *l)
{
	struct stat st;
	int fd;

	for (int i = 0; i < l->attempts; i++) {
		fd = open(l->dot, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (fd >= 0) {
			close(fd);
			return 0;
		}
		if (errno != EEXIST)
			break;
		if (stat(l->dot, &st) == 0 && (time(NULL) - st.st_ctime) * 1000 > l->stale_ms)
			unlink(l->dot);
		else
			pause_for(l->delay_ms);
	}
	ph_log(PH_LOG_FATAL, "open file %s: unable to create lock file %s: %s", l->file, l->dot, strerrordesc_np(errno));
	l->dot[0] = '\0';
	return -1;
}

static int kernel_lock(struct lock *l)
{
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	for (int i = 0; i < l->attempts; i++) {
		if ((!(l->styles & FCNTL) || fcntl(l->fd, F_SETLK, &whole) == 0) && (!(l->styles & FLOCK) || flock(l->fd, LOCK_EX | LOCK_NB) == 0))
			return 0;
		pause_for(l->delay_ms);
	}
	ph_log(PH_LOG_FATAL, "open file %s: unable to lock for exclusive access: %s", l->file, strerrordesc_np(errno));
	return -1;
}

static int lock_take(struct lock *l)
{
	if (l->styles & DOTLOCK) {
		if ((size_t)snprintf(l->dot, sizeof l->dot, "%s.lock", l->file) >= sizeof l->dot || make_dotlock(l) < 0)
			return -1;
	}
	/* Across exec: the lock lives as long as we do, and the command does not get it. */
	l->fd = open(l->file, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (l->fd < 0) {
		ph_log(PH_LOG_FATAL, "open file %s: %s", l->file, strerrordesc_np(errno));
		return -1;
	}
	return kernel_lock(l);
}

static void lock_drop(struct lock *l)
{
	if (l->dot[0])
		unlink(l->dot);
	l->dot[0] = '\0';
}

static int run(char **argv)
{
	int status;
	pid_t pid;

	/* An interrupted command must not leave the lock behind. */
	signal(SIGINT, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
	pid = fork();
	if (pid == 0) {
		signal(SIGINT, SIG_DFL);
		signal(SIGQUIT, SIG_DFL);
		execvp(argv[0], argv);
		ph_log(PH_LOG_FATAL, "execvp %s: %s", argv[0], strerrordesc_np(errno));
		_exit(1);
	}
	if (pid < 0) {
		ph_log(PH_LOG_FATAL, "fork: %s", strerrordesc_np(errno));
		return EX_TEMPFAIL;
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return EX_TEMPFAIL;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int ph_main_postlock(int argc, char **argv)
{
	struct ph_log_config log = { .prog = "postlock", .only_stderr = true };
	const char *dir = NULL, *style = NULL;
	const struct ph_conf *conf;
	struct ph_config *config;
	struct lock l = { .fd = -1 };
	struct ph_err err;
	int64_t n = 20;
	int c;

	ph_log_open(&log);
	ph_log_set_immediate(true);
	while ((c = getopt(argc, argv, "+c:l:v")) > 0 && c != '?') {
		if (c == 'c')
			dir = optarg;
		else if (c == 'l')
			style = optarg;
	}
	if (c == '?' || argc < optind + 2) {
		ph_log(PH_LOG_FATAL, "usage: postlock [-c config_dir] [-l lock_style] [-v] folder command...");
		return EX_TEMPFAIL;
	}
	if (ph_config_load(ph_cmd_config_dir(dir), PH_CONFIG_QUIET | PH_CONFIG_NO_MASTER, &config, &err) < 0) {
		ph_log(PH_LOG_FATAL, "%s", err.text);
		return EX_TEMPFAIL;
	}
	conf = ph_config_main(config);
	if (!style)
		style = ph_conf_get(conf, "mailbox_delivery_lock");
	if (parse_styles(style ? style : "fcntl, dotlock", &l.styles) < 0)
		return EX_TEMPFAIL;
	ph_str_int64(ph_conf_get(conf, "deliver_lock_attempts"), 1, 1000000, &n);
	l.attempts = (int)n;
	l.delay_ms = time_of(conf, "deliver_lock_delay", 1000);
	l.stale_ms = time_of(conf, "stale_lock_time", 500 * 1000);
	l.file = argv[optind];
	if (lock_take(&l) < 0) {
		lock_drop(&l);
		return EX_TEMPFAIL;
	}
	c = run(argv + optind + 1);
	lock_drop(&l);
	return c;
}
