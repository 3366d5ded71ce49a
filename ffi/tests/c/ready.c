/* Readiness descriptors under poll(2) and epoll(7), by level and by edge. */
#include "drive.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/wait.h>

/* Two loops; `use_epoll` says which. */
static int use_epoll, epoll;
static watched_t *polled[8];
static int count;

static void loop_watch(watched_t *watched, int events) {
  int i;
  if (use_epoll) {
    struct epoll_event event;
    int how = watched->events == 0 ? EPOLL_CTL_ADD : events == 0 ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;
    memset(&event, 0, sizeof event);
    event.events = (unsigned)events;
    if (trigger == EDGE) event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
    event.data.ptr = watched;
    CHECK(epoll_ctl(epoll, how, watched->fd, &event) == 0);
    return;
  }
  for (i = 0; i < count && polled[i] != watched; i++);
  if (events == 0) polled[i] = polled[--count];
  else if (i == count) polled[count++] = watched;
}

static int loop_wait(int timeout_ms) {
  int i, ready;
  if (use_epoll) {
    struct epoll_event events[8];
    ready = epoll_wait(epoll, events, 8, timeout_ms);
    for (i = 0; i < ready; i++) woken((watched_t *)events[i].data.ptr, (int)events[i].events);
  } else {
    struct pollfd entries[8];
    watched_t *whom[8];
    int n = count;
    for (i = 0; i < n; i++) {
      whom[i] = polled[i];
      entries[i].fd = polled[i]->fd;
      entries[i].events = (short)polled[i]->events;
      entries[i].revents = 0;
    }
    ready = poll(entries, (nfds_t)n, timeout_ms);
    for (i = 0; i < n; i++)
      if (entries[i].revents != 0) woken(whom[i], entries[i].revents);
  }
  CHECK(ready >= 0);
  return ready;
}

static int shown(int fd) {
  struct pollfd entry = {fd, POLLIN | POLLOUT | POLLRDHUP | POLLPRI, 0};
  CHECK(poll(&entry, 1, 0) >= 0);
  return entry.revents;
}

static void becomes(int fd, int states) {
  long end = now_ms() + 20000;
  while (shown(fd) != states) {
    if (now_ms() > end) EQUAL(shown(fd), states);
    sched_yield();
  }
}

#define ENDED (POLLIN | POLLOUT | POLLRDHUP | POLLHUP)

static void duplicates_show_the_same_and_outlive_the_socket(pair_t pair) {
  ends_t ends = connect_ends(pair, "192.0.2.1:1101");
  int fd = usertcp_fd(ends.left), other;
  CHECK(fd >= 0);
  CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
  other = dup(fd);
  EQUAL(usertcp_send(ends.right, "x", 1, 0), 1);
  becomes(fd, POLLIN | POLLOUT);
  EQUAL(shown(other), POLLIN | POLLOUT);
  OK(usertcp_close(ends.left));
  EQUAL(shown(other), ENDED);
  EQUAL(shown(fd), POLLNVAL);
  close(other);
  EQUAL(usertcp_fd(ends.left), -EBADF);
  OK(usertcp_close(ends.right));
}

static void the_errors_are_told_by_the_socket(pair_t pair) {
  ends_t ends = connect_ends(pair, "[2001:db8::1]:1102");
  int fd = usertcp_fd(ends.left), error = 0;
  socklen_t length = sizeof error;
  OK(usertcp_abort(ends.right));
  becomes(fd, ENDED | POLLERR);
  OK(usertcp_getsockopt(ends.left, SOL_SOCKET, SO_ERROR, &error, &length));
  EQUAL(error, ECONNRESET);
  EQUAL(shown(fd), ENDED);
  OK(usertcp_close(ends.left));
}

/* A forked child that has not called exec yet holds copies of everything, and is no stack's: that keeps nothing from being shown. */
static void a_forked_child_keeps_nothing_from_being_shown(pair_t pair) {
  ends_t ends = connect_ends(pair, "192.0.2.1:1103");
  int fd = usertcp_fd(ends.left), other = dup(fd), gate[2], status;
  pid_t child;
  char byte;
  CHECK(pipe(gate) == 0);
  fflush(stdout);
  child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    close(gate[1]);
    if (usertcp_fd(ends.left) != -ECHILD || usertcp_export_fd(ends.left) != -ECHILD) _exit(1);
    if (read(gate[0], &byte, 1) != 0) _exit(2);
    /* It spares a memory checker the stacks of threads that are not there. */
    execlp("true", "true", (char *)NULL);
    _exit(3);
  }
  close(gate[0]);
  OK(usertcp_shutdown(ends.right, SHUT_WR));
  becomes(fd, POLLIN | POLLOUT | POLLRDHUP);
  OK(usertcp_close(ends.left));
  EQUAL(shown(other), ENDED);
  close(other);
  close(gate[1]);
  CHECK(waitpid(child, &status, 0) == child);
  EQUAL(status, 0);
  OK(usertcp_close(ends.right));
}

/* Every byte goes out at once. */
static void hurry(usertcp_socket_t s) {
  int on = 1;
  OK(usertcp_setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on));
}

/* Edges: one for each change, and one for each arrival that finds the reader done. */
static int edges(int set, int timeout_ms) {
  struct epoll_event event;
  int n = epoll_wait(set, &event, 1, timeout_ms);
  CHECK(n >= 0);
  return n == 1 ? (int)event.events : 0;
}

static void every_change_is_one_edge(pair_t pair) {
  ends_t ends = connect_ends(pair, "192.0.2.1:1104");
  int fd = usertcp_fd(ends.left), set = epoll_create1(EPOLL_CLOEXEC), i;
  struct epoll_event event;
  char block[100];
  memset(&event, 0, sizeof event);
  event.events = EPOLLIN | EPOLLRDHUP | EPOLLET;
  CHECK(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) == 0);
  EQUAL(edges(set, 0), 0);
  hurry(ends.right);
  for (i = 0; i < 200; i++) {
    EQUAL(usertcp_send(ends.right, "0123456789", 10, 0), 10);
    EQUAL(edges(set, 20000) & EPOLLIN, EPOLLIN);
    /* A read that returns less than it asked for has emptied the queue, and is the last before the next edge, as epoll(7) allows. */
    EQUAL(usertcp_recv(ends.left, block, sizeof block, MSG_DONTWAIT), 10);
    EQUAL(edges(set, 0), 0);
  }
  OK(usertcp_shutdown(ends.right, SHUT_WR));
  EQUAL(edges(set, 20000) & EPOLLRDHUP, EPOLLRDHUP);
  EQUAL(edges(set, 0), 0);
  close(set);
  OK(usertcp_close(ends.left));
  OK(usertcp_close(ends.right));
}

static void *send_often(void *argument) {
  usertcp_socket_t s = *(usertcp_socket_t *)argument;
  int i;
  for (i = 0; i < 20000; i++) EQUAL(usertcp_send(s, "0123456789", 10, 0), 10);
  return NULL;
}

/* The race behind the promise: what arrives between a read that empties the queue and its look at it is an edge too. */
static void no_edge_is_lost_to_a_reader_that_stops_at_a_short_read(pair_t pair) {
  ends_t ends = connect_ends(pair, "192.0.2.1:1105");
  int fd = usertcp_fd(ends.left), set = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event event;
  pthread_t sender;
  size_t received = 0;
  char block[4096];
  ssize_t n;
  memset(&event, 0, sizeof event);
  event.events = EPOLLIN | EPOLLET;
  CHECK(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) == 0);
  hurry(ends.right);
  sender = start(send_often, &ends.right);
  while (received < 200000) {
    CHECK(edges(set, 20000) & EPOLLIN);
    do {
      n = usertcp_recv(ends.left, block, sizeof block, MSG_DONTWAIT);
      if (n > 0) received += (size_t)n;
    } while (n == (ssize_t)sizeof block);
  }
  join(sender);
  close(set);
  OK(usertcp_close(ends.left));
  OK(usertcp_close(ends.right));
}

/* What changes cost, in the same run as what they come with: each byte raises IN and lowers it. Printed, not judged. */
static void cost(pair_t pair) {
  ends_t both[2];
  double spent[2] = {0, 0};
  struct timespec from, to;
  char block[64];
  int i, round;
  both[0] = connect_ends(pair, "192.0.2.1:1106");
  both[1] = connect_ends(pair, "192.0.2.1:1107");
  CHECK(usertcp_fd(both[1].left) >= 0);
  for (round = 0; round < 20; round++) {
    ends_t ends = both[round % 2];
    hurry(ends.right);
    clock_gettime(CLOCK_MONOTONIC, &from);
    for (i = 0; i < 500; i++) {
      EQUAL(usertcp_send(ends.right, "x", 1, 0), 1);
      EQUAL(usertcp_recv(ends.left, block, sizeof block, 0), 1);
    }
    clock_gettime(CLOCK_MONOTONIC, &to);
    spent[round % 2] += (double)(to.tv_sec - from.tv_sec) * 1e6 + (double)(to.tv_nsec - from.tv_nsec) / 1e3;
  }
  printf("a byte: %.1f us, and %.1f us with a descriptor: %.2f\n", spent[0] / 5000, spent[1] / 5000, spent[1] / spent[0]);
  for (i = 0; i < 2; i++) {
    OK(usertcp_close(both[i].left));
    OK(usertcp_close(both[i].right));
  }
}

int main(void) {
  pair_t pair = open_pair(NULL);
  drive(pair, "192.0.2.1:1001", LEVEL, "poll");
  use_epoll = 1;
  epoll = epoll_create1(EPOLL_CLOEXEC);
  CHECK(epoll >= 0);
  drive(pair, "192.0.2.1:1002", LEVEL, "epoll");
  drive(pair, "[2001:db8::1]:1003", EDGE, "epoll, edge-triggered");
  close(epoll);
  duplicates_show_the_same_and_outlive_the_socket(pair);
  the_errors_are_told_by_the_socket(pair);
  a_forked_child_keeps_nothing_from_being_shown(pair);
  every_change_is_one_edge(pair);
  no_edge_is_lost_to_a_reader_that_stops_at_a_short_read(pair);
  cost(pair);
  EQUAL(usertcp_fd(0), -EBADF);
  close_pair(pair);
  return 0;
}
