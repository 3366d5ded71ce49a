/* The sandbox: the kernel's TCP on one side of a TUN, ours on the other, programs beside it. */
#include "check.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>

static usertcp_sandbox_t sandbox;
static usertcp_stack_t stack;

#define AMOUNT ((size_t)3 << 20)

/* The stack is .2 and ::2, the kernel .1 and ::1. Status 77 where no sandbox is granted. */
static void open_both(int offload, uint32_t workers) {
  usertcp_sandbox_config_t config = USERTCP_SANDBOX_CONFIG_INIT;
  usertcp_config_t stack_config = USERTCP_CONFIG_INIT;
  int error, tun, queues[4], i;
  config.queues = workers;
  config.host_addresses = "192.0.2.1/24,2001:db8::1/64";
  config.offload = (uint32_t)offload;
  error = usertcp_sandbox_open(&config, &sandbox);
  if (error == -EPERM || error == -EACCES || error == -ENOENT || error == -ENOSPC || error == -ENODEV) {
    char text[512];
    usertcp_last_error(text, sizeof text);
    printf("skipped: no sandbox is granted here: %s\n", text);
    exit(77);
  }
  OK(error);
  tun = usertcp_sandbox_tun(sandbox);
  CHECK(tun >= 0);
  stack_config.fd = tun;
  stack_config.addresses = "192.0.2.2/24,2001:db8::2/64";
  if (workers > 1) {
    stack_config.workers = workers;
    EQUAL(usertcp_stack_open(&stack_config, &stack), -EINVAL);
    EQUAL(usertcp_sandbox_queues(sandbox, queues, workers - 1), -ENOSPC);
    EQUAL(usertcp_sandbox_queues(sandbox, queues, 4), workers);
    stack_config.queues = queues;
    EQUAL(usertcp_stack_open(&stack_config, &stack), -EINVAL);
    stack_config.fd = -1;
  }
  OK(usertcp_stack_open(&stack_config, &stack));
  close(tun);
  for (i = 0; workers > 1 && i < (int)workers; i++) close(queues[i]);
  EQUAL(usertcp_stack_offloaded(stack), offload);
}

static int kernel_socket(int domain) {
  int on = 1, s = usertcp_sandbox_socket(sandbox, domain, SOCK_STREAM | SOCK_CLOEXEC, 0);
  CHECK(s >= 0);
  CHECK(setsockopt(s, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5) == 0);
  CHECK(setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0);
  return s;
}

static void *kernel_sends(void *argument) {
  int s = *(int *)argument;
  unsigned char block[30000];
  size_t sent = 0;
  while (sent < AMOUNT) {
    size_t i, n = AMOUNT - sent < sizeof block ? AMOUNT - sent : sizeof block;
    for (i = 0; i < n; i++) block[i] = pattern(sent + i);
    CHECK(send(s, block, n, MSG_NOSIGNAL) == (ssize_t)n);
    sent += n;
  }
  CHECK(shutdown(s, SHUT_WR) == 0);
  return NULL;
}

static void *kernel_receives(void *argument) {
  int s = *(int *)argument;
  unsigned char block[30000];
  size_t received = 0;
  for (;;) {
    ssize_t i, n = recv(s, block, sizeof block, 0);
    CHECK(n >= 0);
    if (n == 0) break;
    for (i = 0; i < n; i++) CHECK(block[i] == pattern(received + (size_t)i));
    received += (size_t)n;
  }
  EQUAL(received, AMOUNT);
  return NULL;
}

static void *stack_sends(void *argument) {
  usertcp_socket_t s = *(usertcp_socket_t *)argument;
  send_pattern(s, AMOUNT);
  OK(usertcp_shutdown(s, SHUT_WR));
  return NULL;
}

static void exchange(int kernel, usertcp_socket_t s) {
  pthread_t threads[3];
  char byte;
  int i;
  threads[0] = start(kernel_sends, &kernel);
  threads[1] = start(kernel_receives, &kernel);
  threads[2] = start(stack_sends, &s);
  receive_pattern(s, AMOUNT);
  EQUAL(usertcp_recv(s, &byte, 1, 0), 0);
  for (i = 0; i < 3; i++) join(threads[i]);
  OK(usertcp_close(s));
  close(kernel);
}

static void the_kernel_serves(const char *text) {
  address_t a = address(text);
  int accepted, listener = kernel_socket(domain_of(text));
  usertcp_socket_t s;
  CHECK(bind(listener, ADDRESS(a)) == 0 && listen(listener, 5) == 0);
  s = connect_to(stack, text);
  accepted = accept(listener, NULL, NULL);
  CHECK(accepted >= 0);
  exchange(accepted, s);
  close(listener);
}

static void the_stack_serves(const char *text) {
  address_t a = address(text);
  usertcp_socket_t listener = listen_on(stack, text);
  int s = kernel_socket(domain_of(text));
  CHECK(connect(s, ADDRESS(a)) == 0);
  exchange(s, accept_one(listener));
  OK(usertcp_close(listener));
}

typedef struct {
  usertcp_child_t child;
  pid_t thread_id;
} waiter_t;

static void *wait_for_child(void *argument) {
  waiter_t *waiter = (waiter_t *)argument;
  int status = -1;
  __atomic_store_n(&waiter->thread_id, (pid_t)syscall(SYS_gettid), __ATOMIC_SEQ_CST);
  OK(usertcp_child_wait(waiter->child, 0, &status));
  EQUAL(status, 128 + SIGKILL);
  return NULL;
}

static void programs_run_in_it(void) {
  const char *const answer[] = {"sh", "-c", "read line; echo \"$GREETING $line\"; exit 7", NULL};
  const char *const sleep[] = {"sleep", "1000", NULL};
  const char *const nothing[] = {"/nowhere/at/all", NULL}, *const empty[] = {NULL};
  const char *const environment[] = {"GREETING=good", "PATH=/usr/bin:/bin", NULL};
  usertcp_child_t child = 0;
  waiter_t waiter;
  pthread_t thread;
  int in[2], out[2], fds[3], status = -1;
  char text[32];
  ssize_t n;
  CHECK(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0);
  fds[0] = in[0];
  fds[1] = out[1];
  fds[2] = 2;
  OK(usertcp_sandbox_spawn(sandbox, answer, environment, fds, &child));
  close(in[0]);
  close(out[1]);
  CHECK(usertcp_child_pid(child) > 1);
  EQUAL(usertcp_child_wait(child, USERTCP_NONBLOCK, &status), -EAGAIN);
  CHECK(write(in[1], "evening\n", 8) == 8);
  n = read(out[0], text, sizeof text);
  CHECK(n == 13 && memcmp(text, "good evening\n", 13) == 0);
  OK(usertcp_child_wait(child, 0, &status));
  EQUAL(status, 7);
  EQUAL(usertcp_child_wait(child, 1, &status), -EINVAL);
  EQUAL(usertcp_child_kill(child, SIGTERM), -ESRCH);
  OK(usertcp_child_close(child));
  EQUAL(usertcp_child_close(child), -EBADF);
  close(in[1]);
  close(out[0]);

  OK(usertcp_sandbox_spawn(sandbox, sleep, NULL, NULL, &child));
  OK(usertcp_child_kill(child, SIGTERM));
  OK(usertcp_child_wait(child, 0, &status));
  EQUAL(status, 128 + SIGTERM);
  OK(usertcp_child_close(child));

  /* One that is let go of while another thread waits for it is killed all the same. */
  OK(usertcp_sandbox_spawn(sandbox, sleep, NULL, NULL, &child));
  waiter.child = child;
  waiter.thread_id = 0;
  thread = start(wait_for_child, &waiter);
  sleeps(&waiter.thread_id);
  OK(usertcp_child_close(child));
  join(thread);

  child = 9;
  EQUAL(usertcp_sandbox_spawn(sandbox, nothing, NULL, NULL, &child), -ENOENT);
  EQUAL(usertcp_sandbox_spawn(sandbox, empty, NULL, NULL, &child), -EFAULT);
  EQUAL(usertcp_sandbox_spawn(sandbox, NULL, NULL, NULL, &child), -EFAULT);
  fds[1] = -1;
  EQUAL(usertcp_sandbox_spawn(sandbox, answer, NULL, fds, &child), -EBADF);
  EQUAL(child, 9);
}

static void handles_of_other_kinds_are_refused(void) {
  EQUAL(usertcp_sandbox_tun(stack), -EBADF);
  EQUAL(usertcp_close(sandbox), -EBADF);
  EQUAL(usertcp_stack_close(sandbox, 0), -EBADF);
  EQUAL(usertcp_sandbox_socket(sandbox, AF_UNIX, SOCK_STREAM, 0), -EAFNOSUPPORT);
}

static void close_both(void) {
  OK(usertcp_stack_close(stack, 5000));
  OK(usertcp_sandbox_close(sandbox));
  EQUAL(usertcp_sandbox_close(sandbox), -EBADF);
}

int main(void) {
  int offload;
  open_both(1, 2);
  the_kernel_serves("192.0.2.1:80");
  the_stack_serves("[2001:db8::2]:80");
  close_both();
  for (offload = 0; offload <= 1; offload++) {
    open_both(offload, 1);
    the_kernel_serves("192.0.2.1:80");
    the_kernel_serves("[2001:db8::1]:80");
    the_stack_serves("192.0.2.2:80");
    the_stack_serves("[2001:db8::2]:80");
    if (offload == 0) programs_run_in_it();
    handles_of_other_kinds_are_refused();
    close_both();
  }
  return 0;
}
