/*
 * tproxy: a transparent proxy between two links. Clients on the one connect to whatever server they like; the proxy connects to it over the other
 * link under the client's own address and port, accepts the client only if that works, and carries the bytes. Neither side can tell.
 *
 *   cc -std=c99 -O2 -o tproxy tproxy.c $(pkg-config --cflags --libs usertcp) -pthread
 *   ./tproxy --near 3 --far 4 --prefix 203.0.113.0/24 --address 192.0.2.2/24 [--connections 10]
 *
 * --near and --far are descriptors of TUN devices, or of sockets with a packet in each message; --address is of the proxy itself, which nobody
 * needs to know. Without --connections it runs until it is killed.
 *
 * Shows: an interceptor, connection requests that are decided by another thread and after another connection has been made, IP_TRANSPARENT.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <usertcp.h>

#ifndef IPV6_TRANSPARENT
#define IPV6_TRANSPARENT 75
#endif

#define CONNECT_MS 10000

static usertcp_stack_t near_side, far_side;

/* A request, and later the connection that it has become. */
typedef struct {
  usertcp_syn_t syn;
  usertcp_syn_info_t info;
  usertcp_socket_t client, server;
  unsigned long long sent;
} relay_t;

static void fail(const char *what, int error) {
  char detail[512];
  usertcp_last_error(detail, sizeof detail);
  fprintf(stderr, "tproxy: %s: %s: %s\n", what, usertcp_errname(error), detail);
  exit(1);
}

/* Carries what one side sends to the other, then the end of it. A side that is reset resets the other. Returns how many bytes. */
static unsigned long long carry(usertcp_socket_t from, usertcp_socket_t to) {
  char buffer[64 * 1024];
  unsigned long long carried = 0;
  ssize_t count;
  while ((count = usertcp_recv(from, buffer, sizeof buffer, 0)) > 0) {
    if (usertcp_send(to, buffer, (size_t)count, 0) != count) break;
    carried += (unsigned long long)count;
  }
  if (count == 0) {
    usertcp_shutdown(to, SHUT_WR);
  } else {
    usertcp_abort(from);
    usertcp_abort(to);
  }
  return carried;
}

static void *carry_to_server(void *argument) {
  relay_t *relay = argument;
  relay->sent = carry(relay->client, relay->server);
  return NULL;
}

/* Connects to where the client wants, from where the client is. Returns 0 or a negative error. */
static int connect_as(relay_t *relay) {
  const struct sockaddr *client = (const struct sockaddr *)&relay->info.peer, *server = (const struct sockaddr *)&relay->info.local;
  int v6 = client->sa_family == AF_INET6, on = 1, error;
  error = usertcp_socket(far_side, client->sa_family, SOCK_STREAM, 0, &relay->server);
  if (error < 0) return error;
  error = v6 ? usertcp_setsockopt(relay->server, IPPROTO_IPV6, IPV6_TRANSPARENT, &on, sizeof on)
             : usertcp_setsockopt(relay->server, IPPROTO_IP, IP_TRANSPARENT, &on, sizeof on);
  if (error == 0) error = usertcp_set_timeout(relay->server, -1, CONNECT_MS);
  if (error == 0) error = usertcp_bind(relay->server, client, relay->info.peer_length);
  if (error == 0) error = usertcp_connect(relay->server, server, relay->info.local_length);
  if (error == 0) error = usertcp_set_timeout(relay->server, -1, -1);
  if (error < 0) usertcp_close(relay->server);
  return error;
}

static void *serve(void *argument) {
  relay_t *relay = argument;
  pthread_t other;
  unsigned long long received;
  int error = connect_as(relay);
  if (error < 0) {
    /* A server that refuses is told on; of one that is silent the client hears nothing either. */
    if (error == -ECONNREFUSED) usertcp_syn_refuse(relay->syn);
    else usertcp_syn_drop(relay->syn);
    printf("refused=%s\n", usertcp_errname(error));
  } else if ((error = usertcp_syn_accept(relay->syn, 0, CONNECT_MS, &relay->client)) < 0) {
    usertcp_abort(relay->server);
    printf("lost=%s\n", usertcp_errname(error));
  } else if (pthread_create(&other, NULL, carry_to_server, relay) != 0) {
    usertcp_abort(relay->client);
    usertcp_abort(relay->server);
  } else {
    received = carry(relay->server, relay->client);
    pthread_join(other, NULL);
    /* Either may have been reset, and is closed then. */
    usertcp_close(relay->client);
    usertcp_close(relay->server);
    printf("sent=%llu received=%llu\n", relay->sent, received);
  }
  fflush(stdout);
  free(relay);
  return NULL;
}

static usertcp_stack_t open_stack(int link, const char *addresses) {
  usertcp_config_t config = USERTCP_CONFIG_INIT;
  usertcp_stack_t stack;
  int error;
  config.fd = link;
  config.addresses = addresses;
  error = usertcp_stack_open(&config, &stack);
  if (error < 0) fail("open", error);
  return stack;
}

static void usage(void) {
  fprintf(stderr, "usage: tproxy --near FD --far FD --prefix PREFIX --address ADDRESS/LENGTH[,...] [--connections N]\n");
  exit(2);
}

int main(int argc, char **argv) {
  const char *near_fd = NULL, *far_fd = NULL, *address = NULL;
  usertcp_intercept_config_t what = USERTCP_INTERCEPT_CONFIG_INIT;
  usertcp_socket_t interceptor;
  pthread_t *threads;
  long most = -1, count;
  int at, error;
  for (at = 1; at + 1 < argc; at += 2) {
    if (strcmp(argv[at], "--near") == 0) near_fd = argv[at + 1];
    else if (strcmp(argv[at], "--far") == 0) far_fd = argv[at + 1];
    else if (strcmp(argv[at], "--prefix") == 0) what.prefix = argv[at + 1];
    else if (strcmp(argv[at], "--address") == 0) address = argv[at + 1];
    else if (strcmp(argv[at], "--connections") == 0) most = atol(argv[at + 1]);
    else usage();
  }
  if (at != argc || near_fd == NULL || far_fd == NULL || what.prefix == NULL || address == NULL || most == 0) usage();
  near_side = open_stack(atoi(near_fd), address);
  far_side = open_stack(atoi(far_fd), address);
  error = usertcp_intercept_open(near_side, &what, 0, &interceptor);
  if (error < 0) fail("intercept", error);
  puts("ready");
  fflush(stdout);
  threads = calloc(most < 0 ? 1 : (size_t)most, sizeof *threads);
  if (threads == NULL) fail("threads", -ENOMEM);
  for (count = 0; most < 0 || count < most; count++) {
    pthread_t *thread = most < 0 ? threads : &threads[count];
    relay_t *relay = calloc(1, sizeof *relay);
    if (relay == NULL) fail("a connection", -ENOMEM);
    relay->info.size = sizeof relay->info;
    error = usertcp_intercept_next(interceptor, -1, &relay->syn, &relay->info);
    if (error < 0) fail("the next request", error);
    if (pthread_create(thread, NULL, serve, relay) != 0) fail("a thread", -EAGAIN);
    if (most < 0) pthread_detach(*thread);
  }
  for (count = 0; count < most; count++) pthread_join(threads[count], NULL);
  free(threads);
  error = usertcp_stack_close(near_side, 10000);
  if (error == 0) error = usertcp_stack_close(far_side, 10000);
  if (error < 0) fail("close", error);
  return 0;
}
