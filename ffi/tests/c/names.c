/* Names: the errors of the calls, a server that is silent, and a real name server (dnsmasq) in a sandbox. */
#include "check.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char hosts_path[] = "/tmp/usertcp-names-XXXXXX";

/* What a lookup finds, in words, separated by blanks; or the name of its error. */
static const char *found(usertcp_stack_t stack, const char *name, const char *service, int family) {
  static char text[16384];
  struct sockaddr_storage addresses[256];
  int i, n = usertcp_resolve(stack, name, service, family, 10000, addresses, 256);
  size_t used = 0;
  if (n < 0) return usertcp_errname(n);
  text[0] = 0;
  for (i = 0; i < n; i++) {
    socklen_t length = addresses[i].ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    if (i > 0) text[used++] = ' ';
    CHECK(usertcp_format_addr((struct sockaddr *)&addresses[i], length, text + used, USERTCP_ADDRSTRLEN) > 0);
    used += strlen(text + used);
  }
  return text;
}

static void is(const char *got, const char *wanted) {
  if (strcmp(got, wanted) == 0) return;
  fprintf(stderr, "found %s\nwanted %s\n", got, wanted);
  exit(1);
}

static void last_error_has(const char *word) {
  char text[512];
  usertcp_last_error(text, sizeof text);
  if (strstr(text, word) != NULL) return;
  fprintf(stderr, "the error says nothing about '%s': %s\n", word, text);
  exit(1);
}

static void wrong_arguments(usertcp_stack_t stack) {
  struct sockaddr_storage address;
  usertcp_socket_t s = 9;
  EQUAL(usertcp_resolve(0, "localhost", NULL, AF_UNSPEC, 0, &address, 1), -EBADF);
  EQUAL(usertcp_resolve(stack, NULL, NULL, AF_UNSPEC, 0, &address, 1), -EFAULT);
  EQUAL(usertcp_resolve(stack, "localhost", NULL, AF_UNSPEC, 0, NULL, 1), -EFAULT);
  EQUAL(usertcp_resolve(stack, "localhost", NULL, AF_UNSPEC, 0, &address, 0), -EINVAL);
  EQUAL(usertcp_resolve(stack, "localhost", NULL, AF_UNIX, 0, &address, 1), -EAFNOSUPPORT);
  EQUAL(usertcp_resolve(stack, "localhost", "65536", AF_UNSPEC, 0, &address, 1), -EINVAL);
  last_error_has("65536");
  EQUAL(usertcp_resolve(stack, "localhost", "no-such-service", AF_UNSPEC, 0, &address, 1), -EINVAL);
  EQUAL(usertcp_resolve(stack, "b\xc3\xbc" "cher.example", NULL, AF_UNSPEC, 0, &address, 1), -EINVAL);
  last_error_has("xn--");
  EQUAL(usertcp_resolve(stack, "\xff", NULL, AF_UNSPEC, 0, &address, 1), -EINVAL);
  EQUAL(usertcp_resolve(stack, "name.invalid", NULL, AF_UNSPEC, 0, &address, 1), -ENOENT);
  EQUAL(usertcp_resolve(stack, "192.0.2.1", NULL, AF_INET6, 0, &address, 1), -ENODATA);
  EQUAL(usertcp_connect_to(0, "localhost:1", 0, 0, &s), -EBADF);
  EQUAL(usertcp_connect_to(stack, NULL, 0, 0, &s), -EFAULT);
  EQUAL(usertcp_connect_to(stack, "localhost:1", 0, 0, NULL), -EFAULT);
  EQUAL(usertcp_connect_to(stack, "localhost:1", 1, 0, &s), -EINVAL);
  EQUAL(usertcp_connect_to(stack, "localhost", 0, 0, &s), -EINVAL);
  EQUAL(usertcp_connect_to(stack, "2001:db8::1:80", 0, 0, &s), -EINVAL);
  EQUAL(usertcp_connect_to(stack, "name.invalid:1", 0, 0, &s), -ENOENT);
  EQUAL(usertcp_connect_to(stack, "localhost:1", 0, 10000, &s), -ECONNREFUSED);
  EQUAL(s, 9);
}

static void wrong_settings(void) {
  usertcp_stack_t stack = 7;
  int ends[2];
  usertcp_config_t config = USERTCP_CONFIG_INIT;
  CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
  config.fd = ends[0];
  config.addresses = "192.0.2.1/24";
#define WRONG(field, value, error, word) \
  do { \
    usertcp_config_t wrong = config; \
    wrong.field = value; \
    EQUAL(usertcp_stack_open(&wrong, &stack), error); \
    last_error_has(word); \
  } while (0)
  WRONG(nameservers, "dns.example", -EINVAL, "dns.example");
  WRONG(nameservers, "192.0.2.1,192.0.2.2,192.0.2.3,192.0.2.4", -EINVAL, "nameservers");
  WRONG(search, "a..b", -EINVAL, "a..b");
  WRONG(hosts, "/nowhere/hosts", -ENOENT, "/nowhere/hosts");
  WRONG(ndots, 16, -EINVAL, "ndots");
  WRONG(ndots, 256, -EINVAL, "ndots");
  WRONG(names_attempts, 6, -EINVAL, "attempts");
  WRONG(names_timeout_ms, 30001, -EINVAL, "timeout");
  WRONG(connect_delay_ms, 2001, -EINVAL, "connect_delay");
#undef WRONG
  close(ends[0]);
  close(ends[1]);
}

static pid_t looking_thread;

static void *looks_up(void *argument) {
  struct sockaddr_storage address;
  usertcp_stack_t stack = *(usertcp_stack_t *)argument;
  __atomic_store_n(&looking_thread, gettid(), __ATOMIC_SEQ_CST);
  EQUAL(usertcp_resolve(stack, "host.example", NULL, AF_UNSPEC, -1, &address, 1), -ECANCELED);
  return NULL;
}

static void ignore(int signal) {
  (void)signal;
}

static volatile int interrupted;

static void *is_interrupted(void *argument) {
  usertcp_socket_t s;
  usertcp_stack_t stack = *(usertcp_stack_t *)argument;
  __atomic_store_n(&looking_thread, gettid(), __ATOMIC_SEQ_CST);
  EQUAL(usertcp_connect_to(stack, "host.example:80", 0, -1, &s), -EINTR);
  interrupted = 1;
  return NULL;
}

/* The other stack has a socket at the name server's port, and never reads it. */
static void a_silent_server(void) {
  usertcp_config_t config = USERTCP_CONFIG_INIT;
  struct sockaddr_storage one;
  struct sigaction action;
  usertcp_socket_t server, s = 9;
  pair_t pair;
  pthread_t thread;
  address_t a = address("192.0.2.2:53");
  long before;
  pid_t child;
  int i;
  config.nameservers = "192.0.2.2";
  config.search = "";
  config.hosts = "";
  pair = open_pair(&config);
  wrong_arguments(pair.left);
  OK(usertcp_socket(pair.right, AF_INET, SOCK_DGRAM, 0, &server));
  OK(usertcp_bind(server, ADDRESS(a)));

  before = now_ms();
  EQUAL(usertcp_resolve(pair.left, "host.example", NULL, AF_UNSPEC, 50, &one, 1), -ETIMEDOUT);
  EQUAL(usertcp_connect_to(pair.left, "host.example:80", 0, 50, &s), -ETIMEDOUT);
  EQUAL(usertcp_resolve(pair.left, "host.example", NULL, AF_UNSPEC, 0, &one, 1), -ETIMEDOUT);
  CHECK(now_ms() - before >= 100);
  is(found(pair.left, "localhost", "80", AF_UNSPEC), "[::1]:80 127.0.0.1:80");
  if (access("/etc/services", R_OK) == 0) is(found(pair.left, "localhost", "http", AF_UNSPEC), "[::1]:80 127.0.0.1:80");
  else printf("skipped: names of services: there is no /etc/services\n");
  is(found(pair.left, "192.0.2.9", NULL, AF_UNSPEC), "192.0.2.9:0");
  is(found(pair.left, "fe80::1%1", "1", AF_INET6), "[fe80::1]:1");

  child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    EQUAL(usertcp_resolve(pair.left, "localhost", NULL, AF_UNSPEC, 0, &one, 1), -ECHILD);
    EQUAL(usertcp_connect_to(pair.left, "localhost:1", 0, 0, &s), -ECHILD);
    /* It spares a memory checker the stacks of threads that are not there. */
    execlp("true", "true", (char *)NULL);
    _exit(1);
  }
  CHECK(waitpid(child, &i, 0) == child);
  EQUAL(i, 0);

  memset(&action, 0, sizeof action);
  action.sa_handler = ignore;
  CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
  thread = start(is_interrupted, &pair.left);
  sleeps(&looking_thread);
  while (!interrupted) {
    CHECK(pthread_kill(thread, SIGUSR1) == 0);
    sched_yield();
  }
  join(thread);

  looking_thread = 0;
  thread = start(looks_up, &pair.left);
  sleeps(&looking_thread);
  OK(usertcp_stack_close(pair.left, 0));
  join(thread);
  EQUAL(usertcp_resolve(pair.left, "localhost", NULL, AF_UNSPEC, 0, &one, 1), -EBADF);
  OK(usertcp_stack_close(pair.right, 0));
}

static usertcp_sandbox_t sandbox;
static usertcp_stack_t stack;
static usertcp_child_t dnsmasq;

/* Returns why there is no name server, if there is none. */
static const char *open_sandbox(void) {
  usertcp_sandbox_config_t config = USERTCP_SANDBOX_CONFIG_INIT;
  usertcp_config_t stack_config = USERTCP_CONFIG_INIT;
  char file[128];
  char path[4096];
  const char *argv[] = {"dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--no-resolv", "--no-hosts",
                        file, "--port=5353", "--listen-address=192.0.2.1", "--listen-address=2001:db8::1",
                        "--bind-interfaces", "--pid-file=",
                        "--local=/example/", "--cname=alias.example,both.example", "--local-ttl=60", NULL};
  int error, tun, i, streams[3], fd = mkstemp(hosts_path);
  FILE *hosts = fd < 0 ? NULL : fdopen(fd, "w");
  CHECK(hosts != NULL);
  fprintf(hosts, "192.0.2.1 both.example\n2001:db8::1 both.example\n192.0.2.1 four.example h.corp.example\n");
  fprintf(hosts, "2001:db8::99 half.example\n192.0.2.1 half.example\n");
  for (i = 0; i < 200; i++) fprintf(hosts, "198.51.100.%d many.example\n", i);
  CHECK(fclose(hosts) == 0);
  CHECK(chmod(hosts_path, 0644) == 0);
  snprintf(file, sizeof file, "--addn-hosts=%s", hosts_path);
  config.host_addresses = "192.0.2.1/24,2001:db8::1/64";
  error = usertcp_sandbox_open(&config, &sandbox);
  if (error == -EPERM || error == -EACCES || error == -ENOENT || error == -ENOSPC || error == -ENODEV)
    return "no sandbox is granted here";
  OK(error);
  streams[0] = streams[1] = streams[2] = open("/dev/null", O_RDWR | O_CLOEXEC);
  CHECK(streams[0] >= 0);
  error = usertcp_sandbox_spawn(sandbox, argv, NULL, streams, &dnsmasq);
  if (error == -ENOENT) {
    /* An ordinary user's PATH leaves it out. */
    argv[0] = "/usr/sbin/dnsmasq";
    error = usertcp_sandbox_spawn(sandbox, argv, NULL, streams, &dnsmasq);
  }
  close(streams[0]);
  if (error == -ENOENT) return "dnsmasq is not installed (apt install dnsmasq-base)";
  OK(error);
  tun = usertcp_sandbox_tun(sandbox);
  CHECK(tun >= 0);
  stack_config.fd = tun;
  stack_config.addresses = "192.0.2.2/24,2001:db8::2/64";
  stack_config.nameservers = "192.0.2.1:5353, [2001:db8::1]:5353";
  stack_config.search = "corp.example";
  stack_config.hosts = "";
  stack_config.ndots = 1;
  stack_config.names_timeout_ms = 1500;
  stack_config.names_attempts = 2;
  stack_config.connect_delay_ms = 100;
  stack_config.pcap = judged(path, sizeof path);
  OK(usertcp_stack_open(&stack_config, &stack));
  close(tun);
  return NULL;
}

/* Whom "host:port" leads to. */
static const char *peer(const char *target, int flags) {
  static char text[USERTCP_ADDRSTRLEN];
  struct sockaddr_storage address;
  socklen_t length = sizeof address;
  usertcp_socket_t s = 0;
  char byte;
  OK(usertcp_connect_to(stack, target, flags, 10000, &s));
  OK(usertcp_getpeername(s, (struct sockaddr *)&address, &length));
  if (flags != 0) EQUAL(usertcp_recv(s, &byte, 1, 0), -EAGAIN);
  CHECK(usertcp_format_addr((struct sockaddr *)&address, length, text, sizeof text) > 0);
  OK(usertcp_close(s));
  return text;
}

static int kernel_listener(const char *text) {
  address_t a = address(text);
  int on = 1, s = usertcp_sandbox_socket(sandbox, domain_of(text), SOCK_STREAM | SOCK_CLOEXEC, 0);
  CHECK(s >= 0);
  if (domain_of(text) == AF_INET6) CHECK(setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) == 0);
  CHECK(bind(s, ADDRESS(a)) == 0 && listen(s, 8) == 0);
  return s;
}

static void a_real_server(void) {
  struct sockaddr_storage addresses[256];
  uint64_t before, after;
  long end = now_ms() + 20000;
  usertcp_socket_t s;
  int i, four, six;
  /* Until it listens its port is closed. */
  while (strcmp(found(stack, "both.example", "80", AF_UNSPEC), "EREMOTEIO") == 0) {
    CHECK(now_ms() < end);
    EQUAL(usertcp_child_wait(dnsmasq, USERTCP_NONBLOCK, NULL), -EAGAIN);
  }
  is(found(stack, "both.example", "80", AF_UNSPEC), "[2001:db8::1]:80 192.0.2.1:80");
  is(found(stack, "BOTH.example.", "80", AF_INET), "192.0.2.1:80");
  is(found(stack, "both.example", "80", AF_INET6), "[2001:db8::1]:80");
  is(found(stack, "alias.example", "80", AF_UNSPEC), "[2001:db8::1]:80 192.0.2.1:80");
  is(found(stack, "h", "80", AF_UNSPEC), "192.0.2.1:80");
  is(found(stack, "four.example", "80", AF_INET6), "ENODATA");
  is(found(stack, "none.example", "80", AF_UNSPEC), "ENOENT");
  is(found(stack, "none", "80", AF_UNSPEC), "EREMOTEIO");
  last_error_has("REFUSED");
  OK(usertcp_stack_counter(stack, "tcp_active_opens", &before));
  EQUAL(usertcp_resolve(stack, "many.example", "80", AF_UNSPEC, 10000, addresses, 256), 200);
  OK(usertcp_stack_counter(stack, "tcp_active_opens", &after));
  EQUAL(after - before, 1);
  EQUAL(usertcp_resolve(stack, "many.example", "80", AF_INET, 0, addresses, 3), 3);

  four = kernel_listener("192.0.2.1:8080");
  six = kernel_listener("[2001:db8::1]:8080");
  is(peer("both.example:8080", 0), "[2001:db8::1]:8080");
  is(peer("four.example:8080", USERTCP_NONBLOCK), "192.0.2.1:8080");
  is(peer("half.example:8080", 0), "192.0.2.1:8080");
  is(peer("h:8080", 0), "192.0.2.1:8080");
  is(peer("192.0.2.1:8080", 0), "192.0.2.1:8080");
  is(peer("[2001:db8::1]:8080", 0), "[2001:db8::1]:8080");
  close(six);
  is(peer("both.example:8080", 0), "192.0.2.1:8080");
  close(four);
  EQUAL(usertcp_connect_to(stack, "both.example:8080", 0, 10000, &s), -ECONNREFUSED);
  EQUAL(usertcp_connect_to(stack, "none.example:8080", 0, 10000, &s), -ENOENT);
  OK(usertcp_child_kill(dnsmasq, SIGKILL));
  OK(usertcp_child_wait(dnsmasq, 0, &i));
  is(found(stack, "fresh.example", "80", AF_UNSPEC), "EREMOTEIO");
  last_error_has("Connection refused");
  is(found(stack, "both.example", "80", AF_INET), "192.0.2.1:80");
  i = usertcp_stack_close(stack, 0);
  CHECK(i == 0 || i == -ETIMEDOUT);
  OK(usertcp_child_close(dnsmasq));
  OK(usertcp_sandbox_close(sandbox));
}

int main(void) {
  const char *missing;
  wrong_settings();
  a_silent_server();
  missing = open_sandbox();
  if (missing == NULL) a_real_server();
  unlink(hosts_path);
  if (missing == NULL) return 0;
  printf("skipped: names from a real name server: %s\n", missing);
  return 77;
}
