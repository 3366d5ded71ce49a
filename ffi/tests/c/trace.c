/* Event traces: of a stack, of one socket, and what is refused. */
#include "check.h"

#include <fcntl.h>

static char text[1 << 20];

/* Everything that was written to a pipe, once its other end is closed. */
static const char *read_all(int fd) {
  size_t length = 0;
  ssize_t count;
  while ((count = read(fd, text + length, sizeof text - 1 - length)) > 0) length += (size_t)count;
  EQUAL(count, 0);
  text[length] = '\0';
  EQUAL(close(fd), 0);
  return text;
}

static int occurrences(const char *line, const char *word) {
  int count = 0;
  while ((line = strstr(line, word)) != NULL) {
    count++;
    line += strlen(word);
  }
  return count;
}

static void a_stack_tells_of_every_connection(pair_t pair) {
  int pipes[2];
  ends_t ends;
  OK(pipe(pipes));
  OK(usertcp_stack_trace(pair.left, pipes[1]));
  OK(close(pipes[1]));
  ends = connect_ends(pair, "192.0.2.1:7000");
  OK(usertcp_close(ends.left));
  OK(usertcp_close(ends.right));
  OK(usertcp_stack_trace(pair.left, -1));
  read_all(pipes[0]);
  EQUAL(strncmp(text, "{\"qlog_version\":\"0.3\"", 21), 0);
  EQUAL(occurrences(text, "connectivity:connection_started"), 1);
  CHECK(occurrences(text, "transport:packet_sent") >= 1);
}

static void a_listener_tells_of_those_that_it_accepts(pair_t pair) {
  int pipes[2];
  ends_t ends;
  usertcp_socket_t listener = listen_on(pair.left, "192.0.2.1:7001");
  OK(pipe(pipes));
  OK(usertcp_trace(listener, pipes[1]));
  OK(close(pipes[1]));
  ends.right = connect_to(pair.right, "192.0.2.1:7001");
  ends.left = accept_one(listener);
  OK(usertcp_trace(ends.left, -1));
  OK(usertcp_close(listener));
  CHECK(strstr(read_all(pipes[0]), "\"dst_ip\":\"192.0.2.2\"") != NULL);
  OK(usertcp_close(ends.left));
  OK(usertcp_close(ends.right));
}

static void what_cannot_be_is_refused(pair_t pair) {
  usertcp_socket_t datagrams;
  OK(usertcp_socket(pair.left, AF_INET, SOCK_DGRAM, 0, &datagrams));
  EQUAL(usertcp_stack_trace(pair.left, 9999), -EBADF);
  EQUAL(usertcp_stack_trace(pair.left, -2), -EINVAL);
  EQUAL(usertcp_stack_trace(0, -1), -EBADF);
  EQUAL(usertcp_trace(0, -1), -EBADF);
  EQUAL(usertcp_trace(datagrams, -1), -EOPNOTSUPP);
  OK(usertcp_close(datagrams));
}

int main(void) {
  pair_t pair = open_pair(NULL);
  a_stack_tells_of_every_connection(pair);
  a_listener_tells_of_those_that_it_accepts(pair);
  what_cannot_be_is_refused(pair);
  close_pair(pair);
  return 0;
}
