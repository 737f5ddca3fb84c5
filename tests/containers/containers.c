/* SPDX-License-Identifier: Apache-2.0 */
#include "containers.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define NAMESPACES (CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS)

struct container {
	pid_t outer;         /* waits for the first one, outside */
	_Atomic pid_t first; /* as the host sees it */
	const char *directory;
	bool read_only;
	child_function *run;
	int index;
	void *context;
	char root[PATH_MAX];
};

static void make_directory(const char *root, const char *name, char path[PATH_MAX])
{
	EXPECT(snprintf(path, PATH_MAX, "%s%s", root, name) < PATH_MAX);
	EXPECT(mkdir(path, 0755) == 0 || errno == EEXIST);
}

/* A directory of the host's, or a link to one, as it is there. */
static void show(const char *root, const char *name)
{
	char path[PATH_MAX], link[PATH_MAX];
	struct stat about;
	ssize_t size;

	if (lstat(name, &about) < 0)
		return;
	EXPECT(snprintf(path, sizeof path, "%s%s", root, name) < PATH_MAX);
	if (S_ISLNK(about.st_mode)) {
		size = readlink(name, link, sizeof link - 1);
		EXPECT(size > 0);
		link[size] = '\0';
		EXPECT(symlink(link, path) == 0);
		return;
	}
	make_directory(root, name, path);
	EXPECT(mount(name, path, NULL, MS_BIND | MS_REC, NULL) == 0);
}

/* An overlay on a directory of its own, or tmpfs where overlays are not to be had. */
static void mount_root(const char *base, char root[PATH_MAX])
{
	char lower[PATH_MAX], upper[PATH_MAX], work[PATH_MAX], options[4 * PATH_MAX];

	make_directory(base, "/lower", lower);
	make_directory(base, "/upper", upper);
	make_directory(base, "/work", work);
	make_directory(base, "/root", root);
	snprintf(options, sizeof options, "lowerdir=%s,upperdir=%s,workdir=%s", lower, upper, work);
	if (mount("overlay", root, "overlay", 0, options) != 0)
		EXPECT(mount("tmpfs", root, "tmpfs", 0, "mode=755") == 0);
}

/* A directory at the same place as outside. */
static void show_there(const char *root, const char *directory)
{
	char path[PATH_MAX], part[PATH_MAX];

	for (size_t i = 1; directory[i - 1] != '\0'; i++)
		if (directory[i] == '/' || directory[i] == '\0') {
			EXPECT(snprintf(part, sizeof part, "%.*s", (int)i, directory) > 0);
			make_directory(root, part, path);
		}
	EXPECT(mount(directory, path, NULL, MS_BIND, NULL) == 0);
}

static void enter_root(const struct container *container)
{
	static const char *const shown[] = {"/usr",  "/lib", "/lib64", "/bin",
					    "/sbin", "/etc", "/dev"};
	char root[PATH_MAX], path[PATH_MAX];

	EXPECT(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
	mount_root(container->root, root);
	for (size_t i = 0; i < sizeof shown / sizeof *shown; i++)
		show(root, shown[i]);
	make_directory(root, "/tmp", path);
	EXPECT(chmod(path, 01777) == 0);
	make_directory(root, "/proc", path);
	EXPECT(mount("proc", path, "proc", 0, NULL) == 0);
	EXPECT(snprintf(path, sizeof path, "%s/dev/shm", root) < PATH_MAX);
	EXPECT(mount("tmpfs", path, "tmpfs", 0, "size=64m,mode=1777") == 0);
	make_directory(root, CONTAINER_BUDGET, path);
	EXPECT(mount(container->directory, path, NULL, MS_BIND, NULL) == 0);
	if (container->read_only)
		EXPECT(mount(NULL, path, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) == 0);
	if (!container->read_only)
		show_there(root, container->directory);
	EXPECT(chdir(root) == 0 && chroot(".") == 0);
}

static int first_process(struct container *container)
{
	EXPECT(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0);
	EXPECT_EQUAL(getpid(), 1);
	EXPECT(sethostname("container", 9) == 0);
	enter_root(container);
	return container->run(container->index, container->context);
}

static int outside(int index, void *context)
{
	struct container *container = context;
	pid_t first;

	(void)index;
	EXPECT(unshare(NAMESPACES) == 0);
	first = fork();
	EXPECT(first >= 0);
	if (first == 0)
		_exit(first_process(container));
	atomic_store(&container->first, first);
	return child_wait(first);
}

static int try_namespaces(int index, void *context)
{
	(void)index;
	(void)context;
	return unshare(NAMESPACES) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0
		       ? 0
		       : errno;
}

void containers_must_be_possible(void)
{
	int rc = child_wait(child_start(try_namespaces, 0, NULL));

	if (rc != 0)
		test_skip("containers cannot be made here: %s", strerror(rc));
}

struct container *container_start(const char *directory, bool read_only, child_function *run,
				  int index, void *context)
{
	static int made;
	struct container *container = shared_make(sizeof *container);

	container->directory = directory;
	container->read_only = read_only;
	container->run = run;
	container->index = index;
	container->context = context;
	test_path(container->root, "container-%d", made++);
	EXPECT(mkdir(container->root, 0755) == 0);
	container->outer = child_start(outside, index, container);
	return container;
}

int container_wait(struct container *container)
{
	int status = child_wait(container->outer);

	test_remove(container->root);
	return status;
}

pid_t container_pid(const struct container *container)
{
	while (atomic_load(&container->first) == 0)
		usleep(1000);
	return atomic_load(&container->first);
}

void container_kill(struct container *container)
{
	EXPECT(kill(container_pid(container), SIGKILL) == 0);
	EXPECT_EQUAL(container_wait(container), 128 + SIGKILL);
}

void containers_run(const char *directory, int count, child_function *run, void *context)
{
	struct container *containers[64];

	EXPECT(count <= 64);
	for (int i = 0; i < count; i++)
		containers[i] = container_start(directory, false, run, i, context);
	for (int i = 0; i < count; i++)
		EXPECT_EQUAL(container_wait(containers[i]), 0);
}

void container_fork(pid_t *children, int count, int first, child_function *run, void *context)
{
	for (int i = 0; i < count; i++) {
		children[i] = fork();
		EXPECT(children[i] >= 0);
		if (children[i] == 0)
			_exit(run(first + i, context));
	}
}

int container_join(const pid_t *children, int count)
{
	int worst = 0;

	for (int i = 0; i < count; i++) {
		int status = child_wait(children[i]);

		if (status > worst)
			worst = status;
	}
	return worst;
}
