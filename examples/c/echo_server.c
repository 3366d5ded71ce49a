/*
 * echo_server: sends back whatever comes, to any number of clients at once, from addresses of this program's
 * own.
 *
 *   cc -std=c99 -O2 -o echo_server echo_server.c $(pkg-config --cflags --libs usertcp)
 *   ./echo_server --tun utcp0 --address 192.0.2.2/24 --host-address 192.0.2.1/24 --port 7
 *
 * Shows: listening, accepting, sockets that do not block in a loop of epoll(7) by usertcp_fd(), beside descriptors of the system, a clean
 * end.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include <usertcp.h>

static const char usage[] =
    "usage: echo_server [options]\n"
    "  --tun NAME           TUN device to use; without it and --fd, the kernel names one\n"
    "  --fd N               open descriptor of a TUN device, or of a socket with a packet in each message\n"
    "  --address A/LEN      own address; again for more, of either family\n"
    "  --host-address A/LEN address for the kernel's side of the device; again for more\n"
    "  --mtu N              largest packet, bytes\n"
    "  --port N             port to listen on, 7 without it\n"
    "  --clients N          ends after this many clients; without it, on SIGTERM or SIGINT\n";

struct options {
  usertcp_config_t config;
  char addresses[512], host_addresses[512];
  int port;
  long clients;
};

/* A client, in a list of all, and what has come from it and not gone back: `data[from]` to `data[to - 1]`. */
struct client {
  usertcp_socket_t socket;
  int fd;
  uint32_t waits_for;
  struct client *next, **link;
  char data[128 * 1024];
  size_t from, to;
  int ended;
};

struct server {
  usertcp_socket_t listener;
  int epoll, signals;
  struct client *clients;
  long served;
  uint64_t bytes;
};

static void fail(const char *what, long error) {
  char detail[512];
  usertcp_last_error(detail, sizeof detail);
  fprintf(stderr, "echo_server: %s: %s: %s\n", what, usertcp_errname((int)error), detail);
  exit(1);
}

static void fail_system(const char *what) {
  fprintf(stderr, "echo_server: %s: %s\n", what, strerror(errno));
  exit(1);
}

static void fail_usage(const char *what) {
  fprintf(stderr, "echo_server: %s\n%s", what, usage);
  exit(2);
}

/* ---- the command line ---- */

/* Adds to a list that is separated by commas. */
static void append(char *list, size_t size, const char *item) {
  if (strlen(list) + strlen(item) + 2 > size) fail_usage("too many addresses");
  if (list[0] != '\0') strcat(list, ",");
  strcat(list, item);
}

static long number(const char *text, long most) {
  char *end;
  long value = strtol(text, &end, 10);
  if (end == text || *end != '\0' || value < 0 || value > most) fail_usage("a number is out of range");
  return value;
}

static void read_options(struct options *options, int argc, char **argv) {
  static const struct option known[] = {
      {"tun", required_argument, NULL, 't'},          {"fd", required_argument, NULL, 'f'},
      {"address", required_argument, NULL, 'a'},      {"mtu", required_argument, NULL, 'm'},
      {"host-address", required_argument, NULL, 'h'}, {"port", required_argument, NULL, 'p'},
      {"clients", required_argument, NULL, 'c'},      {NULL, 0, NULL, 0},
  };
  usertcp_config_t config = USERTCP_CONFIG_INIT;
  int option;
  memset(options, 0, sizeof *options);
  options->config = config;
  options->port = 7;
  while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
    switch (option) {
      case 't': options->config.device = optarg; break;
      case 'f': options->config.fd = (int)number(optarg, 1 << 20); break;
      case 'a': append(options->addresses, sizeof options->addresses, optarg); break;
      case 'h': append(options->host_addresses, sizeof options->host_addresses, optarg); break;
      case 'm': options->config.mtu = (uint32_t)number(optarg, 65535); break;
      case 'p': options->port = (int)number(optarg, 65535); break;
      case 'c': options->clients = number(optarg, 1000000000); break;
      default: fail_usage("unknown option");
    }
  }
  if (optind != argc) fail_usage("there are options only");
  if (options->addresses[0] == '\0') fail_usage("an --address is needed");
  options->config.addresses = options->addresses;
  if (options->host_addresses[0] != '\0') options->config.host_addresses = options->host_addresses;
}

/* ---- the loop ---- */

/* Waits for `events` of a descriptor from now on; they come with `who`. */
static void watch(struct server *server, int operation, int fd, uint32_t events, void *who) {
  struct epoll_event event;
  memset(&event, 0, sizeof event);
  event.events = events;
  event.data.ptr = who;
  if (epoll_ctl(server->epoll, operation, fd, &event) < 0) fail_system("epoll_ctl");
}

static int readiness(usertcp_socket_t socket) {
  int fd = usertcp_fd(socket);
  if (fd < 0) fail("fd", fd);
  return fd;
}

/* One listener for both families. */
static void listen_on(struct server *server, usertcp_stack_t stack, int port) {
  char text[USERTCP_ADDRSTRLEN];
  struct sockaddr_storage address;
  socklen_t length;
  int error;
  snprintf(text, sizeof text, "[::]:%d", port);
  error = usertcp_parse_addr(text, &address, &length);
  if (error == 0) error = usertcp_socket(stack, AF_INET6, SOCK_STREAM, USERTCP_NONBLOCK, &server->listener);
  if (error == 0) error = usertcp_bind(server->listener, (struct sockaddr *)&address, length);
  if (error == 0) error = usertcp_listen(server->listener, 128);
  if (error < 0) fail(text, error);
  watch(server, EPOLL_CTL_ADD, readiness(server->listener), EPOLLIN, &server->listener);
}

static void accept_all(struct server *server) {
  for (;;) {
    struct client *client;
    usertcp_socket_t socket;
    int error = usertcp_accept(server->listener, &socket, NULL, NULL, USERTCP_NONBLOCK);
    if (error == -EAGAIN) return;
    if (error < 0) fail("accept", error);
    client = malloc(sizeof *client);
    if (client == NULL) fail_system("accept");
    client->socket = socket;
    client->fd = readiness(socket);
    client->waits_for = EPOLLIN;
    client->from = client->to = 0;
    client->ended = 0;
    client->link = &server->clients;
    client->next = server->clients;
    if (client->next != NULL) client->next->link = &client->next;
    server->clients = client;
    watch(server, EPOLL_CTL_ADD, client->fd, EPOLLIN, client);
  }
}

/* Its descriptor goes out of the loop before the socket, which closes it. */
static void remove_client(struct server *server, struct client *client) {
  watch(server, EPOLL_CTL_DEL, client->fd, 0, NULL);
  usertcp_close(client->socket);
  *client->link = client->next;
  if (client->next != NULL) client->next->link = client->link;
  free(client);
}

/* Moves bytes until that would block; returns what to wait for then, 0 when the client is done or gone. */
static uint32_t echo(struct server *server, struct client *client) {
  for (;;) {
    ssize_t moved;
    if (client->from < client->to) {
      moved = usertcp_send(client->socket, client->data + client->from, client->to - client->from, 0);
      if (moved == -EAGAIN) return EPOLLOUT;
      if (moved < 0) return 0;
      client->from += (size_t)moved;
      server->bytes += (uint64_t)moved;
      continue;
    }
    if (client->ended) return 0;
    moved = usertcp_recv(client->socket, client->data, sizeof client->data, 0);
    if (moved == -EAGAIN) return EPOLLIN;
    if (moved < 0) return 0;
    client->ended = moved == 0;
    client->from = 0;
    client->to = (size_t)moved;
  }
}

static void serve_client(struct server *server, struct client *client) {
  uint32_t wanted = echo(server, client);
  if (wanted == 0) {
    remove_client(server, client);
    server->served++;
  } else if (wanted != client->waits_for) {
    watch(server, EPOLL_CTL_MOD, client->fd, wanted, client);
    client->waits_for = wanted;
  }
}

static void serve(struct server *server, long clients) {
  for (;;) {
    struct epoll_event events[64];
    int i, ready = epoll_wait(server->epoll, events, 64, -1);
    if (ready < 0 && errno != EINTR) fail_system("epoll_wait");
    for (i = 0; i < ready; i++) {
      void *who = events[i].data.ptr;
      if (who == &server->signals) return;
      if (who == &server->listener) accept_all(server);
      else serve_client(server, who);
    }
    if (clients != 0 && server->served >= clients) return;
  }
}

/* SIGTERM and SIGINT come as data, before any thread is made that could take them. */
static void take_signals(struct server *server) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  if (sigprocmask(SIG_BLOCK, &set, NULL) < 0) fail_system("sigprocmask");
  server->signals = signalfd(-1, &set, SFD_CLOEXEC);
  if (server->signals < 0) fail_system("signalfd");
  watch(server, EPOLL_CTL_ADD, server->signals, EPOLLIN, &server->signals);
}

int main(int argc, char **argv) {
  struct options options;
  struct server server;
  usertcp_stack_t stack;
  int error;
  read_options(&options, argc, argv);
  memset(&server, 0, sizeof server);
  server.epoll = epoll_create1(EPOLL_CLOEXEC);
  if (server.epoll < 0) fail_system("epoll_create1");
  take_signals(&server);

  error = usertcp_stack_open(&options.config, &stack);
  if (error < 0) fail("open", error);
  listen_on(&server, stack, options.port);
  printf("ready on port %d\n", options.port);
  fflush(stdout);
  serve(&server, options.clients);

  while (server.clients != NULL) remove_client(&server, server.clients);
  close(server.epoll);
  close(server.signals);
  /* What is queued is still sent. */
  error = usertcp_stack_close(stack, 2000);
  if (error < 0 && error != -ETIMEDOUT) fail("close", error);
  printf("clients=%ld bytes=%" PRIu64 "\n", server.served, server.bytes);
  return 0;
}
