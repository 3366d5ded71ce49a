/* The library as a plug-in has it: opened by dlopen(3), closed while a stack works, opened again; and threads that end with something to tell. */
#include "check.h"

#include <dlfcn.h>
#include <sys/wait.h>

static struct {
  void *library;
  int (*open)(const usertcp_config_t *, usertcp_stack_t *);
  int (*close_stack)(usertcp_stack_t, int);
  int (*socket)(usertcp_stack_t, int, int, int, usertcp_socket_t *);
  int (*bind)(usertcp_socket_t, const struct sockaddr *, socklen_t);
  int (*listen)(usertcp_socket_t, int);
  int (*accept)(usertcp_socket_t, usertcp_socket_t *, struct sockaddr *, socklen_t *, int);
  int (*connect)(usertcp_socket_t, const struct sockaddr *, socklen_t);
  ssize_t (*send)(usertcp_socket_t, const void *, size_t, int);
  ssize_t (*recv)(usertcp_socket_t, void *, size_t, int);
  int (*set_nonblock)(usertcp_socket_t, int);
  int (*close)(usertcp_socket_t);
  size_t (*last_error)(char *, size_t);
} lib;

static void find(void *place, const char *name) {
  void *symbol = dlsym(lib.library, name);
  CHECK(symbol != NULL);
  memcpy(place, &symbol, sizeof symbol);
}

static void load(void) {
  lib.library = dlopen("libusertcp.so.0", RTLD_NOW | RTLD_LOCAL);
  if (lib.library == NULL) fprintf(stderr, "%s\n", dlerror());
  CHECK(lib.library != NULL);
  find(&lib.open, "usertcp_stack_open");
  find(&lib.close_stack, "usertcp_stack_close");
  find(&lib.socket, "usertcp_socket");
  find(&lib.bind, "usertcp_bind");
  find(&lib.listen, "usertcp_listen");
  find(&lib.accept, "usertcp_accept");
  find(&lib.connect, "usertcp_connect");
  find(&lib.send, "usertcp_send");
  find(&lib.recv, "usertcp_recv");
  find(&lib.set_nonblock, "usertcp_set_nonblock");
  find(&lib.close, "usertcp_close");
  find(&lib.last_error, "usertcp_last_error");
}

static void unload(void) {
  CHECK(dlclose(lib.library) == 0);
  memset(&lib, 0, sizeof lib);
}

static struct sockaddr_in server(void) {
  struct sockaddr_in address;
  memset(&address, 0, sizeof address);
  address.sin_family = AF_INET;
  address.sin_port = htons(80);
  CHECK(inet_pton(AF_INET, "192.0.2.1", &address.sin_addr) == 1);
  return address;
}

static usertcp_stack_t open_on(int fd, const char *addresses) {
  usertcp_config_t config = USERTCP_CONFIG_INIT;
  usertcp_stack_t stack;
  config.fd = fd;
  config.addresses = addresses;
  CHECK(lib.open(&config, &stack) == 0);
  CHECK(close(fd) == 0);
  return stack;
}

static usertcp_stack_t left, right;
static usertcp_socket_t listener, client;

static void open_stacks(void) {
  struct sockaddr_in at = server();
  int link[2], connecting;
  CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, link) == 0);
  left = open_on(link[0], "192.0.2.1/24");
  right = open_on(link[1], "192.0.2.2/24");
  CHECK(lib.socket(left, AF_INET, SOCK_STREAM, 0, &listener) == 0);
  CHECK(lib.bind(listener, (struct sockaddr *)&at, sizeof at) == 0);
  CHECK(lib.listen(listener, 5) == 0);
  CHECK(lib.socket(right, AF_INET, SOCK_STREAM, USERTCP_NONBLOCK, &client) == 0);
  /* The handshake may go on while the library is closed. */
  connecting = lib.connect(client, (struct sockaddr *)&at, sizeof at);
  CHECK(connecting == 0 || connecting == -EINPROGRESS);
}

static void the_library_outlives_its_last_handle(void) {
  usertcp_socket_t accepted;
  char byte = 0;
  load();
  open_stacks();
  unload();
  load();
  CHECK(lib.accept(listener, &accepted, NULL, NULL, 0) == 0);
  CHECK(lib.send(accepted, "x", 1, 0) == 1);
  unload();
  load();
  CHECK(lib.set_nonblock(client, 0) == 0);
  CHECK(lib.recv(client, &byte, 1, 0) == 1);
  CHECK(byte == 'x');
  CHECK(lib.close(accepted) == 0);
}

static void end(usertcp_stack_t stack) {
  int outcome = lib.close_stack(stack, 0);
  CHECK(outcome == 0 || outcome == -ETIMEDOUT);
}

/* Whatever is called after its end names nothing. */
static void a_closed_stack_takes_its_handles_with_it(void) {
  usertcp_socket_t made = 0;
  char byte;
  end(right);
  CHECK(lib.recv(client, &byte, 1, 0) == -EBADF);
  CHECK(lib.send(client, "x", 1, 0) == -EBADF);
  CHECK(lib.close(client) == -EBADF);
  CHECK(lib.socket(right, AF_INET, SOCK_STREAM, 0, &made) == -EBADF);
  CHECK(lib.close_stack(right, 0) == -EBADF);
  CHECK(made == 0);
}

static void *fail_and_end(void *unused) {
  char text[128];
  (void)unused;
  CHECK(lib.close(12345) == -EBADF);
  /* What a thread is told is its own, and goes with it. */
  CHECK(lib.last_error(text, sizeof text) > 0);
  return NULL;
}

static void threads_end(void) {
  pthread_t threads[8];
  int round, at;
  for (round = 0; round < 16; round++) {
    for (at = 0; at < 8; at++) CHECK(pthread_create(&threads[at], NULL, fail_and_end, NULL) == 0);
    for (at = 0; at < 8; at++) CHECK(pthread_join(threads[at], NULL) == 0);
  }
}

static void a_forked_child_leaves_by_exit(void) {
  int status;
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    char byte;
    CHECK(lib.recv(client, &byte, 1, 0) == -ECHILD);
    execlp("true", "true", (char *)NULL);
    _exit(1);
  }
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(void) {
  int at;
  /* This program uses none of its symbols, so that it is not linked with it: else it would stay whatever dlclose does. */
  CHECK(dlopen("libusertcp.so.0", RTLD_NOW | RTLD_NOLOAD) == NULL);
  the_library_outlives_its_last_handle();
  a_forked_child_leaves_by_exit();
  threads_end();
  a_closed_stack_takes_its_handles_with_it();
  end(left);
  unload();
  for (at = 0; at < 50; at++) {
    load();
    unload();
  }
  return 0;
}
