/* Two stacks in one process, joined by a socket pair: what sockets do, over IPv4 and IPv6. */
#include "check.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>

static pair_t pair;

#define MEGABYTE ((size_t)1 << 20)

static void *send_megabyte(void *argument) {
  usertcp_socket_t s = *(usertcp_socket_t *)argument;
  send_pattern(s, MEGABYTE);
  OK(usertcp_shutdown(s, SHUT_WR));
  return NULL;
}

static void *receive_to_the_end(void *argument) {
  usertcp_socket_t s = *(usertcp_socket_t *)argument;
  char byte;
  receive_pattern(s, MEGABYTE);
  EQUAL(usertcp_recv(s, &byte, 1, 0), 0);
  EQUAL(usertcp_recv(s, &byte, 1, 0), 0);
  return NULL;
}

static void bytes_travel_both_ways_at_once(const char *text) {
  ends_t ends = connect_ends(pair, text);
  pthread_t threads[4];
  int i;
  threads[0] = start(send_megabyte, &ends.left);
  threads[1] = start(send_megabyte, &ends.right);
  threads[2] = start(receive_to_the_end, &ends.left);
  threads[3] = start(receive_to_the_end, &ends.right);
  for (i = 0; i < 4; i++) join(threads[i]);
  OK(usertcp_close(ends.left));
  OK(usertcp_close(ends.right));
}

static void names_are_told(const char *text, const char *peer) {
  ends_t ends = connect_ends(pair, text);
  char name[USERTCP_ADDRSTRLEN], other[USERTCP_ADDRSTRLEN];
  address_t a;
  a.length = sizeof a.storage;
  OK(usertcp_getsockname(ends.left, (struct sockaddr *)&a.storage, &a.length));
  usertcp_format_addr(ADDRESS(a), name, sizeof name);
  CHECK(strcmp(name, text) == 0);
  a.length = sizeof a.storage;
  OK(usertcp_getpeername(ends.right, (struct sockaddr *)&a.storage, &a.length));
  usertcp_format_addr(ADDRESS(a), name, sizeof name);
  CHECK(strcmp(name, text) == 0);
  a.length = sizeof a.storage;
  OK(usertcp_getpeername(ends.left, (struct sockaddr *)&a.storage, &a.length));
  usertcp_format_addr(ADDRESS(a), name, sizeof name);
  CHECK(strncmp(name, peer, strlen(peer)) == 0);
  a.length = sizeof a.storage;
  OK(usertcp_getsockname(ends.right, (struct sockaddr *)&a.storage, &a.length));
  usertcp_format_addr(ADDRESS(a), other, sizeof other);
  CHECK(strcmp(name, other) == 0);
  OK(usertcp_close(ends.left));
  OK(usertcp_close(ends.right));
}

static void accept_tells_the_peer_and_takes_flags(void) {
  usertcp_socket_t listener = listen_on(pair.left, "192.0.2.1:1004"), accepted = 0, client;
  char name[USERTCP_ADDRSTRLEN], byte;
  address_t a;
  client = connect_to(pair.right, "192.0.2.1:1004");
  a.length = sizeof a.storage;
  OK(usertcp_accept(listener, &accepted, (struct sockaddr *)&a.storage, &a.length, USERTCP_NONBLOCK));
  EQUAL(a.length, sizeof(struct sockaddr_in));
  usertcp_format_addr(ADDRESS(a), name, sizeof name);
  CHECK(strncmp(name, "192.0.2.2:", 10) == 0);
  EQUAL(usertcp_recv(accepted, &byte, 1, 0), -EAGAIN);
  OK(usertcp_set_nonblock(listener, 1));
  EQUAL(usertcp_accept(listener, &accepted, NULL, NULL, 0), -EAGAIN);
  OK(usertcp_close(client));
  OK(usertcp_close(listener));
}

static void what_is_thrown_away_needs_no_buffer(void) {
  ends_t ends = connect_ends(pair, "192.0.2.1:1016");
  char byte = 0;
  EQUAL(usertcp_send(ends.left, "abcdX", 5, 0), 5);
  EQUAL(usertcp_recv(ends.right, NULL, 3, MSG_TRUNC | MSG_WAITALL), 3);
  EQUAL(usertcp_recv(ends.right, NULL, 1, MSG_TRUNC), 1);
  EQUAL(usertcp_recv(ends.right, NULL, 1, 0), -EFAULT);
  EQUAL(usertcp_recv(ends.right, &byte, 1, 0), 1);
  EQUAL(byte, 'X');
  OK(usertcp_close(ends.left));
  OK(usertcp_close(ends.right));
}

static void flags_of_receive(void) {
  ends_t ends = connect_ends(pair, "[2001:db8::1]:1005");
  char text[16];
  EQUAL(usertcp_recv(ends.left, text, sizeof text, MSG_DONTWAIT), -EAGAIN);
  EQUAL(usertcp_send(ends.right, "hello", 5, MSG_NOSIGNAL), 5);
  memset(text, 0, sizeof text);
  EQUAL(usertcp_recv(ends.left, text, sizeof text, MSG_PEEK), 5);
  CHECK(strcmp(text, "hello") == 0);
  EQUAL(usertcp_recv(ends.left, text, 2, 0), 2);
  EQUAL(usertcp_recv(ends.left, text, 0, 0), 0);
  EQUAL(usertcp_send(ends.right, NULL, 0, 0), 0);
  EQUAL(usertcp_send(ends.right, " world", 6, MSG_DONTWAIT), 6);
  memset(text, 0, sizeof text);
  EQUAL(usertcp_recv(ends.left, text, 9, MSG_WAITALL), 9);
  CHECK(strcmp(text, "llo world") == 0);
  OK(usertcp_shutdown(ends.right, SHUT_WR));
  EQUAL(usertcp_recv(ends.left, text, 9, MSG_WAITALL), 0);
  EQUAL(usertcp_send(ends.right, "x", 1, 0), -EPIPE);
  EQUAL(usertcp_send(ends.left, "x", 1, 0), 1);
  EQUAL(usertcp_recv(ends.right, text, 1, 0), 1);
  OK(usertcp_close(ends.left));
  OK(usertcp_close(ends.right));
}

static void a_reset_is_an_error_on_the_other_side(void) {
  ends_t ends = connect_ends(pair, "192.0.2.1:1006");
  char byte;
  OK(usertcp_abort(ends.right));
  EQUAL(usertcp_abort(ends.right), -EBADF);
  EQUAL(usertcp_recv(ends.left, &byte, 1, 0), -ECONNRESET);
  EQUAL(usertcp_recv(ends.left, &byte, 1, 0), 0);
  EQUAL(usertcp_send(ends.left, &byte, 1, 0), -EPIPE);
  OK(usertcp_close(ends.left));
}

static void connecting_to_nobody_is_refused(void) {
  usertcp_socket_t s = make_socket(pair.right, AF_INET);
  address_t a = address("192.0.2.1:9"), six = address("[2001:db8::1]:9");
  usertcp_pollfd_t entry;
  int error = 0;
  socklen_t length = sizeof error;
  EQUAL(usertcp_connect(s, ADDRESS(six)), -EAFNOSUPPORT);
  EQUAL(usertcp_connect(s, ADDRESS(a)), -ECONNREFUSED);
  OK(usertcp_close(s));

  OK(usertcp_socket(pair.right, AF_INET6, SOCK_STREAM, USERTCP_NONBLOCK, &s));
  /* A peer this near may answer before the call returns. */
  error = usertcp_connect(s, ADDRESS(six));
  if (error == -EINPROGRESS) {
    entry.socket = s;
    entry.events = USERTCP_POLLOUT;
    EQUAL(usertcp_poll(&entry, 1, 10000), 1);
    CHECK(entry.revents & USERTCP_POLLERR);
    OK(usertcp_getsockopt(s, SOL_SOCKET, SO_ERROR, &error, &length));
    EQUAL(error, ECONNREFUSED);
  } else {
    EQUAL(error, -ECONNREFUSED);
  }
  OK(usertcp_getsockopt(s, SOL_SOCKET, SO_ERROR, &error, &length));
  EQUAL(error, 0);
  OK(usertcp_close(s));
}

static void connecting_without_blocking(void) {
  usertcp_socket_t listener = listen_on(pair.left, "192.0.2.1:1007"), accepted, s = 0;
  address_t a = address("192.0.2.1:1007");
  usertcp_pollfd_t entries[2];
  int error = 7;
  socklen_t length = sizeof error;
  OK(usertcp_socket(pair.right, AF_INET, SOCK_STREAM, USERTCP_NONBLOCK, &s));
  error = usertcp_connect(s, ADDRESS(a));
  CHECK(error == -EINPROGRESS || error == 0);
  memset(entries, 0, sizeof entries);
  entries[0].socket = s;
  entries[0].events = USERTCP_POLLOUT;
  EQUAL(usertcp_poll(entries, 1, 10000), 1);
  EQUAL(entries[0].revents, USERTCP_POLLOUT);
  OK(usertcp_getsockopt(s, SOL_SOCKET, SO_ERROR, &error, &length));
  EQUAL(error, 0);
  EQUAL(usertcp_connect(s, ADDRESS(a)), -EISCONN);
  entries[1].socket = listener;
  entries[1].events = USERTCP_POLLIN;
  CHECK(usertcp_poll(entries, 2, 10000) >= 1);
  accepted = accept_one(listener);
  OK(usertcp_close(accepted));
  OK(usertcp_close(listener));
  OK(usertcp_close(s));
}

#define MANY 24

static void polling_many(void) {
  usertcp_socket_t listener = listen_on(pair.left, "[2001:db8::1]:1008");
  usertcp_socket_t clients[MANY];
  usertcp_pollfd_t entries[MANY];
  char byte;
  long began;
  int i;
  for (i = 0; i < MANY; i++) {
    clients[i] = connect_to(pair.right, "[2001:db8::1]:1008");
    entries[i].socket = accept_one(listener);
    entries[i].events = USERTCP_POLLIN;
    entries[i].revents = 0x77;
  }
  EQUAL(usertcp_poll(entries, MANY, 0), 0);
  for (i = 0; i < MANY; i++) EQUAL(entries[i].revents, 0);
  began = now_ms();
  EQUAL(usertcp_poll(entries, MANY, 60), 0);
  CHECK(now_ms() - began >= 60);

  /* The same sockets from the other side: nothing but room to send. */
  for (i = 0; i < MANY; i += 3) EQUAL(usertcp_send(clients[i], "x", 1, 0), 1);
  for (i = 0; i < MANY; i += 3) {
    usertcp_pollfd_t one = entries[i];
    EQUAL(usertcp_poll(&one, 1, 10000), 1);
  }
  EQUAL(usertcp_poll(entries, MANY, 10000), MANY / 3);
  for (i = 0; i < MANY; i++) {
    EQUAL(entries[i].revents, i % 3 == 0 ? USERTCP_POLLIN : 0);
    if (i % 3 == 0) EQUAL(usertcp_recv(entries[i].socket, &byte, 1, 0), 1);
    entries[i].events = USERTCP_POLLIN | USERTCP_POLLOUT | USERTCP_POLLRDHUP;
  }
  EQUAL(usertcp_poll(entries, MANY, 10000), MANY);
  for (i = 0; i < MANY; i++) EQUAL(entries[i].revents, USERTCP_POLLOUT);

  OK(usertcp_shutdown(clients[5], SHUT_WR));
  entries[5].events = USERTCP_POLLIN | USERTCP_POLLRDHUP;
  EQUAL(usertcp_poll(&entries[5], 1, 10000), 1);
  EQUAL(entries[5].revents, USERTCP_POLLIN | USERTCP_POLLRDHUP);
  entries[6].socket = 0;
  EQUAL(usertcp_poll(&entries[6], 1, 0), 0);
  for (i = 0; i < MANY; i++) {
    OK(usertcp_close(clients[i]));
    if (i != 6) OK(usertcp_close(entries[i].socket));
  }
  OK(usertcp_close(listener));
}

static void timeouts(void) {
  ends_t ends = connect_ends(pair, "192.0.2.1:1009");
  usertcp_socket_t listener = listen_on(pair.left, "192.0.2.1:1010"), made = 0, s = 0;
  address_t nobody = address("192.0.2.77:80");
  struct timeval time;
  socklen_t length = sizeof time;
  static char block[65536];
  char byte;
  ssize_t n;
  long began = now_ms();
  OK(usertcp_set_timeout(ends.left, 50, 70));
  EQUAL(usertcp_recv(ends.left, &byte, 1, 0), -EAGAIN);
  CHECK(now_ms() - began >= 50);
  OK(usertcp_getsockopt(ends.left, SOL_SOCKET, SO_RCVTIMEO, &time, &length));
  EQUAL(length, sizeof time);
  EQUAL(time.tv_sec, 0);
  EQUAL(time.tv_usec, 50000);
  time.tv_usec = 60000;
  OK(usertcp_setsockopt(ends.right, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time));
  began = now_ms();
  EQUAL(usertcp_recv(ends.right, &byte, 1, 0), -EAGAIN);
  CHECK(now_ms() - began >= 60);
  OK(usertcp_set_timeout(ends.right, 0, -1));
  EQUAL(usertcp_recv(ends.right, &byte, 1, 0), -EAGAIN);

  OK(usertcp_set_timeout(listener, 40, -1));
  began = now_ms();
  EQUAL(usertcp_accept(listener, &made, NULL, NULL, 0), -EAGAIN);
  CHECK(now_ms() - began >= 40);

  /* Nobody reads: the buffers fill, a write is cut short, the next one fails. */
  do n = usertcp_send(ends.left, block, sizeof block, 0);
  while (n > 0);
  EQUAL(n, -EAGAIN);

  s = make_socket(pair.right, AF_INET);
  OK(usertcp_set_timeout(s, -1, 30));
  EQUAL(usertcp_connect(s, ADDRESS(nobody)), -EINPROGRESS);
  EQUAL(usertcp_connect(s, ADDRESS(nobody)), -EALREADY);
  OK(usertcp_close(s));
  OK(usertcp_close(listener));
  OK(usertcp_close(ends.left));
  OK(usertcp_close(ends.right));
}

static int option(usertcp_socket_t s, int level, int name) {
  int value = -1;
  socklen_t length = sizeof value;
  OK(usertcp_getsockopt(s, level, name, &value, &length));
  EQUAL(length, sizeof value);
  return value;
}

static void set_option(usertcp_socket_t s, int level, int name, int value) {
  OK(usertcp_setsockopt(s, level, name, &value, sizeof value));
  EQUAL(option(s, level, name), value);
}

static void options(void) {
  usertcp_socket_t s = make_socket(pair.left, AF_INET6);
  struct linger linger = {1, 0};
  socklen_t length = sizeof linger;
  int value = 1;
  char small = 0, name[16];
  EQUAL(option(s, SOL_SOCKET, SO_TYPE), SOCK_STREAM);
  EQUAL(option(s, SOL_SOCKET, SO_DOMAIN), AF_INET6);
  EQUAL(option(s, SOL_SOCKET, SO_PROTOCOL), IPPROTO_TCP);
  EQUAL(option(s, SOL_SOCKET, SO_ACCEPTCONN), 0);
  EQUAL(option(s, SOL_SOCKET, SO_ERROR), 0);
  set_option(s, IPPROTO_TCP, TCP_NODELAY, 1);
  set_option(s, SOL_SOCKET, SO_REUSEADDR, 1);
  set_option(s, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option(s, IPPROTO_TCP, TCP_KEEPIDLE, 30);
  set_option(s, IPPROTO_TCP, TCP_KEEPINTVL, 5);
  set_option(s, IPPROTO_TCP, TCP_KEEPCNT, 4);
  set_option(s, IPPROTO_TCP, TCP_USER_TIMEOUT, 2500);
  set_option(s, IPPROTO_IP, IP_TTL, 9);
  set_option(s, IPPROTO_IP, IP_TOS, 0x48);
  set_option(s, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO);
  set_option(s, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 9);
  set_option(s, IPPROTO_IPV6, IPV6_TCLASS, 0x48);
  set_option(s, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DONT);
  EQUAL(usertcp_setsockopt(s, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &value, 1), -EINVAL);
  set_option(s, IPPROTO_TCP, TCP_CORK, 1);
  set_option(s, IPPROTO_TCP, TCP_QUICKACK, 0);
  set_option(s, IPPROTO_TCP, TCP_SYNCNT, 3);
  set_option(s, IPPROTO_TCP, TCP_LINGER2, 9);
  set_option(s, IPPROTO_TCP, TCP_WINDOW_CLAMP, 9000);
  set_option(s, IPPROTO_TCP, TCP_NOTSENT_LOWAT, 7000);
  set_option(s, SOL_SOCKET, SO_RCVLOWAT, 5);
  EQUAL(option(s, SOL_SOCKET, SO_SNDLOWAT), 1);
  length = sizeof name;
  OK(usertcp_getsockopt(s, IPPROTO_TCP, TCP_CONGESTION, name, &length));
  EQUAL(length, sizeof name);
  CHECK(strcmp(name, "cubic") == 0);
  EQUAL(usertcp_setsockopt(s, IPPROTO_TCP, TCP_CONGESTION, "nonesuch", 8), -ENOENT);
  OK(usertcp_setsockopt(s, IPPROTO_TCP, TCP_CONGESTION, "reno", 4));
  OK(usertcp_getsockopt(s, IPPROTO_TCP, TCP_CONGESTION, name, &length));
  CHECK(strcmp(name, "reno") == 0);
  EQUAL(usertcp_setsockopt(s, SOL_SOCKET, SO_PRIORITY, &value, sizeof value), -ENOPROTOOPT);
  EQUAL(usertcp_setsockopt(s, SOL_SOCKET, SO_RCVBUFFORCE, &value, sizeof value), -EPERM);
  length = sizeof linger;
  OK(usertcp_setsockopt(s, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
  memset(&linger, 0, sizeof linger);
  OK(usertcp_getsockopt(s, SOL_SOCKET, SO_LINGER, &linger, &length));
  EQUAL(linger.l_onoff, 1);
  EQUAL(linger.l_linger, 0);
  value = 100000;
  OK(usertcp_setsockopt(s, SOL_SOCKET, SO_RCVBUF, &value, sizeof value));
  CHECK(option(s, SOL_SOCKET, SO_RCVBUF) >= value);
  OK(usertcp_setsockopt(s, SOL_SOCKET, SO_SNDBUF, &value, sizeof value));
  CHECK(option(s, SOL_SOCKET, SO_SNDBUF) >= value);
  EQUAL(usertcp_setsockopt(s, IPPROTO_TCP, 9999, &value, sizeof value), -ENOPROTOOPT);
  length = sizeof value;
  EQUAL(usertcp_getsockopt(s, IPPROTO_IPV6, IPV6_MTU, &value, &length), -ENOTCONN);
  length = sizeof value;
  EQUAL(usertcp_getsockopt(s, 9999, 1, &value, &length), -ENOPROTOOPT);
  EQUAL(usertcp_setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &small, sizeof small), -EINVAL);
  OK(usertcp_listen(s, 1));
  EQUAL(option(s, SOL_SOCKET, SO_ACCEPTCONN), 1);
  OK(usertcp_close(s));
}

static void routes_are_the_ways_out(void) {
  usertcp_config_t config = USERTCP_CONFIG_INIT;
  usertcp_stack_t none;
  usertcp_socket_t s;
  address_t beyond = address("203.0.113.1:9"), other = address("[fe80::9%7]:9");
  pair_t two;
  config.routes = "198.51.100.0/24 via somebody";
  EQUAL(usertcp_stack_open(&config, &none), -EINVAL);
  config.routes = "198.51.100.0/24, 2001:db8:9::/48 mtu 1400";
  two = open_pair(&config);
  s = make_socket(two.left, AF_INET);
  EQUAL(usertcp_connect(s, ADDRESS(beyond)), -ENETUNREACH);
  OK(usertcp_close(s));
  s = make_socket(two.left, AF_INET6);
  EQUAL(usertcp_connect(s, ADDRESS(other)), -ENODEV);
  OK(usertcp_close(s));
  close_pair(two);
}

static void a_stack_has_the_habits_of_another_host(void) {
  usertcp_config_t config = USERTCP_CONFIG_INIT;
  usertcp_socket_t s = make_socket(pair.left, AF_INET);
  pair_t two;
  ends_t ends;
  EQUAL(option(s, SOL_SOCKET, SO_RCVBUF), 131072);
  OK(usertcp_close(s));
  config.personality = "freebsd";
  two = open_pair(&config);
  s = make_socket(two.left, AF_INET);
  EQUAL(option(s, SOL_SOCKET, SO_RCVBUF), 65536);
  EQUAL(option(s, SOL_SOCKET, SO_SNDBUF), 32768);
  OK(usertcp_close(s));
  ends = connect_ends(two, "192.0.2.1:1020");
  EQUAL(option(ends.left, SOL_SOCKET, SO_RCVBUF), 65700);
  EQUAL(option(ends.right, SOL_SOCKET, SO_RCVBUF), 65700);
  OK(usertcp_close(ends.left));
  OK(usertcp_close(ends.right));
  close_pair(two);
}

static void addresses_are_taken_once(void) {
  usertcp_socket_t listener = listen_on(pair.left, "192.0.2.1:1011"), s = make_socket(pair.left, AF_INET);
  address_t taken = address("192.0.2.1:1011"), foreign = address("192.0.2.9:80"), any = address("0.0.0.0:0");
  socklen_t length = sizeof any.storage;
  EQUAL(usertcp_bind(s, ADDRESS(taken)), -EADDRINUSE);
  EQUAL(usertcp_bind(s, ADDRESS(foreign)), -EADDRNOTAVAIL);
  OK(usertcp_bind(s, ADDRESS(any)));
  EQUAL(usertcp_bind(s, ADDRESS(any)), -EINVAL);
  OK(usertcp_getsockname(s, (struct sockaddr *)&any.storage, &length));
  CHECK(((struct sockaddr_in *)&any.storage)->sin_port != 0);
  EQUAL(usertcp_getpeername(s, (struct sockaddr *)&any.storage, &length), -ENOTCONN);
  EQUAL(usertcp_shutdown(s, SHUT_WR), -ENOTCONN);
  OK(usertcp_close(s));
  OK(usertcp_close(listener));
}

static void figures_of_a_connection(void) {
  ends_t ends = connect_ends(pair, "192.0.2.1:1012");
  usertcp_tcp_info_t info = USERTCP_TCP_INFO_INIT;
  struct tcp_info systems;
  socklen_t length = sizeof systems;
  uint64_t probes;
  int queued = 0;
  send_pattern(ends.left, 100000);
  receive_pattern(ends.right, 100000);
  OK(usertcp_tcp_info(ends.right, &info));
  EQUAL(info.tcpi_state, TCP_ESTABLISHED);
  EQUAL(info.tcpi_bytes_received, 100000);
  CHECK(info.tcpi_segs_in > 0 && info.tcpi_advmss == 1448 && info.tcpi_pmtu == 1500);
  /* Until all is acknowledged. */
  do OK(usertcp_ioctl(ends.left, SIOCOUTQ, &queued));
  while (queued > 0);
  OK(usertcp_tcp_info(ends.left, &info));
  CHECK(info.tcpi_bytes_sent >= 100000 && info.tcpi_snd_mss > 500 && info.tcpi_snd_cwnd >= 2 && info.tcpi_rto >= 200000);
  /* A slow machine may be late for a tail loss probe, which the other end then reports as received twice. */
  OK(usertcp_stack_counter(pair.left, "tcp_tail_probes", &probes));
  CHECK(info.tcpi_dsack_dups <= probes);
  CHECK(info.tcpi_busy_time > 0 && info.tcpi_delivered > 50 && info.tcpi_delivery_rate > 0);
  /* The system's own structure, of whatever age. */
  OK(usertcp_getsockopt(ends.left, IPPROTO_TCP, TCP_INFO, &systems, &length));
  EQUAL(length, sizeof systems);
  EQUAL(systems.tcpi_state, TCP_ESTABLISHED);
  EQUAL(systems.tcpi_snd_mss, info.tcpi_snd_mss);
  EQUAL(systems.tcpi_pmtu, 1500);
  EQUAL(systems.tcpi_total_retrans, info.tcpi_total_retrans);
  length = 1;
  OK(usertcp_getsockopt(ends.left, IPPROTO_TCP, TCP_INFO, &systems, &length));
  EQUAL(length, 1);
  OK(usertcp_close(ends.left));
  OK(usertcp_close(ends.right));
}

static void urgent_data_in_line_and_out_of_band(void) {
  ends_t ends = connect_ends(pair, "192.0.2.1:1020");
  usertcp_pollfd_t entry = {0, USERTCP_POLLPRI, 0};
  char bytes[8];
  int off = 0, marked = 0;
  entry.socket = ends.right;
  EQUAL(usertcp_poll(&entry, 1, 0), 0);
  EQUAL(usertcp_send(ends.left, "abC", 3, MSG_OOB), 3);
  EQUAL(usertcp_poll(&entry, 1, 30000), 1);
  EQUAL(entry.revents, USERTCP_POLLPRI);
  EQUAL(usertcp_recv(ends.right, bytes, 2, MSG_WAITALL), 2);
  OK(usertcp_ioctl(ends.right, SIOCATMARK, &marked));
  EQUAL(marked, 1);
  EQUAL(usertcp_recv(ends.right, bytes, 8, MSG_OOB), -EINVAL);
  EQUAL(usertcp_recv(ends.right, bytes, 8, 0), 1);
  CHECK(bytes[0] == 'C');
  EQUAL(usertcp_poll(&entry, 1, 0), 0);
  OK(usertcp_ioctl(ends.right, SIOCATMARK, &marked));
  EQUAL(marked, 0);
  OK(usertcp_setsockopt(ends.right, SOL_SOCKET, SO_OOBINLINE, &off, sizeof off));
  EQUAL(usertcp_send(ends.left, "deF", 3, MSG_OOB), 3);
  EQUAL(usertcp_send(ends.left, "g", 1, 0), 1);
  EQUAL(usertcp_poll(&entry, 1, 30000), 1);
  EQUAL(usertcp_recv(ends.right, bytes, 8, MSG_OOB), 1);
  CHECK(bytes[0] == 'F');
  EQUAL(usertcp_recv(ends.right, bytes, 8, MSG_OOB), -EINVAL);
  EQUAL(usertcp_recv(ends.right, bytes, 3, MSG_WAITALL), 2);
  EQUAL(usertcp_recv(ends.right, bytes, 1, MSG_WAITALL), 1);
  CHECK(bytes[0] == 'g');
  OK(usertcp_close(ends.left));
  OK(usertcp_close(ends.right));
}

static void counters_are_told_by_name_and_in_turn(void) {
  const char *name, *meaning;
  uint64_t value, opens = 0, seen = 0;
  uint32_t i;
  OK(usertcp_stack_counter(pair.right, "tcp_active_opens", &opens));
  CHECK(opens > 0);
  OK(usertcp_stack_counter(pair.right, "drop_ip_checksum", &value));
  EQUAL(value, 0);
  for (i = 0; usertcp_stack_counter_at(pair.right, i, &name, &value, &meaning) == 0; i++) {
    CHECK(name[0] != '\0' && meaning[0] != '\0');
    if (strcmp(name, "tcp_active_opens") == 0) seen = value;
  }
  EQUAL(usertcp_stack_counter_at(pair.right, i, NULL, NULL, NULL), -ERANGE);
  CHECK(i > 20);
  EQUAL(seen, opens);
}

static void a_descriptor_has_no_name_and_no_offload(void) {
  char name[16] = "x";
  EQUAL(usertcp_stack_device(pair.left, name, sizeof name), 0);
  CHECK(name[0] == '\0');
  EQUAL(usertcp_stack_device(pair.left, name, 0), -ENOSPC);
  EQUAL(usertcp_stack_offloaded(pair.left), 0);
}

int main(void) {
  pair = open_pair(NULL);
  bytes_travel_both_ways_at_once("192.0.2.1:1000");
  bytes_travel_both_ways_at_once("[2001:db8::1]:1001");
  names_are_told("192.0.2.1:1002", "192.0.2.2:");
  names_are_told("[2001:db8::1]:1003", "[2001:db8::2]:");
  accept_tells_the_peer_and_takes_flags();
  what_is_thrown_away_needs_no_buffer();
  flags_of_receive();
  a_reset_is_an_error_on_the_other_side();
  connecting_to_nobody_is_refused();
  connecting_without_blocking();
  polling_many();
  timeouts();
  options();
  routes_are_the_ways_out();
  a_stack_has_the_habits_of_another_host();
  addresses_are_taken_once();
  figures_of_a_connection();
  urgent_data_in_line_and_out_of_band();
  counters_are_told_by_name_and_in_turn();
  a_descriptor_has_no_name_and_no_offload();
  close_pair(pair);
  return 0;
}
