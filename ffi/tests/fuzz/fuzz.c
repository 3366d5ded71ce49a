/* A stateful fuzzer of the C interface: files are sequences of calls, made by one thread or by several at once, over two stacks on a
   link; then sequences like them. Whatever must hold after a call is looked at there, and whatever after a run in `end_run`.

   fuzz DOCUMENTED KEPT THREADS SECONDS SEED [--print] FILE...

   DOCUMENTED has a line for each function with the errors it may return; tests/fuzz.rs makes it of the header. The sequence under way
   is in the file KEPT, which is removed when all is well. With one thread no call waits for another, and the same bytes make the same
   calls. SECONDS of sequences follow the files, begun from SEED. */
#include "calls.h"

#define LONGEST 4096
#define THREADS_MOST 8

static void need(int holds, const char *what) {
  if (!holds) fail(NULL, "%s does not hold", what);
}
#define NEED(condition) need(condition, #condition)

static actor_t actors[THREADS_MOST];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t over;
static int running;

static void *act(void *pointer) {
  actor_t *a = pointer;
  const unsigned char *begin = a->in.at;
  while (a->in.at < a->in.end) {
    unsigned b = u8(&a->in), which = b < CALLS ? b : b % OFTEN;
    a->verdict = &verdicts[which];
    a->doing = calls[which].name;
    if (a->print) printf("%s at %ld\n", a->doing, (long)(a->in.at - begin));
    calls[which].run(a);
    end_call(a);
  }
  a->doing = NULL;
  pthread_mutex_lock(&lock);
  running--;
  pthread_cond_signal(&over);
  pthread_mutex_unlock(&lock);
  return NULL;
}

static usertcp_stack_t open_stack(int end, const char *addresses) {
  usertcp_config_t config = USERTCP_CONFIG_INIT;
  usertcp_stack_t stack;
  config.fd = world.link[end];
  config.addresses = addresses;
  config.seed = 1;
  config.nameservers = end ? "192.0.2.1" : "";
  config.search = config.hosts = "";
  config.names_timeout_ms = 2;
  config.names_attempts = 1;
  NEED(usertcp_stack_open(&config, &stack) == 0);
  return stack;
}

static usertcp_socket_t open_socket(usertcp_stack_t stack, int type, const char *bound, const char *peer) {
  struct sockaddr_storage address;
  socklen_t length;
  usertcp_socket_t s;
  NEED(usertcp_parse_addr(bound != NULL ? bound : peer, &address, &length) == 0);
  NEED(usertcp_socket(stack, address.ss_family, type, 0, &s) == 0);
  if (bound != NULL) NEED(usertcp_bind(s, (struct sockaddr *)&address, length) == 0);
  if (bound != NULL && type == SOCK_STREAM) NEED(usertcp_listen(s, 4) == 0);
  if (peer != NULL) NEED(usertcp_parse_addr(peer, &address, &length) == 0);
  if (peer != NULL) NEED(usertcp_connect(s, (struct sockaddr *)&address, length) == 0);
  return s;
}

/* Listeners, a connection, datagram sockets and a poll set to begin with, so that short sequences get far. */
static void begin_run(int alone) {
  uint64_t *s = world.handles[SOCKET], *stack = world.handles[STACK];
  int i;
  memset(world.handles, 0, sizeof world.handles);
  memset(world.gone, 0, sizeof world.gone);
  memset(world.syns, 0, sizeof world.syns);
  for (i = 0; i < DESCRIPTORS; i++) world.descriptors[i] = -1;
  NEED(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, world.link) == 0);
  stack[0] = open_stack(0, "192.0.2.1/24,2001:db8::1/64");
  stack[1] = open_stack(1, "192.0.2.2/24,2001:db8::2/64");
  s[0] = open_socket(stack[0], SOCK_STREAM, "192.0.2.1:80", NULL);
  s[1] = open_socket(stack[0], SOCK_STREAM, "[2001:db8::1]:80", NULL);
  s[2] = open_socket(stack[1], SOCK_STREAM, NULL, "192.0.2.1:80");
  NEED(usertcp_accept(s[0], &s[3], NULL, NULL, 0) == 0);
  s[4] = open_socket(stack[1], SOCK_STREAM, NULL, "[2001:db8::1]:80");
  NEED(usertcp_accept(s[1], &s[5], NULL, NULL, 0) == 0);
  s[6] = open_socket(stack[0], SOCK_DGRAM, "192.0.2.1:9", "192.0.2.2:9");
  s[7] = open_socket(stack[1], SOCK_DGRAM, "192.0.2.2:9", NULL);
  NEED(usertcp_pollset_open(0, &world.handles[SET][0]) == 0);
  for (i = 0; i < 8; i++) {
    if (i < 4) NEED(usertcp_pollset_add(world.handles[SET][0], s[i], USERTCP_POLLIN, ~s[i]) == 0);
    if (alone) NEED(usertcp_set_nonblock(s[i], 1) == 0);
  }
}

static long now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (long)(now.tv_sec * 1000 + now.tv_nsec / 1000000);
}

/* Waits for all actors, and calls off whoever waits. */
static void await(int threads) {
  long start = now_ms();
  int i;
  pthread_mutex_lock(&lock);
  while (running > 0) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += 2000000;
    if (until.tv_nsec >= 1000000000) until.tv_sec++, until.tv_nsec -= 1000000000;
    pthread_cond_timedwait(&over, &lock, &until);
    for (i = 0; threads > 1 && i < HANDLES; i++) {
      usertcp_cancel(load(&world.handles[SOCKET][i]));
      usertcp_pollset_wake(load(&world.handles[SET][i]));
    }
    if (now_ms() - start > 30000) {
      for (i = 0; i < threads; i++)
        if (actors[i].doing != NULL) fprintf(stderr, "%s does not return\n", actors[i].doing);
      abort();
    }
  }
  pthread_mutex_unlock(&lock);
}

static int entries(const char *folder) {
  int count = 0;
  DIR *all = opendir(folder);
  need(all != NULL, folder);
  while (readdir(all) != NULL) count++;
  closedir(all);
  return count;
}

/* What is true in a while at the latest. */
#define SOON(condition, what) \
  do { \
    long start_ = now_ms(); \
    while (!(condition)) { \
      if (now_ms() - start_ > 10000) fail(NULL, "%s", what); \
      sched_yield(); \
    } \
  } while (0)

/* How many sockets a program has on a stack. */
static int held(usertcp_stack_t stack) {
  static const usertcp_socket_info_t fresh = USERTCP_SOCKET_INFO_INIT;
  static usertcp_socket_info_t infos[512];
  int i, count = 0, all;
  for (i = 0; i < 512; i++) infos[i] = fresh;
  all = (int)usertcp_stack_sockets(stack, infos, 512);
  for (i = 0; i < all && i < 512; i++) count += (int)infos[i].held;
  return count;
}

static void end_run(int descriptors, int threads) {
  usertcp_pollset_t fresh;
  int i, kind;
  for (i = 0; i < DESCRIPTORS; i++)
    if (world.descriptors[i] >= 0) close(world.descriptors[i]);
  for (i = 0; i < HANDLES; i++) usertcp_syn_drop(world.syns[i]);
  for (i = 0; i < HANDLES; i++) let_go(SOCKET, world.handles[SOCKET][i]);
  for (i = 0; i < 2; i++) SOON(held(world.handles[STACK][i]) == 0, "a socket is left that no handle was given for");
  for (kind = STACK; kind < KINDS; kind++)
    for (i = 0; i < HANDLES; i++) let_go((enum kind)kind, world.handles[kind][i]);
  close(world.link[0]);
  close(world.link[1]);
  SOON(entries("/proc/self/fd") == descriptors, "descriptors are left open");
  SOON(entries("/proc/self/task") == threads, "threads are left");
  /* Places in the table of handles are used again: the lower half of a handle is one, and no run needs many. */
  NEED(usertcp_pollset_open(0, &fresh) == 0);
  if ((fresh & 0xffffffff) >= 2048) fail(NULL, "handles are left in the table");
  NEED(usertcp_pollset_close(fresh) == 0);
}

static void run(const char *kept, const unsigned char *bytes, size_t size, int threads, int print) {
  pthread_t ids[THREADS_MOST];
  int i, descriptors = entries("/proc/self/fd"), tasks = entries("/proc/self/task");
  FILE *file = fopen(kept, "wb");
  need(file != NULL && fwrite(bytes, 1, size, file) == size && fclose(file) == 0, kept);
  begin_run(threads == 1);
  running = threads;
  for (i = 0; i < threads; i++) {
    actor_t *a = &actors[i];
    size_t from = size * (size_t)i / (size_t)threads, to_ = size * ((size_t)i + 1) / (size_t)threads;
    a->in.at = bytes + from;
    a->in.end = bytes + to_;
    a->alone = threads == 1;
    a->print = print;
    NEED(pthread_create(&ids[i], NULL, act, a) == 0);
  }
  await(threads);
  for (i = 0; i < threads; i++) pthread_join(ids[i], NULL);
  end_run(descriptors, tasks);
  unlink(kept);
}

/* Marsaglia's xorshift. */
static uint64_t chance = 1;

static size_t below(size_t bound) {
  chance ^= chance << 13;
  chance ^= chance >> 7;
  chance ^= chance << 17;
  return (size_t)(chance >> 16) % (bound == 0 ? 1 : bound);
}

/* Changes some bytes, and puts a piece of another sequence into one, or random bytes. */
static size_t mutate(unsigned char *bytes, size_t size, const unsigned char *other, size_t other_size) {
  size_t i, at, length, changes = below(8);
  for (i = 0; size > 0 && i < changes; i++) bytes[below(size)] = (unsigned char)below(256);
  at = below(size + 1);
  length = below(200);
  if (at + length > LONGEST) length = LONGEST - at;
  if (below(2) && length < other_size) {
    memcpy(bytes + at, other + below(other_size - length + 1), length);
  } else {
    for (i = 0; i < length; i++) bytes[at + i] = (unsigned char)below(256);
  }
  return at + length > size ? at + length : size;
}

static void read_documented(const char *path) {
  char line[4096], *word, *rest;
  size_t i;
  int number;
  FILE *file = fopen(path, "r");
  need(file != NULL, path);
  while (fgets(line, sizeof line, file) != NULL) {
    char *name = strtok_r(line, " \n", &rest);
    for (i = 0; name != NULL && i < CALLS; i++)
      if (strcmp(name, calls[i].name) == 0) break;
    if (name == NULL || i == CALLS) continue;
    while ((word = strtok_r(NULL, " \n", &rest)) != NULL)
      for (number = 1; number <= 133; number++)
        if (strcmp(usertcp_errname(number), word) == 0) verdicts[i].documented[number] = 1;
  }
  fclose(file);
}

int main(int count, char **arguments) {
  static unsigned char pool[256][LONGEST], bytes[LONGEST];
  static size_t sizes[256];
  char control[4096];
  pthread_condattr_t monotonic;
  int i, files = 0, threads, print = 0;
  long runs = 0, until;
  const char *kept;
  NEED(count >= 6);
  pthread_condattr_init(&monotonic);
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  pthread_cond_init(&over, &monotonic);
  read_documented(arguments[1]);
  kept = arguments[2];
  snprintf(control, sizeof control, "/tmp/usertcp-fuzz-%ld", (long)getpid());
  world.control = control;
  world.null = open("/dev/null", O_RDWR | O_CLOEXEC);
  threads = atoi(arguments[3]);
  NEED(threads >= 1 && threads <= THREADS_MOST);
  chance = strtoull(arguments[5], NULL, 10) * 2654435761u + 1;
  for (i = 6; i < count && files < 256; i++) {
    FILE *file;
    if (strcmp(arguments[i], "--print") == 0) {
      print = 1;
      continue;
    }
    file = fopen(arguments[i], "rb");
    need(file != NULL, arguments[i]);
    sizes[files] = fread(pool[files], 1, LONGEST, file);
    fclose(file);
    files++;
  }
  for (i = 0; i < files; i++) run(kept, pool[i], sizes[i], threads, print);
  until = now_ms() + atol(arguments[4]) * 1000;
  while (now_ms() < until) {
    size_t from = below((size_t)files + 1), other = below((size_t)files + 1), size = 0;
    if (from < (size_t)files) memcpy(bytes, pool[from], size = sizes[from]);
    size = mutate(bytes, size, pool[other % 256], sizes[other % 256]);
    size = mutate(bytes, size, pool[other % 256], sizes[other % 256]);
    run(kept, bytes, size, threads, print);
    runs++;
    if (files < 256 && below(8) == 0) memcpy(pool[files], bytes, sizes[files] = size), files++;
  }
  for (i = 0; !print && i < (int)CALLS; i++) printf("%s %lu %lu\n", calls[i].name, verdicts[i].calls, verdicts[i].successes);
  printf("%ld sequences by %d threads\n", runs, threads);
  for (i = 0; i < THREADS_MOST; i++)
    if (actors[i].guarded != NULL) munmap(actors[i].guarded, (size_t)ROOMS * (ROOM_LARGEST + 4096));
  return 0;
}
