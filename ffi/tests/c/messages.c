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
  misuse(pair);
  close_pair(pair);
  return 0;
}
