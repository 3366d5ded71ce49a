/* Listeners: of both families, and several of one port, and such that wait for data. */
#include "check.h"

static pair_t pair;

static int set_number(usertcp_socket_t s, int level, int name, int value) {
  return usertcp_setsockopt(s, level, name, &value, sizeof value);
}

static int number_of(usertcp_socket_t s, int level, int name) {
  int value = -1;
  socklen_t length = sizeof value;
  OK(usertcp_getsockopt(s, level, name, &value, &length));
  EQUAL(length, sizeof value);
  return value;
}

static void named(usertcp_socket_t s, int (*ask)(usertcp_socket_t, struct sockaddr *, socklen_t *), const char *text) {
  char name[USERTCP_ADDRSTRLEN];
  address_t a;
  a.length = sizeof a.storage;
  OK(ask(s, (struct sockaddr *)&a.storage, &a.length));
  EQUAL(a.length, sizeof(struct sockaddr_in6));
  EQUAL(a.storage.ss_family, AF_INET6);
  usertcp_format_addr(ADDRESS(a), name, sizeof name);
  if (strncmp(name, text, strlen(text)) != 0) fprintf(stderr, "%s is not %s\n", name, text);
  CHECK(strncmp(name, text, strlen(text)) == 0);
}

static void one_listener_takes_both_families(void) {
  usertcp_socket_t listener = make_socket(pair.left, AF_INET6), client, accepted;
  address_t any = address("[::]:2000"), mapped = address("[::ffff:192.0.2.1]:2000"), v4 = address("0.0.0.0:2000");
  EQUAL(number_of(listener, IPPROTO_IPV6, IPV6_V6ONLY), 0);
  OK(usertcp_bind(listener, ADDRESS(any)));
  EQUAL(set_number(listener, IPPROTO_IPV6, IPV6_V6ONLY, 1), -EINVAL);
  OK(usertcp_listen(listener, 5));

  client = connect_to(pair.right, "192.0.2.1:2000");
  accepted = accept_one(listener);
  named(accepted, usertcp_getsockname, "[::ffff:192.0.2.1]:2000");
  named(accepted, usertcp_getpeername, "[::ffff:192.0.2.2]:");
  OK(usertcp_close(client));
  OK(usertcp_close(accepted));

  client = connect_to(pair.right, "[2001:db8::1]:2000");
  accepted = accept_one(listener);
  named(accepted, usertcp_getpeername, "[2001:db8::2]:");
  OK(usertcp_close(client));
  OK(usertcp_close(accepted));

  client = make_socket(pair.right, AF_INET6);
  OK(usertcp_connect(client, ADDRESS(mapped)));
  named(client, usertcp_getpeername, "[::ffff:192.0.2.1]:2000");
  named(client, usertcp_getsockname, "[::ffff:192.0.2.2]:");
  accepted = accept_one(listener);
  OK(usertcp_close(client));
  OK(usertcp_close(accepted));

  client = make_socket(pair.left, AF_INET);
  EQUAL(set_number(client, IPPROTO_IPV6, IPV6_V6ONLY, 1), -ENOPROTOOPT);
  EQUAL(usertcp_bind(client, ADDRESS(v4)), -EADDRINUSE);
  OK(usertcp_close(client));
  OK(usertcp_close(listener));
}

static void a_listener_of_one_family(void) {
  usertcp_socket_t listener = make_socket(pair.left, AF_INET6), client;
  address_t any = address("[::]:2001"), v4 = address("192.0.2.1:2001"), mapped = address("[::ffff:192.0.2.1]:2001");
  OK(set_number(listener, IPPROTO_IPV6, IPV6_V6ONLY, 1));
  EQUAL(usertcp_bind(listener, ADDRESS(mapped)), -EINVAL);
  OK(usertcp_bind(listener, ADDRESS(any)));
  OK(usertcp_listen(listener, 5));
  client = make_socket(pair.right, AF_INET);
  EQUAL(usertcp_connect(client, ADDRESS(v4)), -ECONNREFUSED);
  OK(usertcp_close(client));
  client = make_socket(pair.right, AF_INET6);
  OK(set_number(client, IPPROTO_IPV6, IPV6_V6ONLY, 1));
  EQUAL(usertcp_connect(client, ADDRESS(mapped)), -ENETUNREACH);
  OK(usertcp_close(client));
  OK(usertcp_close(listener));
}

static void a_connection_is_accepted_with_its_data(void) {
  usertcp_socket_t listener = listen_on(pair.left, "192.0.2.1:2003"), client, accepted;
  char text[8];
  OK(set_number(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, 5));
  EQUAL(number_of(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT), 7);
  EQUAL(usertcp_setsockopt(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, text, 1), -EINVAL);
  client = connect_to(pair.right, "192.0.2.1:2003");
  OK(usertcp_set_nonblock(listener, 1));
  EQUAL(usertcp_accept(listener, &accepted, NULL, NULL, 0), -EAGAIN);
  OK(usertcp_set_nonblock(listener, 0));
  EQUAL(usertcp_send(client, "hello", 5, 0), 5);
  accepted = accept_one(listener);
  EQUAL(usertcp_recv(accepted, text, sizeof text, 0), 5);
  OK(usertcp_close(client));
  OK(usertcp_close(accepted));
  OK(usertcp_close(listener));
}

static void several_listeners_of_one_port(void) {
  usertcp_socket_t listeners[2], clients[40], accepted;
  address_t a = address("192.0.2.1:2002");
  int i, shares[2] = {0, 0};
  for (i = 0; i < 2; i++) {
    listeners[i] = make_socket(pair.left, AF_INET);
    OK(set_number(listeners[i], SOL_SOCKET, SO_REUSEPORT, 1));
    EQUAL(number_of(listeners[i], SOL_SOCKET, SO_REUSEPORT), 1);
    OK(usertcp_bind(listeners[i], ADDRESS(a)));
    OK(usertcp_listen(listeners[i], 64));
    OK(usertcp_set_nonblock(listeners[i], 1));
  }
  for (i = 0; i < 40; i++) clients[i] = connect_to(pair.right, "192.0.2.1:2002");
  while (shares[0] + shares[1] < 40) {
    usertcp_pollfd_t entries[2];
    for (i = 0; i < 2; i++) {
      entries[i].socket = listeners[i];
      entries[i].events = USERTCP_POLLIN;
    }
    CHECK(usertcp_poll(entries, 2, 20000) > 0);
    for (i = 0; i < 2; i++) {
      if (entries[i].revents == 0) continue;
      OK(usertcp_accept(listeners[i], &accepted, NULL, NULL, 0));
      OK(usertcp_close(accepted));
      shares[i]++;
    }
  }
  CHECK(shares[0] > 3 && shares[1] > 3);
  for (i = 0; i < 40; i++) OK(usertcp_close(clients[i]));
  for (i = 0; i < 2; i++) OK(usertcp_close(listeners[i]));
}

int main(void) {
  pair = open_pair(NULL);
  one_listener_takes_both_families();
  a_listener_of_one_family();
  several_listeners_of_one_port();
  a_connection_is_accepted_with_its_data();
  close_pair(pair);
  return 0;
}
