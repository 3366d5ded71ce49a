/* Connections as byte streams of the system: duplicates, other programs, sendfile(2) and splice(2). */
#include "check.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/sendfile.h>
#include <sys/wait.h>

static pair_t pair;

static void write_all(int fd, const void *data, size_t size) {
  const char *from = (const char *)data;
  while (size > 0) {
    ssize_t n = write(fd, from, size);
    CHECK(n > 0);
    from += n;
    size -= (size_t)n;
  }
}

static int export_fd(usertcp_socket_t s) {
  int fd = usertcp_export_fd(s);
  if (fd < 0) OK(fd);
  EQUAL(usertcp_close(s), -EBADF);
  return fd;
}

static void the_same_descriptor_becomes_the_stream(void) {
  ends_t ends = connect_ends(pair, "192.0.2.1:1001");
  int ready = usertcp_fd(ends.left), fd;
  char text[8];
  struct pollfd entry;
  EQUAL(usertcp_send(ends.right, "early", 5, 0), 5);
  entry.fd = ready;
  entry.events = POLLIN;
  EQUAL(poll(&entry, 1, 20000), 1);
  fd = export_fd(ends.left);
  EQUAL(fd, ready);
  CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
  CHECK(!(fcntl(fd, F_GETFL) & O_NONBLOCK));
  EQUAL(read(fd, text, sizeof text), 5);
  CHECK(memcmp(text, "early", 5) == 0);
  write_all(fd, "late", 4);
  EQUAL(usertcp_recv(ends.right, text, 4, MSG_WAITALL), 4);
  CHECK(memcmp(text, "late", 4) == 0);
  EQUAL(close(fd), 0);
  EQUAL(usertcp_recv(ends.right, text, 1, 0), 0);
  OK(usertcp_close(ends.right));
}

static void a_nonblocking_socket_becomes_a_nonblocking_stream(void) {
  ends_t ends = connect_ends(pair, "192.0.2.1:1002");
  char byte;
  int fd;
  OK(usertcp_set_nonblock(ends.left, 1));
  fd = export_fd(ends.left);
  CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK);
  EQUAL(read(fd, &byte, 1), -1);
  EQUAL(errno, EAGAIN);
  close(fd);
  OK(usertcp_close(ends.right));
}

static void duplicates_are_one_connection(void) {
  ends_t ends = connect_ends(pair, "[2001:db8::1]:1003");
  int fd = export_fd(ends.left), other = dup(fd);
  char text[8];
  CHECK(other >= 0);
  close(fd);
  write_all(other, "one", 3);
  EQUAL(usertcp_recv(ends.right, text, 3, MSG_WAITALL), 3);
  EQUAL(usertcp_recv(ends.right, text, 1, MSG_DONTWAIT), -EAGAIN);
  EQUAL(usertcp_send(ends.right, "two", 3, 0), 3);
  EQUAL(read(other, text, 3), 3);
  close(other);
  EQUAL(usertcp_recv(ends.right, text, 1, 0), 0);
  OK(usertcp_close(ends.right));
}

#define MEGABYTES ((size_t)2 << 20)

static void *send_megabytes(void *argument) {
  send_pattern(*(usertcp_socket_t *)argument, MEGABYTES);
  OK(usertcp_shutdown(*(usertcp_socket_t *)argument, SHUT_WR));
  return NULL;
}

/* cat(1) reads and writes the connection as its standard streams, long after this process has let go of it. */
static void another_program_has_it(void) {
  ends_t ends = connect_ends(pair, "192.0.2.1:1004");
  int fd = export_fd(ends.left), status;
  pthread_t sender;
  char byte;
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    /* dup2 clears close-on-exec. */
    if (dup2(fd, 0) < 0 || dup2(fd, 1) < 0) _exit(126);
    execlp("cat", "cat", (char *)NULL);
    _exit(127);
  }
  close(fd);
  sender = start(send_megabytes, &ends.right);
  receive_pattern(ends.right, MEGABYTES);
  join(sender);
  EQUAL(usertcp_recv(ends.right, &byte, 1, 0), 0);
  CHECK(waitpid(child, &status, 0) == child);
  EQUAL(status, 0);
  OK(usertcp_close(ends.right));
}

/* A file goes in by sendfile(2), and out into a pipe by splice(2). */
static void the_kernel_moves_bytes_by_itself(void) {
  ends_t ends = connect_ends(pair, "192.0.2.1:1005");
  int in = export_fd(ends.left), out = export_fd(ends.right), ways[2];
  char path[] = "/tmp/usertcp-stream-XXXXXX";
  int file = mkstemp(path);
  size_t i, sent = 0, moved = 0, total = 300000;
  unsigned char *bytes = (unsigned char *)malloc(total), *found = (unsigned char *)malloc(total);
  CHECK(file >= 0 && bytes != NULL && found != NULL && pipe(ways) == 0);
  unlink(path);
  for (i = 0; i < total; i++) bytes[i] = pattern(i);
  write_all(file, bytes, total);
  CHECK(lseek(file, 0, SEEK_SET) == 0);
  while (moved < total) {
    ssize_t n;
    if (sent < total) {
      n = sendfile(in, file, NULL, total - sent < 20000 ? total - sent : 20000);
      CHECK(n > 0);
      sent += (size_t)n;
    } else {
      shutdown(in, SHUT_WR);
    }
    n = splice(out, NULL, ways[1], NULL, 30000, 0);
    CHECK(n > 0);
    EQUAL(read(ways[0], found + moved, (size_t)n), n);
    moved += (size_t)n;
  }
  CHECK(memcmp(bytes, found, total) == 0);
  free(bytes);
  free(found);
  close(file);
  close(ways[0]);
  close(ways[1]);
  close(in);
  close(out);
}

static void what_cannot_become_a_stream_stays_a_handle(void) {
  usertcp_socket_t s = make_socket(pair.left, AF_INET), listener = listen_on(pair.left, "192.0.2.1:1006");
  EQUAL(usertcp_export_fd(s), -ENOTCONN);
  OK(usertcp_close(s));
  OK(usertcp_close(listener));
  EQUAL(usertcp_export_fd(s), -EBADF);
  EQUAL(usertcp_export_fd(0), -EBADF);
}

static void a_reset_ends_it(void) {
  ends_t ends = connect_ends(pair, "192.0.2.1:1007");
  int fd = export_fd(ends.left);
  struct pollfd entry;
  char byte;
  OK(usertcp_abort(ends.right));
  entry.fd = fd;
  entry.events = POLLRDHUP;
  EQUAL(poll(&entry, 1, 20000), 1);
  CHECK(entry.revents & POLLHUP);
  CHECK(read(fd, &byte, 1) <= 0);
  EQUAL(write(fd, "x", 1), -1);
  EQUAL(errno, EPIPE);
  close(fd);
}

/* What was written goes out before the stack is closed, though nobody holds the connection any more. */
static void *receive_megabytes(void *argument) {
  char byte;
  usertcp_socket_t s = *(usertcp_socket_t *)argument;
  receive_pattern(s, MEGABYTES);
  EQUAL(usertcp_recv(s, &byte, 1, 0), 0);
  return NULL;
}

static void closing_the_stack_sends_what_was_written(void) {
  ends_t ends = connect_ends(pair, "192.0.2.1:1008");
  int fd = export_fd(ends.left);
  unsigned char *bytes = (unsigned char *)malloc(MEGABYTES);
  pthread_t receiver = start(receive_megabytes, &ends.right);
  size_t i;
  CHECK(bytes != NULL);
  for (i = 0; i < MEGABYTES; i++) bytes[i] = pattern(i);
  write_all(fd, bytes, MEGABYTES);
  free(bytes);
  OK(usertcp_stack_close(pair.left, 20000));
  join(receiver);
  EQUAL(read(fd, &i, 1), 0);
  close(fd);
  OK(usertcp_close(ends.right));
  usertcp_stack_close(pair.right, 0);
}

/* Nothing to move: the library's thread sleeps. Its processor time tells, to the tick. */
static void an_idle_stream_costs_nothing(void) {
  ends_t ends = connect_ends(pair, "192.0.2.1:1009");
  int fd = export_fd(ends.left), i;
  char block[65536], byte;
  struct timespec from, to;
  struct pollfd entry;
  memset(block, 1, sizeof block);
  /* A peer that has filled the stream, and a program that does not read it: both sides have something to tell, and nobody can take it. */
  OK(usertcp_set_nonblock(ends.right, 1));
  entry.fd = -1;
  entry.events = 0;
  for (i = 0; i < 20; i++) {
    while (usertcp_send(ends.right, block, sizeof block, 0) > 0) i = 0;
    poll(&entry, 1, 10);
  }
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
  poll(&entry, 1, 500);
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
  printf("500 ms of a stream at a standstill: %.1f ms of processor time\n",
         (double)(to.tv_sec - from.tv_sec) * 1e3 + (double)(to.tv_nsec - from.tv_nsec) / 1e6);
  EQUAL(read(fd, &byte, 1), 1);
  close(fd);
  OK(usertcp_close(ends.right));
}

int main(void) {
  signal(SIGPIPE, SIG_IGN);
  pair = open_pair(NULL);
  the_same_descriptor_becomes_the_stream();
  a_nonblocking_socket_becomes_a_nonblocking_stream();
  duplicates_are_one_connection();
  another_program_has_it();
  the_kernel_moves_bytes_by_itself();
  what_cannot_become_a_stream_stays_a_handle();
  a_reset_ends_it();
  an_idle_stream_costs_nothing();
  closing_the_stack_sends_what_was_written();
  return 0;
}
