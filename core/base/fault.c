/* fault.c: fault injection.  State: the list of armed points, under a lock.  No yield; any thread. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <posthouse/base.h>
#include "base/fault.h"

#define FAULTS_MAX 32

bool ph_fault_active;

static struct fault {
	char point[64];
	char action[32];
	long at;                /* 0: always */
	long hits;
} faults[FAULTS_MAX];
static int faults_n;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const char *file;
static struct stat file_seen;

static const struct {
	const char *name;
	int value;
} errnos[] = {
	{ "ENOSPC", ENOSPC }, { "EDQUOT", EDQUOT }, { "EIO", EIO }, { "EROFS", EROFS }, { "EFBIG", EFBIG },
	{ "ENOENT", ENOENT }, { "EACCES", EACCES }, { "EPERM", EPERM }, { "EEXIST", EEXIST }, { "EINTR", EINTR },
	{ "EAGAIN", EAGAIN }, { "EMFILE", EMFILE }, { "ENFILE", ENFILE }, { "ENOMEM", ENOMEM },
	{ "ENOBUFS", ENOBUFS }, { "ECONNRESET", ECONNRESET }, { "ECONNREFUSED", ECONNREFUSED },
	{ "EPIPE", EPIPE }, { "ETIMEDOUT", ETIMEDOUT }, { "EHOSTUNREACH", EHOSTUNREACH }, { "EINVAL", EINVAL },
};

static void parse(char *text)
{
	char *cursor = text, *token, *action, *count;
	struct fault *f;

	faults_n = 0;
	while ((token = ph_str_token(&cursor, PH_SEP_LIST)) != NULL && faults_n < FAULTS_MAX) {
		action = strchr(token, '=');
		if (action == NULL)
			continue;
		*action++ = '\0';
		count = strchr(action, ':');
		if (count)
			*count++ = '\0';
		f = &faults[faults_n++];
		memset(f, 0, sizeof(*f));
		snprintf(f->point, sizeof(f->point), "%s", token);
		snprintf(f->action, sizeof(f->action), "%s", action);
		f->at = count == NULL ? 1 : strcmp(count, "*") == 0 ? 0 : atol(count);
	}
}

static void file_read(void)
{
	char text[4096];
	struct stat st;
	ssize_t n = 0;
	int fd;

	if (stat(file, &st) < 0)
		memset(&st, 0, sizeof(st));
	if (st.st_ino == file_seen.st_ino && st.st_size == file_seen.st_size &&
	    st.st_mtim.tv_sec == file_seen.st_mtim.tv_sec && st.st_mtim.tv_nsec == file_seen.st_mtim.tv_nsec)
		return;
	file_seen = st;
	fd = open(file, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, text, sizeof(text) - 1);
		close(fd);
	}
	text[n > 0 ? n : 0] = '\0';
	parse(text);
}

__attribute__((constructor)) static void fault_init(void)
{
	const char *env = secure_getenv("PH_FAULT");
	char *copy;

	file = secure_getenv("PH_FAULT_FILE");
	if (env) {
		copy = ph_strdup(env);
		parse(copy);
		free(copy);
	}
	ph_fault_active = faults_n > 0 || file != NULL;
}

/* Returns -errno for the names above. */
static int act(const char *action)
{
	struct timespec ts;
	size_t i;
	long ms;

	for (i = 0; i < PH_ARRAY_LEN(errnos); i++)
		if (strcmp(action, errnos[i].name) == 0)
			return -errnos[i].value;
	if (strcmp(action, "kill") == 0) {
		raise(SIGKILL);
	} else if (strcmp(action, "abort") == 0) {
		abort();
	} else if (strcmp(action, "stop") == 0) {
		raise(SIGSTOP);
	} else if (strncmp(action, "sleep", 5) == 0) {
		ms = atol(action + 5);
		ts = (struct timespec){ ms / 1000, ms % 1000 * 1000000 };
		nanosleep(&ts, NULL);
	} else {
		ph_log(PH_LOG_WARNING, "fault injection: unknown action \"%s\"", action);
	}
	return 0;
}

int ph_fault_hit(const char *point)
{
	char action[32] = "";
	int i;

	pthread_mutex_lock(&lock);
	if (file)
		file_read();
	for (i = 0; i < faults_n; i++) {
		if (strcmp(faults[i].point, point) != 0)
			continue;
		faults[i].hits++;
		if (faults[i].at == 0 || faults[i].hits == faults[i].at)
			memcpy(action, faults[i].action, sizeof(action));
	}
	pthread_mutex_unlock(&lock);
	return action[0] ? act(action) : 0;
}
