/* The calls on sockets, each with arguments that the input decides, and what must hold of its outputs. */
#ifndef CALLS_SOCKETS_H
#define CALLS_SOCKETS_H

#include "world.h"

static int nonblock(actor_t *a, unsigned b) {
  if (b >= 0xf8) return (int)u16(&a->in);
  return a->alone || b % 2 == 0 ? USERTCP_NONBLOCK : 0;
}

static void new_socket(actor_t *a, uint64_t handle, unsigned where, unsigned blocks) {
  /* An odd flag may have been taken for no flag. */
  if (a->alone && blocks >= 0xf8) usertcp_set_nonblock(handle, 1);
  keep(a, SOCKET, where, handle);
}

static void call_socket(actor_t *a) {
  uint64_t stack = pick(a, STACK), *made = place(a, sizeof *made);
  unsigned b = u8(&a->in), where = u8(&a->in), blocks = u8(&a->in);
  int flags = nonblock(a, blocks), domain = b & 1 ? AF_INET6 : AF_INET, type = b & 2 ? SOCK_DGRAM : SOCK_STREAM;
  if (b >= 0xf0) domain = (int)number(&a->in);
  if (b >= 0xf8) type = (int)number(&a->in);
  if (CALL(a, usertcp_socket(stack, domain, type, flags, made)) == 0) new_socket(a, *made, where, blocks);
}

static void call_bind(actor_t *a) {
  socklen_t length;
  uint64_t s = pick(a, SOCKET);
  const struct sockaddr *address = to(a, &length);
  CALL(a, usertcp_bind(s, address, length));
}

static void call_listen(actor_t *a) {
  uint64_t s = pick(a, SOCKET);
  int backlog = (int)number(&a->in);
  CALL(a, usertcp_listen(s, backlog));
}

static void call_accept(actor_t *a) {
  uint64_t s = pick(a, SOCKET), *made = place(a, sizeof *made);
  unsigned where = u8(&a->in), blocks = u8(&a->in);
  int flags = nonblock(a, blocks);
  from_t f = from(a);
  if (CALL(a, usertcp_accept(s, made, f.at, f.length, flags)) < 0) return;
  new_socket(a, *made, where, blocks);
}

static void call_connect(actor_t *a) {
  socklen_t length;
  uint64_t s = pick(a, SOCKET);
  const struct sockaddr *address = to(a, &length);
  CALL(a, usertcp_connect(s, address, length));
}

static void sent(actor_t *a, long long result, size_t size) {
  if (result > (long long)size) fail(a, "sent %lld of %zu bytes", result, size);
}

static void call_send(actor_t *a) {
  uint64_t s = pick(a, SOCKET);
  size_t size = length_of_data(a);
  int flags = message_flags(a);
  const void *data = given(a, NULL, size);
  if (never(&a->in)) data = NULL;
  sent(a, CALL(a, usertcp_send(s, data, size, flags)), size);
}

static void call_sendto(actor_t *a) {
  uint64_t s = pick(a, SOCKET);
  size_t size = length_of_data(a);
  int flags = message_flags(a);
  socklen_t length;
  const void *data = given(a, NULL, size);
  const struct sockaddr *address = to(a, &length);
  if (never(&a->in)) data = NULL;
  sent(a, CALL(a, usertcp_sendto(s, data, size, flags, address, length)), size);
}

static void received(actor_t *a, long long result, const void *data, size_t size, int flags) {
  if (result < 0) return;
  if (result > (long long)size && !(flags & MSG_TRUNC)) fail(a, "received %lld into %zu bytes", result, size);
  if (data != NULL && result < (long long)size) at_most(a, data, (size_t)result);
}

static void call_recv(actor_t *a) {
  uint64_t s = pick(a, SOCKET);
  size_t size = length_of_data(a);
  int flags = message_flags(a);
  void *data = room(a, size, 1);
  if (never(&a->in)) data = NULL;
  received(a, CALL(a, usertcp_recv(s, data, size, flags)), data, size, flags);
}

static void call_recvfrom(actor_t *a) {
  uint64_t s = pick(a, SOCKET);
  size_t size = length_of_data(a);
  int flags = message_flags(a);
  void *data = room(a, size, 1);
  from_t f = from(a);
  if (never(&a->in)) data = NULL;
  received(a, CALL(a, usertcp_recvfrom(s, data, size, flags, f.at, f.length)), data, size, flags);
}

#define PIECES 6

/* Pieces in memory of their own, and the array of them, that the call only reads. */
static struct iovec *pieces(actor_t *a, int written, int *count, size_t *total) {
  struct iovec all[PIECES];
  int i, n = (int)(u8(&a->in) % (PIECES + 1));
  *total = 0;
  for (i = 0; i < n; i++) {
    all[i].iov_len = u8(&a->in) % 3 == 0 ? 0 : length_of_data(a);
    all[i].iov_base = room(a, all[i].iov_len, written);
    if (never(&a->in)) all[i].iov_base = NULL;
    *total += all[i].iov_len;
  }
  *count = n;
  return given(a, all, (size_t)n * sizeof *all);
}

/* A count that the library has to refuse before it looks at the pieces. */
static int odd_count(actor_t *a, int count) {
  unsigned b = u8(&a->in);
  return b < 0xf0 ? count : b % 2 ? -1 - (int)b : 1025 + (int)b;
}

static void call_sendv(actor_t *a) {
  uint64_t s = pick(a, SOCKET);
  int count, flags = message_flags(a);
  size_t total;
  const struct iovec *all = pieces(a, 0, &count, &total);
  if (never(&a->in)) all = NULL;
  count = odd_count(a, count);
  sent(a, CALL(a, usertcp_sendv(s, all, count, flags)), total);
}

static void call_recvv(actor_t *a) {
  uint64_t s = pick(a, SOCKET);
  int count, flags = message_flags(a);
  size_t total;
  const struct iovec *all = pieces(a, 1, &count, &total);
  if (never(&a->in)) all = NULL;
  count = odd_count(a, count);
  received(a, CALL(a, usertcp_recvv(s, all, count, flags)), NULL, total, flags);
}

/* Control data of one to three items, mostly what a datagram may ask for, sometimes with a wrong length or cut. */
static void control_data(actor_t *a, struct msghdr *message) {
  static const struct {
    int level, type;
    unsigned size;
  } items[] = {{IPPROTO_IP, IP_PKTINFO, sizeof(struct in_pktinfo)}, {IPPROTO_IP, IP_TTL, sizeof(int)},
               {IPPROTO_IP, IP_TOS, 1},                             {IPPROTO_IPV6, IPV6_PKTINFO, sizeof(struct in6_pktinfo)},
               {IPPROTO_IPV6, IPV6_HOPLIMIT, sizeof(int)},          {IPPROTO_IPV6, IPV6_TCLASS, sizeof(int)},
               {SOL_SOCKET, SCM_RIGHTS, sizeof(int)},               {IPPROTO_IP, IP_RETOPTS, 40}};
  static const char *const sources[] = {"192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2", "198.51.100.1", "0.0.0.0", "::", "::1"};
  unsigned char bytes[256];
  size_t used = 0;
  unsigned count = 1 + u8(&a->in) % 3, i;
  memset(bytes, 0, sizeof bytes);
  for (i = 0; i < count; i++) {
    unsigned which = u8(&a->in) % 8, b = u8(&a->in), odd = u8(&a->in);
    struct cmsghdr header;
    unsigned char value[40];
    struct sockaddr_storage source;
    socklen_t length;
    size_t size = items[which].size;
    memset(&header, 0, sizeof header);
    memset(value, 0, sizeof value);
    if (usertcp_parse_addr(sources[b % 8], &source, &length) != 0) fail(a, "cannot be told an address");
    if (which == 0) memcpy(value + 4, &((struct sockaddr_in *)&source)->sin_addr, 4);
    else if (which == 3) memcpy(value, &((struct sockaddr_in6 *)&source)->sin6_addr, 16);
    else memset(value, b < 0xe0 ? 0 : 0xff, size);
    if (which == 0 || which == 3) value[which == 0 ? 0 : 16] = (unsigned char)(b / 8 % 4 == 3 ? 2 : b / 8 % 2);
    else value[0] = (unsigned char)b;
    if (odd >= 0xe0) size = odd % 33;
    header.cmsg_len = CMSG_LEN(size);
    if (odd == 0xdf) header.cmsg_len = (size_t)u64(&a->in);
    if (odd == 0xde) header.cmsg_len = u8(&a->in);
    header.cmsg_level = items[which].level;
    header.cmsg_type = items[which].type;
    memcpy(bytes + used, &header, sizeof header);
    memcpy(bytes + used + CMSG_LEN(0), value, size);
    used += CMSG_SPACE(size);
  }
  if (never(&a->in)) used -= u8(&a->in) % used;
  message->msg_control = given(a, bytes, used);
  message->msg_controllen = used;
}

static void call_sendmsg(actor_t *a) {
  uint64_t s = pick(a, SOCKET);
  struct msghdr message;
  unsigned b;
  int count, flags = message_flags(a);
  size_t total;
  memset(&message, 0, sizeof message);
  message.msg_iov = pieces(a, 0, &count, &total);
  message.msg_iovlen = (size_t)odd_count(a, count);
  if (u8(&a->in) % 2) message.msg_name = (void *)(uintptr_t)to(a, &message.msg_namelen);
  b = u8(&a->in);
  if (b >= 0xf8) message.msg_controllen = 1;
  else if (b >= 0xc0) control_data(a, &message);
  {
    const struct msghdr *at = given(a, &message, sizeof message);
    if (never(&a->in)) at = NULL;
    sent(a, CALL(a, usertcp_sendmsg(s, at, flags)), total);
  }
}

static void call_recvmsg(actor_t *a) {
  static const unsigned char rooms[] = {8, 0, 24, 33, 56, 96, 128};
  uint64_t s = pick(a, SOCKET);
  struct msghdr message;
  int count, flags = message_flags(a);
  unsigned b;
  size_t total;
  memset(&message, 0, sizeof message);
  message.msg_iov = pieces(a, 1, &count, &total);
  message.msg_iovlen = (size_t)odd_count(a, count);
  b = u8(&a->in);
  message.msg_namelen = b % 40;
  message.msg_name = u8(&a->in) % 2 ? room(a, message.msg_namelen, 1) : NULL;
  message.msg_controllen = rooms[b / 40];
  message.msg_control = room(a, message.msg_controllen, 1);
  {
    struct msghdr *at = exchange(a, &message, sizeof message);
    long long result = CALL(a, usertcp_recvmsg(s, at, flags));
    received(a, result, NULL, total, flags);
    if (result < 0) return;
    if (at->msg_control != message.msg_control || at->msg_controllen > message.msg_controllen) fail(a, "stores control data elsewhere");
    at_most(a, message.msg_control, at->msg_controllen);
  }
}

static void call_shutdown(actor_t *a) {
  uint64_t s = pick(a, SOCKET);
  int how = (int)(number(&a->in) % 4);
  CALL(a, usertcp_shutdown(s, how));
}

static void call_cancel(actor_t *a) {
  uint64_t s = pick(a, SOCKET);
  CALL(a, usertcp_cancel(s));
}

static void call_close(actor_t *a) {
  uint64_t s = pick(a, SOCKET);
  if (CALL(a, usertcp_close(s)) == 0) forget(SOCKET, s);
}

static void call_abort(actor_t *a) {
  uint64_t s = pick(a, SOCKET);
  if (CALL(a, usertcp_abort(s)) == 0) forget(SOCKET, s);
}

static void call_fd(actor_t *a) {
  uint64_t s = pick(a, SOCKET);
  CALL(a, usertcp_fd(s));
}

static void call_export_fd(actor_t *a) {
  uint64_t s = pick(a, SOCKET);
  unsigned where = u8(&a->in) % DESCRIPTORS;
  long long fd = CALL(a, usertcp_export_fd(s));
  if (fd < 0) return;
  forget(SOCKET, s);
  fd = __atomic_exchange_n(&world.descriptors[where], (int)fd, __ATOMIC_SEQ_CST);
  if (fd >= 0) close((int)fd);
}

/* What a program does with an exported descriptor. Taken out of the world first: another thread might close it, and the number be
   somebody else's then. */
static void call_descriptor(actor_t *a) {
  unsigned where = u8(&a->in) % DESCRIPTORS, b = u8(&a->in);
  size_t size = length_of_data(a);
  void *data = given(a, NULL, size);
  int fd = __atomic_exchange_n(&world.descriptors[where], -1, __ATOMIC_SEQ_CST);
  if (fd < 0) return;
  if (b % 4 == 0) b = (unsigned)send(fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
  else if (b % 4 == 1) b = (unsigned)recv(fd, data, size, MSG_DONTWAIT);
  else if (b % 4 == 2) b = (unsigned)shutdown(fd, (int)(b / 4 % 3));
  else b = 0xffff;
  if (b != 0xffff) fd = __atomic_exchange_n(&world.descriptors[where], fd, __ATOMIC_SEQ_CST);
  if (fd >= 0) close(fd);
}

static void call_getsockname(actor_t *a) {
  uint64_t s = pick(a, SOCKET);
  from_t f = from(a);
  CALL(a, usertcp_getsockname(s, f.at, f.length));
}

static void call_getpeername(actor_t *a) {
  uint64_t s = pick(a, SOCKET);
  from_t f = from(a);
  CALL(a, usertcp_getpeername(s, f.at, f.length));
}

static const int options[][2] = {
    {SOL_SOCKET, SO_ERROR}, {SOL_SOCKET, SO_REUSEADDR}, {SOL_SOCKET, SO_REUSEPORT}, {SOL_SOCKET, SO_KEEPALIVE},
    {SOL_SOCKET, SO_LINGER}, {SOL_SOCKET, SO_RCVBUF}, {SOL_SOCKET, SO_SNDBUF}, {SOL_SOCKET, SO_RCVTIMEO},
    {SOL_SOCKET, SO_SNDTIMEO}, {SOL_SOCKET, SO_TYPE}, {SOL_SOCKET, SO_DOMAIN}, {SOL_SOCKET, SO_PROTOCOL},
    {SOL_SOCKET, SO_ACCEPTCONN}, {SOL_SOCKET, SO_RCVLOWAT}, {SOL_SOCKET, SO_SNDLOWAT}, {SOL_SOCKET, SO_OOBINLINE},
    {SOL_SOCKET, SO_BROADCAST}, {SOL_SOCKET, SO_PRIORITY}, {SOL_SOCKET, SO_RCVBUFFORCE}, {IPPROTO_TCP, TCP_NODELAY},
    {IPPROTO_TCP, TCP_CORK}, {IPPROTO_TCP, TCP_QUICKACK}, {IPPROTO_TCP, TCP_MAXSEG}, {IPPROTO_TCP, TCP_KEEPIDLE},
    {IPPROTO_TCP, TCP_KEEPINTVL}, {IPPROTO_TCP, TCP_KEEPCNT}, {IPPROTO_TCP, TCP_SYNCNT}, {IPPROTO_TCP, TCP_LINGER2},
    {IPPROTO_TCP, TCP_DEFER_ACCEPT}, {IPPROTO_TCP, TCP_USER_TIMEOUT}, {IPPROTO_TCP, TCP_WINDOW_CLAMP},
    {IPPROTO_TCP, TCP_NOTSENT_LOWAT}, {IPPROTO_TCP, TCP_CONGESTION}, {IPPROTO_TCP, TCP_INFO}, {IPPROTO_IP, IP_TTL},
    {IPPROTO_IP, IP_TOS}, {IPPROTO_IP, IP_MTU_DISCOVER}, {IPPROTO_IP, IP_MTU}, {IPPROTO_IP, IP_MULTICAST_TTL},
    {IPPROTO_IPV6, IPV6_UNICAST_HOPS}, {IPPROTO_IPV6, IPV6_TCLASS}, {IPPROTO_IPV6, IPV6_MTU_DISCOVER},
    {IPPROTO_IPV6, IPV6_MTU}, {IPPROTO_IPV6, IPV6_V6ONLY}, {IPPROTO_IPV6, IPV6_MULTICAST_HOPS},
#define OPTIONS_FIRST 45
    {IPPROTO_IP, IP_PKTINFO}, {IPPROTO_IP, IP_RECVTTL}, {IPPROTO_IP, IP_RECVTOS}, {IPPROTO_IPV6, IPV6_RECVPKTINFO},
    {IPPROTO_IPV6, IPV6_RECVHOPLIMIT}, {IPPROTO_IPV6, IPV6_RECVTCLASS}, {IPPROTO_IP, IP_TRANSPARENT}};

static void option(actor_t *a, int *level, int *name) {
  unsigned b = u8(&a->in), n = sizeof options / sizeof *options;
  /* Options that came later have bytes of their own, so that inputs keep what they mean. */
  unsigned which = b < 225 ? b % OPTIONS_FIRST : OPTIONS_FIRST + (b - 225) % (n - OPTIONS_FIRST);
  *level = options[which][0];
  *name = options[which][1];
  if (b < 0xf8) return;
  *level = (int)number(&a->in);
  *name = (int)number(&a->in);
}

static void call_setsockopt(actor_t *a) {
  uint64_t s = pick(a, SOCKET);
  int level, name, odd;
  int value[4] = {0, 0, 0, 0};
  socklen_t length;
  const void *at;
  option(a, &level, &name);
  value[0] = (int)number(&a->in);
  value[1] = value[2] = (int)number(&a->in);
  odd = (int)u8(&a->in);
  length = sizeof(int);
  if (level == SOL_SOCKET && name == SO_LINGER) {
    /* Closing waits as long as this, and is not called off. */
    value[1] = a->alone ? 0 : value[1] & 1;
    length = sizeof(struct linger);
  }
  if (level == SOL_SOCKET && (name == SO_RCVTIMEO || name == SO_SNDTIMEO)) length = sizeof(struct timeval);
  if (level == IPPROTO_TCP && name == TCP_CONGESTION) {
    memcpy(value, odd & 1 ? "cubic" : "reno", 5);
    length = odd & 1 ? 5 : 4;
  }
  if (odd >= 0xf0) length = (socklen_t)(odd % 17);
  at = given(a, value, length);
  if (odd == 0xef) length = (socklen_t)-1;
  if (odd == 0xee) at = NULL;
  CALL(a, usertcp_setsockopt(s, level, name, at, length));
}

static void call_getsockopt(actor_t *a) {
  uint64_t s = pick(a, SOCKET);
  int level, name;
  unsigned b;
  socklen_t size, *length;
  void *at;
  option(a, &level, &name);
  b = u8(&a->in);
  size = (socklen_t)(b < 0x80 ? sizeof(int) : b < 0xc0 ? b % 32 : (b - 0xc0) * 5);
  at = place(a, size);
  length = exchange(a, &size, sizeof size);
  if (CALL(a, usertcp_getsockopt(s, level, name, at, length)) < 0) return;
  if (*length > size) fail(a, "stores %u bytes in %u", *length, size);
  at_most(a, at, *length);
}

static void call_set_timeout(actor_t *a) {
  uint64_t s = pick(a, SOCKET);
  int receive = patience(a), send = patience(a);
  CALL(a, usertcp_set_timeout(s, receive, send));
}

static void call_set_nonblock(actor_t *a) {
  uint64_t s = pick(a, SOCKET);
  int on = (int)(u8(&a->in) % 3) - 1;
  CALL(a, usertcp_set_nonblock(s, a->alone ? 1 : on));
}

static void call_ioctl(actor_t *a) {
  static const unsigned long requests[] = {FIONREAD, TIOCOUTQ, SIOCOUTQNSD, SIOCATMARK, FIONBIO};
  uint64_t s = pick(a, SOCKET);
  unsigned b = u8(&a->in);
  unsigned long request = b < 0xf0 ? requests[b % 5] : (unsigned long)number(&a->in);
  int on = a->alone ? 1 : (int)(b / 5 % 2), *value = exchange(a, &on, sizeof on);
  CALL(a, usertcp_ioctl(s, request, value));
}

static void call_tcp_info(actor_t *a) {
  usertcp_tcp_info_t info = USERTCP_TCP_INFO_INIT;
  uint64_t s = pick(a, SOCKET);
  unsigned b = u8(&a->in);
  void *at;
  /* What the size says is what there is. */
  if (b >= 0x80) info.size = 4 + 4 * (b - 0x80);
  at = room(a, info.size, 1);
  memset(at, 0, info.size);
  memcpy(at, &info.size, sizeof info.size);
  if (b == 0x7f) at = NULL;
  CALL(a, usertcp_tcp_info(s, at));
}

static void call_end_reason(actor_t *a) {
  usertcp_end_reason_t reason = USERTCP_END_REASON_INIT;
  uint64_t s = pick(a, SOCKET);
  unsigned b = u8(&a->in);
  void *at;
  if (b >= 0x80) reason.size = 4 + (b - 0x80);
  at = room(a, reason.size, 1);
  memset(at, 0, reason.size);
  memcpy(at, &reason.size, sizeof reason.size);
  if (b == 0x7f) at = NULL;
  CALL(a, usertcp_end_reason(s, at));
}

static void call_end_text(actor_t *a) {
  uint64_t s = pick(a, SOCKET);
  size_t size = u8(&a->in) % 64;
  char *at = place(a, size);
  CALL(a, usertcp_end_text(s, at, size));
}

static void call_trace(actor_t *a) {
  uint64_t s = pick(a, SOCKET);
  unsigned b = u8(&a->in);
  CALL(a, usertcp_trace(s, b < 0xc0 ? world.null : b < 0xf0 ? -1 : b < 0xf8 ? -2 : 1 << 20));
}

#endif
