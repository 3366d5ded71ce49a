/* Several buffers in one call: usertcp_sendv, _recvv, _sendmsg, _recvmsg, over both families, with streams and datagrams. */
#include "check.h"

#include <limits.h>

static struct iovec piece(const void *base, size_t length) {
  struct iovec made;
  made.iov_base = (void *)base;
  made.iov_len = length;
  return made;
}

static unsigned char sent[3 << 20], received[3 << 20];

/* Cuts `size` bytes into pieces of all lengths, some of them empty. */
static int cut(struct iovec *pieces, unsigned char *base, size_t size) {
  static const size_t lengths[] = {1, 0, 7, 1500, 3000, 0, 128 << 10, 2, 300000, 13};
  size_t at = 0;
  int count = 0;
  while (at < size) {
    size_t n = lengths[count % 10];
    if (n > size - at || count == 1023) n = size - at;
    pieces[count++] = piece(n == 0 ? NULL : base + at, n);
    at += n;
  }
  return count;
}

typedef struct {
  usertcp_socket_t socket;
  size_t size;
  int message;
} task_t;

static void *send_all(void *argument) {
  task_t *task = (task_t *)argument;
  static struct iovec pieces[1024];
  struct msghdr header;
  int count = cut(pieces, sent, task->size);
  memset(&header, 0, sizeof header);
  header.msg_iov = pieces;
  header.msg_iovlen = (size_t)count;
  if (task->message) EQUAL(usertcp_sendmsg(task->socket, &header, 0), task->size);
  else EQUAL(usertcp_sendv(task->socket, pieces, count, 0), task->size);
  return NULL;
}

static void streams(pair_t pair, const char *text) {
  static struct iovec pieces[1024];
  static const size_t sizes[] = {1, 9, 1508, 200000, sizeof sent};
  ends_t ends = connect_ends(pair, text);
  struct msghdr header;
  char name[128];
  size_t i;
  int message;
  for (i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    for (message = 0; message < 2; message++) {
      task_t task;
      pthread_t thread;
      int count = cut(pieces, received, sizes[i]);
      memset(received, 0, sizeof received);
      task.socket = ends.left;
      task.size = sizes[i];
      task.message = message;
      thread = start(send_all, &task);
      if (message) {
        memset(&header, 0, sizeof header);
        header.msg_iov = pieces;
        header.msg_iovlen = (size_t)count;
        header.msg_name = name;
        header.msg_namelen = sizeof name;
        header.msg_control = name;
        header.msg_controllen = sizeof name;
        header.msg_flags = -1;
        EQUAL(usertcp_recvmsg(ends.right, &header, MSG_WAITALL), sizes[i]);
        EQUAL(header.msg_namelen, 0);
        EQUAL(header.msg_controllen, 0);
        EQUAL(header.msg_flags, 0);
      } else {
        EQUAL(usertcp_recvv(ends.right, pieces, count, MSG_WAITALL), sizes[i]);
      }
      join(thread);
      CHECK(memcmp(sent, received, sizes[i]) == 0);
    }
  }
  /* What is peeked at stays, and what is there is enough. */
  pieces[0] = piece("abc", 3);
  pieces[1] = piece("defgh", 5);
  EQUAL(usertcp_sendv(ends.left, pieces, 2, 0), 8);
  pieces[0] = piece(received, 2);
  pieces[1] = piece(received + 100, 100);
  EQUAL(usertcp_recvv(ends.right, pieces, 1, MSG_PEEK), 2);
  EQUAL(usertcp_recvv(ends.right, pieces, 2, 0), 8);
  CHECK(memcmp(received, "ab", 2) == 0 && memcmp(received + 100, "cdefgh", 6) == 0);
  EQUAL(usertcp_recvv(ends.right, pieces, 2, MSG_DONTWAIT), -EAGAIN);
  EQUAL(usertcp_recvv(ends.right, pieces, 2, MSG_ERRQUEUE), -EAGAIN);
  OK(usertcp_set_timeout(ends.right, 10, -1));
  EQUAL(usertcp_recvv(ends.right, pieces, 2, 0), -EAGAIN);
  EQUAL(usertcp_recvmsg(ends.right, &header, 0), -EAGAIN);
  /* The last byte of all is urgent. */
  {
    int off = 0;
    usertcp_pollfd_t entry;
    OK(usertcp_setsockopt(ends.right, SOL_SOCKET, SO_OOBINLINE, &off, sizeof off));
    pieces[0] = piece("1", 1);
    pieces[1] = piece("23", 2);
    EQUAL(usertcp_sendv(ends.left, pieces, 2, MSG_OOB), 3);
    memset(&entry, 0, sizeof entry);
    entry.socket = ends.right;
    entry.events = USERTCP_POLLPRI;
    EQUAL(usertcp_poll(&entry, 1, 10000), 1);
    pieces[0] = piece(received, 1);
    memset(&header, 0, sizeof header);
    header.msg_iov = pieces;
    header.msg_iovlen = 1;
    while (usertcp_recvmsg(ends.right, &header, MSG_OOB) != 1) sched_yield();
    EQUAL(header.msg_flags, MSG_OOB);
    EQUAL(received[0], '3');
    EQUAL(usertcp_recvmsg(ends.right, &header, MSG_OOB), -EINVAL);
  }
  EQUAL(usertcp_sendv(ends.left, pieces, 1, MSG_FASTOPEN), -EOPNOTSUPP);
  OK(usertcp_shutdown(ends.left, SHUT_WR));
  EQUAL(usertcp_sendv(ends.left, pieces, 1, 0), -EPIPE);
  pieces[0] = piece(received, 100);
  EQUAL(usertcp_recvv(ends.right, pieces, 1, 0), 2);
  EQUAL(usertcp_recvv(ends.right, pieces, 1, 0), 0);
  OK(usertcp_close(ends.left));
  OK(usertcp_close(ends.right));
}

static void datagrams(pair_t pair, const char *left, const char *right) {
  address_t a = address(left), b = address(right);
  usertcp_socket_t from, to;
  struct iovec pieces[3];
  struct msghdr header;
  struct sockaddr_storage name;
  char text[USERTCP_ADDRSTRLEN];
  OK(usertcp_socket(pair.left, domain_of(left), SOCK_DGRAM, 0, &from));
  OK(usertcp_socket(pair.right, domain_of(right), SOCK_DGRAM, 0, &to));
  OK(usertcp_bind(from, ADDRESS(a)));
  OK(usertcp_bind(to, ADDRESS(b)));
  pieces[0] = piece("one ", 4);
  pieces[1] = piece(NULL, 0);
  pieces[2] = piece("datagram", 8);
  memset(&header, 0, sizeof header);
  header.msg_iov = pieces;
  header.msg_iovlen = 3;
  EQUAL(usertcp_sendmsg(from, &header, 0), -EDESTADDRREQ);
  EQUAL(usertcp_sendv(from, pieces, 3, 0), -EDESTADDRREQ);
  header.msg_name = &b.storage;
  header.msg_namelen = 1;
  EQUAL(usertcp_sendmsg(from, &header, 0), -EINVAL);
  header.msg_namelen = b.length;
  EQUAL(usertcp_sendmsg(from, &header, MSG_MORE), -EOPNOTSUPP);
  EQUAL(usertcp_sendmsg(from, &header, 0), 12);
  EQUAL(usertcp_sendmsg(from, &header, 0), 12);
  OK(usertcp_connect(from, ADDRESS(b)));
  EQUAL(usertcp_sendv(from, pieces, 3, 0), 12);
  EQUAL(usertcp_sendv(from, NULL, 0, 0), 0);

  pieces[0] = piece(received, 5);
  pieces[1] = piece(received + 5, 100);
  header.msg_name = &name;
  header.msg_namelen = sizeof name;
  header.msg_iovlen = 2;
  memset(received, 0, 200);
  EQUAL(usertcp_recvmsg(to, &header, MSG_PEEK), 12);
  EQUAL(usertcp_recvmsg(to, &header, 0), 12);
  CHECK(memcmp(received, "one datagram", 12) == 0);
  EQUAL(header.msg_flags, 0);
  EQUAL(header.msg_namelen, a.length);
  CHECK(usertcp_format_addr((struct sockaddr *)&name, header.msg_namelen, text, sizeof text) > 0);
  CHECK(strcmp(text, left) == 0);
  /* The name is cut to its buffer, the datagram to its own. */
  header.msg_namelen = 2;
  header.msg_iovlen = 1;
  EQUAL(usertcp_recvmsg(to, &header, 0), 5);
  EQUAL(header.msg_flags, MSG_TRUNC);
  EQUAL(header.msg_namelen, a.length);
  header.msg_name = NULL;
  EQUAL(usertcp_recvmsg(to, &header, MSG_TRUNC), 12);
  EQUAL(header.msg_flags, MSG_TRUNC);
  EQUAL(header.msg_namelen, 0);
  /* The empty one. */
  EQUAL(usertcp_recvv(to, pieces, 2, 0), 0);
  EQUAL(usertcp_recvv(to, pieces, 2, MSG_DONTWAIT), -EAGAIN);
  pieces[0] = piece(sent, 40000);
  pieces[1] = piece(sent, 40000);
  EQUAL(usertcp_sendv(from, pieces, 2, 0), -EMSGSIZE);
  OK(usertcp_close(from));
  OK(usertcp_close(to));
}

typedef struct {
  size_t data[32];
  size_t length;
} control_t;

static void append(control_t *control, int level, int type, const void *value, size_t size) {
  struct cmsghdr *header = (struct cmsghdr *)(void *)((char *)control->data + control->length);
  header->cmsg_len = CMSG_LEN(size);
  header->cmsg_level = level;
  header->cmsg_type = type;
  memcpy(CMSG_DATA(header), value, size);
  control->length += CMSG_SPACE(size);
}

static ssize_t send_with(usertcp_socket_t s, address_t *to, control_t *control) {
  struct iovec one = piece("x", 1);
  struct msghdr header;
  memset(&header, 0, sizeof header);
  header.msg_iov = &one;
  header.msg_iovlen = 1;
  header.msg_name = &to->storage;
  header.msg_namelen = to->length;
  header.msg_control = control->data;
  header.msg_controllen = control->length;
  return usertcp_sendmsg(s, &header, 0);
}

/* What one item of control data makes of a datagram. */
static ssize_t send_one(usertcp_socket_t s, address_t *to, int level, int type, const void *value, size_t size) {
  control_t control;
  memset(&control, 0, sizeof control);
  append(&control, level, type, value, size);
  return send_with(s, to, &control);
}

/* The datagram that comes next, with its control data; whom it came from in `text`. */
static int receive_with(usertcp_socket_t s, struct msghdr *header, control_t *control, size_t room, char *text) {
  static char bytes[64];
  static struct iovec one;
  static struct sockaddr_storage name;
  one = piece(bytes, sizeof bytes);
  memset(header, 0, sizeof *header);
  memset(control, 0xff, sizeof *control);
  header->msg_iov = &one;
  header->msg_iovlen = 1;
  header->msg_name = &name;
  header->msg_namelen = sizeof name;
  header->msg_control = control->data;
  header->msg_controllen = room;
  EQUAL(usertcp_recvmsg(s, header, 0), 1);
  CHECK(usertcp_format_addr((struct sockaddr *)&name, header->msg_namelen, text, USERTCP_ADDRSTRLEN) > 0);
  return header->msg_flags;
}

static struct cmsghdr *item(struct msghdr *header, struct cmsghdr *before, int level, int type, size_t size) {
  struct cmsghdr *found = before == NULL ? CMSG_FIRSTHDR(header) : CMSG_NXTHDR(header, before);
  CHECK(found != NULL);
  EQUAL(found->cmsg_level, level);
  EQUAL(found->cmsg_type, type);
  EQUAL(found->cmsg_len, CMSG_LEN(size));
  return found;
}

static int number_in(const struct cmsghdr *header) {
  int number;
  memcpy(&number, CMSG_DATA(header), sizeof number);
  return number;
}

static void option(usertcp_socket_t s, int level, int name, int value) {
  int read = -1;
  socklen_t length = sizeof read;
  OK(usertcp_setsockopt(s, level, name, &value, sizeof value));
  OK(usertcp_getsockopt(s, level, name, &read, &length));
  EQUAL(read, value);
}

static void control_over_ipv4(pair_t pair) {
  address_t any = address("0.0.0.0:54"), to = address("192.0.2.2:54");
  usertcp_socket_t from, s;
  struct msghdr header;
  struct cmsghdr *found;
  struct in_pktinfo info;
  control_t control;
  char text[USERTCP_ADDRSTRLEN];
  int number;
  OK(usertcp_socket(pair.left, AF_INET, SOCK_DGRAM, 0, &from));
  OK(usertcp_socket(pair.right, AF_INET, SOCK_DGRAM, 0, &s));
  OK(usertcp_bind(from, ADDRESS(any)));
  OK(usertcp_bind(s, ADDRESS(any)));
  /* Nobody asks: nothing comes. */
  memset(&control, 0, sizeof control);
  EQUAL(send_with(from, &to, &control), 1);
  EQUAL(receive_with(s, &header, &control, 256, text), 0);
  EQUAL(header.msg_controllen, 0);
  option(s, IPPROTO_IP, IP_PKTINFO, 1);
  option(s, IPPROTO_IP, IP_RECVTTL, 1);
  option(s, IPPROTO_IP, IP_RECVTOS, 1);
  memset(&control, 0, sizeof control);
  memset(&info, 0, sizeof info);
  info.ipi_ifindex = 1;
  info.ipi_spec_dst.s_addr = inet_addr("192.0.2.1");
  append(&control, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
  number = 7;
  append(&control, IPPROTO_IP, IP_TTL, &number, sizeof number);
  number = 0xb8;
  append(&control, IPPROTO_IP, IP_TOS, &number, sizeof number);
  EQUAL(send_with(from, &to, &control), 1);
  EQUAL(receive_with(s, &header, &control, 256, text), 0);
  CHECK(strcmp(text, "192.0.2.1:54") == 0);
  found = item(&header, NULL, IPPROTO_IP, IP_PKTINFO, sizeof info);
  memcpy(&info, CMSG_DATA(found), sizeof info);
  EQUAL(info.ipi_ifindex, 1);
  CHECK(info.ipi_addr.s_addr == inet_addr("192.0.2.2") && info.ipi_spec_dst.s_addr == info.ipi_addr.s_addr);
  found = item(&header, found, IPPROTO_IP, IP_TTL, sizeof number);
  EQUAL(number_in(found), 7);
  found = item(&header, found, IPPROTO_IP, IP_TOS, 1);
  EQUAL(*CMSG_DATA(found), 0xb8);
  CHECK(CMSG_NXTHDR(&header, found) == NULL);
  /* The next one is as ever, and what does not fit is left out. */
  memset(&control, 0, sizeof control);
  EQUAL(send_with(from, &to, &control), 1);
  EQUAL(receive_with(s, &header, &control, CMSG_SPACE(sizeof info), text), MSG_CTRUNC);
  EQUAL(header.msg_controllen, CMSG_SPACE(sizeof info));
  memset(&control, 0, sizeof control);
  EQUAL(send_with(from, &to, &control), 1);
  EQUAL(receive_with(s, &header, &control, 3, text), MSG_CTRUNC);
  EQUAL(header.msg_controllen, 0);
  option(s, IPPROTO_IP, IP_PKTINFO, 0);
  option(s, IPPROTO_IP, IP_RECVTOS, 0);
  memset(&control, 0, sizeof control);
  EQUAL(send_with(from, &to, &control), 1);
  EQUAL(receive_with(s, &header, &control, 256, text), 0);
  EQUAL(number_in(item(&header, NULL, IPPROTO_IP, IP_TTL, sizeof number)), 64);

  /* What is refused. */
  number = 0;
  EQUAL(send_one(from, &to, IPPROTO_IP, IP_TTL, &number, sizeof number), -EINVAL);
  number = 256;
  EQUAL(send_one(from, &to, IPPROTO_IP, IP_TTL, &number, sizeof number), -EINVAL);
  EQUAL(send_one(from, &to, IPPROTO_IP, IP_TOS, &number, sizeof number), -EINVAL);
  EQUAL(send_one(from, &to, IPPROTO_IP, IP_TTL, &number, 2), -EINVAL);
  EQUAL(send_one(from, &to, IPPROTO_IP, 99, &number, sizeof number), -EINVAL);
  EQUAL(send_one(from, &to, SOL_SOCKET, SCM_RIGHTS, &number, sizeof number), -EINVAL);
  memset(&info, 0, sizeof info);
  info.ipi_ifindex = 2;
  EQUAL(send_one(from, &to, IPPROTO_IP, IP_PKTINFO, &info, sizeof info), -ENODEV);
  info.ipi_ifindex = 0;
  info.ipi_spec_dst.s_addr = inet_addr("192.0.2.77");
  EQUAL(send_one(from, &to, IPPROTO_IP, IP_PKTINFO, &info, sizeof info), -EINVAL);
  memset(&control, 0, sizeof control);
  append(&control, IPPROTO_IP, IP_TTL, &number, sizeof number);
  ((struct cmsghdr *)(void *)control.data)->cmsg_len = 200;
  EQUAL(send_with(from, &to, &control), -EINVAL);
  EQUAL(usertcp_setsockopt(s, IPPROTO_IP, IP_PKTINFO, NULL, 0), -EINVAL);
  EQUAL(usertcp_setsockopt(s, IPPROTO_IPV6, IPV6_RECVPKTINFO, &number, sizeof number), -ENOPROTOOPT);
  OK(usertcp_close(s));
  OK(usertcp_close(from));
  s = make_socket(pair.left, AF_INET);
  EQUAL(usertcp_setsockopt(s, IPPROTO_IP, IP_PKTINFO, &number, sizeof number), -ENOPROTOOPT);
  number = 7;
  EQUAL(send_one(s, &to, IPPROTO_IP, IP_TTL, &number, sizeof number), -EINVAL);
  OK(usertcp_close(s));
}

static void control_over_ipv6(pair_t pair) {
  address_t any = address("[::]:54"), to = address("[2001:db8::2]:54"), four = address("192.0.2.2:54"), any_four = address("0.0.0.0:54");
  usertcp_socket_t from, from_four, s;
  struct msghdr header;
  struct cmsghdr *found;
  struct in6_pktinfo info;
  control_t control;
  char text[USERTCP_ADDRSTRLEN], shown[INET6_ADDRSTRLEN];
  int number;
  OK(usertcp_socket(pair.left, AF_INET6, SOCK_DGRAM, 0, &from));
  number = 1;
  OK(usertcp_setsockopt(from, IPPROTO_IPV6, IPV6_V6ONLY, &number, sizeof number));
  OK(usertcp_socket(pair.left, AF_INET, SOCK_DGRAM, 0, &from_four));
  OK(usertcp_socket(pair.right, AF_INET6, SOCK_DGRAM, 0, &s));
  OK(usertcp_bind(from, ADDRESS(any)));
  OK(usertcp_bind(from_four, ADDRESS(any_four)));
  OK(usertcp_bind(s, ADDRESS(any)));
  option(s, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
  option(s, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1);
  option(s, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
  memset(&control, 0, sizeof control);
  memset(&info, 0, sizeof info);
  CHECK(inet_pton(AF_INET6, "2001:db8::1", &info.ipi6_addr) == 1);
  append(&control, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info);
  number = 9;
  append(&control, IPPROTO_IPV6, IPV6_HOPLIMIT, &number, sizeof number);
  number = 0x28;
  append(&control, IPPROTO_IPV6, IPV6_TCLASS, &number, sizeof number);
  EQUAL(send_with(from, &to, &control), 1);
  EQUAL(receive_with(s, &header, &control, 256, text), 0);
  CHECK(strcmp(text, "[2001:db8::1]:54") == 0);
  found = item(&header, NULL, IPPROTO_IPV6, IPV6_PKTINFO, sizeof info);
  memcpy(&info, CMSG_DATA(found), sizeof info);
  EQUAL(info.ipi6_ifindex, 1);
  CHECK(strcmp(inet_ntop(AF_INET6, &info.ipi6_addr, shown, sizeof shown), "2001:db8::2") == 0);
  found = item(&header, found, IPPROTO_IPV6, IPV6_HOPLIMIT, sizeof number);
  EQUAL(number_in(found), 9);
  found = item(&header, found, IPPROTO_IPV6, IPV6_TCLASS, sizeof number);
  EQUAL(number_in(found), 0x28);
  /* -1 is what the options say. */
  number = -1;
  EQUAL(send_one(from, &to, IPPROTO_IPV6, IPV6_HOPLIMIT, &number, sizeof number), 1);
  EQUAL(receive_with(s, &header, &control, 256, text), 0);
  found = item(&header, NULL, IPPROTO_IPV6, IPV6_PKTINFO, sizeof info);
  EQUAL(number_in(item(&header, found, IPPROTO_IPV6, IPV6_HOPLIMIT, sizeof number)), 64);
  /* Over IPv4 too, mapped. */
  memset(&control, 0, sizeof control);
  EQUAL(send_with(from_four, &four, &control), 1);
  EQUAL(receive_with(s, &header, &control, 256, text), 0);
  found = item(&header, NULL, IPPROTO_IPV6, IPV6_PKTINFO, sizeof info);
  memcpy(&info, CMSG_DATA(found), sizeof info);
  CHECK(strcmp(inet_ntop(AF_INET6, &info.ipi6_addr, shown, sizeof shown), "::ffff:192.0.2.2") == 0);
  number = 256;
  EQUAL(send_one(from, &to, IPPROTO_IPV6, IPV6_HOPLIMIT, &number, sizeof number), -EINVAL);
  number = -2;
  EQUAL(send_one(from, &to, IPPROTO_IPV6, IPV6_TCLASS, &number, sizeof number), -EINVAL);
  memset(&info, 0, sizeof info);
  CHECK(inet_pton(AF_INET6, "2001:db8::77", &info.ipi6_addr) == 1);
  EQUAL(send_one(from, &to, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info), -EINVAL);
  CHECK(inet_pton(AF_INET6, "::ffff:192.0.2.1", &info.ipi6_addr) == 1);
  EQUAL(send_one(from, &to, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info), -EINVAL);
  OK(usertcp_close(s));
  OK(usertcp_close(from));
  OK(usertcp_close(from_four));
}

static void misuse(pair_t pair) {
  static struct iovec many[1025];
  usertcp_socket_t s = make_socket(pair.left, AF_INET);
  struct msghdr header;
  char control[64];
  EQUAL(usertcp_sendv(0, many, 1, 0), -EBADF);
  EQUAL(usertcp_recvv(0, many, 1, 0), -EBADF);
  EQUAL(usertcp_sendmsg(0, NULL, 0), -EBADF);
  EQUAL(usertcp_recvmsg(0, NULL, 0), -EBADF);
  EQUAL(usertcp_sendmsg(s, NULL, 0), -EFAULT);
  EQUAL(usertcp_recvmsg(s, NULL, 0), -EFAULT);
  EQUAL(usertcp_sendv(s, NULL, 1, 0), -EFAULT);
  EQUAL(usertcp_recvv(s, NULL, 1, 0), -EFAULT);
  EQUAL(usertcp_sendv(s, many, -1, 0), -EINVAL);
  EQUAL(usertcp_recvv(s, many, -1, 0), -EINVAL);
  EQUAL(usertcp_sendv(s, many, 1025, 0), -EINVAL);
  EQUAL(usertcp_recvv(s, many, 1025, 0), -EINVAL);
  many[0] = piece(NULL, 1);
  EQUAL(usertcp_sendv(s, many, 1, 0), -EFAULT);
  EQUAL(usertcp_recvv(s, many, 1, 0), -EFAULT);
  many[0] = piece(sent, SSIZE_MAX);
  many[1] = piece(sent, 1);
  EQUAL(usertcp_sendv(s, many, 2, 0), -EINVAL);
  EQUAL(usertcp_recvv(s, many, 2, 0), -EINVAL);
  many[1] = piece(sent, SIZE_MAX);
  EQUAL(usertcp_sendv(s, many, 2, 0), -EINVAL);
  many[0] = many[1] = piece(sent, 1);
  EQUAL(usertcp_sendv(s, many, 2, 0), -EPIPE);
  EQUAL(usertcp_recvv(s, many, 2, 0), -ENOTCONN);
  memset(&header, 0, sizeof header);
  header.msg_iov = many;
  header.msg_iovlen = 1025;
  EQUAL(usertcp_sendmsg(s, &header, 0), -EMSGSIZE);
  EQUAL(usertcp_recvmsg(s, &header, 0), -EMSGSIZE);
  header.msg_iovlen = 2;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  memset(control, 0, sizeof control);
  EQUAL(usertcp_sendmsg(s, &header, 0), -EINVAL);
  OK(usertcp_close(s));
}

int main(void) {
  pair_t pair = open_pair(NULL);
  size_t i;
  for (i = 0; i < sizeof sent; i++) sent[i] = pattern(i);
  streams(pair, "192.0.2.1:80");
  streams(pair, "[2001:db8::1]:80");
  datagrams(pair, "192.0.2.1:53", "192.0.2.2:53");
  datagrams(pair, "[2001:db8::1]:53", "[2001:db8::2]:53");
  control_over_ipv4(pair);
  control_over_ipv6(pair);
  misuse(pair);
  close_pair(pair);
  return 0;
}
