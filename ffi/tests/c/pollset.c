/* Poll sets: epoll(7) for sockets of the library. */
#include "check.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static usertcp_pollset_t open_set(void) {
  usertcp_pollset_t set = 0;
  OK(usertcp_pollset_open(0, &set));
  CHECK(set != 0);
  return set;
}

static usertcp_socket_t datagram_socket(usertcp_stack_t stack, const char *text) {
  usertcp_socket_t s = 0;
  address_t a = address(text);
  OK(usertcp_socket(stack, domain_of(text), SOCK_DGRAM, 0, &s));
  OK(usertcp_bind(s, ADDRESS(a)));
  return s;
}

static void send_to(usertcp_socket_t from, const char *text) {
  address_t a = address(text);
  EQUAL(usertcp_sendto(from, "x", 1, 0, ADDRESS(a)), 1);
}

/* One event, this one. */
static void told(usertcp_pollset_t set, uint32_t events, uint64_t data) {
  usertcp_event_t event;
  memset(&event, 0xff, sizeof event);
  EQUAL(usertcp_pollset_wait(set, &event, 1, 10000), 1);
  EQUAL(event.events, events);
  EQUAL(event.reserved, 0);
  CHECK(event.data == data);
}

static void nothing(usertcp_pollset_t set) {
  usertcp_event_t event;
  EQUAL(usertcp_pollset_wait(set, &event, 1, 0), 0);
}

static void levels_edges_and_once(pair_t pair, const char *text) {
  ends_t ends = connect_ends(pair, text);
  usertcp_pollset_t set = open_set();
  char byte;
  uint64_t data = 0x123456789abcdefULL;
  OK(usertcp_pollset_add(set, ends.right, USERTCP_POLLIN, data));
  EQUAL(usertcp_pollset_add(set, ends.right, USERTCP_POLLIN, data), -EEXIST);
  nothing(set);
  EQUAL(usertcp_send(ends.left, "ab", 2, 0), 2);
  told(set, USERTCP_POLLIN, data);
  told(set, USERTCP_POLLIN, data);
  EQUAL(usertcp_recv(ends.right, &byte, 1, 0), 1);
  told(set, USERTCP_POLLIN, data);
  EQUAL(usertcp_recv(ends.right, &byte, 1, 0), 1);
  nothing(set);

  OK(usertcp_pollset_modify(set, ends.right, USERTCP_POLLIN | USERTCP_POLLET, 2));
  nothing(set);
  EQUAL(usertcp_send(ends.left, "c", 1, 0), 1);
  told(set, USERTCP_POLLIN, 2);
  nothing(set);
  EQUAL(usertcp_send(ends.left, "d", 1, 0), 1);
  told(set, USERTCP_POLLIN, 2);
  nothing(set);
  /* What is ready already is told of to who asks anew. */
  OK(usertcp_pollset_modify(set, ends.right, USERTCP_POLLIN | USERTCP_POLLONESHOT, 3));
  told(set, USERTCP_POLLIN, 3);
  EQUAL(usertcp_send(ends.left, "e", 1, 0), 1);
  nothing(set);
  OK(usertcp_pollset_modify(set, ends.right, USERTCP_POLLIN | USERTCP_POLLOUT | USERTCP_POLLONESHOT, 4));
  told(set, USERTCP_POLLIN | USERTCP_POLLOUT, 4);
  OK(usertcp_pollset_remove(set, ends.right));
  EQUAL(usertcp_pollset_remove(set, ends.right), -ENOENT);
  EQUAL(usertcp_pollset_modify(set, ends.right, USERTCP_POLLIN, 5), -ENOENT);
  nothing(set);

  /* The end of the stream, and of the connection. */
  OK(usertcp_pollset_add(set, ends.right, USERTCP_POLLRDHUP, 6));
  OK(usertcp_shutdown(ends.left, SHUT_WR));
  told(set, USERTCP_POLLRDHUP, 6);
  OK(usertcp_pollset_modify(set, ends.right, 0, 7));
  nothing(set);
  OK(usertcp_abort(ends.left));
  {
    usertcp_event_t event;
    EQUAL(usertcp_pollset_wait(set, &event, 1, 10000), 1);
    CHECK(event.data == 7 && (event.events & USERTCP_POLLHUP));
  }
  OK(usertcp_close(ends.right));
  nothing(set);
  OK(usertcp_pollset_close(set));
  EQUAL(usertcp_pollset_close(set), -EBADF);
}

/* Sockets of both stacks, and a connection to accept. */
static void several_stacks_in_one(pair_t pair) {
  usertcp_socket_t left = datagram_socket(pair.left, "192.0.2.1:1000");
  usertcp_socket_t right = datagram_socket(pair.right, "[2001:db8::2]:1000");
  usertcp_socket_t six = datagram_socket(pair.left, "[2001:db8::1]:1000");
  usertcp_socket_t four = datagram_socket(pair.right, "192.0.2.2:1000");
  usertcp_socket_t listener = listen_on(pair.left, "192.0.2.1:1001"), caller;
  usertcp_pollset_t set = open_set(), other = open_set();
  usertcp_event_t events[8];
  OK(usertcp_pollset_add(set, left, USERTCP_POLLIN, 1));
  OK(usertcp_pollset_add(set, right, USERTCP_POLLIN, 2));
  OK(usertcp_pollset_add(set, listener, USERTCP_POLLIN | USERTCP_POLLET, 3));
  OK(usertcp_pollset_add(other, left, USERTCP_POLLIN, 4));
  send_to(four, "192.0.2.1:1000");
  told(set, USERTCP_POLLIN, 1);
  told(other, USERTCP_POLLIN, 4);
  send_to(six, "[2001:db8::2]:1000");
  caller = connect_to(pair.right, "192.0.2.1:1001");
  while (usertcp_pollset_wait(set, events, 8, 10000) != 3) continue;
  CHECK((events[0].data | events[1].data | events[2].data) == 3);
  OK(usertcp_pollset_close(set));
  told(other, USERTCP_POLLIN, 4);
  OK(usertcp_pollset_close(other));
  OK(usertcp_close(caller));
  OK(usertcp_close(listener));
  OK(usertcp_close(left));
  OK(usertcp_close(right));
  OK(usertcp_close(four));
  OK(usertcp_close(six));
}

typedef struct {
  usertcp_pollset_t set;
  pid_t number;
  int answer;
  usertcp_event_t event;
} waiter_t;

static void *wait_in(void *argument) {
  waiter_t *waiter = (waiter_t *)argument;
  __atomic_store_n(&waiter->number, (pid_t)syscall(SYS_gettid), __ATOMIC_SEQ_CST);
  waiter->answer = usertcp_pollset_wait(waiter->set, &waiter->event, 1, -1);
  return NULL;
}

static pthread_t start_waiting(waiter_t *waiter, usertcp_pollset_t set) {
  pthread_t thread;
  memset(waiter, 0, sizeof *waiter);
  waiter->set = set;
  thread = start(wait_in, waiter);
  sleeps(&waiter->number);
  return thread;
}

static void what_ends_a_wait(pair_t pair) {
  usertcp_pollset_t set = open_set();
  usertcp_socket_t closed = datagram_socket(pair.left, "192.0.2.1:1000");
  usertcp_socket_t open = datagram_socket(pair.left, "192.0.2.1:1001");
  usertcp_socket_t sender = datagram_socket(pair.right, "192.0.2.2:1000");
  usertcp_event_t event;
  waiter_t waiter, others[3];
  pthread_t thread, threads[3];
  long begun;
  int i;
  OK(usertcp_pollset_add(set, closed, USERTCP_POLLIN, 1));
  OK(usertcp_pollset_add(set, open, USERTCP_POLLIN, 2));
  /* The time. */
  begun = now_ms();
  EQUAL(usertcp_pollset_wait(set, &event, 1, 30), 0);
  CHECK(now_ms() - begun >= 30);
  /* A socket that is closed drops out and ends nothing. */
  thread = start_waiting(&waiter, set);
  OK(usertcp_close(closed));
  sleeps(&waiter.number);
  send_to(sender, "192.0.2.1:1001");
  join(thread);
  EQUAL(waiter.answer, 1);
  CHECK(waiter.event.data == 2);
  EQUAL(usertcp_pollset_remove(set, closed), -EBADF);
  EQUAL(usertcp_recv(open, &event, 1, 0), 1);
  /* One that is added while somebody waits. */
  thread = start_waiting(&waiter, set);
  OK(usertcp_pollset_modify(set, open, USERTCP_POLLOUT, 3));
  join(thread);
  EQUAL(waiter.answer, 1);
  CHECK(waiter.event.data == 3 && waiter.event.events == USERTCP_POLLOUT);
  OK(usertcp_pollset_modify(set, open, USERTCP_POLLIN, 3));
  /* Somebody who asks for it, before and meanwhile: once each time. */
  OK(usertcp_pollset_wake(set));
  OK(usertcp_pollset_wake(set));
  EQUAL(usertcp_pollset_wait(set, &event, 1, -1), 0);
  begun = now_ms();
  EQUAL(usertcp_pollset_wait(set, &event, 1, 20), 0);
  CHECK(now_ms() - begun >= 20);
  thread = start_waiting(&waiter, set);
  OK(usertcp_pollset_wake(set));
  join(thread);
  EQUAL(waiter.answer, 0);
  /* usertcp_cancel() is for those who wait on the socket itself. */
  thread = start_waiting(&waiter, set);
  OK(usertcp_cancel(open));
  sleeps(&waiter.number);
  OK(usertcp_pollset_wake(set));
  join(thread);
  EQUAL(waiter.answer, 0);
  /* The end of the set. */
  for (i = 0; i < 3; i++) threads[i] = start_waiting(&others[i], set);
  OK(usertcp_pollset_close(set));
  for (i = 0; i < 3; i++) {
    join(threads[i]);
    EQUAL(others[i].answer, -ECANCELED);
  }
  OK(usertcp_close(open));
  OK(usertcp_close(sender));
}

static int shows(int fd) {
  struct pollfd entry;
  entry.fd = fd;
  entry.events = POLLIN;
  entry.revents = 0;
  CHECK(poll(&entry, 1, 0) >= 0);
  return entry.revents;
}

static int comes(int fd) {
  struct pollfd entry;
  entry.fd = fd;
  entry.events = POLLIN;
  entry.revents = 0;
  EQUAL(poll(&entry, 1, 10000), 1);
  return entry.revents;
}

static void in_a_loop_of_the_system(pair_t pair) {
  usertcp_pollset_t set = open_set();
  usertcp_socket_t s = datagram_socket(pair.left, "192.0.2.1:1000");
  usertcp_socket_t second = datagram_socket(pair.left, "192.0.2.1:1001");
  usertcp_socket_t sender = datagram_socket(pair.right, "192.0.2.2:1000");
  usertcp_event_t event;
  struct epoll_event edge, seen;
  int fd, loop = epoll_create1(EPOLL_CLOEXEC), copy, i;
  char byte;
  OK(usertcp_pollset_add(set, s, USERTCP_POLLIN, 1));
  fd = usertcp_pollset_fd(set);
  CHECK(fd >= 0);
  EQUAL(usertcp_pollset_fd(set), fd);
  nothing(set);
  EQUAL(shows(fd), 0);
  send_to(sender, "192.0.2.1:1000");
  EQUAL(comes(fd), POLLIN);
  told(set, USERTCP_POLLIN, 1);
  EQUAL(shows(fd), POLLIN);
  EQUAL(usertcp_recv(s, &byte, 1, 0), 1);
  /* The call that finds nothing turns it off, and so a loop does not spin. */
  nothing(set);
  EQUAL(shows(fd), 0);
  OK(usertcp_pollset_wake(set));
  EQUAL(shows(fd), POLLIN);
  nothing(set);
  EQUAL(shows(fd), 0);

  /* Edges of the set's descriptor: one for whatever is new, also while something else waits. */
  memset(&edge, 0, sizeof edge);
  edge.events = EPOLLIN | EPOLLET;
  OK(epoll_ctl(loop, EPOLL_CTL_ADD, fd, &edge));
  OK(usertcp_pollset_add(set, second, USERTCP_POLLIN, 2));
  EQUAL(epoll_wait(loop, &seen, 1, 0), 0);
  send_to(sender, "192.0.2.1:1000");
  EQUAL(epoll_wait(loop, &seen, 1, 10000), 1);
  EQUAL(epoll_wait(loop, &seen, 1, 0), 0);
  send_to(sender, "192.0.2.1:1001");
  EQUAL(epoll_wait(loop, &seen, 1, 10000), 1);
  for (i = 0; i < 2; i++) {
    EQUAL(usertcp_pollset_wait(set, &event, 1, 0), 1);
    EQUAL(usertcp_recv(event.data == 1 ? s : second, &byte, 1, MSG_DONTWAIT), 1);
  }
  nothing(set);
  EQUAL(shows(fd), 0);
  /* A set that is told of everything at once, by edges, is empty when that was taken. */
  OK(usertcp_pollset_modify(set, s, USERTCP_POLLIN | USERTCP_POLLET, 1));
  send_to(sender, "192.0.2.1:1000");
  EQUAL(comes(fd), POLLIN);
  told(set, USERTCP_POLLIN, 1);
  EQUAL(shows(fd), 0);

  copy = dup(fd);
  OK(usertcp_pollset_close(set));
  EQUAL(fcntl(fd, F_GETFD), -1);
  EQUAL(shows(copy), POLLIN);
  EQUAL(usertcp_pollset_fd(set), -EBADF);
  close(copy);
  close(loop);
  OK(usertcp_close(s));
  OK(usertcp_close(second));
  OK(usertcp_close(sender));
}

#define MANY 10000
#define ROUNDS 300

static long long thread_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return now.tv_sec * 1000000000LL + now.tv_nsec;
}

/* The least that a round of this thread took: a datagram to itself, told of and read. */
static long long round_of(usertcp_pollset_t set, usertcp_socket_t s, usertcp_socket_t sender, const char *text, uint64_t data) {
  long long least = -1;
  int i;
  for (i = 0; i < ROUNDS; i++) {
    long long begun, took;
    char byte;
    send_to(sender, text);
    begun = thread_ns();
    told(set, USERTCP_POLLIN, data);
    EQUAL(usertcp_recv(s, &byte, 1, 0), 1);
    nothing(set);
    took = thread_ns() - begun;
    if (least < 0 || took < least) least = took;
  }
  return least;
}

/* Ten thousand sockets that have nothing cost a wait nothing. */
static void idle_sockets_cost_nothing(pair_t pair) {
  static usertcp_socket_t sockets[MANY];
  usertcp_pollset_t small = open_set(), large = open_set();
  usertcp_socket_t sender = datagram_socket(pair.right, "192.0.2.2:9");
  usertcp_event_t event;
  long long with_few, with_many;
  char text[64];
  int i;
  for (i = 0; i < MANY; i++) {
    snprintf(text, sizeof text, "192.0.2.1:%d", 10000 + i);
    sockets[i] = datagram_socket(pair.left, text);
    OK(usertcp_pollset_add(large, sockets[i], USERTCP_POLLIN, (uint64_t)i));
  }
  OK(usertcp_pollset_add(small, sockets[MANY - 1], USERTCP_POLLIN, MANY - 1));
  with_few = round_of(small, sockets[MANY - 1], sender, text, MANY - 1);
  with_many = round_of(large, sockets[MANY - 1], sender, text, MANY - 1);
  printf("a round: %lld ns with 1 socket, %lld ns with %d\n", with_few, with_many, MANY);
  /* Looking at ten thousand of them would be a hundred times more. */
  CHECK(with_many < 10 * with_few + 20000);
  /* All of them at once, in parts. */
  for (i = 0; i < MANY; i += 100) {
    snprintf(text, sizeof text, "192.0.2.1:%d", 10000 + i);
    send_to(sender, text);
  }
  for (i = 0; i < MANY / 100; i++) {
    char byte;
    EQUAL(usertcp_pollset_wait(large, &event, 1, 10000), 1);
    CHECK(event.data % 100 == 0);
    EQUAL(usertcp_recv(sockets[event.data], &byte, 1, 0), 1);
  }
  nothing(large);
  for (i = 0; i < MANY; i++) OK(usertcp_close(sockets[i]));
  nothing(large);
  OK(usertcp_close(sender));
  OK(usertcp_pollset_close(small));
  OK(usertcp_pollset_close(large));
}

static void misuse(pair_t pair) {
  usertcp_pollset_t set = open_set();
  usertcp_socket_t s = make_socket(pair.left, AF_INET);
  usertcp_event_t event;
  pid_t child;
  int status, fd = usertcp_pollset_fd(set);
  CHECK(fd >= 0);
  EQUAL(usertcp_pollset_open(1, &set), -EINVAL);
  EQUAL(usertcp_pollset_open(0, NULL), -EFAULT);
  EQUAL(usertcp_pollset_add(0, s, 0, 0), -EBADF);
  EQUAL(usertcp_pollset_add(s, s, 0, 0), -EBADF);
  EQUAL(usertcp_pollset_add(set, set, 0, 0), -EBADF);
  EQUAL(usertcp_pollset_add(set, 0, 0, 0), -EBADF);
  EQUAL(usertcp_pollset_add(set, s, 0x100, 0), -EINVAL);
  EQUAL(usertcp_pollset_modify(set, s, 0x100, 0), -EINVAL);
  EQUAL(usertcp_pollset_wait(0, &event, 1, 0), -EBADF);
  EQUAL(usertcp_pollset_wait(set, NULL, 1, 0), -EFAULT);
  EQUAL(usertcp_pollset_wait(set, &event, 0, 0), -EINVAL);
  EQUAL(usertcp_pollset_wake(0), -EBADF);
  EQUAL(usertcp_pollset_fd(0), -EBADF);
  EQUAL(usertcp_pollset_close(0), -EBADF);
  EQUAL(usertcp_pollset_close(s), -EBADF);
  child = fork();
  if (child == 0) {
    EQUAL(usertcp_pollset_wait(set, &event, 1, 0), -ECHILD);
    EQUAL(usertcp_pollset_add(set, s, 0, 0), -ECHILD);
    EQUAL(usertcp_pollset_wake(set), -ECHILD);
    EQUAL(usertcp_pollset_fd(set), -ECHILD);
    EQUAL(usertcp_pollset_close(set), -ECHILD);
    EQUAL(usertcp_pollset_open(0, &set), -ECHILD);
    /* It spares a memory checker the stacks of threads that are not there. */
    execlp("true", "true", (char *)NULL);
    _exit(1);
  }
  EQUAL(waitpid(child, &status, 0), child);
  EQUAL(status, 0);
  /* A socket that was never connected is over and has room, as epoll(7) says of it. */
  OK(usertcp_pollset_add(set, s, USERTCP_POLLOUT, 9));
  told(set, USERTCP_POLLOUT | USERTCP_POLLHUP, 9);
  OK(usertcp_close(s));
  OK(usertcp_pollset_close(set));
}

static void the_end_of_a_stack_empties_sets(void) {
  pair_t pair = open_pair(NULL);
  usertcp_pollset_t set = open_set();
  usertcp_socket_t s = datagram_socket(pair.left, "192.0.2.1:1000");
  waiter_t waiter;
  pthread_t thread;
  OK(usertcp_pollset_add(set, s, USERTCP_POLLIN, 1));
  thread = start_waiting(&waiter, set);
  OK(usertcp_stack_close(pair.left, 0));
  sleeps(&waiter.number);
  OK(usertcp_pollset_wake(set));
  join(thread);
  EQUAL(waiter.answer, 0);
  OK(usertcp_pollset_close(set));
  OK(usertcp_stack_close(pair.right, 0));
}

int main(void) {
  usertcp_config_t config = USERTCP_CONFIG_INIT;
  pair_t pair = open_pair(&config);
  levels_edges_and_once(pair, "192.0.2.1:80");
  levels_edges_and_once(pair, "[2001:db8::1]:80");
  several_stacks_in_one(pair);
  what_ends_a_wait(pair);
  in_a_loop_of_the_system(pair);
  misuse(pair);
  idle_sockets_cost_nothing(pair);
  close_pair(pair);
  the_end_of_a_stack_empties_sets();
  return 0;
}
