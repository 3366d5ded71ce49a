/*
 * ours: the contender of `make bench` that is libusertcp. docs/PERFORMANCE.md says what a contender finds and does.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <usertcp.h>

#define BUFFER (128 << 10) /* of the application, bytes */
#define PORT 5001          /* first one of the peer */
#define ADDRESSES 32       /* own ones */
#define OPENING 64         /* connections that are being opened at the same time */
#define READY 64           /* connections that are told of at the same time */
#define LOOK_MS 10         /* longest sleep of a receiver, which has to tell when its window ends */

struct order {
  char role[16], who[16];
  int connections, ports, mtu, warm_ms, window_ms, spin_us, queue, caller;
};

/* What came on each connection within the window. */
struct tally {
  uint64_t begins, ends, begun, *counts;
  int connections, state;
};

static char buffer[BUFFER];

static void fail(const char *what, long error) {
  char detail[512];
  usertcp_last_error(detail, sizeof detail);
  fprintf(stderr, "ours: %s: %s: %s\n", what, usertcp_errname((int)error), detail);
  exit(1);
}

static void say(const char *line) {
  puts(line);
  fflush(stdout);
}

static uint64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* ---- the order ---- */

static struct order read_order(int argc, char **argv) {
  struct order order = {"", "", 1, 1, 1500, 0, 0, 0, -1, -1};
  int at;
  for (at = 1; at < argc; at++) {
    char *value = strchr(argv[at], '=');
    if (value == NULL) continue;
    *value++ = '\0';
    if (strcmp(argv[at], "role") == 0) snprintf(order.role, sizeof order.role, "%s", value);
    if (strcmp(argv[at], "who") == 0) snprintf(order.who, sizeof order.who, "%s", value);
    if (strcmp(argv[at], "connections") == 0) order.connections = atoi(value);
    if (strcmp(argv[at], "ports") == 0) order.ports = atoi(value);
    if (strcmp(argv[at], "mtu") == 0) order.mtu = atoi(value);
    if (strcmp(argv[at], "warm") == 0) order.warm_ms = atoi(value);
    if (strcmp(argv[at], "window") == 0) order.window_ms = atoi(value);
    if (strcmp(argv[at], "spin") == 0) order.spin_us = atoi(value);
    if (strcmp(argv[at], "queue") == 0) order.queue = atoi(value);
    if (strcmp(argv[at], "caller") == 0) order.caller = atoi(value);
  }
  return order;
}

/* ---- opening ---- */

static struct sockaddr_in address(const char *host, int port) {
  struct sockaddr_in address;
  memset(&address, 0, sizeof address);
  address.sin_family = AF_INET;
  address.sin_port = htons((uint16_t)port);
  inet_pton(AF_INET, host, &address.sin_addr);
  return address;
}

/* To another processor. The threads of the stack stay where it was opened. */
static void move_to(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) fail("sched_setaffinity", -errno);
}

static usertcp_stack_t open_stack(const struct order *order) {
  usertcp_config_t config = USERTCP_CONFIG_INIT;
  usertcp_stack_t stack;
  char addresses[ADDRESSES * 20] = "";
  int count = strcmp(order->role, "churn") == 0 ? ADDRESSES : 1, queues[2] = {STDIN_FILENO, order->queue}, at, error;
  for (at = 0; at < count; at++) {
    size_t length = strlen(addresses);
    snprintf(addresses + length, sizeof addresses - length, "%s198.51.100.%d/24", at > 0 ? "," : "", at + 1);
  }
  if (order->queue < 0) {
    config.fd = STDIN_FILENO;
  } else {
    config.workers = 2;
    config.queues = queues;
  }
  config.mtu = (uint32_t)order->mtu;
  config.addresses = addresses;
  config.spin_us = (uint32_t)order->spin_us;
  error = usertcp_stack_open(&config, &stack);
  if (error < 0) fail("stack", error);
  if (order->caller >= 0) move_to(order->caller);
  return stack;
}

static usertcp_socket_t new_socket(usertcp_stack_t stack, int flags) {
  usertcp_socket_t socket;
  int error = usertcp_socket(stack, AF_INET, SOCK_STREAM, flags, &socket);
  if (error < 0) fail("socket", error);
  return socket;
}

/* Opens connections `from` to `until`, all at once. */
static void open_some(usertcp_stack_t stack, const struct order *order, usertcp_socket_t *sockets, int from, int until) {
  usertcp_pollfd_t entries[OPENING];
  int at, left = 0;
  for (at = from; at < until; at++) {
    struct sockaddr_in peer = address("198.51.100.254", PORT + at % order->ports);
    int error;
    sockets[at] = new_socket(stack, USERTCP_NONBLOCK);
    error = usertcp_connect(sockets[at], (struct sockaddr *)&peer, sizeof peer);
    if (error < 0 && error != -EINPROGRESS) fail("connect", error);
    entries[at - from] = (usertcp_pollfd_t){error < 0 ? sockets[at] : 0, USERTCP_POLLOUT, 0};
    left += error < 0;
  }
  while (left > 0) {
    int error = usertcp_poll(entries, (size_t)(until - from), -1);
    if (error < 0) fail("poll", error);
    for (at = 0; at < until - from; at++) {
      int outcome = 0;
      socklen_t length = sizeof outcome;
      if (entries[at].socket == 0 || entries[at].revents == 0) continue;
      error = usertcp_getsockopt(entries[at].socket, SOL_SOCKET, SO_ERROR, &outcome, &length);
      if (error < 0 || outcome != 0) fail("connect", error < 0 ? error : -outcome);
      entries[at].socket = 0;
      left--;
    }
  }
}

static usertcp_socket_t *open_all(usertcp_stack_t stack, const struct order *order) {
  usertcp_socket_t *sockets = calloc((size_t)order->connections, sizeof *sockets);
  /* One after the other where it matters which is the first. */
  int step = strcmp(order->role, "beside") == 0 ? 1 : OPENING, at;
  if (sockets == NULL) fail("memory", -ENOMEM);
  for (at = 0; at < order->connections; at += step) {
    int until = at + step < order->connections ? at + step : order->connections;
    open_some(stack, order, sockets, at, until);
  }
  if (order->connections == 1) usertcp_set_nonblock(sockets[0], 0);
  say("open");
  return sockets;
}

/* ---- the roles ---- */

static struct tally start_tally(const struct order *order) {
  struct tally tally = {0, 0, 0, NULL, order->connections, 0};
  tally.counts = calloc((size_t)order->connections, sizeof *tally.counts);
  if (tally.counts == NULL) fail("memory", -ENOMEM);
  tally.begins = now() + (uint64_t)order->warm_ms * 1000000u;
  tally.ends = (uint64_t)order->window_ms * 1000000u;
  return tally;
}

/* Says what there is to say now. */
static void look(struct tally *tally) {
  uint64_t time = now();
  int at;
  if (tally->state == 0 && time >= tally->begins) {
    tally->state = 1;
    tally->begun = time;
    tally->ends += time;
    memset(tally->counts, 0, (size_t)tally->connections * sizeof *tally->counts);
    say("begin");
  } else if (tally->state == 1 && time >= tally->ends) {
    tally->state = 2;
    printf("end %" PRIu64, time - tally->begun);
    for (at = 0; at < tally->connections; at++) printf(" %" PRIu64, tally->counts[at]);
    say("");
  }
}

/* All connections, each with its number. */
static usertcp_pollset_t set_of(const usertcp_socket_t *sockets, int count, uint32_t events) {
  usertcp_pollset_t set;
  int error = usertcp_pollset_open(0, &set), at;
  for (at = 0; at < count && error >= 0; at++) error = usertcp_pollset_add(set, sockets[at], events, (uint64_t)at);
  if (error < 0) fail("poll set", error);
  return set;
}

static int wait_for_some(usertcp_pollset_t set, usertcp_event_t *events, int timeout_ms) {
  int count = usertcp_pollset_wait(set, events, READY, timeout_ms);
  if (count < 0) fail("poll set", count);
  return count;
}

static ssize_t receive_some(usertcp_socket_t socket) {
  ssize_t count = usertcp_recv(socket, buffer, sizeof buffer, 0);
  if (count == 0) fail("the peer has closed", 0);
  if (count < 0 && count != -EAGAIN) fail("recv", count);
  return count > 0 ? count : 0;
}

static void receive(const struct order *order, usertcp_socket_t *sockets) {
  struct tally tally = start_tally(order);
  usertcp_pollset_t set = order->connections > 1 ? set_of(sockets, order->connections, USERTCP_POLLIN) : 0;
  usertcp_event_t events[READY];
  for (;;) {
    int count, at;
    if (order->connections == 1) {
      tally.counts[0] += (uint64_t)receive_some(sockets[0]);
    } else {
      count = wait_for_some(set, events, LOOK_MS);
      for (at = 0; at < count; at++) {
        uint64_t which = events[at].data;
        tally.counts[which] += (uint64_t)receive_some(sockets[which]);
      }
    }
    look(&tally);
  }
}

static void send_some(usertcp_socket_t socket, size_t size) {
  ssize_t count = usertcp_send(socket, buffer, size, 0);
  if (count < 0 && count != -EAGAIN) fail("send", count);
}

static void send_all(const struct order *order, usertcp_socket_t *sockets) {
  usertcp_pollset_t set = order->connections > 1 ? set_of(sockets, order->connections, USERTCP_POLLOUT) : 0;
  usertcp_event_t events[READY];
  for (;;) {
    int count, at;
    if (order->connections == 1) {
      send_some(sockets[0], sizeof buffer);
      continue;
    }
    count = wait_for_some(set, events, -1);
    for (at = 0; at < count; at++) send_some(sockets[events[at].data], sizeof buffer);
  }
}

/* ---- the same by a descriptor of the system ---- */

static void receive_bridged(const struct order *order, int fd) {
  struct tally tally = start_tally(order);
  for (;;) {
    ssize_t count = read(fd, buffer, sizeof buffer);
    if (count <= 0) fail("read", count < 0 ? -errno : 0);
    tally.counts[0] += (uint64_t)count;
    look(&tally);
  }
}

static void send_bridged(int fd) {
  for (;;) {
    if (write(fd, buffer, sizeof buffer) < 0) fail("write", -errno);
  }
}

static void bridged(const struct order *order, usertcp_socket_t socket) {
  int fd = usertcp_export_fd(socket);
  if (fd < 0) fail("export", fd);
  if (strcmp(order->role, "receive") == 0) receive_bridged(order, fd);
  if (strcmp(order->role, "send") == 0) send_bridged(fd);
}

static void echo(usertcp_socket_t socket) {
  for (;;) {
    ssize_t count = receive_some(socket);
    if (count > 0) send_some(socket, (size_t)count);
  }
}

static void beside(usertcp_socket_t *sockets) {
  usertcp_pollfd_t entries[2] = {{sockets[0], USERTCP_POLLIN, 0}, {sockets[1], USERTCP_POLLIN, 0}};
  for (;;) {
    int error = usertcp_poll(entries, 2, -1);
    if (error < 0) fail("poll", error);
    if (entries[0].revents != 0) {
      ssize_t count = receive_some(sockets[0]);
      if (count > 0) send_some(sockets[0], (size_t)count);
    }
    if (entries[1].revents != 0) receive_some(sockets[1]);
  }
}

static void churn(usertcp_stack_t stack) {
  struct sockaddr_in peer = address("198.51.100.254", PORT), own = address("198.51.100.1", 0);
  uint32_t first = ntohl(own.sin_addr.s_addr), at;
  say("open");
  for (at = 0;; at = (at + 1) % ADDRESSES) {
    usertcp_socket_t socket = new_socket(stack, 0);
    int error;
    own.sin_addr.s_addr = htonl(first + at);
    error = usertcp_bind(socket, (struct sockaddr *)&own, sizeof own);
    if (error < 0) fail("bind", error);
    error = usertcp_connect(socket, (struct sockaddr *)&peer, sizeof peer);
    if (error < 0) fail("connect", error);
    send_some(socket, 1);
    receive_some(socket);
    error = usertcp_close(socket);
    if (error < 0) fail("close", error);
  }
}

int main(int argc, char **argv) {
  struct order order = read_order(argc, argv);
  usertcp_stack_t stack = open_stack(&order);
  usertcp_socket_t *sockets;
  say("ready");
  if (strcmp(order.role, "churn") == 0) churn(stack);
  sockets = open_all(stack, &order);
  if (strcmp(order.who, "ours-bridge") == 0) bridged(&order, sockets[0]);
  if (strcmp(order.role, "receive") == 0) receive(&order, sockets);
  if (strcmp(order.role, "send") == 0) send_all(&order, sockets);
  if (strcmp(order.role, "echo") == 0) echo(sockets[0]);
  if (strcmp(order.role, "beside") == 0) beside(sockets);
  if (strcmp(order.role, "idle") == 0) pause();
  fprintf(stderr, "ours: %s: no such role\n", order.role);
  return 2;
}
