/* pkg-config: libevent (apt install libevent-dev) */
/* libevent drives a client and a server by their readiness descriptors, by level and by edge. */
#include "drive.h"

#include <event2/event.h>

static struct event_base *base;
static int woke;

static void on_event(evutil_socket_t fd, short what, void *argument) {
  watched_t *watched = (watched_t *)argument;
  (void)fd;
  woke++;
  woken(watched, ((what & EV_READ) ? POLLIN : 0) | ((what & EV_WRITE) ? POLLOUT : 0));
}

static void loop_watch(watched_t *watched, int events) {
  struct event *event = (struct event *)watched->handle;
  short what = EV_PERSIST;
  if (event != NULL) event_free(event);
  watched->handle = NULL;
  if (events == 0) return;
  if (trigger == EDGE) what |= EV_ET | EV_READ | EV_WRITE;
  if (events & POLLIN) what |= EV_READ;
  if (events & POLLOUT) what |= EV_WRITE;
  event = event_new(base, watched->fd, what, on_event, watched);
  CHECK(event != NULL && event_add(event, NULL) == 0);
  watched->handle = event;
}

static void on_time(evutil_socket_t fd, short what, void *argument) {
  (void)fd;
  (void)what;
  *(int *)argument = 1;
}

static int loop_wait(int timeout_ms) {
  struct timeval time;
  struct event *timer;
  int late = 0;
  time.tv_sec = timeout_ms / 1000;
  time.tv_usec = timeout_ms % 1000 * 1000;
  timer = event_new(base, -1, 0, on_time, &late);
  CHECK(timer != NULL && event_add(timer, &time) == 0);
  woke = 0;
  while (woke == 0 && !late) CHECK(event_base_loop(base, EVLOOP_ONCE) == 0);
  event_free(timer);
  return woke;
}

int main(void) {
  pair_t pair = open_pair(NULL);
  base = event_base_new();
  CHECK(base != NULL);
  printf("libevent waits by %s\n", event_base_get_method(base));
  drive(pair, "192.0.2.1:1001", LEVEL, "libevent");
  drive(pair, "[2001:db8::1]:1002", EDGE, "libevent, edge-triggered");
  event_base_free(base);
  close_pair(pair);
  libevent_global_shutdown();
  return 0;
}
