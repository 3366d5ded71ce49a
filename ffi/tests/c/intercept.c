/* Interceptors: connection requests for any address and port of a prefix, decided later and from any thread. */
#include "check.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>

static usertcp_socket_t intercept(usertcp_stack_t stack, const char *prefix) {
  usertcp_intercept_config_t config = USERTCP_INTERCEPT_CONFIG_INIT;
  usertcp_socket_t s = 0;
  config.prefix = prefix;
  OK(usertcp_intercept_open(stack, &config, 0, &s));
  CHECK(s != 0);
  return s;
}

static usertcp_syn_t next_syn(usertcp_socket_t interceptor, usertcp_syn_info_t *info) {
  usertcp_syn_t syn = 0;
  OK(usertcp_intercept_next(interceptor, 10000, &syn, info));
  CHECK(syn != 0);
  return syn;
}

static usertcp_socket_t begin(usertcp_stack_t stack, const char *text) {
  usertcp_socket_t s = 0;
  address_t a = address(text);
  int begun;
  OK(usertcp_socket(stack, domain_of(text), SOCK_STREAM, USERTCP_NONBLOCK, &s));
  begun = usertcp_connect(s, ADDRESS(a));
  CHECK(begun == -EINPROGRESS || begun == 0);
  return s;
}

static int outcome(usertcp_socket_t s) {
  usertcp_pollfd_t entry = {s, USERTCP_POLLOUT, 0};
  int error = -1;
  socklen_t length = sizeof error;
  EQUAL(usertcp_poll(&entry, 1, 10000), 1);
  OK(usertcp_getsockopt(s, SOL_SOCKET, SO_ERROR, &error, &length));
  return error;
}

static void names_are(usertcp_socket_t s, const char *own) {
  char text[USERTCP_ADDRSTRLEN];
  struct sockaddr_storage name;
  socklen_t length = sizeof name;
  OK(usertcp_getsockname(s, (struct sockaddr *)&name, &length));
  OK(usertcp_format_addr((struct sockaddr *)&name, length, text, sizeof text) < 0);
  CHECK(strcmp(text, own) == 0);
}

static uint64_t counter(usertcp_stack_t stack, const char *name) {
  uint64_t value = 0;
  OK(usertcp_stack_counter(stack, name, &value));
  return value;
}

static void a_connection_to_somebody_else(pair_t pair, const char *prefix, const char *target) {
  usertcp_socket_t interceptor = intercept(pair.left, prefix), client = begin(pair.right, target), server = 0;
  usertcp_syn_info_t info = USERTCP_SYN_INFO_INIT;
  struct sockaddr_storage name;
  socklen_t length = sizeof name;
  char text[USERTCP_ADDRSTRLEN];
  usertcp_syn_t syn = next_syn(interceptor, &info);
  CHECK(usertcp_format_addr((struct sockaddr *)&info.local, info.local_length, text, sizeof text) > 0);
  CHECK(strcmp(text, target) == 0);
  OK(usertcp_getsockname(client, (struct sockaddr *)&name, &length));
  EQUAL(info.peer_length, length);
  CHECK(memcmp(&info.peer, &name, length) == 0);
  EQUAL(info.mss, domain_of(target) == AF_INET ? 1460 : 1440);
  EQUAL(info.flags, 0);
  CHECK(info.age_ms < 60000);
  EQUAL(usertcp_intercept_next(interceptor, 0, &syn, NULL), -EAGAIN);
  OK(usertcp_syn_accept(syn, 0, 10000, &server));
  EQUAL(usertcp_syn_accept(syn, 0, 10000, &server), -EBADF);
  EQUAL(usertcp_syn_refuse(syn), -EBADF);
  EQUAL(usertcp_syn_drop(syn), -EBADF);
  EQUAL(outcome(client), 0);
  OK(usertcp_set_nonblock(client, 0));
  names_are(server, target);
  length = sizeof name;
  OK(usertcp_getpeername(server, (struct sockaddr *)&name, &length));
  CHECK(memcmp(&info.peer, &name, length) == 0);
  /* What was accepted does without the interceptor. */
  OK(usertcp_close(interceptor));
  EQUAL(usertcp_send(server, "hello", 5, 0), 5);
  EQUAL(usertcp_recv(client, text, sizeof text, 0), 5);
  EQUAL(usertcp_send(client, "world", 5, 0), 5);
  EQUAL(usertcp_recv(server, text, sizeof text, 0), 5);
  OK(usertcp_close(client));
  EQUAL(usertcp_recv(server, text, sizeof text, 0), 0);
  OK(usertcp_close(server));
}

static void refused_and_dropped(pair_t pair) {
  usertcp_socket_t interceptor = intercept(pair.left, "203.0.113.0/24"), server = 0, one, two;
  usertcp_syn_t syn;
  one = begin(pair.right, "203.0.113.1:80");
  OK(usertcp_syn_refuse(next_syn(interceptor, NULL)));
  EQUAL(outcome(one), ECONNREFUSED);
  two = begin(pair.right, "203.0.113.1:81");
  syn = next_syn(interceptor, NULL);
  OK(usertcp_syn_drop(syn));
  EQUAL(usertcp_syn_drop(syn), -EBADF);
  /* The peer tries again after a second. Not waited for here: the socket is as one that connects. */
  OK(usertcp_syn_accept(next_syn(interceptor, NULL), USERTCP_NONBLOCK, -1, &server));
  EQUAL(outcome(server), 0);
  EQUAL(outcome(two), 0);
  EQUAL(counter(pair.left, "tcp_syns_refused"), 1);
  EQUAL(counter(pair.left, "tcp_syns_dropped"), 1);
  OK(usertcp_close(one));
  OK(usertcp_close(two));
  OK(usertcp_close(server));
  OK(usertcp_close(interceptor));
}

/* A client's name for a connection that goes on from here: IP_TRANSPARENT. */
static void in_anothers_name(pair_t pair, const char *name, const char *target) {
  int v6 = domain_of(name) == AF_INET6, level = v6 ? IPPROTO_IPV6 : IPPROTO_IP, option = v6 ? 75 : 19, on = 1, off = -1;
  usertcp_socket_t listener = listen_on(pair.right, target), s = make_socket(pair.left, domain_of(name)), far = 0, plain;
  struct sockaddr_storage peer;
  socklen_t length = sizeof off;
  address_t own = address(name), to = address(target), stack = address(v6 ? "[2001:db8::1]:9" : "192.0.2.1:9");
  char text[USERTCP_ADDRSTRLEN];
  OK(usertcp_getsockopt(s, level, option, &off, &length));
  EQUAL(off, 0);
  EQUAL(usertcp_bind(s, ADDRESS(own)), -EADDRNOTAVAIL);
  OK(usertcp_setsockopt(s, level, option, &on, sizeof on));
  OK(usertcp_getsockopt(s, level, option, &off, &length));
  EQUAL(off, 1);
  OK(usertcp_bind(s, ADDRESS(own)));
  OK(usertcp_connect(s, ADDRESS(to)));
  length = sizeof peer;
  OK(usertcp_accept(listener, &far, (struct sockaddr *)&peer, &length, 0));
  CHECK(usertcp_format_addr((struct sockaddr *)&peer, length, text, sizeof text) > 0);
  CHECK(strcmp(text, name) == 0);
  names_are(s, name);
  EQUAL(usertcp_send(far, "hello", 5, 0), 5);
  EQUAL(usertcp_recv(s, text, sizeof text, 0), 5);
  EQUAL(usertcp_send(s, "hello", 5, 0), 5);
  EQUAL(usertcp_recv(far, text, sizeof text, 0), 5);
  OK(usertcp_close(s));
  EQUAL(usertcp_recv(far, text, sizeof text, 0), 0);
  OK(usertcp_close(far));
  OK(usertcp_close(listener));
  /* No way back leads from the stack to itself. */
  plain = make_socket(pair.left, domain_of(name));
  OK(usertcp_setsockopt(plain, level, option, &on, sizeof on));
  ((struct sockaddr_in *)&own.storage)->sin_port = 0;
  OK(usertcp_bind(plain, ADDRESS(own)));
  EQUAL(usertcp_connect(plain, ADDRESS(stack)), -EINVAL);
  OK(usertcp_close(plain));
}

static void what_makes_no_sense(pair_t pair) {
  usertcp_intercept_config_t config = USERTCP_INTERCEPT_CONFIG_INIT, good = config;
  usertcp_syn_info_t info = USERTCP_SYN_INFO_INIT;
  usertcp_socket_t s = 77, other, plain = make_socket(pair.left, AF_INET);
  usertcp_syn_t syn = 77;
  address_t a = address("192.0.2.1:1");
  usertcp_tcp_info_t figures = USERTCP_TCP_INFO_INIT;
  struct timeval brief = {0, 20000};
  EQUAL(usertcp_intercept_open(pair.left, &config, 0, &s), -EINVAL);
  config.prefix = "203.0.113.0/33";
  EQUAL(usertcp_intercept_open(pair.left, &config, 0, &s), -EINVAL);
  config.prefix = "example.com";
  EQUAL(usertcp_intercept_open(pair.left, &config, 0, &s), -EINVAL);
  config.prefix = good.prefix = "203.0.113.0/24";
  config.first_port = 9;
  config.last_port = 8;
  EQUAL(usertcp_intercept_open(pair.left, &config, 0, &s), -EINVAL);
  good.first_port = 80;
  EQUAL(usertcp_intercept_open(pair.left, &good, 1, &s), -EINVAL);
  EQUAL(usertcp_intercept_open(pair.left, &good, 0, NULL), -EFAULT);
  EQUAL(usertcp_intercept_open(pair.left, NULL, 0, &s), -EFAULT);
  EQUAL(usertcp_intercept_open(0, &good, 0, &s), -EBADF);
  good.size = 8;
  EQUAL(usertcp_intercept_open(pair.left, &good, 0, &s), -EINVAL);
  good.size = sizeof good;
  EQUAL(s, 77);
  OK(usertcp_intercept_open(pair.left, &good, USERTCP_NONBLOCK, &s));
  EQUAL(usertcp_intercept_open(pair.left, &good, 0, &other), -EADDRINUSE);
  good.prefix = "203.0.113.9";
  OK(usertcp_intercept_open(pair.left, &good, 0, &other));
  names_are(other, "203.0.113.9:80");
  OK(usertcp_close(other));
  EQUAL(usertcp_intercept_next(s, -1, &syn, NULL), -EAGAIN);
  EQUAL(usertcp_intercept_next(s, 10, &syn, NULL), -EAGAIN);
  OK(usertcp_set_nonblock(s, 0));
  OK(usertcp_setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &brief, sizeof brief));
  EQUAL(usertcp_intercept_next(s, -1, &syn, NULL), -EAGAIN);
  EQUAL(usertcp_intercept_next(s, 0, NULL, NULL), -EFAULT);
  info.size = 4;
  EQUAL(usertcp_intercept_next(s, 0, &syn, &info), -EINVAL);
  EQUAL(usertcp_intercept_next(plain, 0, &syn, NULL), -EINVAL);
  EQUAL(usertcp_intercept_next(0, 0, &syn, NULL), -EBADF);
  EQUAL(syn, 77);
  EQUAL(usertcp_accept(s, &other, NULL, NULL, 0), -EOPNOTSUPP);
  EQUAL(usertcp_bind(s, ADDRESS(a)), -EINVAL);
  EQUAL(usertcp_listen(s, 1), -EINVAL);
  EQUAL(usertcp_connect(s, ADDRESS(a)), -EOPNOTSUPP);
  EQUAL(usertcp_syn_accept(0, 0, 0, &other), -EBADF);
  EQUAL(usertcp_syn_accept(s, 0, 0, &other), -EBADF);
  EQUAL(usertcp_syn_refuse(s), -EBADF);
  other = begin(pair.right, "203.0.113.1:80");
  syn = next_syn(s, NULL);
  EQUAL(usertcp_syn_accept(syn, 1, 0, &plain), -EINVAL);
  EQUAL(usertcp_syn_accept(syn, 0, 0, NULL), -EFAULT);
  EQUAL(usertcp_close(syn), -EBADF);
  OK(usertcp_tcp_info(s, &figures));
  EQUAL(figures.tcpi_state, 10);
  EQUAL(figures.tcpi_unacked, 1);
  EQUAL(figures.tcpi_sacked, 1024);
  OK(usertcp_close(s));
  EQUAL(usertcp_syn_refuse(syn), -ECANCELED);
  EQUAL(usertcp_syn_refuse(syn), -EBADF);
  OK(usertcp_close(other));
  OK(usertcp_close(plain));
}

static void readiness_shows(pair_t pair) {
  usertcp_socket_t interceptor = intercept(pair.left, "2001:db8:5::/48"), client;
  struct pollfd entry = {-1, POLLIN, 0};
  entry.fd = usertcp_fd(interceptor);
  CHECK(entry.fd >= 0);
  EQUAL(poll(&entry, 1, 0), 0);
  client = begin(pair.right, "[2001:db8:5::9]:443");
  EQUAL(poll(&entry, 1, 10000), 1);
  EQUAL(entry.revents, POLLIN);
  OK(usertcp_syn_refuse(next_syn(interceptor, NULL)));
  EQUAL(poll(&entry, 1, 0), 0);
  EQUAL(outcome(client), ECONNREFUSED);
  OK(usertcp_close(client));
  OK(usertcp_close(interceptor));
}

/* A stack, and a link whose other end is a descriptor. */
static usertcp_stack_t open_raw(int *far) {
  usertcp_config_t config = USERTCP_CONFIG_INIT;
  usertcp_stack_t stack;
  int ends[2];
  CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
  config.fd = ends[0];
  config.addresses = "192.0.2.1/24";
  OK(usertcp_stack_open(&config, &stack));
  close(ends[0]);
  *far = ends[1];
  return stack;
}

static uint32_t sum(const unsigned char *bytes, size_t size, uint32_t before) {
  size_t i;
  for (i = 0; i < size; i += 2) before += (uint32_t)(bytes[i] << 8 | bytes[i + 1]);
  while (before >> 16 != 0) before = (before & 0xffff) + (before >> 16);
  return before;
}

/* A segment from 198.51.100.9:77 to 203.0.113.5, with SYN (2) or RST (4). */
static void send_segment(int far, unsigned char port, unsigned char flag) {
  unsigned char p[40] = {0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 198, 51, 100, 9, 203, 0, 113, 5, 0, 77, 0, 0, 0, 0, 0, 1,
                         0,    0, 0, 0,  0x50, 0, 1, 0, 0, 0, 0, 0};
  uint32_t check;
  p[23] = port;
  p[27] = flag == 4 ? 2 : 1;
  p[33] = flag;
  check = ~sum(p, 20, 0);
  p[10] = (unsigned char)(check >> 8);
  p[11] = (unsigned char)check;
  check = ~sum(p + 12, 28, 6 + 20);
  p[36] = (unsigned char)(check >> 8);
  p[37] = (unsigned char)check;
  CHECK(send(far, p, sizeof p, 0) == (ssize_t)sizeof p);
}

static void who_never_answers(void) {
  int far;
  usertcp_stack_t stack = open_raw(&far);
  usertcp_intercept_config_t config = USERTCP_INTERCEPT_CONFIG_INIT;
  usertcp_socket_t interceptor, server = 0;
  usertcp_syn_info_t info = USERTCP_SYN_INFO_INIT;
  usertcp_syn_t syn;
  unsigned char answer[64];
  config.prefix = "0.0.0.0/0";
  config.queue = 2;
  config.timeout_ms = 200;
  OK(usertcp_intercept_open(stack, &config, 0, &interceptor));
  send_segment(far, 80, 2);
  send_segment(far, 80, 2);
  while (counter(stack, "frames_in") < 2) sched_yield();
  syn = next_syn(interceptor, &info);
  EQUAL(info.mss, 0);
  EQUAL(usertcp_syn_accept(syn, 0, 30, &server), -ETIMEDOUT);
  EQUAL(usertcp_syn_refuse(syn), -EBADF);
  EQUAL(recv(far, answer, sizeof answer, 0), 44);
  EQUAL(answer[33], 0x12);
  EQUAL(recv(far, answer, sizeof answer, 0), 40);
  CHECK((answer[33] & 4) != 0);
  send_segment(far, 81, 2);
  OK(usertcp_syn_accept(next_syn(interceptor, NULL), 0, 0, &server));
  EQUAL(recv(far, answer, sizeof answer, 0), 44);
  send_segment(far, 81, 4);
  EQUAL(outcome(server), ECONNREFUSED);
  OK(usertcp_close(server));
  send_segment(far, 82, 2);
  syn = next_syn(interceptor, NULL);
  send_segment(far, 83, 2);
  send_segment(far, 84, 2);
  while (counter(stack, "drop_tcp_intercept_queue") < 1) sched_yield();
  while (counter(stack, "tcp_syns_expired") < 2) poll(NULL, 0, 1);
  EQUAL(usertcp_intercept_next(interceptor, 0, &syn, NULL), -EAGAIN);
  EQUAL(usertcp_syn_accept(syn, 0, 0, &server), -ETIMEDOUT);
  EQUAL(usertcp_syn_accept(syn, 0, 0, &server), -EBADF);
  send_segment(far, 85, 2);
  syn = next_syn(interceptor, NULL);
  CHECK(usertcp_stack_close(stack, 0) == 0);
  EQUAL(usertcp_syn_refuse(syn), -EBADF);
  close(far);
}

static usertcp_socket_t awaited;
static pid_t waiter;

static void *waits(void *unused) {
  usertcp_syn_t syn = 0;
  (void)unused;
  __atomic_store_n(&waiter, (pid_t)syscall(SYS_gettid), __ATOMIC_SEQ_CST);
  EQUAL(usertcp_intercept_next(awaited, -1, &syn, NULL), -ECANCELED);
  return NULL;
}

static void closed_while_waiting(void) {
  int by_stack;
  for (by_stack = 0; by_stack < 2; by_stack++) {
    int far;
    usertcp_stack_t stack = open_raw(&far);
    pthread_t thread;
    awaited = intercept(stack, "203.0.113.0/24");
    waiter = 0;
    thread = start(waits, NULL);
    sleeps(&waiter);
    if (by_stack) OK(usertcp_stack_close(stack, 0));
    else OK(usertcp_close(awaited));
    join(thread);
    if (!by_stack) OK(usertcp_stack_close(stack, 0));
    close(far);
  }
}

/* The kernel connects to many addresses and ports; ten threads decide by the port: accept, refuse, drop. */

#define DECIDERS 10
#define CLIENTS 240

static usertcp_socket_t inters[2];
static int accept_all;

static void decide(usertcp_syn_t syn, const usertcp_syn_info_t *info) {
  const struct sockaddr_in *v4 = (const struct sockaddr_in *)&info->local;
  int port = ntohs(v4->sin_port), verdict = port % 3;
  char text[USERTCP_ADDRSTRLEN];
  usertcp_socket_t s = 0;
  if (verdict == 1) {
    OK(usertcp_syn_refuse(syn));
  } else if (verdict == 2 && !__atomic_load_n(&accept_all, __ATOMIC_SEQ_CST)) {
    OK(usertcp_syn_drop(syn));
  } else {
    int length = usertcp_format_addr((const struct sockaddr *)&info->local, info->local_length, text, sizeof text);
    CHECK(length > 0);
    OK(usertcp_syn_accept(syn, 0, 10000, &s));
    EQUAL(usertcp_send(s, text, (size_t)length, 0), length);
    OK(usertcp_close(s));
  }
}

static void *decides(void *argument) {
  usertcp_socket_t interceptor = *(usertcp_socket_t *)argument;
  for (;;) {
    usertcp_syn_info_t info = USERTCP_SYN_INFO_INIT;
    usertcp_syn_t syn = 0;
    int error = usertcp_intercept_next(interceptor, -1, &syn, &info);
    if (error == -ECANCELED || error == -EBADF) return NULL;
    OK(error);
    decide(syn, &info);
  }
}

static void target_of(int client, char *text, size_t size, int *port) {
  *port = 1000 + client;
  if (client % 2) snprintf(text, size, "[2001:db8:5::%x]:%d", 2 + client, *port);
  else snprintf(text, size, "203.0.113.%d:%d", 2 + client % 250, *port);
}

static void finish(int fd, const char *target, int expected) {
  struct pollfd entry = {-1, POLLOUT, 0};
  int error = -1;
  socklen_t length = sizeof error;
  char text[USERTCP_ADDRSTRLEN];
  ssize_t n;
  entry.fd = fd;
  /* Under a memory checker it takes its time. */
  CHECK(poll(&entry, 1, 300000) == 1);
  CHECK(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0);
  EQUAL(error, expected);
  if (expected == 0) {
    CHECK(fcntl(fd, F_SETFL, 0) == 0);
    n = recv(fd, text, sizeof text, MSG_WAITALL);
    EQUAL(n, strlen(target));
    CHECK(memcmp(text, target, (size_t)n) == 0);
  }
  close(fd);
}

static void the_kernel_connects(uint32_t workers) {
  usertcp_sandbox_config_t config = USERTCP_SANDBOX_CONFIG_INIT;
  usertcp_config_t stack_config = USERTCP_CONFIG_INIT;
  usertcp_sandbox_t sandbox;
  usertcp_stack_t stack;
  pthread_t threads[DECIDERS];
  int fds[CLIENTS], queues[4], tun, error, i, port;
  /* Under a memory checker the others take longer than the kernel would ask for. */
  int patience = 12;
  char text[USERTCP_ADDRSTRLEN];
  config.queues = workers;
  config.host_addresses = "192.0.2.1/24,203.0.113.1/24,2001:db8::1/64,2001:db8:5::1/64";
  error = usertcp_sandbox_open(&config, &sandbox);
  if (error == -EPERM || error == -EACCES || error == -ENOENT || error == -ENOSPC || error == -ENODEV) {
    usertcp_last_error(text, sizeof text);
    printf("skipped: no sandbox is granted here: %s\n", text);
    exit(77);
  }
  OK(error);
  stack_config.addresses = "192.0.2.2/24,2001:db8::2/64";
  tun = usertcp_sandbox_tun(sandbox);
  stack_config.fd = tun;
  if (workers > 1) {
    EQUAL(usertcp_sandbox_queues(sandbox, queues, 4), workers);
    stack_config.queues = queues;
    stack_config.workers = workers;
    stack_config.fd = -1;
  }
  OK(usertcp_stack_open(&stack_config, &stack));
  close(tun);
  for (i = 0; workers > 1 && i < (int)workers; i++) close(queues[i]);
  accept_all = 0;
  inters[0] = intercept(stack, "203.0.113.0/24");
  inters[1] = intercept(stack, "2001:db8:5::/64");
  for (i = 0; i < DECIDERS; i++) threads[i] = start(decides, &inters[i % 2]);
  for (i = 0; i < CLIENTS; i++) {
    address_t a;
    target_of(i, text, sizeof text, &port);
    a = address(text);
    fds[i] = usertcp_sandbox_socket(sandbox, domain_of(text), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    CHECK(fds[i] >= 0);
    CHECK(setsockopt(fds[i], IPPROTO_TCP, TCP_SYNCNT, &patience, sizeof patience) == 0);
    CHECK(connect(fds[i], ADDRESS(a)) == -1 && errno == EINPROGRESS);
  }
  for (i = 0; i < CLIENTS; i++) {
    target_of(i, text, sizeof text, &port);
    if (port % 3 != 2) finish(fds[i], text, port % 3 == 0 ? 0 : ECONNREFUSED);
  }
  for (i = 0; i < CLIENTS; i++) {
    struct pollfd entry = {-1, POLLOUT, 0};
    entry.fd = fds[i];
    target_of(i, text, sizeof text, &port);
    if (port % 3 == 2) EQUAL(poll(&entry, 1, 0), 0);
  }
  __atomic_store_n(&accept_all, 1, __ATOMIC_SEQ_CST);
  for (i = 0; i < CLIENTS; i++) {
    target_of(i, text, sizeof text, &port);
    if (port % 3 == 2) finish(fds[i], text, 0);
  }
  EQUAL(counter(stack, "tcp_syns_accepted"), 2 * CLIENTS / 3);
  EQUAL(counter(stack, "tcp_syns_refused"), CLIENTS / 3);
  OK(usertcp_close(inters[0]));
  OK(usertcp_close(inters[1]));
  for (i = 0; i < DECIDERS; i++) join(threads[i]);
  usertcp_stack_close(stack, 0);
  OK(usertcp_sandbox_close(sandbox));
}

int main(void) {
  pair_t pair = open_pair(NULL);
  a_connection_to_somebody_else(pair, "203.0.113.0/24", "203.0.113.77:8080");
  a_connection_to_somebody_else(pair, "2001:db8:5::/48", "[2001:db8:5:7::9]:443");
  a_connection_to_somebody_else(pair, "0.0.0.0/0", "8.8.8.8:53");
  a_connection_to_somebody_else(pair, "::/0", "[2001:4860:4860::8888]:65535");
  refused_and_dropped(pair);
  in_anothers_name(pair, "203.0.113.7:4000", "192.0.2.2:80");
  in_anothers_name(pair, "[2001:db8:5::7]:4000", "[2001:db8::2]:80");
  what_makes_no_sense(pair);
  readiness_shows(pair);
  close_pair(pair);
  who_never_answers();
  closed_while_waiting();
  the_kernel_connects(1);
  the_kernel_connects(2);
  return 0;
}
