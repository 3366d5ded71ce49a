/* What the test programs share: checks that say where and what, patience, and two stacks on one link. */
#ifndef CHECK_H
#define CHECK_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "usertcp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#define CHECK(condition) \
  do { \
    if (!(condition)) { \
      fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition); \
      exit(1); \
    } \
  } while (0)

/* The call returns exactly this. */
#define EQUAL(call, expected) \
  do { \
    long long got_ = (long long)(call), want_ = (long long)(expected); \
    if (got_ != want_) { \
      explain(__FILE__, __LINE__, #call, got_, want_); \
      exit(1); \
    } \
  } while (0)

/* The call succeeds. */
#define OK(call) EQUAL(call, 0)

static inline void explain(const char *file, int line, const char *call, long long got, long long want) {
  char detail[512];
  usertcp_last_error(detail, sizeof detail);
  fprintf(stderr, "%s:%d: %s\n  returned %lld", file, line, call, got);
  if (got < 0 && got > -4096) fprintf(stderr, " (%s: %s)", usertcp_errname((int)got), detail);
  fprintf(stderr, "\n  expected %lld", want);
  if (want < 0 && want > -4096) fprintf(stderr, " (%s)", usertcp_errname((int)want));
  fprintf(stderr, "\n");
}

static inline long now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (long)(now.tv_sec * 1000 + now.tv_nsec / 1000000);
}

static inline pthread_t start(void *(*body)(void *), void *argument) {
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, body, argument) == 0);
  return thread;
}

static inline void join(pthread_t thread) {
  CHECK(pthread_join(thread, NULL) == 0);
}

/* What the kernel says about a thread: 'S' is asleep. */
static inline char state_of(pid_t thread) {
  char path[64], line[512];
  const char *name_end;
  FILE *file;
  snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)thread);
  file = fopen(path, "r");
  CHECK(file != NULL && fgets(line, sizeof line, file) != NULL);
  fclose(file);
  name_end = strrchr(line, ')');
  CHECK(name_end != NULL);
  return name_end[2];
}

/* Returns when the thread, once its number is known, sleeps: at a hundred looks in a row it sleeps in the call, since nothing before
   waits that long. */
static inline void sleeps(pid_t *number) {
  int looks = 0;
  pid_t thread;
  while ((thread = __atomic_load_n(number, __ATOMIC_SEQ_CST)) == 0) sched_yield();
  while (looks < 100) {
    looks = state_of(thread) == 'S' ? looks + 1 : 0;
    sched_yield();
  }
}

/* An address of text, as the calls take it. */
typedef struct {
  struct sockaddr_storage storage;
  socklen_t length;
} address_t;

#define ADDRESS(a) ((struct sockaddr *)&(a).storage), (a).length

static inline address_t address(const char *text) {
  address_t a;
  OK(usertcp_parse_addr(text, &a.storage, &a.length));
  return a;
}

/* Two stacks on a link made of a socket pair: `left` is 192.0.2.1 and 2001:db8::1, `right` is .2 and ::2. */
typedef struct {
  usertcp_stack_t left, right;
} pair_t;

/* Where a stack's packets go to be judged when the program has ended: the file's name in `path`; NULL if nobody judges. */
static inline const char *judged(char *path, size_t size) {
  static int count = 0;
  const char *folder = getenv("USERTCP_JUDGED");
  if (folder == NULL) return NULL;
  snprintf(path, size, "%s/%ld-%d.pcapng", folder, (long)getpid(), count++);
  return path;
}

static inline pair_t open_pair(const usertcp_config_t *base) {
  usertcp_config_t config = USERTCP_CONFIG_INIT;
  pair_t pair;
  char path[4096];
  int ends[2];
  if (base != NULL) config = *base;
  CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
  config.fd = ends[0];
  config.addresses = "192.0.2.1/24,2001:db8::1/64";
  if (config.pcap == NULL) config.pcap = judged(path, sizeof(path));
  OK(usertcp_stack_open(&config, &pair.left));
  config.fd = ends[1];
  config.addresses = "192.0.2.2/24, 2001:db8::2/64";
  config.log = NULL;
  config.pcap = judged(path, sizeof(path));
  OK(usertcp_stack_open(&config, &pair.right));
  /* The stacks work on duplicates. */
  close(ends[0]);
  close(ends[1]);
  return pair;
}

static inline void close_pair(pair_t pair) {
  int left = usertcp_stack_close(pair.left, 0), right = usertcp_stack_close(pair.right, 0);
  CHECK(left == 0 || left == -ETIMEDOUT);
  CHECK(right == 0 || right == -ETIMEDOUT);
}

static inline usertcp_socket_t make_socket(usertcp_stack_t stack, int domain) {
  usertcp_socket_t s = 0;
  OK(usertcp_socket(stack, domain, SOCK_STREAM, 0, &s));
  CHECK(s != 0);
  return s;
}

static inline int domain_of(const char *text) {
  return text[0] == '[' ? AF_INET6 : AF_INET;
}

static inline usertcp_socket_t listen_on(usertcp_stack_t stack, const char *text) {
  usertcp_socket_t s = make_socket(stack, domain_of(text));
  address_t a = address(text);
  OK(usertcp_bind(s, ADDRESS(a)));
  OK(usertcp_listen(s, 128));
  return s;
}

static inline usertcp_socket_t connect_to(usertcp_stack_t stack, const char *text) {
  usertcp_socket_t s = make_socket(stack, domain_of(text));
  address_t a = address(text);
  OK(usertcp_connect(s, ADDRESS(a)));
  return s;
}

static inline usertcp_socket_t accept_one(usertcp_socket_t listener) {
  usertcp_socket_t s = 0;
  OK(usertcp_accept(listener, &s, NULL, NULL, 0));
  return s;
}

/* Two ends of one connection over the link. */
typedef struct {
  usertcp_socket_t left, right;
} ends_t;

static inline ends_t connect_ends(pair_t pair, const char *text) {
  ends_t ends;
  usertcp_socket_t listener = listen_on(pair.left, text);
  ends.right = connect_to(pair.right, text);
  ends.left = accept_one(listener);
  OK(usertcp_close(listener));
  return ends;
}

/* Byte `n` of the stream that the tests send. */
static inline unsigned char pattern(size_t n) {
  return (unsigned char)(n * 31 + (n >> 8) * 7 + (n >> 16));
}

static inline void send_pattern(usertcp_socket_t s, size_t total) {
  unsigned char block[20000];
  size_t sent = 0;
  while (sent < total) {
    size_t i, n = total - sent < sizeof block ? total - sent : sizeof block;
    for (i = 0; i < n; i++) block[i] = pattern(sent + i);
    EQUAL(usertcp_send(s, block, n, 0), n);
    sent += n;
  }
}

static inline void receive_pattern(usertcp_socket_t s, size_t total) {
  unsigned char block[30000];
  size_t i, received = 0;
  while (received < total) {
    ssize_t n = usertcp_recv(s, block, sizeof block, 0);
    if (n <= 0) EQUAL(n, total - received);
    for (i = 0; i < (size_t)n; i++) CHECK(block[i] == pattern(received + i));
    received += (size_t)n;
  }
  EQUAL(received, total);
}

#endif
