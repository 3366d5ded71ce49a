/*
 * usertcp.h - TCP/IP in user space.
 *
 * A program that links libusertcp is a host of its own on a link of its choice: it has its own addresses, and
 * its connections are made by the library instead of the kernel.
 *
 *   usertcp_config_t config = USERTCP_CONFIG_INIT;
 *   usertcp_stack_t stack;
 *   usertcp_socket_t socket;
 *   struct sockaddr_storage peer;
 *   socklen_t length;
 *
 *   config.device = "utcp0";
 *   config.addresses = "192.0.2.2/24";
 *   config.host_addresses = "192.0.2.1/24";
 *   if (usertcp_stack_open(&config, &stack) < 0) ...
 *   usertcp_parse_addr("192.0.2.1:80", &peer, &length);
 *   usertcp_socket(stack, AF_INET, SOCK_STREAM, 0, &socket);
 *   usertcp_connect(socket, (struct sockaddr *)&peer, length);
 *   usertcp_send(socket, "GET / HTTP/1.0\r\n\r\n", 18, 0);
 *   ...
 *   usertcp_close(socket);
 *   usertcp_stack_close(stack, 5000);
 *
 * Link with: cc program.c $(pkg-config --cflags --libs usertcp)
 * The manual: usertcp(7), and a page for each function. In C++17: <usertcp.hpp>.
 *
 * What holds everywhere:
 *
 *   Handles    64-bit numbers, never reused, never pointers or descriptors. A stale, doubled, foreign or zero
 *              handle is -EBADF.
 *   Errors     negative numbers of <errno.h>; `errno` is left alone. See "Errors".
 *   Threads    every function may be called from any thread, on any handle, at any time. pthread_cancel() takes
 *              effect once the call has returned.
 *   Signals    none is ever raised, SIGPIPE included; none is handled on the library's threads. No function
 *              here may be called from a signal handler.
 *   fork       a child of a process that has opened a stack, sandbox or poll set must not call what takes or
 *              makes a handle: -ECHILD. exec and _exit are fine; all descriptors are close-on-exec.
 *   exit       a process may exit at any time; peers of open connections then hear nothing more.
 *   Ownership  buffers and strings that are passed in are copied before the call returns. Strings that are
 *              returned are static.
 *   Outputs    what a pointer is for is stored on success only.
 *   Timeouts   `timeout_ms`, an int: negative waits for ever, 0 does not wait.
 *   Structs    passed by pointer begin with their size, set by their _INIT macro. They grow at the end only:
 *              what an older program does not have is taken for zero, what an older library does not know
 *              must be zero (-E2BIG). Those that come in arrays, usertcp_pollfd_t and usertcp_event_t, never
 *              grow and have none.
 *   Static     a program may contain one copy of libusertcp.a only.
 *
 * This file is generated from the library's sources (ffi/src); a test compares the two.
 */
#ifndef USERTCP_H
#define USERTCP_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif
