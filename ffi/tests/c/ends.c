/* Why connections end, and how much waits on a socket. */
#include "check.h"

#include <arpa/inet.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>

static pair_t pair;

static usertcp_end_reason_t reason_of(usertcp_socket_t s) {
  usertcp_end_reason_t reason = USERTCP_END_REASON_INIT;
  EQUAL(reason.size, sizeof reason);
  OK(usertcp_end_reason(s, &reason));
  return reason;
}

static void a_connection_that_lives_has_no_reason(void) {
  ends_t ends = connect_ends(pair, "192.0.2.1:1000");
  usertcp_end_reason_t reason = USERTCP_END_REASON_INIT;
  char text[8];
  EQUAL(usertcp_end_reason(ends.left, &reason), -EAGAIN);
  EQUAL(usertcp_end_text(ends.left, text, sizeof text), -EAGAIN);
  EQUAL(usertcp_end_reason(ends.left, NULL), -EAGAIN);
  OK(usertcp_close(ends.left));
  EQUAL(usertcp_end_reason(ends.left, &reason), -EBADF);
  OK(usertcp_close(ends.right));
}

static void a_reset_has_its_number(void) {
  ends_t ends = connect_ends(pair, "[2001:db8::1]:1001");
  usertcp_end_reason_t reason;
  char text[128], expected[128], byte;
  ssize_t whole;
  OK(usertcp_abort(ends.left));
  EQUAL(usertcp_recv(ends.right, &byte, 1, 0), -ECONNRESET);
  usertcp_last_error(text, sizeof text);
  reason = reason_of(ends.right);
  EQUAL(reason.kind, USERTCP_END_RESET);
  EQUAL(reason.error, ECONNRESET);
  EQUAL(reason.icmp_family, 0);
  snprintf(expected, sizeof expected, "recv: connection reset by peer: RST with sequence number %u", reason.rst_seq);
  CHECK(strcmp(text, expected) == 0);
  whole = usertcp_end_text(ends.right, text, sizeof text);
  EQUAL(whole, strlen(text));
  CHECK(strcmp(text, expected + strlen("recv: ")) == 0);
  EQUAL(usertcp_end_text(ends.right, text, 5), whole);
  CHECK(strcmp(text, "conn") == 0);
  reason.size = 4;
  EQUAL(usertcp_end_reason(ends.right, &reason), -EINVAL);
  EQUAL(usertcp_end_reason(ends.right, NULL), -EFAULT);
  OK(usertcp_close(ends.right));
}

static void a_refusal_and_an_orderly_end(void) {
  usertcp_socket_t s = make_socket(pair.right, AF_INET);
  address_t nobody = address("192.0.2.1:9");
  ends_t ends = connect_ends(pair, "192.0.2.1:1002");
  char text[128], byte;
  EQUAL(usertcp_connect(s, ADDRESS(nobody)), -ECONNREFUSED);
  usertcp_last_error(text, sizeof text);
  CHECK(strcmp(text, "connect: connection refused by peer: RST with sequence number 0") == 0);
  EQUAL(reason_of(s).kind, USERTCP_END_RESET);
  EQUAL(reason_of(s).error, ECONNREFUSED);
  OK(usertcp_close(s));
  OK(usertcp_shutdown(ends.left, SHUT_WR));
  EQUAL(usertcp_recv(ends.right, &byte, 1, 0), 0);
  OK(usertcp_close(ends.right));
  EQUAL(usertcp_recv(ends.left, &byte, 1, 0), 0);
  EQUAL(reason_of(ends.left).kind, USERTCP_END_FINISHED);
  EQUAL(reason_of(ends.left).error, 0);
  OK(usertcp_close(ends.left));
}

static void how_much_waits(void) {
  ends_t ends = connect_ends(pair, "192.0.2.1:1003");
  char bytes[100];
  int value = 77, on = 1;
  OK(usertcp_ioctl(ends.right, FIONREAD, &value));
  EQUAL(value, 0);
  send_pattern(ends.left, 100);
  EQUAL(usertcp_recv(ends.right, bytes, sizeof bytes, MSG_PEEK | MSG_WAITALL), 100);
  OK(usertcp_ioctl(ends.right, FIONREAD, &value));
  EQUAL(value, 100);
  EQUAL(usertcp_recv(ends.right, bytes, sizeof bytes, 0), 100);
  /* The peer's program has them, so they are acknowledged soon. */
  do OK(usertcp_ioctl(ends.left, SIOCOUTQ, &value));
  while (value != 0);
  OK(usertcp_ioctl(ends.left, SIOCOUTQNSD, &value));
  EQUAL(value, 0);
  OK(usertcp_ioctl(ends.left, FIONBIO, &on));
  EQUAL(usertcp_recv(ends.left, bytes, 1, 0), -EAGAIN);
  EQUAL(usertcp_ioctl(ends.left, TIOCGWINSZ, &value), -ENOTTY);
  EQUAL(usertcp_ioctl(ends.left, FIONREAD, NULL), -EFAULT);
  EQUAL(usertcp_ioctl(0, FIONREAD, &value), -EBADF);
  OK(usertcp_close(ends.left));
  OK(usertcp_close(ends.right));
}

int main(void) {
  pair = open_pair(NULL);
  a_connection_that_lives_has_no_reason();
  a_reset_has_its_number();
  a_refusal_and_an_orderly_end();
  how_much_waits();
  close_pair(pair);
  return 0;
}
