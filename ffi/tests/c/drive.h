/* A client and an echo server over two stacks, driven by an event loop through usertcp_fd(). The program that includes this has the loop;
   here every wake-up is counted, and those that were for nothing. */
#ifndef DRIVE_H
#define DRIVE_H

#include "check.h"

#include <poll.h>
#include <sys/resource.h>

/* Whom the loop wakes. */
typedef struct watched watched_t;
struct watched {
  usertcp_socket_t socket;
  int fd;
  /* What the loop is to wait for: POLLIN, POLLOUT; 0 when it does not watch it yet. */
  int events;
  void (*wake)(watched_t *self, int events);
  /* The loop's own. */
  void *handle;
};

/* The loop: waits for `events` of a descriptor from now on (0: forgets it); and waits once, at most so long, returning how many it woke. */
static void loop_watch(watched_t *watched, int events);
static int loop_wait(int timeout_ms);

/* How the loop wakes: as long as something is so, or whenever it becomes so. */
enum trigger { LEVEL, EDGE };
static enum trigger trigger = LEVEL;

#define TOTAL ((size_t)3 << 20)
#define BLOCK 30000

static watched_t listener, server, client;
static unsigned char pending[BLOCK];
static size_t pending_from, pending_to, client_sent, client_received;
static int server_ended, client_connected, client_done, server_done;
static unsigned long wakes, idle, refused;

static inline void want(watched_t *watched, int events) {
  if (trigger == EDGE && watched->events != 0 && events != 0) return;
  if (watched->events == events) return;
  loop_watch(watched, events);
  watched->events = events;
}

/* The loop calls this for each wake-up. */
static inline void woken(watched_t *watched, int events) {
  wakes++;
  watched->wake(watched, events);
}

static inline long count_or_refusal(long count) {
  if (count == -EAGAIN) {
    refused++;
    return 0;
  }
  return count;
}

/* One share of the echo; returns whether anything moved. */
static inline int server_step(void) {
  int moved = 0;
  long n;
  if (pending_from < pending_to) {
    n = count_or_refusal(usertcp_send(server.socket, pending + pending_from, pending_to - pending_from, 0));
    CHECK(n >= 0);
    pending_from += (size_t)n;
    moved |= n > 0;
  } else if (!server_ended) {
    n = usertcp_recv(server.socket, pending, sizeof pending, 0);
    if (n == 0) {
      server_ended = moved = 1;
    } else {
      n = count_or_refusal(n);
      CHECK(n >= 0);
      pending_from = 0;
      pending_to = (size_t)n;
      moved |= n > 0;
    }
  }
  if (server_ended && pending_from == pending_to && !server_done) {
    OK(usertcp_shutdown(server.socket, SHUT_WR));
    server_done = moved = 1;
  }
  return moved;
}

static inline void server_wake(watched_t *self, int events) {
  int moved = 0, step;
  (void)events;
  do {
    step = server_step();
    moved |= step;
  } while (step && trigger == EDGE);
  if (!moved) idle++;
  if (server_done) want(self, 0);
  else want(self, pending_from < pending_to ? POLLOUT : POLLIN);
}

/* One share of what `*events` allow; what was refused is taken out of them. Returns whether anything moved. */
static inline int client_step(int *events) {
  unsigned char block[BLOCK];
  int moved = 0;
  size_t i;
  long n;
  if (client_sent == TOTAL) *events &= ~POLLOUT;
  if (*events & POLLOUT) {
    size_t most = TOTAL - client_sent < sizeof block ? TOTAL - client_sent : sizeof block;
    for (i = 0; i < most; i++) block[i] = pattern(client_sent + i);
    n = count_or_refusal(usertcp_send(client.socket, block, most, 0));
    CHECK(n >= 0);
    client_sent += (size_t)n;
    if (client_sent == TOTAL) OK(usertcp_shutdown(client.socket, SHUT_WR));
    if (n == 0) *events &= ~POLLOUT;
    moved |= n > 0;
  }
  if (*events & POLLIN) {
    n = usertcp_recv(client.socket, block, sizeof block, 0);
    if (n == 0) {
      client_done = 1;
      return 1;
    }
    n = count_or_refusal(n);
    CHECK(n >= 0);
    for (i = 0; i < (size_t)n; i++) CHECK(block[i] == pattern(client_received + i));
    client_received += (size_t)n;
    if (n == 0) *events &= ~POLLIN;
    moved |= n > 0;
  }
  return moved;
}

static inline void client_wake(watched_t *self, int events) {
  int moved = 0;
  if (!client_connected) {
    int error = 7;
    socklen_t length = sizeof error;
    CHECK(events & POLLOUT);
    OK(usertcp_getsockopt(client.socket, SOL_SOCKET, SO_ERROR, &error, &length));
    EQUAL(error, 0);
    client_connected = moved = 1;
  }
  if (trigger == EDGE) events = POLLIN | POLLOUT;
  events &= POLLIN | POLLOUT;
  do {
    moved |= client_step(&events);
  } while (trigger == EDGE && events != 0 && !client_done);
  if (!moved) idle++;
  if (client_done) want(self, 0);
  else want(self, POLLIN | (client_sent < TOTAL ? POLLOUT : 0));
}

static inline void listener_wake(watched_t *self, int events) {
  (void)self;
  CHECK(events & POLLIN);
  OK(usertcp_accept(listener.socket, &server.socket, NULL, NULL, USERTCP_NONBLOCK));
  EQUAL(usertcp_accept(listener.socket, &server.socket, NULL, NULL, USERTCP_NONBLOCK), -EAGAIN);
  server.fd = usertcp_fd(server.socket);
  CHECK(server.fd >= 0);
  server.wake = server_wake;
}

/* Waits until the loop has been silent for three waits in a row: at a standstill it must be. */
static inline void until_silent(void) {
  int silent = 0;
  while (silent < 3) silent = loop_wait(30) == 0 ? silent + 1 : 0;
}

static inline double cpu_seconds(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* Small buffers, which TOTAL does not fit into. */
static inline void shrink(usertcp_socket_t s) {
  int size = 100000;
  OK(usertcp_setsockopt(s, SOL_SOCKET, SO_SNDBUF, &size, sizeof size));
  OK(usertcp_setsockopt(s, SOL_SOCKET, SO_RCVBUF, &size, sizeof size));
}

static inline void drive(pair_t pair, const char *text, enum trigger how, const char *name) {
  address_t a = address(text);
  double before = cpu_seconds();
  size_t standstill;
  int begun;
  trigger = how;
  pending_from = pending_to = client_sent = client_received = 0;
  server_ended = client_connected = client_done = server_done = 0;
  wakes = idle = refused = 0;
  memset(&server, 0, sizeof server);
  memset(&client, 0, sizeof client);
  memset(&listener, 0, sizeof listener);

  listener.socket = listen_on(pair.left, text);
  OK(usertcp_set_nonblock(listener.socket, 1));
  shrink(listener.socket);
  listener.fd = usertcp_fd(listener.socket);
  listener.wake = listener_wake;
  OK(usertcp_socket(pair.right, domain_of(text), SOCK_STREAM, USERTCP_NONBLOCK, &client.socket));
  shrink(client.socket);
  client.wake = client_wake;
  client.fd = usertcp_fd(client.socket);
  CHECK(listener.fd >= 0 && client.fd >= 0 && listener.fd != client.fd);
  EQUAL(usertcp_fd(client.socket), client.fd);
  begun = usertcp_connect(client.socket, ADDRESS(a));
  CHECK(begun == -EINPROGRESS || begun == 0);
  want(&listener, POLLIN);
  want(&client, POLLOUT);
  while (server.socket == 0 || !client_connected) loop_wait(10000);
  want(&listener, 0);

  /* The server does not read yet: the client fills what there is to fill, and then the loop has nothing to wake anybody for. */
  until_silent();
  standstill = client_sent;
  CHECK(standstill > 0 && standstill < TOTAL);
  EQUAL(idle, 0);

  want(&server, POLLIN);
  while (!client_done) CHECK(loop_wait(10000) > 0);
  EQUAL(client_received, TOTAL);
  want(&server, 0);

  printf("%s: %lu wake-ups, %lu for nothing, %lu calls refused, %.2f s of processor time for %d MB and back\n", name, wakes, idle,
         refused, cpu_seconds() - before, (int)(TOTAL >> 20));
  /* Level: nobody is woken for nothing, and no call is refused but those that end a wake-up that was not. Edge: each wake-up ends with a
     refusal each way at most. A thread that brings something while another takes it may cause a few more. */
  CHECK(idle <= (how == EDGE ? 8 + wakes / 10 : 8));
  CHECK(refused <= (how == EDGE ? 2 * wakes + 8 : 8 + wakes / 50));
  CHECK(wakes <= 6 * TOTAL / 1000);
  OK(usertcp_close(client.socket));
  OK(usertcp_close(server.socket));
  OK(usertcp_close(listener.socket));
}

#endif
