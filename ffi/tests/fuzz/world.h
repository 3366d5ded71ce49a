/* What the calls of a fuzzing run work with: bytes to decide by, memory that must not be overrun, and the handles of all kinds. */
#ifndef WORLD_H
#define WORLD_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "usertcp.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* The bytes that decide what is done; zeroes behind their end. */
typedef struct {
  const unsigned char *at, *end;
} input_t;

static inline unsigned u8(input_t *in) {
  return in->at < in->end ? *in->at++ : 0;
}

static inline unsigned u16(input_t *in) {
  unsigned high = u8(in);
  return high << 8 | u8(in);
}

static inline uint64_t u64(input_t *in) {
  uint64_t value = 0;
  int i;
  for (i = 0; i < 4; i++) value = value << 16 | u16(in);
  return value;
}

/* A number that is mostly small and sometimes anything. */
static inline uint64_t number(input_t *in) {
  unsigned kind = u8(in);
  if (kind < 0xd0) return kind % 8;
  if (kind < 0xf0) return u16(in);
  return kind < 0xf8 ? (uint64_t)0 - u8(in) : u64(in);
}

/* What a function may return, and what became of its calls. */
typedef struct {
  unsigned char documented[134];
  unsigned long calls, successes;
} verdict_t;

#define ROOMS 40
#define ROOM_LARGEST 65536

/* Memory that a call is given: what it read as before the call is in `before`. */
typedef struct {
  unsigned char *at, *before;
  size_t size;
  int written; /* by a call that succeeds */
} room_t;

/* Who calls: one thread and its share of the input. */
typedef struct {
  input_t in;
  int alone; /* nothing may wait for another */
  int print;
  const char *doing;
  verdict_t *verdict;
  room_t rooms[ROOMS];
  int used;
  unsigned char *guarded; /* pieces of memory, each with a page behind it that nobody may touch */
} actor_t;

enum kind { SOCKET, STACK, SET, KINDS };
#define HANDLES 16
#define DESCRIPTORS 8

/* What all actors share. */
static struct {
  uint64_t handles[KINDS][HANDLES];
  uint64_t gone[HANDLES];
  uint64_t syns[HANDLES]; /* connection requests that wait for a decision */
  int descriptors[DESCRIPTORS]; /* exported; -1 */
  int link[2];                  /* the stacks' link, open for whole runs so that stacks come and go */
  int null;
  const char *control;
} world;

__attribute__((noreturn, format(printf, 2, 3))) static inline void fail(const actor_t *a, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fprintf(stderr, "%s: ", a != NULL && a->doing != NULL ? a->doing : "run");
  vfprintf(stderr, format, arguments);
  fprintf(stderr, "\n");
  va_end(arguments);
  abort();
}

#ifdef __SANITIZE_ADDRESS__
static inline unsigned char *get(actor_t *a, size_t size) {
  unsigned char *at = malloc(size);
  if (at == NULL) fail(a, "no memory");
  return at;
}
static inline void put(unsigned char *at) {
  free(at);
}
#else
#define GUARD 4096
static inline unsigned char *get(actor_t *a, size_t size) {
  size_t stride = ROOM_LARGEST + GUARD;
  if (a->guarded == NULL) {
    int i;
    a->guarded = mmap(NULL, stride * ROOMS, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (a->guarded == MAP_FAILED) fail(a, "no memory");
    for (i = 0; i < ROOMS; i++)
      if (mprotect(a->guarded + stride * (size_t)i + ROOM_LARGEST, GUARD, PROT_NONE) != 0) fail(a, "no guard");
  }
  return a->guarded + stride * (size_t)a->used + ROOM_LARGEST - size;
}
static inline void put(unsigned char *at) {
  (void)at;
}
#endif

static inline void *room(actor_t *a, size_t size, int written) {
  room_t *r = &a->rooms[a->used];
  if (a->used == ROOMS || size > ROOM_LARGEST) fail(a, "too much room");
  r->at = get(a, size);
  r->size = size;
  r->written = written;
  memset(r->at, 0xa5, size);
  a->used++;
  return r->at;
}

/* `size` bytes for the call to read. */
static inline void *given(actor_t *a, const void *bytes, size_t size) {
  void *at = room(a, size, 0);
  if (bytes != NULL && size > 0) memcpy(at, bytes, size);
  return at;
}

static inline int never(input_t *in) {
  return u8(in) >= 0xf8;
}

/* Where the call stores something; sometimes NULL. */
static inline void *place(actor_t *a, size_t size) {
  void *at = room(a, size, 1);
  return never(&a->in) ? NULL : at;
}

/* The same, with something in it. */
static inline void *exchange(actor_t *a, const void *bytes, size_t size) {
  void *at = place(a, size);
  if (at != NULL) memcpy(at, bytes, size);
  return at;
}

/* Behind the first `most` bytes of a room nothing was stored. */
static inline void at_most(const actor_t *a, const void *at, size_t most) {
  int i;
  size_t n;
  for (i = 0; i < a->used; i++) {
    const room_t *r = &a->rooms[i];
    for (n = most; r->at == at && n < r->size; n++)
      if (r->at[n] != r->before[n]) fail(a, "stored more than the %zu bytes that it tells of", most);
  }
}

#define OWN_ERRNO 4711

static inline void before_call(actor_t *a) {
  int i;
  for (i = 0; i < a->used; i++) {
    room_t *r = &a->rooms[i];
    r->before = malloc(r->size + 1);
    if (r->before == NULL) fail(a, "no memory");
    memcpy(r->before, r->at, r->size);
  }
  errno = OWN_ERRNO;
}

static inline long long after_call(actor_t *a, long long result) {
  int i;
  if (errno != OWN_ERRNO) fail(a, "touches errno");
  __atomic_add_fetch(&a->verdict->calls, 1, __ATOMIC_RELAXED);
  if (result >= 0) {
    __atomic_add_fetch(&a->verdict->successes, 1, __ATOMIC_RELAXED);
  } else if (result < -133 || !a->verdict->documented[-result]) {
    char text[300];
    usertcp_last_error(text, sizeof text);
    fail(a, "returns %lld (%s: %s), which is not documented", result, usertcp_errname((int)result), text);
  }
  for (i = 0; i < a->used; i++) {
    const room_t *r = &a->rooms[i];
    if ((result < 0 || !r->written) && memcmp(r->at, r->before, r->size) != 0)
      fail(a, "returns %lld and has changed argument memory %d", result, i);
  }
  return result;
}

static inline void end_call(actor_t *a) {
  while (a->used > 0) {
    room_t *r = &a->rooms[--a->used];
    free(r->before);
    r->before = NULL;
    put(r->at);
  }
}

#define CALL(a, call) (before_call(a), after_call(a, (long long)(call)))

static inline uint64_t load(const uint64_t *slot) {
  return __atomic_load_n(slot, __ATOMIC_SEQ_CST);
}

static inline uint64_t swap(uint64_t *slot, uint64_t handle) {
  return __atomic_exchange_n(slot, handle, __ATOMIC_SEQ_CST);
}

/* A handle: mostly one that is open, sometimes a stale one, one of another kind, or none. */
static inline uint64_t pick(actor_t *a, enum kind kind) {
  unsigned b = u8(&a->in);
  if (b < 0xd0) return load(&world.handles[kind][b % (kind == STACK ? 2 : HANDLES)]);
  if (b < 0xe0) return load(&world.gone[b % HANDLES]);
  if (b < 0xf0) return load(&world.handles[(kind + 1) % KINDS][b % HANDLES]);
  if (b < 0xf8) return load(&world.handles[kind][b % 2]) ^ (uint64_t)1 << (32 + b % 8);
  return b < 0xfc ? 0 : u64(&a->in);
}

static inline void let_go(enum kind kind, uint64_t handle) {
  if (handle == 0) return;
  if (kind == SOCKET) usertcp_close(handle);
  if (kind == STACK) usertcp_stack_close(handle, 0);
  if (kind == SET) usertcp_pollset_close(handle);
}

/* Keeps a new handle where the input says, and closes what was there. */
static inline void keep(actor_t *a, enum kind kind, unsigned where, uint64_t handle) {
  if (handle == 0) fail(a, "stores no handle");
  let_go(kind, swap(&world.handles[kind][where % (kind == STACK ? 2 : HANDLES)], handle));
}

/* A handle is stale now. */
static inline void forget(enum kind kind, uint64_t handle) {
  int i;
  for (i = 0; i < HANDLES; i++) {
    uint64_t expected = handle;
    if (handle == 0) break;
    __atomic_compare_exchange_n(&world.handles[kind][i], &expected, 0, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
  }
  swap(&world.gone[handle % HANDLES], handle);
}

/* How long a call may wait, milliseconds. */
static inline int patience(actor_t *a) {
  unsigned b = u8(&a->in);
  return !a->alone && b >= 0xe0 ? -1 : (int)(b % 3);
}

static inline size_t length_of_data(actor_t *a) {
  unsigned b = u8(&a->in);
  return b < 0x80 ? b % 32 : b < 0xf0 ? (size_t)b * 16 : (size_t)u16(&a->in);
}

static const char *const names[] = {
    "192.0.2.1:80", "192.0.2.2:80", "[2001:db8::1]:80", "[2001:db8::2]:80", "192.0.2.1:9", "[2001:db8::2]:9",
    "0.0.0.0:80",   "[::]:81",      "192.0.2.255:9",    "198.51.100.1:7",   "192.0.2.2:0", "[fe80::1%2]:5",
    "224.0.0.1:5",  "[::1]:80",     "127.0.0.1:80",     "[::ffff:192.0.2.1]:80"};

#define NAMES (sizeof names / sizeof *names)

/* An address for the call to read, sometimes too short, of a strange family, or NULL. */
static inline const struct sockaddr *to(actor_t *a, socklen_t *length) {
  struct sockaddr_storage storage;
  unsigned which = u8(&a->in), odd = u8(&a->in);
  memset(&storage, 0, sizeof storage);
  if (usertcp_parse_addr(names[which % NAMES], &storage, length) != 0) fail(a, "cannot be told an address");
  if (odd >= 0xe0) storage.ss_family = (sa_family_t)(odd % 4 == 0 ? AF_UNSPEC : odd);
  if (odd % 16 == 15) *length = (socklen_t)(odd / 2 % (sizeof storage + 1));
  {
    struct sockaddr *at = given(a, &storage, *length);
    /* A length that is out of all reason may be told; it must be refused before anything is read. */
    if (odd == 0xd7) *length = (socklen_t)-1;
    return odd == 0xdf ? NULL : at;
  }
}

/* Where an address is stored, and its length; both may be NULL, or only one. */
typedef struct {
  struct sockaddr *at;
  socklen_t *length;
  socklen_t size;
} from_t;

static inline from_t from(actor_t *a) {
  from_t f;
  unsigned b = u8(&a->in);
  f.size = (socklen_t)(b < 0xc0 ? sizeof(struct sockaddr_storage) : b % 40);
  f.at = room(a, f.size, 1);
  f.length = exchange(a, &f.size, sizeof f.size);
  if (b % 8 == 7) f.at = NULL;
  if (b % 16 == 7) f.length = NULL;
  return f;
}

/* A text that ends where its memory does. */
static inline const char *text(actor_t *a, const char *string) {
  char *at = given(a, string, strlen(string) + 1);
  return never(&a->in) ? NULL : at;
}

static inline int message_flags(actor_t *a) {
  static const int some[] = {0, MSG_PEEK, MSG_TRUNC, MSG_WAITALL, MSG_OOB, MSG_MORE, MSG_ERRQUEUE, MSG_NOSIGNAL, MSG_FASTOPEN};
  unsigned b = u8(&a->in);
  int flags = b < 0xf0 ? some[b % 9] | (b & 16 ? MSG_DONTWAIT : 0) : (int)u16(&a->in);
  return a->alone ? flags | MSG_DONTWAIT : flags;
}

#endif
