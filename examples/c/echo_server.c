/*
 * echo_server: sends back whatever comes, to any number of clients at once, from addresses of this program's
 * own.
 *
 *   cc -std=c99 -O2 -o echo_server echo_server.c $(pkg-config --cflags --libs usertcp)
 *   ./echo_server --tun utcp0 --address 192.0.2.2/24 --host-address 192.0.2.1/24 --port 7
 *
 * Shows: listening, accepting, sockets that do not block, usertcp_poll() over many of them, a clean end.
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

/* What has come from a client and not gone back: `data[from]` to `data[to - 1]`. */
struct client {
  char data[128 * 1024];
  size_t from, to;
  int ended;
};

/* The sockets to wait for: `listeners` of them first, then one for each client, in the order of `clients`. */
struct server {
  usertcp_pollfd_t *entries;
  struct client **clients;
  size_t listeners, count, room;
  long served;
  uint64_t bytes;
};

static volatile sig_atomic_t stopped;

static void stop(int signal) {
  (void)signal;
  stopped = 1;
}

static void fail(const char *what, long error) {
  char detail[512];
  usertcp_last_error(detail, sizeof detail);
  fprintf(stderr, "echo_server: %s: %s: %s\n", what, usertcp_errname((int)error), detail);
  exit(1);
}

static void fail_usage(const char *what) {
  fprintf(stderr, "echo_server: %s\n%s", what, usage);
  exit(2);
}

static void *check_memory(void *memory) {
  if (memory == NULL) fail_usage("out of memory");
  return memory;
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

/* ---- sockets ---- */

static void add_entry(struct server *server, usertcp_socket_t socket, struct client *client) {
  if (server->count == server->room) {
    server->room = server->room * 2 + 16;
    server->entries = check_memory(realloc(server->entries, server->room * sizeof *server->entries));
    server->clients = check_memory(realloc(server->clients, server->room * sizeof *server->clients));
  }
  server->entries[server->count].socket = socket;
  server->entries[server->count].events = USERTCP_POLLIN;
  server->entries[server->count].revents = 0;
  server->clients[server->count] = client;
  server->count++;
}

static void listen_on(struct server *server, usertcp_stack_t stack, const char *any, int port) {
  char text[USERTCP_ADDRSTRLEN];
  struct sockaddr_storage address;
  socklen_t length;
  usertcp_socket_t socket;
  int error;
  snprintf(text, sizeof text, "%s:%d", any, port);
  error = usertcp_parse_addr(text, &address, &length);
  if (error == 0) error = usertcp_socket(stack, address.ss_family, SOCK_STREAM, USERTCP_NONBLOCK, &socket);
  if (error == 0) error = usertcp_bind(socket, (struct sockaddr *)&address, length);
  if (error == 0) error = usertcp_listen(socket, 128);
  if (error < 0) fail(text, error);
  add_entry(server, socket, NULL);
  server->listeners++;
}

static void accept_all(struct server *server, usertcp_socket_t listener) {
  for (;;) {
    usertcp_socket_t socket;
    struct client *client;
    int error = usertcp_accept(listener, &socket, NULL, NULL, USERTCP_NONBLOCK);
    if (error == -EAGAIN) return;
    if (error < 0) fail("accept", error);
    client = check_memory(malloc(sizeof *client));
    client->from = client->to = 0;
    client->ended = 0;
    add_entry(server, socket, client);
  }
}

/* Moves bytes until that would block. Returns 0 when the client is done or gone. */
static int echo(struct server *server, usertcp_pollfd_t *entry, struct client *client) {
  for (;;) {
    ssize_t moved;
    if (client->from < client->to) {
      moved = usertcp_send(entry->socket, client->data + client->from, client->to - client->from, 0);
      entry->events = USERTCP_POLLOUT;
      if (moved == -EAGAIN) return 1;
      if (moved < 0) return 0;
      client->from += (size_t)moved;
      server->bytes += (uint64_t)moved;
      continue;
    }
    if (client->ended) return 0;
    moved = usertcp_recv(entry->socket, client->data, sizeof client->data, 0);
    entry->events = USERTCP_POLLIN;
    if (moved == -EAGAIN) return 1;
    if (moved < 0) return 0;
    client->ended = moved == 0;
    client->from = 0;
    client->to = (size_t)moved;
  }
}

static void remove_client(struct server *server, size_t which) {
  usertcp_close(server->entries[which].socket);
  free(server->clients[which]);
  server->count--;
  server->entries[which] = server->entries[server->count];
  server->clients[which] = server->clients[server->count];
  server->served++;
}

static void serve(struct server *server, long clients) {
  while (!stopped && (clients == 0 || server->served < clients)) {
    size_t i;
    /* A signal between the test above and the wait is noticed a second later. */
    int ready = usertcp_poll(server->entries, server->count, 1000);
    if (ready == -EINTR) continue;
    if (ready < 0) fail("poll", ready);
    /* Backwards: an entry that is removed is replaced by the last one, which has had its turn. */
    for (i = server->count; i-- > server->listeners;) {
      if (server->entries[i].revents == 0) continue;
      if (!echo(server, &server->entries[i], server->clients[i])) remove_client(server, i);
    }
    for (i = 0; i < server->listeners; i++) {
      if (server->entries[i].revents != 0) accept_all(server, server->entries[i].socket);
    }
  }
}

int main(int argc, char **argv) {
  struct options options;
  struct server server = {NULL, NULL, 0, 0, 0, 0, 0};
  struct sigaction action;
  usertcp_stack_t stack;
  size_t i;
  int error;
  read_options(&options, argc, argv);
  /* Without SA_RESTART, so that usertcp_poll() returns -EINTR. */
  memset(&action, 0, sizeof action);
  action.sa_handler = stop;
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGINT, &action, NULL);

  error = usertcp_stack_open(&options.config, &stack);
  if (error < 0) fail("open", error);
  /* One listener for both families. */
  listen_on(&server, stack, "[::]", options.port);
  printf("ready on port %d\n", options.port);
  fflush(stdout);
  serve(&server, options.clients);

  for (i = server.listeners; i < server.count; i++) free(server.clients[i]);
  free(server.clients);
  free(server.entries);
  /* Closes the sockets that are left; what is queued is still sent. */
  usertcp_stack_close(stack, 2000);
  printf("clients=%ld bytes=%" PRIu64 "\n", server.served, server.bytes);
  return 0;
}
