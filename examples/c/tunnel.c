/*
 * tunnel: two hosts that this program makes, in a process of their own each, and a third process that carries the packets between them.
 * What comes on standard input goes over a TCP connection of theirs to standard output.
 *
 *   cc -std=c99 -O2 -o tunnel tunnel.c $(pkg-config --cflags --libs usertcp)
 *   ./tunnel <file >copy
 *
 * Shows: a link that is a socket pair with a packet in each message, what a VPN or another carrier does with it, fork() before the stacks
 * are opened. No device and no privilege is needed.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <usertcp.h>

#define MTU 1400

static void fail(const char *what, long error) {
  char detail[512];
  usertcp_last_error(detail, sizeof detail);
  fprintf(stderr, "tunnel: %s: %s: %s\n", what, usertcp_errname((int)error), detail);
  exit(1);
}

static void fail_system(const char *what) {
  fprintf(stderr, "tunnel: %s: %s\n", what, strerror(errno));
  exit(1);
}

/* ---- the hosts ---- */

static usertcp_stack_t open_host(int link, const char *addresses) {
  usertcp_config_t config = USERTCP_CONFIG_INIT;
  usertcp_stack_t stack;
  int error;
  config.fd = link;
  config.mtu = MTU;
  config.addresses = addresses;
  error = usertcp_stack_open(&config, &stack);
  if (error < 0) fail("open", error);
  /* The stack has a duplicate. */
  close(link);
  return stack;
}

static usertcp_socket_t open_socket(usertcp_stack_t stack, const char *text, struct sockaddr_storage *address, socklen_t *length) {
  usertcp_socket_t socket;
  int error = usertcp_parse_addr(text, address, length);
  if (error == 0) error = usertcp_socket(stack, address->ss_family, SOCK_STREAM, 0, &socket);
  if (error < 0) fail(text, error);
  return socket;
}

static void write_all(const char *bytes, size_t size) {
  while (size > 0) {
    ssize_t written = write(STDOUT_FILENO, bytes, size);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail_system("write");
    bytes += written;
    size -= (size_t)written;
  }
}

/* Takes one connection and writes what it brings; closes `ready` as soon as it can be reached. */
static void receive_side(int link, int ready) {
  static char buffer[128 * 1024];
  struct sockaddr_storage address;
  socklen_t length;
  usertcp_stack_t stack = open_host(link, "192.0.2.1/24");
  usertcp_socket_t listener = open_socket(stack, "192.0.2.1:7000", &address, &length), socket;
  ssize_t received;
  int error = usertcp_bind(listener, (struct sockaddr *)&address, length);
  if (error == 0) error = usertcp_listen(listener, 1);
  close(ready);
  if (error == 0) error = usertcp_accept(listener, &socket, NULL, NULL, 0);
  if (error < 0) fail("accept", error);
  while ((received = usertcp_recv(socket, buffer, sizeof buffer, 0)) > 0) write_all(buffer, (size_t)received);
  if (received < 0) fail("receive", received);
  usertcp_close(socket);
  error = usertcp_stack_close(stack, 5000);
  if (error < 0) fail("close", error);
}

/* Connects and sends what standard input has. */
static void send_side(int link, int ready) {
  static char buffer[128 * 1024];
  struct sockaddr_storage address;
  socklen_t length;
  usertcp_stack_t stack = open_host(link, "192.0.2.2/24");
  usertcp_socket_t socket = open_socket(stack, "192.0.2.1:7000", &address, &length);
  ssize_t count;
  int error;
  close(ready);
  error = usertcp_connect(socket, (struct sockaddr *)&address, length);
  if (error < 0) fail("connect", error);
  while ((count = read(STDIN_FILENO, buffer, sizeof buffer)) > 0) {
    ssize_t sent = usertcp_send(socket, buffer, (size_t)count, 0);
    if (sent < 0) fail("send", sent);
  }
  if (count < 0) fail_system("read");
  /* The other host says so when it has all of it. One that went before would leave its last segment without an answer. */
  error = usertcp_shutdown(socket, SHUT_WR);
  if (error < 0) fail("shutdown", error);
  while ((count = usertcp_recv(socket, buffer, sizeof buffer, 0)) > 0) continue;
  if (count < 0) fail("receive", count);
  usertcp_close(socket);
  error = usertcp_stack_close(stack, 30000);
  if (error < 0) fail("close", error);
}

/* ---- the carrier ---- */

/* Passes one packet on. Returns 0 when the host at `from` has gone. */
static int carry(int from, int to) {
  unsigned char packet[MTU];
  ssize_t size = recv(from, packet, sizeof packet, 0);
  /* One that has gone and left packets unread is reset. */
  if (size == 0 || (size < 0 && errno == ECONNRESET)) return 0;
  if (size < 0) fail_system("recv");
  /* Here a VPN would encrypt the packet and send it on its way. A link may lose packets: those for a host that has gone are. */
  if (send(to, packet, (size_t)size, MSG_NOSIGNAL) < 0 && errno != EPIPE) fail_system("send");
  return 1;
}

static void carry_all(int left, int right) {
  struct pollfd ends[2] = {{left, POLLIN, 0}, {right, POLLIN, 0}};
  while (ends[0].fd >= 0 || ends[1].fd >= 0) {
    if (poll(ends, 2, -1) < 0 && errno != EINTR) fail_system("poll");
    if (ends[0].revents != 0 && !carry(left, right)) ends[0].fd = -1;
    if (ends[1].revents != 0 && !carry(right, left)) ends[1].fd = -1;
  }
}

/* Starts a host in a process of its own; returns the carrier's end of its link. `ready` and `other` are the program's. */
static int start_host(void (*host)(int link, int ready), const int ready[2], int other) {
  int ends[2];
  pid_t child;
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) fail_system("socketpair");
  child = fork();
  if (child < 0) fail_system("fork");
  if (child == 0) {
    /* A link ends when nobody has its other end any more. */
    close(ends[0]);
    close(ready[0]);
    if (other >= 0) close(other);
    host(ends[1], ready[1]);
    exit(0);
  }
  close(ends[1]);
  return ends[0];
}

int main(void) {
  int ready[2], left, right, status, failed = 0;
  char none;
  if (pipe(ready) < 0) fail_system("pipe");
  left = start_host(receive_side, ready, -1);
  right = start_host(send_side, ready, left);
  /* The end of the pipe: one host closes it when it listens, the other at once. Packets wait until then. */
  close(ready[1]);
  if (read(ready[0], &none, 1) < 0) fail_system("read");
  carry_all(left, right);
  while (wait(&status) > 0) failed |= status;
  return failed != 0;
}
