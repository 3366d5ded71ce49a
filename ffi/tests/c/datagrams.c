/* Datagram sockets: sendto, recvfrom, connect and its undoing, and what is not for them. */
#include "check.h"

static pair_t pair;

static usertcp_socket_t make_datagram(usertcp_stack_t stack, int domain) {
  usertcp_socket_t s = 0;
  OK(usertcp_socket(stack, domain, SOCK_DGRAM, 0, &s));
  return s;
}

static void ask_and_answer(const char *ours, const char *theirs) {
  usertcp_socket_t left = make_datagram(pair.left, domain_of(ours)), right = make_datagram(pair.right, domain_of(theirs));
  address_t to = address(theirs), from;
  char buffer[16], text[USERTCP_ADDRSTRLEN];
  OK(usertcp_bind(right, ADDRESS(to)));
  EQUAL(usertcp_sendto(left, "question", 8, 0, ADDRESS(to)), 8);
  EQUAL(usertcp_sendto(left, NULL, 0, 0, ADDRESS(to)), 0);
  EQUAL(usertcp_sendto(left, "0123456789", 10, 0, ADDRESS(to)), 10);

  from.length = sizeof from.storage;
  EQUAL(usertcp_recvfrom(right, buffer, sizeof buffer, 0, (struct sockaddr *)&from.storage, &from.length), 8);
  CHECK(memcmp(buffer, "question", 8) == 0);
  EQUAL(from.length, domain_of(ours) == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
  usertcp_format_addr(ADDRESS(from), text, sizeof text);
  CHECK(strncmp(text, ours, strlen(ours)) == 0);
  EQUAL(usertcp_recvfrom(right, buffer, sizeof buffer, 0, NULL, NULL), 0);
  EQUAL(usertcp_recvfrom(right, buffer, 4, MSG_PEEK | MSG_TRUNC, NULL, NULL), 10);
  EQUAL(usertcp_recvfrom(right, buffer, 4, 0, NULL, NULL), 4);
  CHECK(memcmp(buffer, "0123", 4) == 0);
  EQUAL(usertcp_recvfrom(right, buffer, 4, MSG_DONTWAIT, NULL, NULL), -EAGAIN);
  EQUAL(usertcp_recvfrom(right, buffer, 4, 0, (struct sockaddr *)&from.storage, NULL), -EFAULT);

  EQUAL(usertcp_sendto(right, "answer", 6, 0, ADDRESS(from)), 6);
  OK(usertcp_connect(left, ADDRESS(to)));
  EQUAL(usertcp_recv(left, buffer, sizeof buffer, 0), 6);
  EQUAL(usertcp_send(left, "again", 5, 0), 5);
  EQUAL(usertcp_recv(right, buffer, sizeof buffer, 0), 5);
  OK(usertcp_close(right));
  EQUAL(usertcp_send(left, "to nobody", 9, 0), 9);
  EQUAL(usertcp_recv(left, buffer, sizeof buffer, 0), -ECONNREFUSED);

  from.storage.ss_family = AF_UNSPEC;
  OK(usertcp_connect(left, ADDRESS(from)));
  EQUAL(usertcp_send(left, "x", 1, 0), -EDESTADDRREQ);
  EQUAL(usertcp_sendto(left, "x", 1, 0, NULL, 0), -EDESTADDRREQ);
  from.length = sizeof from.storage;
  EQUAL(usertcp_getpeername(left, (struct sockaddr *)&from.storage, &from.length), -ENOTCONN);
  OK(usertcp_close(left));
}

static void what_is_not_for_them(void) {
  usertcp_socket_t s = make_datagram(pair.left, AF_INET), none = 0;
  address_t port_0 = address("192.0.2.2:0"), six = address("[2001:db8::2]:9"), all = address("255.255.255.255:9");
  struct sockaddr unspecified;
  static char long_one[65508];
  usertcp_tcp_info_t info;
  int number = 0, one = 1;
  socklen_t length = sizeof number;
  memset(&unspecified, 0, sizeof unspecified);
  memset(&info, 0, sizeof info);
  EQUAL(usertcp_listen(s, 1), -EOPNOTSUPP);
  EQUAL(usertcp_accept(s, &none, NULL, NULL, 0), -EOPNOTSUPP);
  EQUAL(usertcp_sendto(s, "x", 1, 0, ADDRESS(port_0)), -EINVAL);
  EQUAL(usertcp_sendto(s, "x", 1, 0, ADDRESS(six)), -EAFNOSUPPORT);
  EQUAL(usertcp_sendto(s, "x", 1, 0, ADDRESS(all)), -EACCES);
  OK(usertcp_setsockopt(s, SOL_SOCKET, SO_BROADCAST, &one, sizeof one));
  EQUAL(usertcp_sendto(s, "x", 1, 0, ADDRESS(all)), 1);
  port_0 = address("192.0.2.2:9");
  EQUAL(usertcp_sendto(s, long_one, sizeof long_one, 0, ADDRESS(port_0)), -EMSGSIZE);
  EQUAL(usertcp_sendto(s, "x", 1, MSG_OOB, ADDRESS(port_0)), -EOPNOTSUPP);
  EQUAL(usertcp_sendto(s, "x", 1, MSG_MORE, ADDRESS(port_0)), -EOPNOTSUPP);
  EQUAL(usertcp_sendto(s, "x", 1, MSG_NOSIGNAL | MSG_CONFIRM, ADDRESS(port_0)), 1);
  EQUAL(usertcp_recvfrom(s, &number, sizeof number, MSG_ERRQUEUE, NULL, NULL), -EAGAIN);
  OK(usertcp_getsockopt(s, SOL_SOCKET, SO_TYPE, &number, &length));
  EQUAL(number, SOCK_DGRAM);
  OK(usertcp_getsockopt(s, SOL_SOCKET, SO_PROTOCOL, &number, &length));
  EQUAL(number, IPPROTO_UDP);
  EQUAL(usertcp_getsockopt(s, IPPROTO_TCP, TCP_NODELAY, &number, &length), -ENOPROTOOPT);
  info.size = sizeof info;
  EQUAL(usertcp_tcp_info(s, &info), -ENOPROTOOPT);
  EQUAL(usertcp_shutdown(s, SHUT_RDWR), -ENOTCONN);
  OK(usertcp_close(s));
  EQUAL(usertcp_socket(pair.left, AF_INET, SOCK_RAW, 0, &none), -ESOCKTNOSUPPORT);

  s = make_socket(pair.left, AF_INET);
  EQUAL(usertcp_connect(s, &unspecified, sizeof unspecified), -EAFNOSUPPORT);
  OK(usertcp_close(s));
}

static void a_stream_may_use_the_same_calls(void) {
  usertcp_socket_t listener = listen_on(pair.right, "192.0.2.2:2000"), client, server;
  address_t a = address("192.0.2.2:2000");
  char buffer[16];
  socklen_t length = sizeof a.storage;
  client = connect_to(pair.left, "192.0.2.2:2000");
  server = accept_one(listener);
  EQUAL(usertcp_sendto(client, "hello", 5, 0, ADDRESS(a)), 5);
  EQUAL(usertcp_recvfrom(server, buffer, sizeof buffer, 0, (struct sockaddr *)&a.storage, &length), 5);
  EQUAL(length, 0);
  EQUAL(usertcp_sendto(client, "again", 5, 0, NULL, 0), 5);
  EQUAL(usertcp_recvfrom(server, buffer, sizeof buffer, MSG_TRUNC, NULL, NULL), 5);
  CHECK(memcmp(buffer, "hello", 5) == 0);
  OK(usertcp_close(client));
  OK(usertcp_close(server));
  OK(usertcp_close(listener));
}

int main(void) {
  pair = open_pair(NULL);
  ask_and_answer("192.0.2.1", "192.0.2.2:2000");
  ask_and_answer("[2001:db8::1]", "[2001:db8::2]:2000");
  what_is_not_for_them();
  a_stream_may_use_the_same_calls();
  close_pair(pair);
  return 0;
}
