/* What surrounds the sockets: CPUs, fork, signals, exit, logs, captures, impairments. */
#include "check.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>

static pair_t pair;

/* Exit status of a child that runs `body`. */
static int in_child(void (*body)(void)) {
  int status = 0;
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    body();
    /* What a forked child is for; it also spares a memory checker the stacks of threads that are not there. */
    execlp("true", "true", (char *)NULL);
    _exit(1);
  }
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  return WEXITSTATUS(status);
}

static usertcp_socket_t inherited;

static void take_or_make_other_handles(void) {
  const char *const argv[] = {"true", NULL};
  usertcp_sandbox_config_t sandbox_config = USERTCP_SANDBOX_CONFIG_INIT;
  usertcp_intercept_config_t prefix = USERTCP_INTERCEPT_CONFIG_INIT;
  usertcp_tcp_info_t info = USERTCP_TCP_INFO_INIT;
  usertcp_end_reason_t reason = USERTCP_END_REASON_INIT;
  usertcp_sandbox_t sandbox = 0;
  usertcp_child_t program = 0;
  usertcp_socket_t made = 0;
  usertcp_syn_t syn = 0;
  int value = 1, fds[1];
  socklen_t length = sizeof value;
  prefix.prefix = "203.0.113.0/24";
  EQUAL(usertcp_sandbox_open(&sandbox_config, &sandbox), -ECHILD);
  EQUAL(usertcp_sandbox_tun(1), -ECHILD);
  EQUAL(usertcp_sandbox_queues(1, fds, 1), -ECHILD);
  EQUAL(usertcp_sandbox_socket(1, AF_INET, SOCK_STREAM, 0), -ECHILD);
  EQUAL(usertcp_sandbox_spawn(1, argv, NULL, NULL, &program), -ECHILD);
  EQUAL(usertcp_sandbox_close(1), -ECHILD);
  EQUAL(usertcp_child_pid(1), -ECHILD);
  EQUAL(usertcp_child_kill(1, SIGTERM), -ECHILD);
  EQUAL(usertcp_child_wait(1, 0, &value), -ECHILD);
  EQUAL(usertcp_child_close(1), -ECHILD);
  EQUAL(usertcp_intercept_open(pair.left, &prefix, 0, &made), -ECHILD);
  EQUAL(usertcp_intercept_next(inherited, 0, &syn, NULL), -ECHILD);
  EQUAL(usertcp_syn_accept(1, 0, 0, &made), -ECHILD);
  EQUAL(usertcp_syn_refuse(1), -ECHILD);
  EQUAL(usertcp_syn_drop(1), -ECHILD);
  EQUAL(usertcp_tcp_info(inherited, &info), -ECHILD);
  EQUAL(usertcp_end_reason(inherited, &reason), -ECHILD);
  EQUAL(usertcp_stack_sockets(pair.left, NULL, 0), -ECHILD);
  EQUAL(usertcp_stack_sockets_text(pair.left, NULL, 0), -ECHILD);
  EQUAL(usertcp_setsockopt(inherited, IPPROTO_TCP, TCP_NODELAY, &value, sizeof value), -ECHILD);
  EQUAL(usertcp_getsockopt(inherited, IPPROTO_TCP, TCP_NODELAY, &value, &length), -ECHILD);
  EQUAL(sandbox + program + made + syn, 0);
}

static void use_what_the_parent_opened(void) {
  usertcp_config_t config = USERTCP_CONFIG_INIT;
  usertcp_stack_t stack = 0;
  usertcp_pollfd_t entry;
  uint64_t value;
  char byte, text[200];
  memset(&entry, 0, sizeof entry);
  EQUAL(usertcp_recv(inherited, &byte, 1, 0), -ECHILD);
  EQUAL(usertcp_send(inherited, "x", 1, 0), -ECHILD);
  EQUAL(usertcp_poll(&entry, 1, 0), -ECHILD);
  EQUAL(usertcp_stack_counter(pair.left, "frames_in", &value), -ECHILD);
  EQUAL(usertcp_stack_open(&config, &stack), -ECHILD);
  take_or_make_other_handles();
  EQUAL(usertcp_close(inherited), -ECHILD);
  EQUAL(usertcp_stack_close(pair.left, 0), -ECHILD);
  CHECK(usertcp_last_error(text, sizeof text) > 0 && strstr(text, "forked") != NULL);
  CHECK(strcmp(usertcp_strerror(-ECHILD), "No child processes") == 0);
}

static void a_forked_child_is_told_so(void) {
  ends_t ends = connect_ends(pair, "192.0.2.1:3000");
  char byte = 0;
  inherited = ends.left;
  EQUAL(in_child(use_what_the_parent_opened), 0);
  /* The parent goes on as if nothing had happened. */
  EQUAL(usertcp_send(ends.right, "x", 1, 0), 1);
  EQUAL(usertcp_recv(ends.left, &byte, 1, 0), 1);
  OK(usertcp_close(ends.left));
  OK(usertcp_close(ends.right));
}

static void a_child_forked_before_any_stack(void) {
  pair_t own = open_pair(NULL);
  ends_t ends = connect_ends(own, "[2001:db8::1]:3001");
  EQUAL(usertcp_send(ends.right, "x", 1, 0), 1);
  close_pair(own);
}

/* Opens that fail leave nothing that a forked child would have to keep away from. */
static void a_child_of_a_process_whose_opens_failed(void) {
  usertcp_config_t config = USERTCP_CONFIG_INIT;
  usertcp_sandbox_config_t sandbox_config = USERTCP_SANDBOX_CONFIG_INIT;
  usertcp_stack_t stack = 0;
  usertcp_sandbox_t sandbox = 0;
  usertcp_pollset_t set = 0;
  config.addresses = sandbox_config.host_addresses = "nonsense";
  EQUAL(usertcp_stack_open(&config, &stack), -EINVAL);
  config.addresses = NULL;
  config.fd = 1000000;
  EQUAL(usertcp_stack_open(&config, &stack), -EBADF);
  EQUAL(usertcp_sandbox_open(&sandbox_config, &sandbox), -EINVAL);
  EQUAL(usertcp_pollset_open(1, &set), -EINVAL);
  EQUAL(in_child(a_child_forked_before_any_stack), 0);
}

static void leave_with_everything_open(void) {
  pair_t own = open_pair(NULL);
  connect_ends(own, "192.0.2.1:3002");
  exit(5);
}

static void on_alarm(int signal) {
  (void)signal;
}

static void set_alarm(long first_ms) {
  struct itimerval timer;
  timer.it_value.tv_sec = 0;
  timer.it_value.tv_usec = first_ms * 1000;
  timer.it_interval = timer.it_value;
  CHECK(setitimer(ITIMER_REAL, &timer, NULL) == 0);
}

/* A program that sleeps in a sandbox; 0 where none is granted. */
static usertcp_child_t sleeper(usertcp_sandbox_t *sandbox) {
  const char *const argv[] = {"sleep", "600", NULL};
  usertcp_sandbox_config_t config = USERTCP_SANDBOX_CONFIG_INIT;
  usertcp_child_t program = 0;
  int status = usertcp_sandbox_open(&config, sandbox), null = open("/dev/null", O_RDWR | O_CLOEXEC);
  int streams[3] = {null, null, null};
  CHECK(null >= 0);
  if (status < 0) {
    printf("skipped: a signal handler interrupts usertcp_child_wait(): no sandbox is granted here: %s\n", usertcp_errname(status));
    close(null);
    return 0;
  }
  OK(usertcp_sandbox_spawn(*sandbox, argv, NULL, streams, &program));
  close(null);
  return program;
}

static void a_signal_handler_interrupts(void) {
  ends_t ends = connect_ends(pair, "192.0.2.1:3003");
  usertcp_socket_t listener = listen_on(pair.left, "192.0.2.1:3004"), made, s = make_socket(pair.left, AF_INET);
  address_t nobody = address("192.0.2.77:80");
  ends_t lingering = connect_ends(pair, "192.0.2.1:3005");
  static char block[1 << 16];
  struct linger long_time = {1, 600};
  struct sigaction action;
  usertcp_intercept_config_t prefix = USERTCP_INTERCEPT_CONFIG_INIT;
  usertcp_sandbox_t sandbox;
  usertcp_child_t program = sleeper(&sandbox);
  usertcp_socket_t gate;
  usertcp_pollset_t set;
  usertcp_event_t event;
  usertcp_syn_t syn;
  usertcp_pollfd_t entry;
  ssize_t sent;
  char byte;
  prefix.prefix = "203.0.113.0/24";
  OK(usertcp_intercept_open(pair.left, &prefix, 0, &gate));
  OK(usertcp_pollset_open(0, &set));
  OK(usertcp_pollset_add(set, ends.left, USERTCP_POLLIN, 1));
  /* Until neither this buffer nor the peer's has room for any more: a close that lingers waits. */
  OK(usertcp_set_timeout(lingering.left, -1, 200));
  while (usertcp_send(lingering.left, block, sizeof block, 0) > 0) continue;
  OK(usertcp_set_timeout(lingering.left, -1, -1));
  OK(usertcp_setsockopt(lingering.left, SOL_SOCKET, SO_LINGER, &long_time, sizeof long_time));
  memset(&action, 0, sizeof action);
  action.sa_handler = on_alarm;
  CHECK(sigaction(SIGALRM, &action, NULL) == 0);
  entry.socket = ends.left;
  entry.events = USERTCP_POLLIN;
  set_alarm(40);
  EQUAL(usertcp_recv(ends.left, &byte, 1, 0), -EINTR);
  EQUAL(usertcp_accept(listener, &made, NULL, NULL, 0), -EINTR);
  EQUAL(usertcp_poll(&entry, 1, -1), -EINTR);
  EQUAL(usertcp_poll(&entry, 1, 10000), -EINTR);
  EQUAL(usertcp_connect(s, ADDRESS(nobody)), -EINTR);
  /* A probe of the closed window may have made room for a byte. */
  do {
    sent = usertcp_send(lingering.left, block, sizeof block, 0);
  } while (sent > 0);
  EQUAL(sent, -EINTR);
  do {
    sent = usertcp_sendto(lingering.left, block, sizeof block, 0, NULL, 0);
  } while (sent > 0);
  EQUAL(sent, -EINTR);
  EQUAL(usertcp_pollset_wait(set, &event, 1, -1), -EINTR);
  EQUAL(usertcp_pollset_wait(set, &event, 1, 10000), -EINTR);
  EQUAL(usertcp_intercept_next(gate, -1, &syn, NULL), -EINTR);
  EQUAL(usertcp_intercept_next(gate, 10000, &syn, NULL), -EINTR);
  if (program != 0) EQUAL(usertcp_child_wait(program, 0, NULL), -EINTR);
  OK(usertcp_close(lingering.left));
  set_alarm(0);
  if (program != 0) {
    OK(usertcp_child_close(program));
    OK(usertcp_sandbox_close(sandbox));
  }
  OK(usertcp_pollset_close(set));
  OK(usertcp_close(gate));
  OK(usertcp_close(lingering.right));
  OK(usertcp_close(s));
  OK(usertcp_close(listener));
  OK(usertcp_close(ends.left));
  OK(usertcp_close(ends.right));
}

static volatile sig_atomic_t alarms;

static void count_alarm(int signal) {
  (void)signal;
  alarms = alarms + 1;
}

static void *send_after_three_alarms(void *argument) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGALRM);
  CHECK(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
  while (alarms < 3) sched_yield();
  EQUAL(usertcp_send(*(usertcp_socket_t *)argument, "x", 1, 0), 1);
  return NULL;
}

static void a_signal_handler_with_restart_does_not(void) {
  ends_t ends = connect_ends(pair, "192.0.2.1:3006");
  struct sigaction action;
  pthread_t sender = start(send_after_three_alarms, &ends.right);
  char byte = 0;
  memset(&action, 0, sizeof action);
  action.sa_handler = count_alarm;
  action.sa_flags = SA_RESTART;
  CHECK(sigaction(SIGALRM, &action, NULL) == 0);
  set_alarm(10);
  EQUAL(usertcp_recv(ends.left, &byte, 1, 0), 1);
  CHECK(byte == 'x');
  set_alarm(0);
  join(sender);
  OK(usertcp_close(ends.left));
  OK(usertcp_close(ends.right));
}

static int received_before_the_end;

static void *receive_and_end(void *argument) {
  char byte;
  received_before_the_end = (int)usertcp_recv(*(usertcp_socket_t *)argument, &byte, 1, 0);
  pthread_testcancel();
  return NULL;
}

static void a_thread_is_cancelled_once_its_call_is_over(void) {
  ends_t ends = connect_ends(pair, "192.0.2.1:3007");
  pthread_t reader = start(receive_and_end, &ends.left);
  void *outcome = NULL;
  CHECK(pthread_cancel(reader) == 0);
  EQUAL(usertcp_send(ends.right, "x", 1, 0), 1);
  CHECK(pthread_join(reader, &outcome) == 0);
  CHECK(outcome == PTHREAD_CANCELED);
  EQUAL(received_before_the_end, 1);
  OK(usertcp_close(ends.left));
  OK(usertcp_close(ends.right));
}

/* What a log callback saw. */
typedef struct {
  usertcp_stack_t stack;
  usertcp_socket_t socket;
  usertcp_syn_t syn;
  int records, refused;
} seen_t;

static void on_record(void *context, uint32_t level, uint64_t nanoseconds, const char *text) {
  seen_t *seen = (seen_t *)context;
  usertcp_stack_t stack = __atomic_load_n(&seen->stack, __ATOMIC_SEQ_CST);
  struct sockaddr_storage found;
  usertcp_socket_t made;
  uint64_t value;
  int error;
  CHECK(level >= USERTCP_LOG_ERROR && level <= USERTCP_LOG_TRACE);
  CHECK(nanoseconds > 0 && text[0] != '\0');
  __atomic_add_fetch(&seen->records, 1, __ATOMIC_SEQ_CST);
  if (stack == 0) return;
  error = usertcp_stack_counter(stack, "frames_in", &value);
  if (error == -EDEADLK) {
    __atomic_add_fetch(&seen->refused, 1, __ATOMIC_SEQ_CST);
    /* These change nothing either. */
    EQUAL(usertcp_close(seen->socket), -EDEADLK);
    EQUAL(usertcp_abort(seen->socket), -EDEADLK);
    EQUAL(usertcp_stack_close(stack, 0), -EDEADLK);
    EQUAL(usertcp_cancel(seen->socket), -EDEADLK);
    EQUAL(usertcp_syn_refuse(seen->syn), -EDEADLK);
    EQUAL(usertcp_syn_drop(seen->syn), -EDEADLK);
    EQUAL(usertcp_connect_to(stack, "192.0.2.2:9", 0, -1, &made), -EDEADLK);
    EQUAL(usertcp_resolve(stack, "name.example", "80", AF_UNSPEC, -1, &found, 1), -EDEADLK);
  }
  /* Nothing is delivered once the stack is closed. */
  EQUAL(error, -EDEADLK);
}

static void logs_and_captures(void) {
  usertcp_config_t config = USERTCP_CONFIG_INIT;
  seen_t seen = {0, 0, 0, 0, 0};
  usertcp_intercept_config_t prefix = USERTCP_INTERCEPT_CONFIG_INIT;
  usertcp_tcp_info_t info = USERTCP_TCP_INFO_INIT;
  address_t elsewhere = address("203.0.113.1:80");
  usertcp_socket_t gate, caller;
  pair_t logged;
  ends_t ends;
  char path[] = "/tmp/usertcp-pcap-XXXXXX";
  unsigned char head[4];
  int records, file = mkstemp(path);
  CHECK(file >= 0);
  config.log = on_record;
  config.log_context = &seen;
  config.log_level = USERTCP_LOG_TRACE;
  config.pcap = path;
  config.seed = 42;
  logged = open_pair(&config);
  seen.socket = make_socket(logged.left, AF_INET);
  prefix.prefix = "203.0.113.0/24";
  OK(usertcp_intercept_open(logged.left, &prefix, 0, &gate));
  OK(usertcp_socket(logged.right, AF_INET, SOCK_STREAM, USERTCP_NONBLOCK, &caller));
  EQUAL(usertcp_connect(caller, ADDRESS(elsewhere)), -EINPROGRESS);
  OK(usertcp_intercept_next(gate, 10000, &seen.syn, NULL));
  __atomic_store_n(&seen.stack, logged.left, __ATOMIC_SEQ_CST);
  ends = connect_ends(logged, "192.0.2.1:3005");
  send_pattern(ends.right, 10000);
  receive_pattern(ends.left, 10000);
  OK(usertcp_close(ends.right));
  OK(usertcp_close(ends.left));
  /* The request is undecided. */
  OK(usertcp_tcp_info(gate, &info));
  EQUAL(info.tcpi_unacked, 1);
  usertcp_stack_close(logged.left, 0);
  records = __atomic_load_n(&seen.records, __ATOMIC_SEQ_CST);
  CHECK(records > 0);
  CHECK(__atomic_load_n(&seen.refused, __ATOMIC_SEQ_CST) > 0);
  usertcp_stack_close(logged.right, 0);
  EQUAL(__atomic_load_n(&seen.records, __ATOMIC_SEQ_CST), records);
  /* A pcapng section header, and packets of more than ten thousand bytes. */
  CHECK(read(file, head, sizeof head) == 4 && memcmp(head, "\x0a\x0d\x0d\x0a", 4) == 0);
  CHECK(lseek(file, 0, SEEK_END) > 10000);
  close(file);
  unlink(path);
}

static unsigned records_of[USERTCP_LOG_TRACE + 1];

static void count_record(void *context, uint32_t level, uint64_t nanoseconds, const char *text) {
  (void)nanoseconds;
  if (level > *(uint32_t *)context) {
    fprintf(stderr, "level %u where %u is asked for: %s\n", level, *(uint32_t *)context, text);
    exit(1);
  }
  __atomic_add_fetch(&records_of[level], 1, __ATOMIC_SEQ_CST);
}

/* A level keeps what is more verbose away, 0 as USERTCP_LOG_INFO does. */
static void a_log_has_its_level(void) {
  uint32_t asked, level;
  for (asked = 0; asked <= USERTCP_LOG_TRACE; asked++) {
    usertcp_config_t config = USERTCP_CONFIG_INIT;
    pair_t logged;
    ends_t ends;
    level = asked == 0 ? USERTCP_LOG_INFO : asked;
    memset(records_of, 0, sizeof records_of);
    config.log = count_record;
    config.log_context = &level;
    config.log_level = asked;
    logged = open_pair(&config);
    ends = connect_ends(logged, "192.0.2.1:3008");
    send_pattern(ends.right, 10000);
    receive_pattern(ends.left, 10000);
    /* That the connection is reset is worth a record. */
    close_pair(logged);
    for (level = USERTCP_LOG_INFO; level <= USERTCP_LOG_DEBUG; level++)
      EQUAL(records_of[level] > 0, level <= (asked == 0 ? USERTCP_LOG_INFO : asked));
  }
}

static void an_impaired_link_loses_packets_but_no_bytes(void) {
  usertcp_config_t config = USERTCP_CONFIG_INIT;
  usertcp_impairment_t impairment = USERTCP_IMPAIRMENT_INIT;
  usertcp_tcp_info_t info = USERTCP_TCP_INFO_INIT;
  pair_t lossy;
  ends_t ends;
  impairment.loss = 0.02;
  impairment.delay_us = 2000;
  impairment.duplicate = 0.01;
  config.impairment = &impairment;
  config.seed = 7;
  lossy = open_pair(&config);
  ends = connect_ends(lossy, "[2001:db8::1]:3006");
  send_pattern(ends.right, 300000);
  receive_pattern(ends.left, 300000);
  OK(usertcp_tcp_info(ends.right, &info));
  CHECK(info.tcpi_total_retrans > 0);
  /* Four delays a round trip. A measurement is short by as much as a busy machine keeps the I/O thread from its clock:
     half of it is allowed for. */
  CHECK(info.tcpi_rtt >= 4000);
  CHECK(info.tcpi_min_rtt == 0 || info.tcpi_min_rtt >= 4000);
  close_pair(lossy);
}

/* The CPUs of the threads of all stacks, `count` at most; how many there are. */
static int threads_of_stacks(cpu_set_t *sets, int count) {
  DIR *threads = opendir("/proc/self/task");
  struct dirent *entry;
  int found = 0;
  CHECK(threads != NULL);
  while ((entry = readdir(threads)) != NULL) {
    char path[300], name[32] = "";
    int file, thread = atoi(entry->d_name);
    snprintf(path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
    if (thread == 0 || (file = open(path, O_RDONLY)) < 0) continue;
    CHECK(read(file, name, sizeof name - 1) > 0);
    close(file);
    if (strcmp(name, "usertcp-io\n") != 0) continue;
    CHECK(found < count);
    EQUAL(sched_getaffinity(thread, sizeof *sets, &sets[found++]), 0);
  }
  closedir(threads);
  return found;
}

static void a_stack_stays_on_the_cpus_that_it_was_opened_on(void) {
  cpu_set_t all, one, sets[2];
  time_t until;
  pair_t two;
  int cpu = 0;
  EQUAL(sched_getaffinity(0, sizeof all, &all), 0);
  while (!CPU_ISSET(cpu, &all)) cpu++;
  CPU_ZERO(&one);
  CPU_SET(cpu, &one);
  EQUAL(sched_setaffinity(0, sizeof one, &one), 0);
  two = open_pair(NULL);
  EQUAL(sched_setaffinity(0, sizeof all, &all), 0);
  /* A thread names itself, in its own time. */
  for (until = time(NULL) + 30; threads_of_stacks(sets, 2) < 2; sched_yield()) CHECK(time(NULL) < until);
  CHECK(CPU_EQUAL(&sets[0], &one) && CPU_EQUAL(&sets[1], &one));
  close_pair(two);
}

int main(void) {
  EQUAL(in_child(a_child_forked_before_any_stack), 0);
  EQUAL(in_child(a_child_of_a_process_whose_opens_failed), 0);
  EQUAL(in_child(leave_with_everything_open), 5);
  a_stack_stays_on_the_cpus_that_it_was_opened_on();
  pair = open_pair(NULL);
  a_forked_child_is_told_so();
  a_signal_handler_interrupts();
  a_signal_handler_with_restart_does_not();
  a_thread_is_cancelled_once_its_call_is_over();
  logs_and_captures();
  a_log_has_its_level();
  an_impaired_link_loses_packets_but_no_bytes();
  close_pair(pair);
  return 0;
}
