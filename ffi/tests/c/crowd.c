/* What a connection takes that does nothing, handle and all: two stacks hold both ends of many. USERTCP_CROWD: how many to open. */
#include "check.h"

#include <malloc.h>

/* Beyond these, which are ready to be used, connections at rest are small. */
#define READY 2000
#define MOST 1500

/* Bytes of the process that are in use, from any arena. */
static long long bytes_in_use(void) {
  struct mallinfo2 info = mallinfo2();
  return (long long)(info.uordblks + info.hblkhd);
}

static void open_some(pair_t pair, usertcp_socket_t listener, const char *text, ends_t *ends, long count) {
  long i;
  for (i = 0; i < count; i++) {
    ends[i].right = connect_to(pair.right, text);
    ends[i].left = accept_one(listener);
  }
}

int main(void) {
  const char *text = getenv("USERTCP_CROWD");
  long count = text == NULL ? 2 * READY : atol(text), opened = 0, begun = now_ms(), i;
  pair_t pair = open_pair(NULL);
  ends_t *ends = (ends_t *)calloc((size_t)count, sizeof *ends);
  long long before = 0, after, each;
  char byte = 'x';
  CHECK(ends != NULL && count > READY);
  /* Each address of the listening side has as many connections as the other side has ports. */
  while (opened < count) {
    char name[64];
    usertcp_socket_t listener;
    long some = count - opened < READY ? count - opened : READY;
    snprintf(name, sizeof name, "192.0.2.1:%ld", 1000 + opened / READY);
    listener = listen_on(pair.left, name);
    open_some(pair, listener, name, ends + opened, some);
    OK(usertcp_close(listener));
    opened += some;
    if (opened == READY) before = bytes_in_use();
  }
  after = bytes_in_use();
  each = (after - before) / (2 * (count - READY));
  printf("%ld connections in %ld ms, %lld bytes for each end beyond the first %d\n", count, now_ms() - begun, each, READY);
  /* Nothing is known where another allocator is in place. */
  CHECK(after == 0 || each <= MOST);
  /* The oldest, which have slept for longest, are as good as the last. */
  for (i = 0; i < count; i += count / 100) {
    EQUAL(usertcp_send(ends[i].right, &byte, 1, 0), 1);
    EQUAL(usertcp_recv(ends[i].left, &byte, 1, 0), 1);
    CHECK(byte == 'x');
  }
  for (i = 0; i < count; i++) {
    OK(usertcp_close(ends[i].left));
    OK(usertcp_close(ends[i].right));
  }
  free(ends);
  close_pair(pair);
  return 0;
}
