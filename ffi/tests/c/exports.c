/* Listeners as listening sockets of the system, the addresses of exported connections, and who else may use them. */
#include "check.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

static pair_t pair;

static int export_fd(usertcp_socket_t s) {
  int fd = usertcp_export_fd(s);
  if (fd < 0) OK(fd);
  EQUAL(usertcp_close(s), -EBADF);
  return fd;
}

static int accept_fd(int listener) {
  int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
  CHECK(fd >= 0);
  return fd;
}

/* A descriptor stands for this connection; with NULL it has no peer. */
static void stands_for(int fd, const char *own, const char *peer) {
  struct sockaddr_storage storage[2];
  socklen_t lengths[2] = {sizeof *storage, sizeof *storage};
  char text[USERTCP_ADDRSTRLEN];
  OK(usertcp_fd_addresses(fd, (struct sockaddr *)&storage[0], &lengths[0], NULL, NULL));
  CHECK(usertcp_format_addr((struct sockaddr *)&storage[0], lengths[0], text, sizeof text) > 0);
  CHECK(strcmp(text, own) == 0);
  if (peer == NULL) {
    EQUAL(usertcp_fd_addresses(fd, NULL, NULL, (struct sockaddr *)&storage[1], &lengths[1]), -ENOTCONN);
    return;
  }
  OK(usertcp_fd_addresses(fd, NULL, NULL, (struct sockaddr *)&storage[1], &lengths[1]));
  CHECK(usertcp_format_addr((struct sockaddr *)&storage[1], lengths[1], text, sizeof text) > 0);
  CHECK(strcmp(text, peer) == 0);
}

static void name_of(usertcp_socket_t s, char *text) {
  address_t a;
  a.length = sizeof a.storage;
  OK(usertcp_getsockname(s, (struct sockaddr *)&a.storage, &a.length));
  CHECK(usertcp_format_addr((struct sockaddr *)&a.storage, a.length, text, USERTCP_ADDRSTRLEN) > 0);
}

/* Waits until nobody listens there any more. */
static void wait_until_refused(const char *text) {
  address_t a = address(text);
  int answer = 0;
  while (answer != -ECONNREFUSED) {
    usertcp_socket_t s = make_socket(pair.right, domain_of(text));
    answer = usertcp_connect(s, ADDRESS(a));
    CHECK(answer == 0 || answer == -ECONNREFUSED || answer == -ECONNRESET);
    OK(usertcp_close(s));
  }
}

static void connections_are_accepted_by_the_system(const char *text) {
  usertcp_socket_t listener = listen_on(pair.left, text), callers[3];
  char names[3][USERTCP_ADDRSTRLEN], byte;
  int fds[3], i, waits = usertcp_fd(listener), fd;
  CHECK(waits >= 0);
  /* One that came before is not lost. */
  callers[0] = connect_to(pair.right, text);
  fd = export_fd(listener);
  CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
  CHECK(!(fcntl(fd, F_GETFL) & O_NONBLOCK));
  stands_for(fd, text, NULL);
  for (i = 1; i < 3; i++) callers[i] = connect_to(pair.right, text);
  for (i = 0; i < 3; i++) {
    char told[16];
    name_of(callers[i], names[i]);
    fds[i] = accept_fd(fd);
    stands_for(fds[i], text, names[i]);
    EQUAL(usertcp_send(callers[i], "to", 2, 0), 2);
    EQUAL(read(fds[i], told, sizeof told), 2);
    EQUAL(write(fds[i], "fro", 3), 3);
    EQUAL(usertcp_recv(callers[i], told, 3, MSG_WAITALL), 3);
    CHECK(memcmp(told, "fro", 3) == 0);
  }
  /* The addresses stay when the connection is over, from either side. */
  OK(usertcp_close(callers[0]));
  EQUAL(read(fds[0], &byte, 1), 0);
  stands_for(fds[0], text, names[0]);
  close(fds[0]);
  OK(usertcp_abort(callers[1]));
  while (read(fds[1], &byte, 1) > 0) continue;
  stands_for(fds[1], text, names[1]);
  close(fds[1]);
  /* The listener goes first; what was accepted lives on. */
  close(fd);
  wait_until_refused(text);
  EQUAL(write(fds[2], "x", 1), 1);
  EQUAL(usertcp_recv(callers[2], &byte, 1, 0), 1);
  close(fds[2]);
  EQUAL(usertcp_recv(callers[2], &byte, 1, 0), 0);
  OK(usertcp_close(callers[2]));
}

static void single_connections_have_addresses_too(const char *text) {
  ends_t ends = connect_ends(pair, text);
  char name[USERTCP_ADDRSTRLEN];
  int left, right;
  name_of(ends.right, name);
  CHECK(usertcp_fd(ends.right) >= 0);
  left = export_fd(ends.left);
  right = export_fd(ends.right);
  stands_for(left, text, name);
  stands_for(right, name, text);
  close(left);
  close(right);
}

static void a_listener_that_does_not_block(void) {
  usertcp_socket_t listener = listen_on(pair.left, "192.0.2.1:2100"), caller;
  struct pollfd entry;
  int fd;
  OK(usertcp_set_nonblock(listener, 1));
  fd = export_fd(listener);
  EQUAL(accept(fd, NULL, NULL), -1);
  EQUAL(errno, EAGAIN);
  caller = connect_to(pair.right, "192.0.2.1:2100");
  entry.fd = fd;
  entry.events = POLLIN;
  EQUAL(poll(&entry, 1, 20000), 1);
  close(accept_fd(fd));
  OK(usertcp_close(caller));
  close(fd);
}

/* More than its queue and the listener's hold: the others wait, and all come in the end. */
static void a_queue_that_is_full(void) {
  enum { CALLERS = 12 };
  usertcp_socket_t listener = make_socket(pair.left, AF_INET), callers[CALLERS];
  address_t a = address("192.0.2.1:2101");
  int fd, i;
  char byte;
  OK(usertcp_bind(listener, ADDRESS(a)));
  OK(usertcp_listen(listener, 1));
  fd = export_fd(listener);
  for (i = 0; i < CALLERS; i++) {
    int answer;
    callers[i] = make_socket(pair.right, AF_INET);
    OK(usertcp_set_nonblock(callers[i], 1));
    answer = usertcp_connect(callers[i], ADDRESS(a));
    CHECK(answer == 0 || answer == -EINPROGRESS);
  }
  for (i = 0; i < CALLERS; i++) {
    int one = accept_fd(fd);
    EQUAL(write(one, "x", 1), 1);
    close(one);
  }
  for (i = 0; i < CALLERS; i++) {
    OK(usertcp_set_nonblock(callers[i], 0));
    while (usertcp_connect(callers[i], ADDRESS(a)) == -EALREADY) continue;
    EQUAL(usertcp_recv(callers[i], &byte, 1, 0), 1);
    OK(usertcp_close(callers[i]));
  }
  close(fd);
}

/* What nobody has accepted goes with the listener. */
static void closed_with_connections_in_its_queue(void) {
  usertcp_socket_t listener = listen_on(pair.left, "192.0.2.1:2102");
  int fd = export_fd(listener);
  usertcp_socket_t caller = connect_to(pair.right, "192.0.2.1:2102");
  struct pollfd entry;
  ssize_t n;
  char byte;
  entry.fd = fd;
  entry.events = POLLIN;
  EQUAL(poll(&entry, 1, 20000), 1);
  close(fd);
  n = usertcp_recv(caller, &byte, 1, 0);
  CHECK(n == 0 || n == -ECONNRESET);
  OK(usertcp_close(caller));
  wait_until_refused("192.0.2.1:2102");
}

typedef struct {
  usertcp_socket_t socket;
  int fd, error;
  pid_t number;
  long answer;
} waiter_t;

static void *accept_by_handle(void *argument) {
  waiter_t *waiter = (waiter_t *)argument;
  usertcp_socket_t made;
  __atomic_store_n(&waiter->number, (pid_t)syscall(SYS_gettid), __ATOMIC_SEQ_CST);
  waiter->answer = usertcp_accept(waiter->socket, &made, NULL, NULL, 0);
  return NULL;
}

static void *accept_by_descriptor(void *argument) {
  waiter_t *waiter = (waiter_t *)argument;
  __atomic_store_n(&waiter->number, (pid_t)syscall(SYS_gettid), __ATOMIC_SEQ_CST);
  waiter->answer = accept(waiter->fd, NULL, NULL);
  waiter->error = errno;
  return NULL;
}

static void who_had_the_handle_is_told(void) {
  usertcp_socket_t listener = listen_on(pair.left, "192.0.2.1:2103");
  usertcp_pollset_t set;
  usertcp_event_t event;
  waiter_t waiter;
  pthread_t thread;
  int fd;
  memset(&waiter, 0, sizeof waiter);
  OK(usertcp_pollset_open(0, &set));
  OK(usertcp_pollset_add(set, listener, USERTCP_POLLIN, 1));
  waiter.socket = listener;
  thread = start(accept_by_handle, &waiter);
  sleeps(&waiter.number);
  fd = export_fd(listener);
  join(thread);
  EQUAL(waiter.answer, -ECANCELED);
  OK(usertcp_close(connect_to(pair.right, "192.0.2.1:2103")));
  close(accept_fd(fd));
  EQUAL(usertcp_pollset_wait(set, &event, 1, 0), 0);
  OK(usertcp_pollset_close(set));
  close(fd);
}

/* A foreign program takes it as its standard input, as from inetd, and answers; this process has closed its own. */
static void another_program_accepts(void) {
  usertcp_socket_t listener = listen_on(pair.left, "192.0.2.1:2104"), caller;
  int fd = export_fd(listener), status;
  char text[16];
  static const char script[] =
      "import socket\n"
      "listener = socket.socket(fileno=0)\n"
      "for _ in range(2):\n"
      "    one, _ = listener.accept()\n"
      "    one.sendall(one.recv(100)[::-1])\n"
      "    one.close()\n";
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    if (dup2(fd, 0) < 0) _exit(126);
    execlp("python3", "python3", "-c", script, (char *)NULL);
    _exit(127);
  }
  close(fd);
  /* Where there is no python3 the listener is gone. */
  caller = make_socket(pair.right, AF_INET);
  {
    address_t a = address("192.0.2.1:2104");
    int n, i;
    for (i = 0; i < 2; i++) {
      OK(usertcp_connect(caller, ADDRESS(a)));
      EQUAL(usertcp_send(caller, "abc", 3, 0), 3);
      n = (int)usertcp_recv(caller, text, sizeof text, 0);
      if (n != 3) break;
      CHECK(memcmp(text, "cba", 3) == 0);
      OK(usertcp_close(caller));
      caller = make_socket(pair.right, AF_INET);
    }
    CHECK(waitpid(child, &status, 0) == child);
    if (i < 2) {
      EQUAL(status, 127 << 8);
      printf("skipped: another program accepts: python3 is not installed\n");
    } else {
      EQUAL(status, 0);
    }
  }
  OK(usertcp_close(caller));
  wait_until_refused("192.0.2.1:2104");
}

/* A child by fork goes on where its parent was, with the connection and with the listener, while the parent's stack pumps both. */
static void a_forked_child_goes_on(void) {
  usertcp_socket_t listener = listen_on(pair.left, "[2001:db8::1]:2105");
  ends_t ends = connect_ends(pair, "[2001:db8::1]:2106");
  int fd = export_fd(listener), one = export_fd(ends.left), status;
  usertcp_socket_t caller;
  char text[8], name[USERTCP_ADDRSTRLEN];
  pid_t child;
  name_of(ends.right, name);
  child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    int accepted;
    stands_for(one, "[2001:db8::1]:2106", name);
    EQUAL(usertcp_cancel(ends.right), -ECHILD);
    CHECK(read(one, text, 5) == 5 && memcmp(text, "hello", 5) == 0);
    CHECK(write(one, "child", 5) == 5);
    close(one);
    accepted = accept_fd(fd);
    CHECK(write(accepted, "again", 5) == 5);
    /* It spares a memory checker the stacks of threads that are not there. */
    execlp("true", "true", (char *)NULL);
    _exit(1);
  }
  close(fd);
  close(one);
  EQUAL(usertcp_send(ends.right, "hello", 5, 0), 5);
  EQUAL(usertcp_recv(ends.right, text, 5, MSG_WAITALL), 5);
  CHECK(memcmp(text, "child", 5) == 0);
  EQUAL(usertcp_recv(ends.right, text, 1, 0), 0);
  OK(usertcp_close(ends.right));
  caller = connect_to(pair.right, "[2001:db8::1]:2105");
  EQUAL(usertcp_recv(caller, text, 5, MSG_WAITALL), 5);
  CHECK(memcmp(text, "again", 5) == 0);
  CHECK(waitpid(child, &status, 0) == child);
  EQUAL(status, 0);
  EQUAL(usertcp_recv(caller, text, 1, 0), 0);
  OK(usertcp_close(caller));
  wait_until_refused("[2001:db8::1]:2105");
}

static void a_file_goes_into_an_accepted_connection(void) {
  usertcp_socket_t listener = listen_on(pair.left, "192.0.2.1:2107"), caller;
  int fd = export_fd(listener), one, file;
  char path[] = "/tmp/usertcp-exports-XXXXXX";
  unsigned char bytes[5000], found[5000];
  size_t i;
  for (i = 0; i < sizeof bytes; i++) bytes[i] = pattern(i);
  file = mkstemp(path);
  CHECK(file >= 0);
  unlink(path);
  EQUAL(write(file, bytes, sizeof bytes), sizeof bytes);
  CHECK(lseek(file, 0, SEEK_SET) == 0);
  caller = connect_to(pair.right, "192.0.2.1:2107");
  one = accept_fd(fd);
  EQUAL(sendfile(one, file, NULL, sizeof bytes), sizeof bytes);
  EQUAL(usertcp_recv(caller, found, sizeof found, MSG_WAITALL), sizeof found);
  CHECK(memcmp(bytes, found, sizeof found) == 0);
  close(one);
  close(file);
  close(fd);
  OK(usertcp_close(caller));
}

/* Of several threads that accept, each gets connections, and none is lost. */
#define CALLS 200
static int served;

static void *serve(void *argument) {
  int fd = *(int *)argument;
  while (1) {
    int one = accept(fd, NULL, NULL);
    if (one < 0) return NULL;
    CHECK(write(one, "x", 1) == 1);
    close(one);
    __atomic_fetch_add(&served, 1, __ATOMIC_SEQ_CST);
  }
}

static void many_calls(void) {
  usertcp_socket_t listener = listen_on(pair.left, "192.0.2.1:2108");
  int fd = export_fd(listener), i;
  pthread_t threads[4];
  for (i = 0; i < 4; i++) threads[i] = start(serve, &fd);
  for (i = 0; i < CALLS; i++) {
    char byte;
    usertcp_socket_t caller = connect_to(pair.right, "192.0.2.1:2108");
    EQUAL(usertcp_recv(caller, &byte, 1, 0), 1);
    EQUAL(usertcp_recv(caller, &byte, 1, 0), 0);
    OK(usertcp_close(caller));
  }
  CHECK(shutdown(fd, SHUT_RDWR) == 0);
  for (i = 0; i < 4; i++) join(threads[i]);
  EQUAL(served, CALLS);
  /* Shut down it is closed, as far as its peers can tell. */
  wait_until_refused("192.0.2.1:2108");
  close(fd);
}

/* The stack is closed while somebody waits, by the very descriptor and by another one. */
static void the_end_of_the_stack(int moved) {
  pair_t own = open_pair(NULL);
  usertcp_socket_t listener = listen_on(own.left, "192.0.2.1:2109");
  waiter_t waiter;
  pthread_t thread;
  memset(&waiter, 0, sizeof waiter);
  waiter.fd = export_fd(listener);
  if (moved) {
    int other = dup(waiter.fd);
    close(waiter.fd);
    waiter.fd = other;
  }
  thread = start(accept_by_descriptor, &waiter);
  sleeps(&waiter.number);
  OK(usertcp_stack_close(own.left, 1000));
  join(thread);
  EQUAL(waiter.answer, -1);
  EQUAL(waiter.error, EINVAL);
  close(waiter.fd);
  OK(usertcp_stack_close(own.right, 0));
}

static void several_workers(void) {
  usertcp_sandbox_config_t sandbox_config = USERTCP_SANDBOX_CONFIG_INIT;
  usertcp_config_t config = USERTCP_CONFIG_INIT;
  usertcp_sandbox_t sandbox;
  usertcp_stack_t stack;
  int queues[2], fd, i, status;
  address_t a = address("192.0.2.1:2110");
  usertcp_socket_t listener;
  sandbox_config.host_addresses = "192.0.2.9/24";
  sandbox_config.queues = 2;
  status = usertcp_sandbox_open(&sandbox_config, &sandbox);
  if (status < 0) {
    printf("skipped: a listener of several workers: no sandbox is granted here: %s\n", usertcp_errname(status));
    return;
  }
  EQUAL(usertcp_sandbox_queues(sandbox, queues, 2), 2);
  config.queues = queues;
  config.workers = 2;
  config.addresses = "192.0.2.1/24";
  OK(usertcp_stack_open(&config, &stack));
  listener = listen_on(stack, "192.0.2.1:2110");
  fd = export_fd(listener);
  for (i = 0; i < 20; i++) {
    int caller = usertcp_sandbox_socket(sandbox, AF_INET, SOCK_STREAM, 0), one;
    struct sockaddr_in own;
    socklen_t length = sizeof own;
    char byte, text[USERTCP_ADDRSTRLEN];
    CHECK(caller >= 0 && connect(caller, ADDRESS(a)) == 0);
    CHECK(getsockname(caller, (struct sockaddr *)&own, &length) == 0);
    CHECK(usertcp_format_addr((struct sockaddr *)&own, length, text, sizeof text) > 0);
    one = accept_fd(fd);
    stands_for(one, "192.0.2.1:2110", text);
    CHECK(write(one, "x", 1) == 1 && read(caller, &byte, 1) == 1);
    CHECK(write(caller, "y", 1) == 1 && read(one, &byte, 1) == 1);
    close(one);
    EQUAL(read(caller, &byte, 1), 0);
    close(caller);
  }
  close(fd);
  OK(usertcp_stack_close(stack, 5000));
  OK(usertcp_sandbox_close(sandbox));
  close(queues[0]);
  close(queues[1]);
}

static void misuse(void) {
  struct sockaddr_storage storage;
  socklen_t length = sizeof storage;
  struct sockaddr *place = (struct sockaddr *)&storage;
  int ways[2], inet = socket(AF_INET, SOCK_STREAM, 0), file = open("/dev/null", O_RDONLY);
  usertcp_socket_t s = make_socket(pair.left, AF_INET), datagrams;
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ways) == 0);
  EQUAL(usertcp_fd_addresses(ways[0], place, &length, NULL, NULL), -EINVAL);
  EQUAL(usertcp_fd_addresses(inet, place, &length, NULL, NULL), -EINVAL);
  EQUAL(usertcp_fd_addresses(file, place, &length, NULL, NULL), -ENOTSOCK);
  EQUAL(usertcp_fd_addresses(-1, place, &length, NULL, NULL), -EBADF);
  EQUAL(usertcp_fd_addresses(ways[0], place, NULL, NULL, NULL), -EFAULT);
  EQUAL(usertcp_fd_addresses(ways[0], NULL, NULL, NULL, &length), -EFAULT);
  EQUAL(usertcp_export_fd(s), -ENOTCONN);
  OK(usertcp_close(s));
  OK(usertcp_socket(pair.left, AF_INET, SOCK_DGRAM, 0, &datagrams));
  EQUAL(usertcp_export_fd(datagrams), -EOPNOTSUPP);
  OK(usertcp_close(datagrams));
  /* Where no folder can be made the listener stays one. */
  s = listen_on(pair.left, "192.0.2.1:2111");
  CHECK(setenv("TMPDIR", "/nonexistent", 1) == 0);
  EQUAL(usertcp_export_fd(s), -ENOENT);
  CHECK(unsetenv("TMPDIR") == 0);
  OK(usertcp_close(connect_to(pair.right, "192.0.2.1:2111")));
  OK(usertcp_close(accept_one(s)));
  OK(usertcp_close(s));
  close(ways[0]);
  close(ways[1]);
  close(inet);
  close(file);
}

int main(void) {
  pair = open_pair(NULL);
  connections_are_accepted_by_the_system("192.0.2.1:2099");
  connections_are_accepted_by_the_system("[2001:db8::1]:2099");
  single_connections_have_addresses_too("192.0.2.1:2098");
  single_connections_have_addresses_too("[2001:db8::1]:2098");
  a_listener_that_does_not_block();
  a_queue_that_is_full();
  closed_with_connections_in_its_queue();
  who_had_the_handle_is_told();
  another_program_accepts();
  a_forked_child_goes_on();
  a_file_goes_into_an_accepted_connection();
  many_calls();
  the_end_of_the_stack(0);
  the_end_of_the_stack(1);
  several_workers();
  misuse();
  close_pair(pair);
  return 0;
}
