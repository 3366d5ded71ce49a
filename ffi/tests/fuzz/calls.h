/* The calls on stacks, poll sets and without handles, and the table of all calls. */
#ifndef CALLS_H
#define CALLS_H

#include "calls_sockets.h"

static void log_record(void *slot, uint32_t level, uint64_t nanoseconds, const char *line) {
  uint64_t value;
  int result = usertcp_stack_counter(load(slot), "frames_in", &value);
  if (level < USERTCP_LOG_ERROR || level > USERTCP_LOG_TRACE || nanoseconds == 0 || strlen(line) == 0) abort();
  if (result != 0 && result != -EDEADLK && result != -EBADF) abort();
}

static void call_stack_open(actor_t *a) {
  static const char *const addresses[2] = {"192.0.2.1/24,2001:db8::1/64", "192.0.2.2/24, 2001:db8::2/64"};
  static const char *const wrong[] = {"", "nonsense", "192.0.2.1", "192.0.2.1/33", "\xff\xfe", ",,,"};
  usertcp_config_t config = USERTCP_CONFIG_INIT;
  usertcp_impairment_t faults = USERTCP_IMPAIRMENT_INIT;
  unsigned which = u8(&a->in) % 2, b = u8(&a->in), odd = u8(&a->in);
  uint64_t *made = place(a, sizeof *made);
  void *at;
  uint32_t size;
  /* Always a descriptor: devices belong to the machine. */
  config.fd = world.link[which];
  config.addresses = text(a, addresses[which]);
  config.seed = b;
  /* What the system knows of names is not the same everywhere. */
  config.nameservers = text(a, which ? "192.0.2.1" : "");
  config.search = text(a, "example");
  config.hosts = text(a, "");
  config.names_timeout_ms = 2;
  config.names_attempts = 1;
  if (config.hosts == NULL || config.search == NULL || config.nameservers == NULL) config.flags = 1;
  if (b & 1) config.mtu = 576 + 4 * u8(&a->in);
  if (b & 2) config.personality = text(a, b & 4 ? "freebsd" : "linux");
  if (b & 8) config.trace = text(a, "/dev/null");
  if (b & 16) config.pcap = text(a, "/dev/null");
  if (b & 32) config.pcap_ring = 131072;
  if (b & 64) config.control_path = text(a, world.control);
  if (b & 128) {
    config.log = log_record;
    config.log_context = &world.handles[STACK][which];
    config.log_level = 1 + b % 5;
  }
  if (odd & 1) {
    faults.loss = (double)(odd >> 6) / 8;
    faults.reorder = 0.1;
    faults.reorder_delay_us = 200;
    config.impairment = given(a, &faults, sizeof faults);
  }
  if (odd & 2) config.spin_us = odd;
  if (odd & 4) config.routes = text(a, "198.51.100.0/24 via 192.0.2.1, ::/0 mtu 1400");
  if (odd >= 0xc0) {
    unsigned what = u8(&a->in) % 16, value = u8(&a->in);
    const char *odd_text = text(a, wrong[value % 6]);
    if (what == 0) config.addresses = odd_text;
    if (what == 1) config.routes = odd_text;
    if (what == 2) config.personality = odd_text;
    if (what == 3) config.flags = value;
    if (what == 4) config.workers = value;
    if (what == 5) config.offload = value;
    if (what == 6) config.log_level = value;
    if (what == 7) config.fd = world.null;
    if (what == 8) config.fd = 1 << 20;
    if (what == 9) config.mtu = value;
    if (what == 10) config.spin_us = 10001;
    if (what == 11) config.device = odd_text;
    if (what == 12) config.host_addresses = odd_text;
    if (what == 13) config.pcap_ring = value;
    if (what == 14) config.trace = text(a, "/nowhere/at/all");
    if (what == 15) config.control_path = text(a, "/nowhere/at/all");
  }
  size = odd == 0xff ? u8(&a->in) * 2u + 4 : (uint32_t)sizeof config;
  config.size = size;
  at = room(a, size, 0);
  memset(at, odd & 8 ? 0 : 0xff, size);
  memcpy(at, &config, size < sizeof config ? size : sizeof config);
  if (never(&a->in)) at = NULL;
  if (CALL(a, usertcp_stack_open(at, made)) == 0) keep(a, STACK, which, *made);
}

static void call_stack_close(actor_t *a) {
  uint64_t stack = pick(a, STACK);
  /* Without an end only as long as the protocol takes, which a peer that hears nothing makes minutes of. */
  int timeout = (int)(u8(&a->in) % 3);
  long long result = CALL(a, usertcp_stack_close(stack, timeout));
  if (result == 0 || result == -ETIMEDOUT) forget(STACK, stack);
}

static void call_stack_device(actor_t *a) {
  uint64_t stack = pick(a, STACK);
  size_t size = u8(&a->in) % 20;
  char *at = place(a, size);
  CALL(a, usertcp_stack_device(stack, at, size));
}

static void call_stack_offloaded(actor_t *a) {
  uint64_t stack = pick(a, STACK);
  CALL(a, usertcp_stack_offloaded(stack));
}

static void call_stack_dump_capture(actor_t *a) {
  uint64_t stack = pick(a, STACK);
  CALL(a, usertcp_stack_dump_capture(stack));
}

static void call_stack_impair(actor_t *a) {
  usertcp_impairment_t faults = USERTCP_IMPAIRMENT_INIT, *out, *in;
  uint64_t stack = pick(a, STACK);
  int which = u8(&a->in);
  faults.delay_us = u8(&a->in) * 10u;
  faults.loss = (double)u8(&a->in) / 250;
  out = which & 1 ? given(a, &faults, sizeof faults) : NULL;
  in = which & 2 ? given(a, &faults, sizeof faults) : NULL;
  CALL(a, usertcp_stack_impair(stack, out, in));
}

static void call_stack_counter(actor_t *a) {
  uint64_t stack = pick(a, STACK), *value = place(a, sizeof *value);
  const char *name = text(a, u8(&a->in) % 4 ? "frames_in" : "");
  CALL(a, usertcp_stack_counter(stack, name, value));
}

static void call_stack_counter_at(actor_t *a) {
  uint64_t stack = pick(a, STACK), *value = place(a, sizeof *value);
  const char **name = place(a, sizeof *name), **meaning = place(a, sizeof *meaning);
  uint32_t index = (uint32_t)number(&a->in);
  if (CALL(a, usertcp_stack_counter_at(stack, index, name, value, meaning)) < 0) return;
  if ((name != NULL && strlen(*name) == 0) || (meaning != NULL && strlen(*meaning) == 0)) fail(a, "stores an empty string");
}

static void call_stack_sockets(actor_t *a) {
  static const usertcp_socket_info_t fresh = USERTCP_SOCKET_INFO_INIT;
  uint64_t stack = pick(a, STACK);
  size_t i, count = u8(&a->in) % 20;
  usertcp_socket_info_t *infos = room(a, count * sizeof *infos, 1);
  long long result;
  for (i = 0; i < count; i++) infos[i] = fresh;
  if (count > 0 && never(&a->in)) infos[count - 1].size = (uint32_t)number(&a->in);
  if (never(&a->in)) infos = NULL;
  result = CALL(a, usertcp_stack_sockets(stack, infos, count));
  if (result >= 0) at_most(a, infos, (size_t)result * sizeof *infos);
}

static void call_stack_sockets_text(actor_t *a) {
  uint64_t stack = pick(a, STACK);
  size_t size = length_of_data(a);
  char *at = place(a, size);
  CALL(a, usertcp_stack_sockets_text(stack, at, size));
}

static void call_stack_trace(actor_t *a) {
  uint64_t stack = pick(a, STACK);
  unsigned b = u8(&a->in);
  CALL(a, usertcp_stack_trace(stack, b < 0xc0 ? world.null : b < 0xf0 ? -1 : b < 0xf8 ? -2 : 1 << 20));
}

static uint32_t poll_events(actor_t *a) {
  unsigned b = u8(&a->in);
  return b >= 0xf8 ? (uint32_t)number(&a->in) : (b & 7) | (b & 8 ? USERTCP_POLLRDHUP : 0);
}

static void call_poll(actor_t *a) {
  size_t i, count = u8(&a->in) % 9;
  usertcp_pollfd_t *entries = room(a, count * sizeof *entries, 1);
  int timeout, named = 0;
  long long result;
  for (i = 0; i < count; i++) {
    entries[i].socket = pick(a, SOCKET);
    named |= entries[i].socket != 0;
    entries[i].events = poll_events(a);
    entries[i].revents = 0;
  }
  timeout = patience(a);
  /* Nothing would ever end such a wait. */
  if (!named && timeout < 0) timeout = 2;
  if (never(&a->in)) entries = NULL;
  result = CALL(a, usertcp_poll(entries, count, timeout));
  if (result > (long long)count) fail(a, "%lld of %zu are ready", result, count);
}

static void call_pollset_open(actor_t *a) {
  uint64_t *made = place(a, sizeof *made);
  unsigned where = u8(&a->in);
  int flags = never(&a->in) ? (int)number(&a->in) : 0;
  if (CALL(a, usertcp_pollset_open(flags, made)) == 0) keep(a, SET, where, *made);
}

static uint32_t set_events(actor_t *a) {
  unsigned b = u8(&a->in);
  uint32_t events = poll_events(a);
  return events | (b & 1 ? USERTCP_POLLET : 0) | (b & 2 ? USERTCP_POLLONESHOT : 0);
}

static void call_pollset_add(actor_t *a) {
  uint64_t set = pick(a, SET), s = pick(a, SOCKET);
  uint32_t events = set_events(a);
  CALL(a, usertcp_pollset_add(set, s, events, ~s));
}

static void call_pollset_modify(actor_t *a) {
  uint64_t set = pick(a, SET), s = pick(a, SOCKET);
  uint32_t events = set_events(a);
  CALL(a, usertcp_pollset_modify(set, s, events, ~s));
}

static void call_pollset_remove(actor_t *a) {
  uint64_t set = pick(a, SET), s = pick(a, SOCKET);
  CALL(a, usertcp_pollset_remove(set, s));
}

static void call_pollset_wait(actor_t *a) {
  uint64_t set = pick(a, SET);
  size_t i, count = u8(&a->in) % 9;
  usertcp_event_t *events = place(a, count * sizeof *events);
  int timeout = patience(a);
  long long result = CALL(a, usertcp_pollset_wait(set, events, count, timeout));
  if (result < 0) return;
  if (result > (long long)count) fail(a, "%lld of %zu are ready", result, count);
  at_most(a, events, (size_t)result * sizeof *events);
  for (i = 0; i < (size_t)result; i++)
    if (events[i].events == 0 || events[i].reserved != 0) fail(a, "tells of nothing");
}

static void call_pollset_wake(actor_t *a) {
  uint64_t set = pick(a, SET);
  CALL(a, usertcp_pollset_wake(set));
}

static void call_pollset_fd(actor_t *a) {
  uint64_t set = pick(a, SET);
  CALL(a, usertcp_pollset_fd(set));
}

static void call_pollset_close(actor_t *a) {
  uint64_t set = pick(a, SET);
  if (CALL(a, usertcp_pollset_close(set)) == 0) forget(SET, set);
}

static void call_parse_addr(actor_t *a) {
  char random[40];
  unsigned b = u8(&a->in), i;
  struct sockaddr_storage *address;
  socklen_t *length;
  const char *string;
  for (i = 0; i < sizeof random - 1; i++) random[i] = b < 0x80 ? 0 : (char)("0123456789abcdef:.[]%/ x\xff"[u8(&a->in) % 25]);
  random[sizeof random - 1] = 0;
  string = text(a, b < 0x80 ? names[b % NAMES] : random);
  address = place(a, sizeof *address);
  length = place(a, sizeof *length);
  CALL(a, usertcp_parse_addr(string, address, length));
}

static void call_format_addr(actor_t *a) {
  socklen_t length;
  const struct sockaddr *address = to(a, &length);
  size_t size = u8(&a->in) % (USERTCP_ADDRSTRLEN + 1);
  char *at = place(a, size);
  long long result = CALL(a, usertcp_format_addr(address, length, at, size));
  if (result >= 0 && strlen(at) != (size_t)result) fail(a, "tells a wrong length");
}

static void call_last_error(actor_t *a) {
  size_t size = u8(&a->in) % 64;
  char *at = place(a, size);
  CALL(a, usertcp_last_error(at, size));
}

/* The strings of a number, and what never fails. */
static void call_strings(actor_t *a) {
  int number_ = (int)number(&a->in);
  CALL(a, strlen(usertcp_strerror(number_)) > 0 ? 0 : -1);
  CALL(a, strlen(usertcp_errname(-number_)) > 0 ? 0 : -1);
  CALL(a, strcmp(usertcp_version(), "") > 0 && usertcp_version_number() > 0 && usertcp_features() > 0 ? 0 : -1);
}

static const char *const hosts[] = {"localhost", "192.0.2.1", "2001:db8::2", "name.example", "a.invalid", "", "-", "a..b"};
static const char *const targets[] = {"192.0.2.1:80", "[2001:db8::1]:80", "localhost:80", "192.0.2.2:9", "name.example:80", ":", "a:b", "1:http"};
static const char *const services[] = {"80", "http", "", "70000", "nothing of the kind"};

static void call_resolve(actor_t *a) {
  uint64_t stack = pick(a, STACK);
  unsigned b = u8(&a->in), c = u8(&a->in);
  const char *name = text(a, hosts[b % 8]), *service = text(a, services[c % 5]);
  int family = c < 0xa0 ? AF_UNSPEC : c < 0xd0 ? AF_INET6 : (int)number(&a->in), timeout = patience(a);
  size_t count = u8(&a->in) % 5;
  struct sockaddr_storage *addresses = place(a, count * sizeof *addresses);
  long long result = CALL(a, usertcp_resolve(stack, name, service, family, timeout, addresses, count));
  if (result < 0) return;
  if (result == 0 || result > (long long)count) fail(a, "%lld of %zu addresses", result, count);
  at_most(a, addresses, (size_t)result * sizeof *addresses);
}

static void call_connect_to(actor_t *a) {
  uint64_t stack = pick(a, STACK), *made = place(a, sizeof *made);
  const char *target = text(a, targets[u8(&a->in) % 8]);
  unsigned where = u8(&a->in), blocks = u8(&a->in);
  int flags = nonblock(a, blocks);
  /* Without an end it would be as long as a peer may be silent, and is not called off. */
  int timeout = (int)(u8(&a->in) % 4);
  if (CALL(a, usertcp_connect_to(stack, target, flags, timeout, made)) == 0) new_socket(a, *made, where, blocks);
}

/* ---- interceptors ---- */

static const char *const prefixes[] = {"198.51.100.0/24", "0.0.0.0/0", "::/0", "198.51.100.1", "2001:db8:5::/48", "nonsense", "192.0.2.0/33", ""};

static void call_intercept_open(actor_t *a) {
  usertcp_intercept_config_t config = USERTCP_INTERCEPT_CONFIG_INIT;
  uint64_t stack = pick(a, STACK), *made = place(a, sizeof *made);
  unsigned b = u8(&a->in), where = u8(&a->in), blocks = u8(&a->in);
  int flags = nonblock(a, blocks);
  const void *at;
  config.prefix = text(a, prefixes[b % 8]);
  if (b & 8) config.queue = b >> 4;
  if (b & 16) config.timeout_ms = b >> 4;
  if (b & 32) config.first_port = (uint16_t)number(&a->in);
  if (b & 64) config.last_port = (uint16_t)number(&a->in);
  if (never(&a->in)) config.size = (uint32_t)number(&a->in);
  at = given(a, &config, sizeof config);
  if (config.size > sizeof config) at = NULL;
  if (CALL(a, usertcp_intercept_open(stack, at, flags, made)) == 0) new_socket(a, *made, where, blocks);
}

static void call_intercept_next(actor_t *a) {
  static const usertcp_syn_info_t fresh = USERTCP_SYN_INFO_INIT;
  uint64_t s = pick(a, SOCKET), *syn = place(a, sizeof *syn);
  usertcp_syn_info_t *info = exchange(a, &fresh, sizeof fresh);
  unsigned where = u8(&a->in) % HANDLES;
  int timeout = patience(a);
  if (CALL(a, usertcp_intercept_next(s, timeout, syn, info)) < 0) return;
  if (info != NULL && (info->size != sizeof *info || info->local.ss_family != info->peer.ss_family)) fail(a, "tells nonsense");
  usertcp_syn_drop(swap(&world.syns[where], *syn));
}

/* A connection request: mostly one that waits, sometimes one that has been decided, another handle, or none. */
static uint64_t request(actor_t *a) {
  unsigned b = u8(&a->in);
  if (b < 0xe0) return load(&world.syns[b % HANDLES]);
  if (b < 0xf0) return load(&world.gone[b % HANDLES]);
  return b < 0xfc ? load(&world.handles[SOCKET][b % HANDLES]) : 0;
}

static void decided(uint64_t syn, long long result) {
  int i;
  if (result == -EMFILE || result == -ENETDOWN || result == -EADDRINUSE || result == -EINVAL || result == -EFAULT) return;
  for (i = 0; i < HANDLES; i++) {
    uint64_t expected = syn;
    if (syn != 0) __atomic_compare_exchange_n(&world.syns[i], &expected, 0, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
  }
}

static void call_syn_accept(actor_t *a) {
  uint64_t syn = request(a), *made = place(a, sizeof *made);
  unsigned where = u8(&a->in), blocks = u8(&a->in);
  int flags = nonblock(a, blocks);
  /* Without an end it would be as long as a peer may be silent, and is not called off. */
  int timeout = (int)(u8(&a->in) % 4);
  long long result = CALL(a, usertcp_syn_accept(syn, flags, timeout, made));
  decided(syn, result);
  if (result == 0) new_socket(a, *made, where, blocks);
}

static void call_syn_refuse(actor_t *a) {
  uint64_t syn = request(a);
  decided(syn, CALL(a, usertcp_syn_refuse(syn)));
}

static void call_syn_drop(actor_t *a) {
  uint64_t syn = request(a);
  decided(syn, CALL(a, usertcp_syn_drop(syn)));
}

static void call_fd_addresses(actor_t *a) {
  unsigned where = u8(&a->in) % DESCRIPTORS, odd = u8(&a->in);
  from_t own = from(a), peer = from(a);
  /* Taken out of the world meanwhile: another thread might close it. */
  int fd = odd < 0xe0 ? __atomic_exchange_n(&world.descriptors[where], -1, __ATOMIC_SEQ_CST) : odd < 0xf0 ? world.null : -1;
  CALL(a, usertcp_fd_addresses(fd, own.at, own.length, peer.at, peer.length));
  if (odd >= 0xe0 || fd < 0) return;
  fd = __atomic_exchange_n(&world.descriptors[where], fd, __ATOMIC_SEQ_CST);
  if (fd >= 0) close(fd);
}

static uint64_t none(actor_t *a) {
  return pick(a, (enum kind)(u8(&a->in) % KINDS));
}

/* Sandboxes and what is in them: with handles and settings that are wrong, since making one takes what not every machine grants. */
static void call_sandbox_open(actor_t *a) {
  usertcp_sandbox_config_t config = USERTCP_SANDBOX_CONFIG_INIT;
  uint64_t *made = room(a, sizeof *made, 1);
  unsigned b = u8(&a->in);
  void *at;
  if (b % 4 == 0) made = NULL;
  if (b % 4 == 1) config.flags = 1;
  if (b % 4 == 2) config.host_addresses = text(a, "nonsense");
  if (b % 4 == 2 && config.host_addresses == NULL) config.flags = 1;
  if (b % 4 == 3) config.size = 7;
  at = given(a, &config, config.size);
  CALL(a, usertcp_sandbox_open(at, made));
}

static void call_sandbox_tun(actor_t *a) {
  uint64_t handle = none(a);
  CALL(a, usertcp_sandbox_tun(handle));
}

static void call_sandbox_queues(actor_t *a) {
  uint64_t handle = none(a);
  uint32_t count = u8(&a->in) % 4;
  int *fds = place(a, count * sizeof *fds);
  CALL(a, usertcp_sandbox_queues(handle, fds, count));
}

static void call_sandbox_socket(actor_t *a) {
  uint64_t handle = none(a);
  int domain = (int)number(&a->in);
  CALL(a, usertcp_sandbox_socket(handle, domain, SOCK_STREAM, 0));
}

static void call_sandbox_spawn(actor_t *a) {
  static const char *const argv[] = {"true", NULL};
  uint64_t handle = none(a), *child = place(a, sizeof *child);
  CALL(a, usertcp_sandbox_spawn(handle, argv, NULL, NULL, child));
}

static void call_sandbox_close(actor_t *a) {
  uint64_t handle = none(a);
  CALL(a, usertcp_sandbox_close(handle));
}

static void call_child_pid(actor_t *a) {
  uint64_t handle = none(a);
  CALL(a, usertcp_child_pid(handle));
}

static void call_child_kill(actor_t *a) {
  uint64_t handle = none(a);
  CALL(a, usertcp_child_kill(handle, 9));
}

static void call_child_wait(actor_t *a) {
  uint64_t handle = none(a);
  int *status = place(a, sizeof *status);
  CALL(a, usertcp_child_wait(handle, 0, status));
}

static void call_child_close(actor_t *a) {
  uint64_t handle = none(a);
  CALL(a, usertcp_child_close(handle));
}

typedef struct {
  const char *name; /* of the function, its prefix left out; tests/fuzz.rs reads this table */
  void (*run)(actor_t *a);
} call_t;

/* A byte of the input chooses: new calls go to the end, so that inputs keep what they mean. The first OFTEN are chosen more often. */
static const call_t calls[] = {
    {"socket", call_socket},
    {"bind", call_bind},
    {"listen", call_listen},
    {"accept", call_accept},
    {"connect", call_connect},
    {"send", call_send},
    {"sendto", call_sendto},
    {"recv", call_recv},
    {"recvfrom", call_recvfrom},
    {"sendv", call_sendv},
    {"recvv", call_recvv},
    {"sendmsg", call_sendmsg},
    {"recvmsg", call_recvmsg},
    {"shutdown", call_shutdown},
    {"cancel", call_cancel},
    {"close", call_close},
    {"poll", call_poll},
    {"pollset_add", call_pollset_add},
    {"pollset_modify", call_pollset_modify},
    {"pollset_wait", call_pollset_wait},
    {"setsockopt", call_setsockopt},
    {"export_fd", call_export_fd},
    {"(descriptor)", call_descriptor},
    {"fd", call_fd},
    {"abort", call_abort},
    {"pollset_remove", call_pollset_remove},
    {"pollset_open", call_pollset_open},
    {"pollset_close", call_pollset_close},
    {"pollset_fd", call_pollset_fd},
    {"pollset_wake", call_pollset_wake},
    {"end_reason", call_end_reason},
    {"getsockopt", call_getsockopt},
#define OFTEN 32
    {"stack_open", call_stack_open},
    {"stack_close", call_stack_close},
    {"stack_device", call_stack_device},
    {"stack_offloaded", call_stack_offloaded},
    {"stack_dump_capture", call_stack_dump_capture},
    {"stack_counter", call_stack_counter},
    {"stack_counter_at", call_stack_counter_at},
    {"stack_sockets", call_stack_sockets},
    {"stack_sockets_text", call_stack_sockets_text},
    {"stack_trace", call_stack_trace},
    {"trace", call_trace},
    {"getsockname", call_getsockname},
    {"getpeername", call_getpeername},
    {"set_timeout", call_set_timeout},
    {"set_nonblock", call_set_nonblock},
    {"ioctl", call_ioctl},
    {"tcp_info", call_tcp_info},
    {"end_text", call_end_text},
    {"parse_addr", call_parse_addr},
    {"format_addr", call_format_addr},
    {"last_error", call_last_error},
    {"(strings)", call_strings},
    {"sandbox_open", call_sandbox_open},
    {"sandbox_tun", call_sandbox_tun},
    {"sandbox_queues", call_sandbox_queues},
    {"sandbox_socket", call_sandbox_socket},
    {"sandbox_spawn", call_sandbox_spawn},
    {"sandbox_close", call_sandbox_close},
    {"child_pid", call_child_pid},
    {"child_kill", call_child_kill},
    {"child_wait", call_child_wait},
    {"child_close", call_child_close},
    {"resolve", call_resolve},
    {"connect_to", call_connect_to},
    {"intercept_open", call_intercept_open},
    {"intercept_next", call_intercept_next},
    {"syn_accept", call_syn_accept},
    {"syn_refuse", call_syn_refuse},
    {"syn_drop", call_syn_drop},
    {"fd_addresses", call_fd_addresses},
    {"stack_impair", call_stack_impair},
};

#define CALLS (sizeof calls / sizeof *calls)

static verdict_t verdicts[CALLS];

#endif
