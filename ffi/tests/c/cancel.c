/* A close, or usertcp_cancel(), while threads are blocked: each of them returns, with what the header promises. */
#include "check.h"

#include <sched.h>
#include <sys/syscall.h>

enum call { RECEIVE, SEND, ACCEPT, CONNECT, POLL };

/* One thread in a call that blocks. */
typedef struct {
  enum call call;
  usertcp_socket_t socket;
  pid_t thread_id;
  long answer;
  uint32_t revents;
  pthread_t thread;
} sleeper_t;

static void *sleep_in_call(void *argument) {
  sleeper_t *sleeper = (sleeper_t *)argument;
  static char block[1 << 20];
  address_t nobody = address("192.0.2.77:80");
  usertcp_socket_t made;
  usertcp_pollfd_t entry;
  char byte;
  memset(&entry, 0, sizeof entry);
  entry.socket = sleeper->socket;
  entry.events = USERTCP_POLLIN;
  __atomic_store_n(&sleeper->thread_id, (pid_t)syscall(SYS_gettid), __ATOMIC_SEQ_CST);
  switch (sleeper->call) {
    case RECEIVE: sleeper->answer = usertcp_recv(sleeper->socket, &byte, 1, 0); break;
    case SEND: sleeper->answer = usertcp_send(sleeper->socket, block, sizeof block, 0); break;
    case ACCEPT: sleeper->answer = usertcp_accept(sleeper->socket, &made, NULL, NULL, 0); break;
    case CONNECT: sleeper->answer = usertcp_connect(sleeper->socket, ADDRESS(nobody)); break;
    case POLL: sleeper->answer = usertcp_poll(&entry, 1, -1); break;
  }
  sleeper->revents = entry.revents;
  return NULL;
}

static void wait_until_asleep(sleeper_t *sleeper) {
  sleeps(&sleeper->thread_id);
}

/* The sockets that are slept on. */
typedef struct {
  usertcp_socket_t silent, listener, connecting, full;
  usertcp_socket_t peers[2];
} sockets_t;

static sockets_t make_sockets(pair_t pair) {
  static char block[1 << 16];
  ends_t silent = connect_ends(pair, "192.0.2.1:2000"), full = connect_ends(pair, "[2001:db8::1]:2001");
  sockets_t sockets;
  sockets.silent = silent.right;
  sockets.peers[0] = silent.left;
  sockets.full = full.right;
  sockets.peers[1] = full.left;
  sockets.listener = listen_on(pair.right, "192.0.2.2:2002");
  sockets.connecting = make_socket(pair.right, AF_INET);
  /* Until neither this buffer nor the peer's has room for any more. */
  OK(usertcp_set_timeout(sockets.full, -1, 500));
  while (usertcp_send(sockets.full, block, sizeof block, 0) > 0) continue;
  OK(usertcp_set_timeout(sockets.full, -1, -1));
  return sockets;
}

#define SLEEPERS 10

static void fall_asleep(sleeper_t *sleepers, const sockets_t *sockets) {
  static const enum call calls[SLEEPERS] = {RECEIVE, RECEIVE, RECEIVE, ACCEPT, ACCEPT, ACCEPT, CONNECT, SEND, POLL, POLL};
  int i;
  memset(sleepers, 0, SLEEPERS * sizeof *sleepers);
  for (i = 0; i < SLEEPERS; i++) {
    sleeper_t *sleeper = &sleepers[i];
    sleeper->call = calls[i];
    switch (calls[i]) {
      case RECEIVE: sleeper->socket = sockets->silent; break;
      case SEND: sleeper->socket = sockets->full; break;
      case ACCEPT: sleeper->socket = sockets->listener; break;
      case CONNECT: sleeper->socket = sockets->connecting; break;
      case POLL: sleeper->socket = i % 2 ? sockets->listener : sockets->silent; break;
    }
    sleeper->thread = start(sleep_in_call, sleeper);
  }
  for (i = 0; i < SLEEPERS; i++) wait_until_asleep(&sleepers[i]);
}

static void all_wake(sleeper_t *sleepers) {
  int i;
  for (i = 0; i < SLEEPERS; i++) {
    join(sleepers[i].thread);
    if (sleepers[i].call == POLL) {
      EQUAL(sleepers[i].answer, 1);
      CHECK(sleepers[i].revents & USERTCP_POLLNVAL);
    } else {
      EQUAL(sleepers[i].answer, -ECANCELED);
    }
  }
}

static void closing_the_sockets_wakes_everybody(void) {
  pair_t pair = open_pair(NULL);
  sockets_t sockets = make_sockets(pair);
  sleeper_t sleepers[SLEEPERS];
  fall_asleep(sleepers, &sockets);
  OK(usertcp_close(sockets.silent));
  OK(usertcp_close(sockets.listener));
  OK(usertcp_close(sockets.connecting));
  OK(usertcp_abort(sockets.full));
  all_wake(sleepers);
  close_pair(pair);
}

static void calling_off_wakes_everybody_and_the_sockets_live_on(void) {
  pair_t pair = open_pair(NULL);
  sockets_t sockets = make_sockets(pair);
  sleeper_t sleepers[SLEEPERS];
  address_t nobody = address("192.0.2.77:80");
  usertcp_socket_t called;
  char byte;
  int i;
  fall_asleep(sleepers, &sockets);
  OK(usertcp_cancel(sockets.silent));
  OK(usertcp_cancel(sockets.listener));
  OK(usertcp_cancel(sockets.connecting));
  OK(usertcp_cancel(sockets.full));
  for (i = 0; i < SLEEPERS; i++) {
    join(sleepers[i].thread);
    EQUAL(sleepers[i].answer, -ECANCELED);
  }
  /* It is over with those who waited: the next ones find everything as it was. */
  EQUAL(usertcp_recv(sockets.silent, &byte, 1, MSG_DONTWAIT), -EAGAIN);
  EQUAL(usertcp_send(sockets.peers[0], "x", 1, 0), 1);
  EQUAL(usertcp_recv(sockets.silent, &byte, 1, 0), 1);
  OK(usertcp_set_nonblock(sockets.connecting, 1));
  EQUAL(usertcp_connect(sockets.connecting, ADDRESS(nobody)), -EALREADY);
  called = connect_to(pair.left, "192.0.2.2:2002");
  OK(usertcp_close(accept_one(sockets.listener)));
  OK(usertcp_close(called));
  /* With nobody there it does nothing, however often. */
  OK(usertcp_cancel(sockets.silent));
  OK(usertcp_cancel(sockets.silent));
  EQUAL(usertcp_send(sockets.peers[0], "y", 1, 0), 1);
  EQUAL(usertcp_recv(sockets.silent, &byte, 1, 0), 1);
  OK(usertcp_close(sockets.silent));
  EQUAL(usertcp_cancel(sockets.silent), -EBADF);
  EQUAL(usertcp_cancel(0), -EBADF);
  close_pair(pair);
}

/* What a call had done by then is what it returns. */
static void calling_off_a_long_send_tells_how_far_it_came(void) {
  pair_t pair = open_pair(NULL);
  ends_t ends = connect_ends(pair, "192.0.2.1:2003");
  static char block[1 << 20];
  int emptied = 0, size = 1 << 16;
  sleeper_t sleeper;
  memset(&sleeper, 0, sizeof sleeper);
  OK(usertcp_setsockopt(ends.right, SOL_SOCKET, SO_SNDBUF, &size, sizeof size));
  OK(usertcp_setsockopt(ends.left, SOL_SOCKET, SO_RCVBUF, &size, sizeof size));
  sleeper.call = SEND;
  sleeper.socket = ends.right;
  sleeper.thread = start(sleep_in_call, &sleeper);
  wait_until_asleep(&sleeper);
  /* Room for some of it. */
  while (emptied < 1 << 18) {
    ssize_t n = usertcp_recv(ends.left, block, (1 << 18) - emptied, 0);
    CHECK(n > 0);
    emptied += (int)n;
  }
  wait_until_asleep(&sleeper);
  OK(usertcp_cancel(ends.right));
  join(sleeper.thread);
  CHECK(sleeper.answer >= 1 << 18 && sleeper.answer < 1 << 20);
  close_pair(pair);
}

static void closing_the_stack_wakes_everybody(void) {
  pair_t pair = open_pair(NULL);
  sockets_t sockets = make_sockets(pair);
  sleeper_t sleepers[SLEEPERS];
  fall_asleep(sleepers, &sockets);
  EQUAL(usertcp_stack_close(pair.right, 50), -ETIMEDOUT);
  all_wake(sleepers);
  EQUAL(usertcp_close(sockets.silent), -EBADF);
  usertcp_stack_close(pair.left, 0);
}

static pair_t contested;

static void *close_and_reopen(void *argument) {
  int i;
  for (i = 0; i < 300; i++) {
    usertcp_socket_t s = 0;
    OK(usertcp_socket(contested.left, AF_INET, SOCK_STREAM, 0, &s));
    OK(usertcp_close(s));
    EQUAL(usertcp_close(s), -EBADF);
  }
  return argument;
}

static void many_threads_share_the_table(void) {
  pthread_t threads[4];
  int i;
  contested = open_pair(NULL);
  for (i = 0; i < 4; i++) threads[i] = start(close_and_reopen, NULL);
  for (i = 0; i < 4; i++) join(threads[i]);
  close_pair(contested);
}

int main(void) {
  closing_the_sockets_wakes_everybody();
  calling_off_wakes_everybody_and_the_sockets_live_on();
  calling_off_a_long_send_tells_how_far_it_came();
  closing_the_stack_wakes_everybody();
  many_threads_share_the_table();
  return 0;
}
