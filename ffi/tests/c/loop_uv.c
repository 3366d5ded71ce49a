/* pkg-config: libuv (apt install libuv1-dev) */
/* libuv drives a client and a server by their readiness descriptors. */
#include "drive.h"

#include <uv.h>

static uv_loop_t loop;
static uv_timer_t timer;
static int woke, late;

static void on_event(uv_poll_t *handle, int status, int events) {
  watched_t *watched = (watched_t *)handle->data;
  woke++;
  /* POLLERR and POLLHUP come as an error here. */
  if (status < 0) events = watched->events;
  woken(watched, ((events & UV_READABLE) ? POLLIN : 0) | ((events & UV_WRITABLE) ? POLLOUT : 0));
}

static void on_closed(uv_handle_t *handle) {
  free(handle);
}

static void loop_watch(watched_t *watched, int events) {
  uv_poll_t *handle = (uv_poll_t *)watched->handle;
  if (events == 0) {
    CHECK(uv_poll_stop(handle) == 0);
    uv_close((uv_handle_t *)handle, on_closed);
    watched->handle = NULL;
    return;
  }
  if (handle == NULL) {
    watched->handle = handle = (uv_poll_t *)malloc(sizeof *handle);
    CHECK(handle != NULL && uv_poll_init(&loop, handle, watched->fd) == 0);
    handle->data = watched;
  }
  CHECK(uv_poll_start(handle, ((events & POLLIN) ? UV_READABLE : 0) | ((events & POLLOUT) ? UV_WRITABLE : 0), on_event) == 0);
}

static void on_time(uv_timer_t *handle) {
  (void)handle;
  late = 1;
}

static int loop_wait(int timeout_ms) {
  woke = late = 0;
  CHECK(uv_timer_start(&timer, on_time, (uint64_t)timeout_ms, 0) == 0);
  while (woke == 0 && !late) uv_run(&loop, UV_RUN_ONCE);
  CHECK(uv_timer_stop(&timer) == 0);
  return woke;
}

int main(void) {
  pair_t pair = open_pair(NULL);
  CHECK(uv_loop_init(&loop) == 0 && uv_timer_init(&loop, &timer) == 0);
  drive(pair, "192.0.2.1:1001", LEVEL, "libuv");
  drive(pair, "[2001:db8::1]:1002", LEVEL, "libuv");
  uv_close((uv_handle_t *)&timer, NULL);
  CHECK(uv_run(&loop, UV_RUN_DEFAULT) == 0);
  CHECK(uv_loop_close(&loop) == 0);
  close_pair(pair);
  return 0;
}
