/* All sockets of a stack at one moment: as structs, as text, and for other programs; and the last packets. */
#include "check.h"

#include <sys/stat.h>
#include <sys/un.h>

static int count_of(const usertcp_socket_info_t *infos, ssize_t count, uint32_t state) {
  int found = 0;
  ssize_t i;
  for (i = 0; i < count; i++) found += infos[i].kind == SOCK_STREAM && infos[i].state == state;
  return found;
}

static void a_stack_shows_every_socket(pair_t pair) {
  usertcp_socket_info_t infos[8], one = USERTCP_SOCKET_INFO_INIT;
  usertcp_socket_t listener = listen_on(pair.left, "192.0.2.1:7000"), datagrams;
  address_t own = address("[2001:db8::1]:53");
  ends_t ends;
  char text[64], *whole;
  ssize_t count, length;
  size_t i;
  EQUAL(usertcp_stack_sockets(pair.left, NULL, 0), 1);
  ends.right = connect_to(pair.right, "192.0.2.1:7000");
  ends.left = accept_one(listener);
  OK(usertcp_socket(pair.left, AF_INET6, SOCK_DGRAM, 0, &datagrams));
  OK(usertcp_bind(datagrams, ADDRESS(own)));
  for (i = 0; i < 8; i++) infos[i] = one;
  count = usertcp_stack_sockets(pair.left, infos, 8);
  EQUAL(count, 3);
  EQUAL(count_of(infos, count, TCP_LISTEN), 1);
  EQUAL(count_of(infos, count, TCP_ESTABLISHED), 1);
  for (i = 0; i < 3; i++) {
    EQUAL(infos[i].size, sizeof(usertcp_socket_info_t));
    EQUAL(infos[i].held, 1);
    CHECK(usertcp_format_addr((struct sockaddr *)&infos[i].local, sizeof infos[i].local, text, sizeof text) > 0);
    if (infos[i].kind == SOCK_DGRAM) {
      EQUAL(strcmp(text, "[2001:db8::1]:53"), 0);
      EQUAL(infos[i].remote.ss_family, 0);
      EQUAL(infos[i].congestion[0], 0);
    } else {
      EQUAL(strcmp(text, "192.0.2.1:7000"), 0);
      EQUAL(strcmp(infos[i].congestion, "cubic"), 0);
      EQUAL(infos[i].remote.ss_family, infos[i].state == TCP_LISTEN ? 0 : AF_INET);
      EQUAL(infos[i].info.tcpi_advmss, infos[i].state == TCP_LISTEN ? 0 : 1448);
    }
  }
  /* With room for less the rest is counted, and nothing is written behind. */
  infos[1].state = 99;
  EQUAL(usertcp_stack_sockets(pair.left, infos, 1), 3);
  EQUAL(infos[1].state, 99);

  length = usertcp_stack_sockets_text(pair.left, NULL, 0);
  CHECK(length > 100);
  whole = (char *)malloc((size_t)length + 200);
  CHECK(whole != NULL);
  CHECK(usertcp_stack_sockets_text(pair.left, whole, (size_t)length + 200) >= 100);
  CHECK(strstr(whole, "LISTEN") != NULL && strstr(whole, "[2001:db8::1]:53") != NULL && strstr(whole, "cwnd:") != NULL);
  CHECK(usertcp_stack_sockets_text(pair.left, text, 6) >= 100);
  EQUAL(strcmp(text, "Netid"), 0);
  free(whole);

  infos[0].size = 4;
  EQUAL(usertcp_stack_sockets(pair.left, infos, 1), -EINVAL);
  infos[0].size = 1 << 20;
  EQUAL(usertcp_stack_sockets(pair.left, infos, 1), -E2BIG);
  EQUAL(usertcp_stack_sockets(pair.left, NULL, 1), -EFAULT);
  EQUAL(usertcp_stack_sockets(0, NULL, 0), -EBADF);
  EQUAL(usertcp_stack_sockets_text(0, NULL, 0), -EBADF);
  OK(usertcp_close(datagrams));
  OK(usertcp_close(listener));
  OK(usertcp_close(ends.left));
  OK(usertcp_close(ends.right));
}

static int asker(const char *path) {
  struct sockaddr_un at;
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  memset(&at, 0, sizeof at);
  at.sun_family = AF_UNIX;
  snprintf(at.sun_path, sizeof at.sun_path, "%s", path);
  CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof at) == 0);
  return fd;
}

static void other_programs_ask(void) {
  usertcp_config_t config = USERTCP_CONFIG_INIT;
  usertcp_stack_t stack, second = 0;
  char folder[] = "/tmp/usertcp-control-XXXXXX", path[64], answer[4096];
  struct stat there;
  size_t length = 0;
  ssize_t some;
  int ends[2], fd;
  CHECK(mkdtemp(folder) != NULL);
  snprintf(path, sizeof path, "%s/control", folder);
  CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
  config.fd = ends[0];
  config.addresses = "192.0.2.1/24";
  config.control_path = path;
  OK(usertcp_stack_open(&config, &stack));
  CHECK(stat(path, &there) == 0 && S_ISSOCK(there.st_mode) && (there.st_mode & 0777) == 0600);
  listen_on(stack, "192.0.2.1:80");
  fd = asker(path);
  CHECK(write(fd, "sockets\n", 8) == 8);
  while ((some = read(fd, answer + length, sizeof answer - 1 - length)) > 0) length += (size_t)some;
  answer[length] = '\0';
  CHECK(strstr(answer, "LISTEN") != NULL && strstr(answer, "192.0.2.1:80") != NULL);
  EQUAL(close(fd), 0);
  /* It is taken. */
  EQUAL(usertcp_stack_open(&config, &second), -EADDRINUSE);
  OK(usertcp_stack_close(stack, 0));
  CHECK(stat(path, &there) < 0 && errno == ENOENT);
  EQUAL(rmdir(folder), 0);
  close(ends[0]);
  close(ends[1]);
}

static off_t size_of_file(const char *path) {
  struct stat there;
  CHECK(stat(path, &there) == 0);
  return there.st_size;
}

/* Packets are kept until a connection is cut off, or the program asks for them. */
static void the_last_packets_are_written(void) {
  usertcp_config_t config = USERTCP_CONFIG_INIT;
  char path[64];
  off_t empty;
  pair_t pair;
  ends_t ends;
  int link[2];
  snprintf(path, sizeof path, "/tmp/usertcp-ring-%ld.pcapng", (long)getpid());
  CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, link) == 0);
  config.fd = link[1];
  config.addresses = "192.0.2.2/24";
  OK(usertcp_stack_open(&config, &pair.right));
  config.fd = link[0];
  config.addresses = "192.0.2.1/24";
  config.pcap = path;
  config.pcap_ring = 1 << 17;
  OK(usertcp_stack_open(&config, &pair.left));
  empty = size_of_file(path);
  ends = connect_ends(pair, "192.0.2.1:7000");
  EQUAL(size_of_file(path), empty);
  OK(usertcp_stack_dump_capture(pair.left));
  CHECK(size_of_file(path) > empty + 3 * 40);
  EQUAL(usertcp_stack_dump_capture(pair.right), -EINVAL);
  EQUAL(usertcp_stack_dump_capture(0), -EBADF);
  OK(usertcp_close(ends.left));
  OK(usertcp_close(ends.right));
  close_pair(pair);
  CHECK(size_of_file(path) > empty + 3 * 40);
  EQUAL(unlink(path), 0);

  config.pcap_ring = 1000;
  EQUAL(usertcp_stack_open(&config, &pair.left), -EINVAL);
  config.pcap = NULL;
  config.pcap_ring = 1 << 17;
  EQUAL(usertcp_stack_open(&config, &pair.left), -EINVAL);
  close(link[0]);
  close(link[1]);
}

/* A link goes dark and comes back while connections live, each way by itself. */
static void faults_change_while_a_stack_is_open(void) {
  usertcp_config_t config = USERTCP_CONFIG_INIT;
  usertcp_impairment_t calm = USERTCP_IMPAIRMENT_INIT, dark = USERTCP_IMPAIRMENT_INIT, wrong = USERTCP_IMPAIRMENT_INIT;
  ends_t ends;
  pair_t pair = open_pair(NULL);
  char byte = 0;
  dark.loss = 1.0;
  wrong.loss = 1.5;
  EQUAL(usertcp_stack_impair(pair.left, &dark, NULL), -EINVAL);
  EQUAL(usertcp_stack_impair(0, &dark, NULL), -EBADF);
  close_pair(pair);

  config.impairment = &calm;
  pair = open_pair(&config);
  ends = connect_ends(pair, "192.0.2.1:7001");
  EQUAL(usertcp_stack_impair(pair.left, &wrong, NULL), -EINVAL);
  wrong.size = 4;
  EQUAL(usertcp_stack_impair(pair.left, &calm, &wrong), -EINVAL);
  OK(usertcp_set_timeout(ends.right, 300, -1));
  OK(usertcp_stack_impair(pair.left, &dark, &calm));
  EQUAL(usertcp_send(ends.left, "a", 1, 0), 1);
  EQUAL(usertcp_recv(ends.right, &byte, 1, 0), -EAGAIN);
  OK(usertcp_stack_impair(pair.left, NULL, NULL));
  OK(usertcp_set_timeout(ends.right, 20000, -1));
  EQUAL(usertcp_recv(ends.right, &byte, 1, 0), 1);
  EQUAL(byte, 'a');
  OK(usertcp_stack_impair(pair.left, NULL, &dark));
  OK(usertcp_set_timeout(ends.left, 300, -1));
  EQUAL(usertcp_send(ends.right, "b", 1, 0), 1);
  EQUAL(usertcp_recv(ends.left, &byte, 1, 0), -EAGAIN);
  OK(usertcp_stack_impair(pair.left, &calm, NULL));
  OK(usertcp_set_timeout(ends.left, 20000, -1));
  EQUAL(usertcp_recv(ends.left, &byte, 1, 0), 1);
  EQUAL(byte, 'b');
  OK(usertcp_close(ends.left));
  OK(usertcp_close(ends.right));
  close_pair(pair);
}

int main(void) {
  pair_t pair = open_pair(NULL);
  a_stack_shows_every_socket(pair);
  close_pair(pair);
  other_programs_ask();
  the_last_packets_are_written();
  faults_change_while_a_stack_is_open();
  return 0;
}
