/* No descriptor is left: -EMFILE, nothing is lost or left behind, and all goes on once there are some. */
#include "check.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>

static struct rlimit ample;

static int open_descriptors(int *highest) {
  const struct dirent *entry;
  int count = 0;
  DIR *all = opendir("/proc/self/fd");
  CHECK(all != NULL);
  *highest = 0;
  while ((entry = readdir(all)) != NULL) {
    if (atoi(entry->d_name) > *highest) *highest = atoi(entry->d_name);
    count++;
  }
  closedir(all);
  return count;
}

/* What is held so that no lower number is free. */
static int fillers[256], filled;

/* So many descriptors can still be made. */
static void leave(int count) {
  struct rlimit scarce = ample;
  int highest, next;
  open_descriptors(&highest);
  while ((next = fcntl(0, F_DUPFD_CLOEXEC, 0)) <= highest) {
    CHECK(next >= 0 && filled < 256);
    fillers[filled++] = next;
  }
  close(next);
  scarce.rlim_cur = (rlim_t)(next + count);
  CHECK(setrlimit(RLIMIT_NOFILE, &scarce) == 0);
}

static void leave_many(void) {
  CHECK(setrlimit(RLIMIT_NOFILE, &ample) == 0);
  while (filled > 0) close(fillers[--filled]);
}

/* No more than these are open, soon: the stacks' threads close some of earlier calls in their own time. */
static void none_is_left_but(int descriptors) {
  long start = now_ms();
  int highest;
  while (open_descriptors(&highest) > descriptors) CHECK(now_ms() - start < 10000);
}

static void sockets_and_sets(pair_t pair) {
  usertcp_socket_t listener = listen_on(pair.left, "192.0.2.1:3000"), caller;
  ends_t ends = connect_ends(pair, "192.0.2.1:3001"), shown = connect_ends(pair, "192.0.2.1:3002");
  usertcp_pollset_t set;
  usertcp_event_t event;
  int before, highest, fd, one, trace = open("/dev/null", O_WRONLY | O_CLOEXEC);
  char byte = 0;
  OK(usertcp_pollset_open(0, &set));
  OK(usertcp_pollset_add(set, ends.left, USERTCP_POLLIN, 7));
  fd = usertcp_fd(shown.left);
  CHECK(fd >= 0 && trace >= 0);
  before = open_descriptors(&highest);
  leave(0);
  EQUAL(usertcp_fd(ends.left), -EMFILE);
  EQUAL(usertcp_pollset_fd(set), -EMFILE);
  EQUAL(usertcp_export_fd(ends.left), -EMFILE);
  EQUAL(usertcp_export_fd(listener), -EMFILE);
  EQUAL(usertcp_trace(ends.left, trace), -EMFILE);
  EQUAL(usertcp_stack_trace(pair.left, trace), -EMFILE);
  /* What there is already goes on, and what takes no descriptor can be made. */
  EQUAL(usertcp_fd(shown.left), fd);
  EQUAL(usertcp_send(ends.right, "x", 1, 0), 1);
  EQUAL(usertcp_recv(ends.left, &byte, 1, 0), 1);
  EQUAL(usertcp_pollset_wait(set, &event, 1, 0), 0);
  caller = connect_to(pair.right, "192.0.2.1:3000");
  OK(usertcp_close(accept_one(listener)));
  OK(usertcp_close(caller));
  leave_many();
  none_is_left_but(before);

  CHECK(usertcp_fd(ends.right) >= 0);
  CHECK(usertcp_pollset_fd(set) >= 0);
  OK(usertcp_trace(ends.left, trace));
  OK(usertcp_stack_trace(pair.left, trace));
  OK(usertcp_stack_trace(pair.left, -1));
  fd = usertcp_export_fd(ends.left);
  CHECK(fd >= 0);
  EQUAL(usertcp_send(ends.right, "x", 1, 0), 1);
  EQUAL(read(fd, &byte, 1), 1);
  close(fd);
  fd = usertcp_export_fd(listener);
  CHECK(fd >= 0);
  caller = connect_to(pair.right, "192.0.2.1:3000");
  one = accept(fd, NULL, NULL);
  CHECK(one >= 0);
  EQUAL(write(one, "x", 1), 1);
  EQUAL(usertcp_recv(caller, &byte, 1, 0), 1);
  close(one);
  close(fd);
  OK(usertcp_close(caller));
  OK(usertcp_pollset_close(set));
  OK(usertcp_close(shown.left));
  OK(usertcp_close(shown.right));
  OK(usertcp_close(ends.right));
  close(trace);
}

/* With any number of descriptors that is too small the call fails and leaves none behind. */
static int fails_until_there_are_enough(int (*make)(void)) {
  int count, highest, before = open_descriptors(&highest);
  for (count = 0; count < 60; count++) {
    int answer;
    leave(count);
    answer = make();
    leave_many();
    if (answer != -EMFILE) break;
    none_is_left_but(before);
  }
  return count;
}

static int link_ends[2];
static usertcp_stack_t stack;

static int open_a_stack(void) {
  usertcp_config_t config = USERTCP_CONFIG_INIT;
  config.fd = link_ends[0];
  config.addresses = "192.0.2.1/24";
  config.nameservers = config.search = config.hosts = "";
  config.pcap = config.trace = "/dev/null";
  return usertcp_stack_open(&config, &stack);
}

static usertcp_socket_t exported;

static int stream = -1;

static int export_a_stream(void) {
  return stream = usertcp_export_fd(exported);
}

static void at_every_step(pair_t pair) {
  usertcp_socket_t peer;
  char byte = 0;
  CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, link_ends) == 0);
  CHECK(fails_until_there_are_enough(open_a_stack) > 0);
  CHECK(stack != 0);
  EQUAL(usertcp_stack_offloaded(stack), 0);
  OK(usertcp_stack_close(stack, 0));
  close(link_ends[0]);
  close(link_ends[1]);
  {
    ends_t ends = connect_ends(pair, "192.0.2.1:3003");
    exported = ends.left;
    peer = ends.right;
  }
  EQUAL(usertcp_send(peer, "x", 1, 0), 1);
  CHECK(fails_until_there_are_enough(export_a_stream) > 0);
  EQUAL(usertcp_close(exported), -EBADF);
  EQUAL(usertcp_shutdown(peer, SHUT_WR), 0);
  CHECK(stream >= 0);
  EQUAL(read(stream, &byte, 1), 1);
  EQUAL(read(stream, &byte, 1), 0);
  close(stream);
  OK(usertcp_close(peer));
}

static usertcp_sandbox_t sandbox;

static int open_a_sandbox(void) {
  usertcp_sandbox_config_t config = USERTCP_SANDBOX_CONFIG_INIT;
  config.host_addresses = "192.0.2.1/24";
  return usertcp_sandbox_open(&config, &sandbox);
}

static void sandboxes(void) {
  const char *const argv[] = {"true", NULL};
  usertcp_child_t program;
  int answer = open_a_sandbox(), before, highest, fds[1], status = -1;
  if (answer < 0) {
    printf("skipped: descriptors run out in a sandbox: none is granted here: %s\n", usertcp_errname(answer));
    return;
  }
  before = open_descriptors(&highest);
  leave(0);
  EQUAL(usertcp_sandbox_tun(sandbox), -EMFILE);
  EQUAL(usertcp_sandbox_queues(sandbox, fds, 1), -EMFILE);
  EQUAL(usertcp_sandbox_socket(sandbox, AF_INET, SOCK_DGRAM, 0), -EMFILE);
  leave_many();
  none_is_left_but(before);
  EQUAL(usertcp_sandbox_queues(sandbox, fds, 1), 1);
  close(fds[0]);
  OK(usertcp_sandbox_spawn(sandbox, argv, NULL, NULL, &program));
  OK(usertcp_child_wait(program, 0, &status));
  EQUAL(status, 0);
  OK(usertcp_child_close(program));
  OK(usertcp_sandbox_close(sandbox));
  sandbox = 0;
  CHECK(fails_until_there_are_enough(open_a_sandbox) > 0);
  OK(usertcp_sandbox_close(sandbox));
}

int main(void) {
  const char *preloaded = getenv("LD_PRELOAD");
  pair_t pair;
  if (preloaded != NULL && strstr(preloaded, "vgpreload") != NULL) {
    printf("left out: how descriptors run out: valgrind has limits of its own\n");
    return 77;
  }
  CHECK(getrlimit(RLIMIT_NOFILE, &ample) == 0);
  pair = open_pair(NULL);
  sockets_and_sets(pair);
  at_every_step(pair);
  sandboxes();
  close_pair(pair);
  return 0;
}
