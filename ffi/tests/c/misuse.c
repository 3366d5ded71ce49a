/* Wrong handles, pointers, lengths, sizes and flags: a documented error each, never a crash. */
#include "check.h"

static usertcp_socket_t some_socket;
static usertcp_stack_t some_stack;

/* Every function that takes a socket, with a handle that is none. */
static void socket_calls_refuse(usertcp_socket_t s) {
  address_t a = address("192.0.2.1:80");
  usertcp_tcp_info_t info = USERTCP_TCP_INFO_INIT;
  usertcp_socket_t made = 0;
  char byte = 0;
  int value = 1;
  socklen_t length = sizeof value;
  EQUAL(usertcp_bind(s, ADDRESS(a)), -EBADF);
  EQUAL(usertcp_listen(s, 1), -EBADF);
  EQUAL(usertcp_accept(s, &made, NULL, NULL, 0), -EBADF);
  EQUAL(usertcp_connect(s, ADDRESS(a)), -EBADF);
  EQUAL(usertcp_send(s, &byte, 1, 0), -EBADF);
  EQUAL(usertcp_recv(s, &byte, 1, 0), -EBADF);
  EQUAL(usertcp_shutdown(s, SHUT_WR), -EBADF);
  EQUAL(usertcp_getsockname(s, (struct sockaddr *)&a.storage, &a.length), -EBADF);
  EQUAL(usertcp_getpeername(s, (struct sockaddr *)&a.storage, &a.length), -EBADF);
  EQUAL(usertcp_setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &value, sizeof value), -EBADF);
  EQUAL(usertcp_getsockopt(s, IPPROTO_TCP, TCP_NODELAY, &value, &length), -EBADF);
  EQUAL(usertcp_set_timeout(s, 1, 1), -EBADF);
  EQUAL(usertcp_set_nonblock(s, 1), -EBADF);
  EQUAL(usertcp_tcp_info(s, &info), -EBADF);
  EQUAL(usertcp_close(s), -EBADF);
  EQUAL(usertcp_abort(s), -EBADF);
}

static void stack_calls_refuse(usertcp_stack_t s) {
  usertcp_socket_t made = 0;
  uint64_t value;
  char text[16];
  EQUAL(usertcp_socket(s, AF_INET, SOCK_STREAM, 0, &made), -EBADF);
  EQUAL(usertcp_stack_counter(s, "frames_in", &value), -EBADF);
  EQUAL(usertcp_stack_counter_at(s, 0, NULL, NULL, NULL), -EBADF);
  EQUAL(usertcp_stack_device(s, text, sizeof text), -EBADF);
  EQUAL(usertcp_stack_offloaded(s), -EBADF);
  EQUAL(usertcp_stack_close(s, 0), -EBADF);
}

static void sandbox_calls_refuse(uint64_t s) {
  const char *const argv[] = {"true", NULL};
  usertcp_child_t child = 0;
  int status;
  EQUAL(usertcp_sandbox_tun(s), -EBADF);
  EQUAL(usertcp_sandbox_socket(s, AF_INET, SOCK_STREAM, 0), -EBADF);
  EQUAL(usertcp_sandbox_spawn(s, argv, NULL, NULL, &child), -EBADF);
  EQUAL(usertcp_sandbox_close(s), -EBADF);
  EQUAL(usertcp_child_pid(s), -EBADF);
  EQUAL(usertcp_child_kill(s, 15), -EBADF);
  EQUAL(usertcp_child_wait(s, 0, &status), -EBADF);
  EQUAL(usertcp_child_close(s), -EBADF);
}

static void handles_that_name_nothing(void) {
  usertcp_socket_t stale = make_socket(some_stack, AF_INET), again;
  usertcp_pollfd_t entries[3];
  char text[200];
  OK(usertcp_close(stale));
  socket_calls_refuse(stale);
  again = make_socket(some_stack, AF_INET);
  socket_calls_refuse(stale);
  socket_calls_refuse(0);
  socket_calls_refuse((usertcp_socket_t)-1);
  socket_calls_refuse(some_stack);
  stack_calls_refuse(0);
  stack_calls_refuse(some_socket);
  sandbox_calls_refuse(0);
  sandbox_calls_refuse(some_socket);
  sandbox_calls_refuse(some_stack);
  usertcp_close(stale);
  usertcp_last_error(text, sizeof text);
  CHECK(strstr(text, "not open") != NULL);

  memset(entries, 0, sizeof entries);
  entries[1].socket = stale;
  entries[1].events = USERTCP_POLLIN;
  entries[2].socket = some_stack;
  EQUAL(usertcp_poll(entries, 3, -1), 2);
  EQUAL(entries[0].revents, 0);
  EQUAL(entries[1].revents, USERTCP_POLLNVAL);
  EQUAL(entries[2].revents, USERTCP_POLLNVAL);
  OK(usertcp_close(again));
}

static void null_pointers(void) {
  usertcp_config_t config = USERTCP_CONFIG_INIT;
  usertcp_stack_t stack = 0;
  usertcp_socket_t made = 0;
  usertcp_sandbox_t sandbox = 0;
  usertcp_sandbox_config_t sandbox_config = USERTCP_SANDBOX_CONFIG_INIT;
  struct sockaddr_storage storage;
  socklen_t length = sizeof storage;
  uint64_t value;
  int option = 1;
  EQUAL(usertcp_stack_open(NULL, &stack), -EFAULT);
  EQUAL(usertcp_stack_open(&config, NULL), -EFAULT);
  EQUAL(usertcp_sandbox_open(NULL, &sandbox), -EFAULT);
  EQUAL(usertcp_sandbox_open(&sandbox_config, NULL), -EFAULT);
  EQUAL(usertcp_stack_device(some_stack, NULL, 16), -EFAULT);
  EQUAL(usertcp_stack_counter(some_stack, NULL, &value), -EFAULT);
  EQUAL(usertcp_stack_counter(some_stack, "frames_in", NULL), -EFAULT);
  EQUAL(usertcp_socket(some_stack, AF_INET, SOCK_STREAM, 0, NULL), -EFAULT);
  EQUAL(usertcp_bind(some_socket, NULL, sizeof storage), -EFAULT);
  EQUAL(usertcp_connect(some_socket, NULL, sizeof storage), -EFAULT);
  EQUAL(usertcp_accept(some_socket, NULL, NULL, NULL, 0), -EFAULT);
  EQUAL(usertcp_accept(some_socket, &made, NULL, &length, 0), -EFAULT);
  EQUAL(usertcp_accept(some_socket, &made, (struct sockaddr *)&storage, NULL, 0), -EFAULT);
  EQUAL(usertcp_send(some_socket, NULL, 1, 0), -EFAULT);
  EQUAL(usertcp_recv(some_socket, NULL, 1, 0), -EFAULT);
  EQUAL(usertcp_getsockname(some_socket, NULL, &length), -EFAULT);
  EQUAL(usertcp_getsockname(some_socket, NULL, NULL), -EFAULT);
  EQUAL(usertcp_getsockname(some_socket, (struct sockaddr *)&storage, NULL), -EFAULT);
  EQUAL(usertcp_setsockopt(some_socket, IPPROTO_TCP, TCP_NODELAY, NULL, 4), -EFAULT);
  EQUAL(usertcp_getsockopt(some_socket, IPPROTO_TCP, TCP_NODELAY, NULL, &length), -EFAULT);
  EQUAL(usertcp_getsockopt(some_socket, IPPROTO_TCP, TCP_NODELAY, &option, NULL), -EFAULT);
  EQUAL(usertcp_tcp_info(some_socket, NULL), -EFAULT);
  EQUAL(usertcp_poll(NULL, 1, 0), -EFAULT);
  EQUAL(usertcp_poll(NULL, 0, 0), 0);
}

static void wrong_lengths(void) {
  address_t a = address("192.0.2.1:80"), six = address("[2001:db8::1]:80");
  struct sockaddr_in name;
  socklen_t length = 4;
  int value = 1;
  char byte = 0;
  usertcp_socket_t made = 0;
  usertcp_pollfd_t entry;
  memset(&entry, 0, sizeof entry);
  EQUAL(usertcp_bind(some_socket, (struct sockaddr *)&a.storage, 0), -EINVAL);
  EQUAL(usertcp_bind(some_socket, (struct sockaddr *)&a.storage, 15), -EINVAL);
  EQUAL(usertcp_connect(some_socket, (struct sockaddr *)&a.storage, 15), -EINVAL);
  EQUAL(usertcp_connect(some_socket, (struct sockaddr *)&six.storage, 27), -EINVAL);
  EQUAL(usertcp_send(some_socket, &byte, (size_t)-1, 0), -EINVAL);
  EQUAL(usertcp_recv(some_socket, &byte, (size_t)-1, 0), -EINVAL);
  EQUAL(usertcp_poll(&entry, (size_t)-1, 0), -EINVAL);
  EQUAL(usertcp_setsockopt(some_socket, IPPROTO_TCP, TCP_NODELAY, &value, 1), -EINVAL);
  length = (socklen_t)-1;
  EQUAL(usertcp_getsockopt(some_socket, IPPROTO_TCP, TCP_NODELAY, &value, &length), -EINVAL);
  EQUAL(usertcp_getsockname(some_socket, (struct sockaddr *)&a.storage, &length), -EINVAL);
  EQUAL(usertcp_setsockopt(some_socket, IPPROTO_TCP, TCP_CONGESTION, "reno", length), -EINVAL);
  EQUAL(usertcp_accept(some_socket, &made, (struct sockaddr *)&a.storage, &length, 0), -EINVAL);
  EQUAL(made, 0);
  EQUAL(usertcp_recvfrom(some_socket, &byte, 1, 0, (struct sockaddr *)&a.storage, &length), -EINVAL);
  EQUAL(usertcp_bind(some_socket, (struct sockaddr *)&a.storage, length), -EINVAL);
  EQUAL(usertcp_connect(some_socket, (struct sockaddr *)&a.storage, length), -EINVAL);
  /* A name that does not fit is cut, and its length told. */
  memset(&name, 0x55, sizeof name);
  length = 4;
  OK(usertcp_getsockname(some_socket, (struct sockaddr *)&name, &length));
  EQUAL(length, sizeof(struct sockaddr_in));
  EQUAL(name.sin_family, AF_INET);
  EQUAL(name.sin_addr.s_addr, 0x55555555);
}

static void wrong_sizes_of_structs(void) {
  struct {
    usertcp_config_t config;
    char later[32];
  } grown;
  struct {
    usertcp_tcp_info_t info;
    char later[32];
  } info;
  usertcp_config_t fresh = USERTCP_CONFIG_INIT;
  usertcp_impairment_t impairment = USERTCP_IMPAIRMENT_INIT;
  usertcp_stack_t stack = 0;
  memset(&grown, 0, sizeof grown);
  grown.config = fresh;
  grown.config.addresses = "not an address";
  grown.config.size = 0;
  EQUAL(usertcp_stack_open(&grown.config, &stack), -EINVAL);
  grown.config.size = offsetof(usertcp_config_t, impairment_in) - 1;
  EQUAL(usertcp_stack_open(&grown.config, &stack), -EINVAL);
  grown.config.size = 1 << 20;
  EQUAL(usertcp_stack_open(&grown.config, &stack), -E2BIG);
  /* A later version's struct is fine while it does not use what it has more: the next complaint is about the address. */
  grown.config.size = sizeof grown;
  EQUAL(usertcp_stack_open(&grown.config, &stack), -EINVAL);
  grown.later[31] = 1;
  EQUAL(usertcp_stack_open(&grown.config, &stack), -E2BIG);
  fresh.impairment = &impairment;
  impairment.size = 8;
  EQUAL(usertcp_stack_open(&fresh, &stack), -EINVAL);

  memset(&info, 0x55, sizeof info);
  info.info.size = 3;
  EQUAL(usertcp_tcp_info(some_socket, &info.info), -EINVAL);
  info.info.size = 5000;
  EQUAL(usertcp_tcp_info(some_socket, &info.info), -E2BIG);
  info.info.size = sizeof info;
  OK(usertcp_tcp_info(some_socket, &info.info));
  EQUAL(info.info.size, sizeof info);
  EQUAL(info.info.tcpi_state, TCP_CLOSE);
  EQUAL(info.later[0], 0);
  EQUAL(info.later[31], 0);
}

static void last_error_has(const char *word) {
  char text[300];
  usertcp_last_error(text, sizeof text);
  if (strstr(text, word) == NULL) {
    fprintf(stderr, "the error says nothing about '%s': %s\n", word, text);
    exit(1);
  }
}

/* What a program that was built against an older header passes: nothing behind its struct is read or written. */
static void older_and_smaller_structs(void) {
  usertcp_config_t fresh = USERTCP_CONFIG_INIT, config;
  usertcp_impairment_t faults = USERTCP_IMPAIRMENT_INIT, older;
  usertcp_sandbox_config_t sandbox_config = USERTCP_SANDBOX_CONFIG_INIT;
  usertcp_intercept_config_t prefix = USERTCP_INTERCEPT_CONFIG_INIT;
  usertcp_syn_info_t syn = USERTCP_SYN_INFO_INIT;
  usertcp_tcp_info_t info;
  usertcp_socket_info_t row = USERTCP_SOCKET_INFO_INIT;
  usertcp_end_reason_t reason = USERTCP_END_REASON_INIT;
  usertcp_stack_t stack = 0;
  usertcp_sandbox_t sandbox = 0;
  usertcp_socket_t s[3], made = 0;
  usertcp_syn_t request = 0;
  address_t nobody = address("192.0.2.1:81");
  unsigned char rows[4 * sizeof row];
  size_t i, at, known = offsetof(usertcp_config_t, impairment_in);
  const size_t strides[3] = {offsetof(usertcp_socket_info_t, info), offsetof(usertcp_socket_info_t, info) + 168, sizeof row};
  int ends[2];
  CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == 0);
  memset(&older, 0xff, sizeof older);
  memcpy(&older, &faults, offsetof(usertcp_impairment_t, reorder_jitter_us));
  older.size = offsetof(usertcp_impairment_t, reorder_jitter_us);
  memset(&config, 0xff, sizeof config);
  fresh.size = (uint32_t)known;
  fresh.fd = ends[0];
  fresh.addresses = "192.0.2.1/24";
  fresh.impairment = &older;
  memcpy(&config, &fresh, known);
  OK(usertcp_stack_open(&config, &stack));
  older.size--;
  EQUAL(usertcp_stack_open(&config, &stack), -EINVAL);

  memset(&info, 0x55, sizeof info);
  info.size = 168;
  s[0] = listen_on(stack, "192.0.2.1:80");
  OK(usertcp_tcp_info(s[0], &info));
  EQUAL(info.size, 168);
  EQUAL(info.tcpi_state, TCP_LISTEN);
  EQUAL(info.tcpi_dsack_dups, 0);
  for (i = 168; i < sizeof info; i++) EQUAL(((unsigned char *)&info)[i], 0x55);
  info.size = 167;
  EQUAL(usertcp_tcp_info(s[0], &info), -EINVAL);

  /* Its rows lie as far apart as it says. */
  for (i = 1; i < 3; i++) s[i] = make_socket(stack, AF_INET6);
  for (at = 0; at < 3; at++) {
    size_t stride = strides[at];
    memset(rows, 0x55, sizeof rows);
    row.size = (uint32_t)stride;
    for (i = 0; i < 3; i++) memcpy(rows + i * stride, &row, stride);
    EQUAL(usertcp_stack_sockets(stack, (usertcp_socket_info_t *)(void *)rows, 3), 3);
    for (i = 0; i < 3; i++) {
      usertcp_socket_info_t got = USERTCP_SOCKET_INFO_INIT;
      memcpy(&got, rows + i * stride, stride);
      EQUAL(got.size, stride);
      EQUAL(got.kind, SOCK_STREAM);
      EQUAL(got.held, 1);
      CHECK(strcmp(got.congestion, "cubic") == 0);
      if (at > 0) EQUAL(got.info.size, stride - strides[0]);
    }
    for (i = 3 * stride; i < sizeof rows; i++) EQUAL(rows[i], 0x55);
  }
  row.size = (uint32_t)strides[0] - 1;
  memcpy(rows, &row, sizeof row);
  EQUAL(usertcp_stack_sockets(stack, (usertcp_socket_info_t *)(void *)rows, 1), -EINVAL);

  /* Of these there is no older one yet. */
  prefix.prefix = "198.51.100.0/24";
  prefix.size = 23;
  EQUAL(usertcp_intercept_open(stack, &prefix, USERTCP_NONBLOCK, &made), -EINVAL);
  prefix.size = 24;
  OK(usertcp_intercept_open(stack, &prefix, USERTCP_NONBLOCK, &made));
  syn.size = 279;
  EQUAL(usertcp_intercept_next(made, 0, &request, &syn), -EINVAL);
  syn.size = 280;
  EQUAL(usertcp_intercept_next(made, 0, &request, &syn), -EAGAIN);
  s[0] = make_socket(stack, AF_INET);
  EQUAL(usertcp_connect(s[0], ADDRESS(nobody)), -ECONNREFUSED);
  reason.size = 39;
  EQUAL(usertcp_end_reason(s[0], &reason), -EINVAL);
  reason.size = 40;
  OK(usertcp_end_reason(s[0], &reason));
  EQUAL(reason.error, ECONNREFUSED);
  OK(usertcp_stack_close(stack, 0));
  close(ends[0]);
  close(ends[1]);

  sandbox_config.host_addresses = "not an address";
  sandbox_config.size = 23;
  EQUAL(usertcp_sandbox_open(&sandbox_config, &sandbox), -EINVAL);
  sandbox_config.size = 24;
  /* What is behind it is not looked at: the complaint is about the address. */
  sandbox_config.reserved = 1;
  EQUAL(usertcp_sandbox_open(&sandbox_config, &sandbox), -EINVAL);
  last_error_has("not an address");
  sandbox_config.size = sizeof sandbox_config;
  EQUAL(usertcp_sandbox_open(&sandbox_config, &sandbox), -EINVAL);
  last_error_has("reserved");
  sandbox_config.reserved = 0;
  sandbox_config.flags = 1;
  EQUAL(usertcp_sandbox_open(&sandbox_config, &sandbox), -EINVAL);
  last_error_has("flags");
  EQUAL(sandbox, 0);
}

/* Opening fails with this, and says something about it. */
static void open_fails(const usertcp_config_t *config, int error, const char *word) {
  usertcp_stack_t stack = 7;
  EQUAL(usertcp_stack_open(config, &stack), error);
  last_error_has(word);
}

static void wrong_settings(void) {
  usertcp_config_t config = USERTCP_CONFIG_INIT;
  usertcp_impairment_t impairment = USERTCP_IMPAIRMENT_INIT;
  int ends[2];
  CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == 0);
  config.fd = ends[0];
  config.addresses = "192.0.2.1/24";
#define WRONG(field, value, error, word) \
  do { \
    usertcp_config_t wrong = config; \
    wrong.field = value; \
    open_fails(&wrong, error, word); \
  } while (0)
  WRONG(flags, 1, -EINVAL, "flags");
  WRONG(workers, 65, -EINVAL, "from 1 to 64");
  WRONG(spin_us, 10001, -EINVAL, "spin");
  WRONG(fd, 1000000, -EBADF, "1000000");
  WRONG(fd, -EBADF, -EINVAL, "fd -9 is neither");
  WRONG(mtu, 70000, -EINVAL, "70000");
  WRONG(mtu, 100, -EINVAL, "100");
  WRONG(addresses, "192.0.2.1/24,192.0.2.300/24", -EINVAL, "192.0.2.300/24");
  WRONG(addresses, "192.0.2.1/33", -EINVAL, "192.0.2.1/33");
  WRONG(addresses, "\xff", -EINVAL, "UTF-8");
  WRONG(personality, "plan9", -EINVAL, "'plan9' is none of linux and freebsd");
  WRONG(personality, "\xff", -EINVAL, "personality");
  WRONG(device, "utcp0", -EINVAL, "device");
  WRONG(host_addresses, "192.0.2.9/24", -EINVAL, "host_addresses");
  WRONG(offload, USERTCP_OFFLOAD_REQUIRED, -EINVAL, "offload");
  WRONG(offload, 9, -EINVAL, "offload");
  WRONG(log_level, 9, -EINVAL, "log_level");
  WRONG(pcap, "/nowhere/at/all.pcapng", -ENOENT, "/nowhere/at/all.pcapng");
  impairment.loss = 1.5;
  WRONG(impairment, &impairment, -EINVAL, "1.5");
  impairment.loss = 0.0;
  impairment.burst_enter = 0.1;
  WRONG(impairment_in, &impairment, -EINVAL, "burst_leave");
  impairment.burst_enter = 0.0;
  impairment.mtu = 20;
  WRONG(impairment, &impairment, -EINVAL, "mtu");
  impairment.mtu = 70000;
  WRONG(impairment_in, &impairment, -EINVAL, "70000");
#undef WRONG
  close(ends[0]);
  close(ends[1]);
}

static void wrong_flags_and_numbers(void) {
  usertcp_socket_t made = 9;
  usertcp_pollfd_t entry;
  char byte = 0;
  uint64_t value;
  EQUAL(usertcp_socket(some_stack, AF_UNIX, SOCK_STREAM, 0, &made), -EAFNOSUPPORT);
  EQUAL(usertcp_socket(some_stack, AF_INET, SOCK_RAW, 0, &made), -ESOCKTNOSUPPORT);
  EQUAL(usertcp_socket(some_stack, AF_INET, SOCK_STREAM, 1, &made), -EINVAL);
  EQUAL(usertcp_accept(some_socket, &made, NULL, NULL, 1), -EINVAL);
  EQUAL(usertcp_accept(some_socket, &made, NULL, NULL, 0), -EINVAL);
  EQUAL(made, 9);
  EQUAL(usertcp_recv(some_socket, &byte, 1, MSG_OOB), -EINVAL);
  EQUAL(usertcp_send(some_socket, &byte, 1, 0x20000000), -EOPNOTSUPP);
  EQUAL(usertcp_send(some_socket, &byte, 1, MSG_PEEK | 0x10000000), -EPIPE);
  EQUAL(usertcp_recv(some_socket, &byte, 1, MSG_ERRQUEUE), -EAGAIN);
  EQUAL(usertcp_shutdown(some_socket, 3), -EINVAL);
  EQUAL(usertcp_shutdown(some_socket, -1), -EINVAL);
  entry.socket = some_socket;
  entry.events = 0x10000;
  EQUAL(usertcp_poll(&entry, 1, 0), -EINVAL);
  EQUAL(usertcp_stack_counter(some_stack, "no_such_counter", &value), -ENOENT);
  EQUAL(usertcp_stack_counter_at(some_stack, 100000, NULL, NULL, NULL), -ERANGE);
}

static void errno_is_left_alone(void) {
  usertcp_config_t config = USERTCP_CONFIG_INIT;
  usertcp_stack_t stack = 7;
  usertcp_socket_t listener = listen_on(some_stack, "192.0.2.1:4000"), made = 9;
  OK(usertcp_set_timeout(listener, 5, 5));
  config.fd = 1000000;
  errno = 1234;
  EQUAL(usertcp_accept(listener, &made, NULL, NULL, 0), -EAGAIN);
  EQUAL(usertcp_stack_open(&config, &stack), -EBADF);
  EQUAL(errno, 1234);
  EQUAL(stack, 7);
  EQUAL(made, 9);
  OK(usertcp_close(listener));
}

int main(void) {
  pair_t pair = open_pair(NULL);
  some_stack = pair.left;
  some_socket = make_socket(some_stack, AF_INET);
  handles_that_name_nothing();
  null_pointers();
  wrong_lengths();
  wrong_sizes_of_structs();
  older_and_smaller_structs();
  wrong_settings();
  wrong_flags_and_numbers();
  errno_is_left_alone();
  /* Closing a stack closes its sockets. */
  close_pair(pair);
  socket_calls_refuse(some_socket);
  stack_calls_refuse(some_stack);
  return 0;
}
