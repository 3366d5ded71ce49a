/*
 * many: ten thousand connections at once between two hosts of this program, each served by one thread with a poll set.
 *
 *   cc -std=c99 -O2 -o many many.c $(pkg-config --cflags --libs usertcp) -pthread
 *   ./many 10000
 *
 * Shows: usertcp_pollset_wait(), whose cost is that of what is ready, not of what there is; accepting and connecting without blocking; two
 * stacks on a socket pair. No device and no privilege is needed, and no descriptors: connections have none.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <usertcp.h>

#define EVENTS 256
/* Connections that are being made at the same time. */
#define AT_A_TIME 256

static const char hello[] = "hello";

struct server {
  usertcp_pollset_t set;
  usertcp_socket_t listener;
  long expected, open, most, served;
};

static void fail(const char *what, long error) {
  char detail[512];
  usertcp_last_error(detail, sizeof detail);
  fprintf(stderr, "many: %s: %s: %s\n", what, usertcp_errname((int)error), detail);
  exit(1);
}

static void fail_with(const char *what) {
  fprintf(stderr, "many: %s\n", what);
  exit(1);
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static usertcp_pollset_t open_set(void) {
  usertcp_pollset_t set;
  int error = usertcp_pollset_open(0, &set);
  if (error < 0) fail("pollset_open", error);
  return set;
}

static usertcp_stack_t open_host(int link, const char *addresses) {
  usertcp_config_t config = USERTCP_CONFIG_INIT;
  usertcp_stack_t stack;
  int error;
  config.fd = link;
  config.addresses = addresses;
  error = usertcp_stack_open(&config, &stack);
  if (error < 0) fail("open", error);
  close(link);
  return stack;
}

static size_t wait_for(usertcp_pollset_t set, usertcp_event_t *events) {
  int ready;
  do ready = usertcp_pollset_wait(set, events, EVENTS, -1);
  while (ready == -EINTR);
  if (ready < 0) fail("pollset_wait", ready);
  return (size_t)ready;
}

/* ---- the server: what comes back with an event is the handle ---- */

static void accept_all(struct server *server) {
  usertcp_socket_t socket;
  int error;
  while ((error = usertcp_accept(server->listener, &socket, NULL, NULL, USERTCP_NONBLOCK)) == 0) {
    error = usertcp_pollset_add(server->set, socket, USERTCP_POLLIN, socket);
    if (error < 0) fail("pollset_add", error);
    if (++server->open > server->most) server->most = server->open;
  }
  if (error != -EAGAIN) fail("accept", error);
}

static void echo(struct server *server, usertcp_socket_t socket) {
  char data[256];
  ssize_t received = usertcp_recv(socket, data, sizeof data, 0);
  if (received == -EAGAIN) return;
  if (received < 0) fail("receive", received);
  if (received > 0) {
    /* So little fits for certain: the client waits for it before it sends more. */
    ssize_t sent = usertcp_send(socket, data, (size_t)received, 0);
    if (sent != received) fail("send", sent);
    return;
  }
  /* A socket that is closed is in no set any more. */
  usertcp_close(socket);
  server->open--;
  server->served++;
}

static void *serve(void *argument) {
  struct server *server = argument;
  usertcp_event_t events[EVENTS];
  while (server->served < server->expected) {
    size_t i, ready = wait_for(server->set, events);
    for (i = 0; i < ready; i++) {
      if (events[i].data == server->listener) accept_all(server);
      else echo(server, events[i].data);
    }
  }
  return NULL;
}

static void open_server(struct server *server, usertcp_stack_t stack, const struct sockaddr *address, socklen_t length) {
  int error = usertcp_socket(stack, address->sa_family, SOCK_STREAM, USERTCP_NONBLOCK, &server->listener);
  if (error == 0) error = usertcp_bind(server->listener, address, length);
  if (error == 0) error = usertcp_listen(server->listener, 2 * AT_A_TIME);
  if (error < 0) fail("listen", error);
  server->set = open_set();
  error = usertcp_pollset_add(server->set, server->listener, USERTCP_POLLIN, server->listener);
  if (error < 0) fail("pollset_add", error);
}

/* ---- the client ---- */

static usertcp_socket_t begin_to_connect(usertcp_stack_t stack, usertcp_pollset_t set, const struct sockaddr *peer, socklen_t length) {
  usertcp_socket_t socket;
  int error = usertcp_socket(stack, peer->sa_family, SOCK_STREAM, USERTCP_NONBLOCK, &socket);
  if (error < 0) fail("socket", error);
  error = usertcp_connect(socket, peer, length);
  if (error < 0 && error != -EINPROGRESS) fail("connect", error);
  error = usertcp_pollset_add(set, socket, USERTCP_POLLOUT, socket);
  if (error < 0) fail("pollset_add", error);
  return socket;
}

/* The connection is there, or will never be. */
static void greet(usertcp_pollset_t set, usertcp_socket_t socket) {
  int error, outcome;
  socklen_t size = sizeof outcome;
  ssize_t sent;
  error = usertcp_getsockopt(socket, SOL_SOCKET, SO_ERROR, &outcome, &size);
  if (error == 0) error = -outcome;
  if (error < 0) fail("connect", error);
  sent = usertcp_send(socket, hello, sizeof hello, 0);
  if (sent != (ssize_t)sizeof hello) fail("send", sent);
  error = usertcp_pollset_modify(set, socket, USERTCP_POLLIN, socket);
  if (error < 0) fail("pollset_modify", error);
}

static void hear(usertcp_socket_t socket) {
  char answer[sizeof hello];
  ssize_t received = usertcp_recv(socket, answer, sizeof answer, 0);
  if (received < 0) fail("receive", received);
  if (received != (ssize_t)sizeof hello || memcmp(answer, hello, sizeof hello) != 0) fail_with("another answer");
}

/* Opens all connections, and is answered on each of them. */
static void talk(usertcp_stack_t stack, usertcp_socket_t *sockets, long count, const struct sockaddr *peer, socklen_t length) {
  usertcp_pollset_t set = open_set();
  usertcp_event_t events[EVENTS];
  long begun = 0, answered = 0;
  while (answered < count) {
    size_t i, ready;
    while (begun < count && begun - answered < AT_A_TIME) sockets[begun++] = begin_to_connect(stack, set, peer, length);
    ready = wait_for(set, events);
    for (i = 0; i < ready; i++) {
      if (events[i].events & USERTCP_POLLIN) {
        hear(events[i].data);
        answered++;
      } else {
        greet(set, events[i].data);
      }
    }
  }
  usertcp_pollset_close(set);
}

int main(int argc, char **argv) {
  struct server server;
  struct sockaddr_storage address;
  socklen_t length;
  usertcp_stack_t left, right;
  usertcp_socket_t *sockets;
  pthread_t thread;
  double began = now();
  long i;
  int ends[2], error;
  memset(&server, 0, sizeof server);
  server.expected = argc > 1 ? atol(argv[1]) : 10000;
  sockets = calloc(server.expected > 0 ? (size_t)server.expected : 0, sizeof *sockets);
  if (server.expected <= 0 || sockets == NULL) fail_with("how many?");
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) fail_with(strerror(errno));
  left = open_host(ends[0], "192.0.2.1/24");
  right = open_host(ends[1], "192.0.2.2/24");
  error = usertcp_parse_addr("192.0.2.1:7", &address, &length);
  if (error < 0) fail("address", error);
  open_server(&server, left, (struct sockaddr *)&address, length);
  if (pthread_create(&thread, NULL, serve, &server) != 0) fail_with("no thread");

  talk(right, sockets, server.expected, (struct sockaddr *)&address, length);
  printf("answered=%ld seconds=%.3f\n", server.expected, now() - began);
  for (i = 0; i < server.expected; i++) usertcp_close(sockets[i]);
  if (pthread_join(thread, NULL) != 0) fail_with("no thread");
  printf("served=%ld at-once=%ld\n", server.served, server.most);
  usertcp_close(server.listener);
  usertcp_pollset_close(server.set);
  free(sockets);
  usertcp_stack_close(right, 0);
  usertcp_stack_close(left, 0);
  return 0;
}
