/* sandbox.c: confine a worker.
 *
 * Landlock: the process may read what its user may read (tables and modules are opened when they are first needed, wherever they lie), but it creates,
 * changes and removes files below queue_directory, data_directory and the few other places that the configuration has it write to, and executes nothing.
 * That holds for smtpd, pickup and the queue manager always; for agents when every service that they carry says chroot "y" (a delivery module
 * of somebody else may have files of its own to write).  One process serves many services, so no chroot(2) is made for a single one.
 * seccomp: no worker needs the system calls that manage the machine, other processes or the kernel's less used doors; they fail with EPERM.
 *
 * The root agent and spawn are not confined here: their children have their user's rights and run the users' commands.
 * Source: landlock(7), seccomp(2), seccomp_rule_add(3).  Does not yield. */
#include "master/sandbox.h"
#include "base/log.h"
#include "config/general.h"

#include <config.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef HAVE_LINUX_LANDLOCK_H
#include <linux/landlock.h>
#endif
#ifdef HAVE_SECCOMP
#include <seccomp.h>
#endif

static void failed(const char *what)
{
	ph_log(PH_LOG_FATAL, "cannot confine this process: %s: %m", what);
	ph_log_flush();
	_exit(1);
}

/* ---- files ---- */

#ifdef HAVE_LINUX_LANDLOCK_H

#ifndef LANDLOCK_ACCESS_FS_REFER
#define LANDLOCK_ACCESS_FS_REFER (1ULL << 13)
#endif
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif
#define ABI_REFER 2             /* before, a file could not be renamed from one folder into another at all */
#define ABI_TRUNCATE 3

#define WRITES (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR | \
		LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO | \
		LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM | LANDLOCK_ACCESS_FS_REFER)

struct ruleset {
	int fd;
	uint64_t writes;                /* what this kernel knows of them */
};

static void allow(const struct ruleset *rs, const char *dir, uint64_t access)
{
	struct landlock_path_beneath_attr rule = { .allowed_access = access };

	rule.parent_fd = open(dir, O_PATH | O_CLOEXEC);
	if (rule.parent_fd < 0)
		return;                 /* nothing is there that could be written */
	if (syscall(SYS_landlock_add_rule, rs->fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
		failed(dir);
	close(rule.parent_fd);
}

/* The folder of a file. */
static void allow_beside(const struct ruleset *rs, const char *file, size_t n, uint64_t access)
{
	char dir[PATH_MAX];

	while (n > 1 && file[n - 1] != '/')
		n--;
	if (n == 0 || n >= sizeof(dir))
		return;
	memcpy(dir, file, n);
	dir[n] = '\0';
	allow(rs, dir, access);
}

/* Tables that we write: the folder of each "type:/path" in the value. */
static void allow_tables(const struct ruleset *rs, const char *value)
{
	const char *p = value, *colon;
	size_t n;

	while (p && *(p += strspn(p, " \t\r\n,"))) {
		n = strcspn(p, " \t\r\n,");
		colon = memchr(p, ':', n);
		if (colon && colon[1] == '/')
			allow_beside(rs, colon + 1, n - (size_t)(colon + 1 - p), rs->writes);
		p += n;
	}
}

static void confine_files(const struct ph_conf *conf)
{
	static const char *const written[] = { "address_verify_map", "postscreen_cache_map", "smtp_tls_session_cache_database",
					       "lmtp_tls_session_cache_database", "smtpd_tls_session_cache_database", "proxy_write_maps" };
	const struct ph_general_settings *g = ph_conf_general(conf);
	struct landlock_ruleset_attr attr = { 0 };
	struct ruleset rs;
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	if (abi < ABI_REFER) {
		ph_log(PH_LOG_INFO, "the kernel has no Landlock (or an old one): files are protected by their permissions only");
		return;
	}
	rs.writes = WRITES | (abi >= ABI_TRUNCATE ? LANDLOCK_ACCESS_FS_TRUNCATE : 0);
	attr.handled_access_fs = rs.writes | LANDLOCK_ACCESS_FS_EXECUTE;
	rs.fd = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	if (rs.fd < 0)
		failed("landlock_create_ruleset");
	allow(&rs, g->queue_directory, rs.writes);
	allow(&rs, g->data_directory, rs.writes);
	allow(&rs, "/dev", LANDLOCK_ACCESS_FS_WRITE_FILE);
	if (*g->maillog_file)
		allow_beside(&rs, g->maillog_file, strlen(g->maillog_file), LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG);
	for (size_t i = 0; i < PH_ARRAY_LEN(written); i++)
		allow_tables(&rs, ph_conf_get(conf, written[i]));
	if (syscall(SYS_landlock_restrict_self, rs.fd, 0) < 0)
		failed("landlock_restrict_self");
	close(rs.fd);
}

#else

static void confine_files(const struct ph_conf *conf)
{
}

#endif

/* ---- system calls ---- */

#ifdef HAVE_SECCOMP

static void confine_calls(void)
{
	/* By name: a kernel or an architecture that lacks one does not mind. */
	static const char *const never[] = {
		"acct", "add_key", "adjtimex", "bpf", "chroot", "clock_adjtime", "clock_settime", "delete_module", "finit_module", "fsconfig", "fsmount",
		"fsopen", "fspick", "init_module", "io_uring_enter", "io_uring_register", "io_uring_setup", "ioperm", "iopl", "kcmp", "kexec_file_load",
		"kexec_load", "keyctl", "lookup_dcookie", "mount", "mount_setattr", "move_mount", "move_pages", "name_to_handle_at", "nfsservctl",
		"open_by_handle_at", "open_tree", "perf_event_open", "pidfd_getfd", "pivot_root", "process_madvise", "process_vm_readv",
		"process_vm_writev",
#ifndef PH_SANITIZERS                   /* their leak check attaches to its own process */
		"ptrace",
#endif
		"quotactl", "quotactl_fd", "reboot", "request_key", "setdomainname", "sethostname", "setns", "settimeofday", "swapoff", "swapon", "sysfs",
		"syslog", "umount2", "unshare", "userfaultfd", "vhangup",
	};
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_ALLOW);
	int nr, r = f ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < PH_ARRAY_LEN(never); i++) {
		nr = seccomp_syscall_resolve_name(never[i]);
		if (nr != __NR_SCMP_ERROR)
			r = seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), nr, 0);
	}
	if (r == 0)
		r = seccomp_load(f);
	if (f)
		seccomp_release(f);
	if (r < 0) {
		errno = -r;
		failed("seccomp");
	}
}

#else

static void confine_calls(void)
{
}

#endif

/* ---- roles ---- */

/* Do all services whose deliveries an agent without root takes ask for a chroot? */
static bool all_in_chroot(const struct ph_generation *g)
{
	size_t n;
	const struct ph_service *s = ph_config_services(g->config, &n);

	for (size_t i = 0; i < n; i++)
		if (ph_service_delivers(&s[i]) && s[i].unpriv && !s[i].chroot)
			return false;
	return true;
}

void ph_sandbox_enter(const struct ph_generation *g, enum ph_role role)
{
	if (role == PH_ROLE_ROOT_AGENT || role == PH_ROLE_SPAWN)
		return;
	if (role != PH_ROLE_AGENT || all_in_chroot(g))
		confine_files(ph_config_main(g->config));
	confine_calls();
}
