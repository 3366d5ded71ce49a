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

/* ----------------------------------------------------------------------------------------------------------
 * Version and features
 *
 * While the major number is 0, a library with the same SONAME only ever gains functions, constants and struct
 * members.
 * ------------------------------------------------------------------------------------------------------- */

/** First number of the version that this header describes. */
#define USERTCP_VERSION_MAJOR 0

/** Second number. */
#define USERTCP_VERSION_MINOR 1

/** Third number. */
#define USERTCP_VERSION_PATCH 0

/** The three numbers in one, to compare: major * 65536 + minor * 256 + patch. */
#define USERTCP_VERSION_NUMBER 256

/** usertcp_features(): speaks IPv4. */
#define USERTCP_FEATURE_IPV4 1

/** usertcp_features(): speaks IPv6. */
#define USERTCP_FEATURE_IPV6 2

/** usertcp_features(): opens TUN devices with segmentation and checksum offload. */
#define USERTCP_FEATURE_OFFLOAD 4

/** usertcp_features(): writes packet captures. */
#define USERTCP_FEATURE_PCAP 8

/** usertcp_features(): impairs its link on request. */
#define USERTCP_FEATURE_IMPAIRMENT 16

/** usertcp_features(): makes sandboxes. */
#define USERTCP_FEATURE_SANDBOX 32

/** usertcp_features(): looks names of hosts up. */
#define USERTCP_FEATURE_NAMES 64

/** usertcp_features(): shows its sockets to other programs. */
#define USERTCP_FEATURE_CONTROL 128

/** usertcp_features(): lets the program decide about each SYN for any address of a prefix. */
#define USERTCP_FEATURE_INTERCEPT 256

/** Version of the library that the program runs with, such as "0.1.0". */
const char *usertcp_version(void);

/** Version of the library that the program runs with, to compare with USERTCP_VERSION_NUMBER. */
uint32_t usertcp_version_number(void);

/** What the library that the program runs with can do: USERTCP_FEATURE_ bits. */
uint64_t usertcp_features(void);

/* ----------------------------------------------------------------------------------------------------------
 * Errors
 *
 * A function that can fail returns a negative error number of <errno.h>: -ECONNREFUSED, -EAGAIN. The
 * program's own `errno` is never touched, and nothing ever raises SIGPIPE. Beside what each function lists,
 * any may return, as far as it takes what they speak of
 *
 *   -EBADF           the handle is 0, was closed before, or is of another kind
 *   -EFAULT          a pointer that must not be NULL is NULL
 *   -EINVAL          an argument or flag is out of its range
 *   -ECHILD          this process was forked from one that had opened a stack, sandbox or poll set: exec or _exit
 *   -EDEADLK         called from a log callback of the same stack
 *   -EMFILE, -ENFILE, -ENOMEM, -EAGAIN
 *                    the system is out of descriptors, memory or threads for a stack, a sandbox, a poll set, a
 *                    trace or a descriptor that was to be made; nothing has changed
 *   -ENOTRECOVERABLE the library has a bug and noticed; the stack is of no more use
 * ------------------------------------------------------------------------------------------------------- */

/**
 * The error in words, such as "Connection refused"; for 0 "Success". Takes both -ECONNREFUSED and
 * ECONNREFUSED. The string is static.
 */
const char *usertcp_strerror(int error);

/**
 * The error's symbol, such as "ECONNREFUSED"; "E?" for a number that the library never returns. The string is
 * static.
 */
const char *usertcp_errname(int error);

/**
 * What the last call that failed on this thread has to say, in a sentence: which setting is wrong, which
 * privilege is missing. Copies at most `size` bytes, always terminated by NUL unless `size` is 0; returns the
 * length of the whole sentence without the NUL.
 */
size_t usertcp_last_error(char *buffer, size_t size);

/* ----------------------------------------------------------------------------------------------------------
 * Addresses
 *
 * Addresses are the system's: struct sockaddr_in, struct sockaddr_in6, socklen_t. Only numbers are understood
 * here; usertcp_resolve() looks names up.
 * ------------------------------------------------------------------------------------------------------- */

/** Longest text that usertcp_format_addr() makes, its NUL included. */
#define USERTCP_ADDRSTRLEN 64

/**
 * Parses "192.0.2.1:80", "[2001:db8::1]:80", or either without a port (then the port is 0; brackets may be
 * left out). A link-local address may name its link by number, "[fe80::1%1]:80"; a stack has one link, number
 * 1, and 0 means the same. Other numbers are -ENODEV where such an address is bound or connected to. Fills
 * `*address` and its `*length`. -EINVAL when it is not an address.
 */
int usertcp_parse_addr(const char *text, struct sockaddr_storage *address, socklen_t *length);

/**
 * Writes an address as text, "192.0.2.1:80" or "[2001:db8::1]:80", into `buffer`; USERTCP_ADDRSTRLEN bytes
 * always suffice. Returns the length of the text; -ENOSPC when `size` is too small, -EAFNOSUPPORT for another
 * family.
 */
int usertcp_format_addr(const struct sockaddr *address, socklen_t length, char *buffer, size_t size);

/* ----------------------------------------------------------------------------------------------------------
 * Stacks
 *
 * A stack is a host: it has addresses of its own on a link, and a thread, named "usertcp-io", that works for
 * it, or several. Any number of stacks live in a process. The link is a TUN device of the system, or a
 * descriptor that carries one IP packet a message.
 * ------------------------------------------------------------------------------------------------------- */

/** usertcp_config_t.offload: TSO and checksum offload where the kernel grants it. */
#define USERTCP_OFFLOAD_AUTO 0

/** usertcp_config_t.offload: one packet a system call. */
#define USERTCP_OFFLOAD_OFF 1

/** usertcp_config_t.offload: opening fails where the kernel does not grant it. */
#define USERTCP_OFFLOAD_REQUIRED 2

/** Log level: something that the program should mend. */
#define USERTCP_LOG_ERROR 1

/** Log level: something unexpected that the stack coped with. */
#define USERTCP_LOG_WARN 2

/** Log level: life of the stack. */
#define USERTCP_LOG_INFO 3

/** Log level: life of each connection. */
#define USERTCP_LOG_DEBUG 4

/** Log level: everything. */
#define USERTCP_LOG_TRACE 5

/**
 * Takes log records: the level, the time in nanoseconds of CLOCK_MONOTONIC, and a line of text that is valid
 * during the call only. It runs on the stack's own thread, which does nothing else meanwhile: be quick. Of
 * several threads one at a time calls it. Calls on the same stack return -EDEADLK from it and change nothing.
 * It must return: no longjmp, no C++ exception. None comes after usertcp_stack_close() has returned.
 */
typedef void (*usertcp_log_fn)(void *context, uint32_t level, uint64_t nanoseconds, const char *text);

/**
 * Faults put between a stack and its link, decided by the stack's seed. Zero means none. Begin with
 * USERTCP_IMPAIRMENT_INIT.
 */
typedef struct usertcp_impairment_t {
  /** sizeof(usertcp_impairment_t). */
  uint32_t size;
  /**
   * Packets that may wait for the link while `rate` keeps it busy; 0: 1000, or any number if `queue_bytes` is
   * set.
   */
  uint32_t queue;
  /** Bits a second; 0: no limit. */
  uint64_t rate;
  /** One-way delay, microseconds. */
  uint64_t delay_us;
  /** Random addition to the delay, from 0 to this, microseconds; order is kept. */
  uint64_t jitter_us;
  /** How long a packet that is to be overtaken is held back, microseconds. */
  uint64_t reorder_delay_us;
  /** Probability that a packet is lost, 0.0 to 1.0. */
  double loss;
  /** Probability that a packet comes twice. */
  double duplicate;
  /** Probability that a packet is held back by `reorder_delay_us`. */
  double reorder;
  /** Probability that one bit of a packet is flipped. */
  double corrupt;
  /** Random addition to `reorder_delay_us`, from 0 to this, microseconds. */
  uint64_t reorder_jitter_us;
  /** Bytes that may wait in the queue; 0: no limit beside `queue`. */
  uint64_t queue_bytes;
  /**
   * Bursts of loss after Gilbert and Elliott: probability that a packet finds one begun. Within bursts
   * `burst_loss` holds, outside of them `loss`.
   */
  double burst_enter;
  /** Probability that a packet finds the burst over. */
  double burst_leave;
  /** Probability that a packet of a burst is lost. */
  double burst_loss;
  /** Bits a second that a policer, a token bucket, lets pass; what finds no tokens is dropped. 0: none. */
  uint64_t police_rate;
  /** Bytes that its bucket holds. */
  uint64_t police_burst;
  /**
   * Bytes of memory for packets under way, each counted with 128 bytes of its own; 0: 128 MiB. More are
   * dropped.
   */
  uint64_t memory;
  /**
   * Bytes of the largest packet that passes; 0: any. IPv4 without "don't fragment" is cut, others are
   * dropped.
   */
  uint32_t mtu;
  /** 1: their source is told by ICMP. 0: the link is a black hole. */
  uint32_t mtu_told;
  /** Packets waiting in the queue from which on one more is marked if it uses ECN (RFC 3168); 0: none is. */
  uint64_t mark;
} usertcp_impairment_t;

/** How to open a stack. Begin with USERTCP_CONFIG_INIT, then set what differs. */
typedef struct usertcp_config_t {
  /** sizeof(usertcp_config_t). */
  uint32_t size;
  /** Must be 0. */
  uint32_t flags;
  /**
   * Name of the TUN device to attach to or to make, at most 15 bytes; a trailing "%d" is replaced by a
   * number. NULL: the kernel picks.
   */
  const char *device;
  /**
   * A descriptor to use instead of a device, or -1: a TUN device that the program opened, or a SOCK_SEQPACKET
   * or SOCK_DGRAM socket that carries one IP packet a message. The stack works on a duplicate: close yours
   * whenever you like. `device`, `host_addresses` and `offload` must be unset then.
   */
  int32_t fd;
  /** Largest IP packet of the link, bytes; 0: 1500. */
  uint32_t mtu;
  /** The stack's own addresses with prefix lengths, separated by commas: "192.0.2.2/24,2001:db8::2/64". */
  const char *addresses;
  /** Addresses for the kernel's side of the device, in the same form; NULL: it is left as it is. */
  const char *host_addresses;
  /** Seed of sequence numbers, ports and impairments, for runs that can be repeated; 0: random. */
  uint64_t seed;
  /** A file that every packet is written to, in pcapng format; NULL: none. */
  const char *pcap;
  /** USERTCP_OFFLOAD_AUTO, _OFF or _REQUIRED. */
  uint32_t offload;
  /** Most verbose level that `log` gets, USERTCP_LOG_ERROR to _TRACE; 0: USERTCP_LOG_INFO. */
  uint32_t log_level;
  /** Where log records go; NULL: nowhere. */
  usertcp_log_fn log;
  /** Passed to `log`. */
  void *log_context;
  /** Faults to put between stack and link, both ways unless `impairment_in` is set; NULL: none. */
  const struct usertcp_impairment_t *impairment;
  /**
   * The networks that the link leads to beside those of `addresses`, separated by commas, with the router
   * that leads there and the largest packet of that way if they matter: "198.51.100.0/24 via 192.0.2.1, ::/0
   * mtu 1400". The router decides which of the addresses is used; packets take the same link. NULL: the link
   * leads everywhere. Else whatever is in no network is -ENETUNREACH.
   */
  const char *routes;
  /**
   * Whose habits the stack has where the RFCs leave a choice: "linux" or "freebsd"; NULL: "linux". It
   * decides, "linux" first: the order of the options of a SYN (MSS, SACK permitted, timestamps, window scale;
   * or MSS, window scale, SACK permitted, timestamps); the buffers for receiving and sending (128 and 256
   * KiB, growing to 32 MiB with what passes through them; or 64 KiB, rounded up to whole segments once the
   * peer is known, and 32 KiB); the window scale (10, for 32 MiB; or 6, for 2 MiB); the window offered (in
   * steps of a segment; or all that is free, rounded up to a step of the scale); which segments are
   * acknowledged at once (the first 16, then every second full one; or every second one), the others after 40
   * ms with both; data in a SYN that crosses ours (not kept, the peer sends it again; or kept); the
   * retransmission timeout (as measured; or 200 ms more); a soft error of the network during connect (ends
   * it; or is told only if connect times out) and a hard one (under its own number; or as ECONNREFUSED); the
   * error after an RST that comes behind the peer's FIN (EPIPE; or ECONNRESET); ACKs while our FIN is in
   * flight (without it; or with it); the acknowledgement in an old segment (passed over; or counted); PSH on
   * segments that the device cuts (on each super-frame, and on what was gathered for one but goes segment by
   * segment; or only at the end of what was written).
   */
  const char *personality;
  /**
   * Faults for what the stack receives; `impairment`, if any, is then for what it sends. NULL: as
   * `impairment`.
   */
  const struct usertcp_impairment_t *impairment_in;
  /**
   * A file that what happens to every connection is written to, as lines of JSON; NULL: none. See
   * usertcp_stack_trace().
   */
  const char *trace;
  /**
   * For how long a call that waits on one socket, or usertcp_poll() on sockets of one stack, looks at the
   * device again and again before it sleeps, microseconds, at most 10000; 0: not at all. It spares waking the
   * thread, 25 to 50 us where CPUs halt, and costs a CPU meanwhile; it pays only where the peer answers
   * within that time and runs on another CPU, and is tried ever more rarely where it does not pay. One thread
   * of a stack does it at a time, while no other waits too.
   */
  uint32_t spin_us;
  /**
   * Threads that work for the stack, at most 64, each on a queue of the link of its own: what one CPU cannot
   * carry. 0 and 1: one. A device by name gets as many queues; with more than one worker there are no
   * impairments, and `fd` is not enough: see `queues`.
   */
  uint32_t workers;
  /**
   * Instead of `fd`: descriptors of all queues of a TUN device that the program opened with IFF_MULTI_QUEUE,
   * `workers` of them. The stack works on duplicates. NULL: none.
   */
  const int *queues;
  /**
   * Where other programs of the same user ask what the stack has: an AF_UNIX socket, made with mode 0600 and
   * removed when the stack is closed. They send "sockets" or "counters" and a line feed, and read the answer
   * to its end; `usertcp ss PATH` does. A socket that a program which is gone has left there is replaced.
   * NULL: there is none.
   */
  const char *control_path;
  /**
   * Bytes of packets, 131072 or more, that are kept in memory instead of being written to `pcap`: the last
   * ones, and the half of it at least. They are written, and kept no longer, when a connection is cut off by
   * a reset of either side or because nobody answered, and by usertcp_stack_dump_capture(). 0: every packet
   * is written.
   */
  uint64_t pcap_ring;
  /**
   * Name servers, at most 3, separated by commas, with a port where it is not 53: "192.0.2.53,
   * [2001:db8::53]:5353". Each is asked after the one before has been silent for `names_timeout_ms` or has
   * failed. NULL: those of /etc/resolv.conf when the stack is opened; "": none.
   */
  const char *nameservers;
  /**
   * Domains to try behind names of few dots, separated by commas; NULL: those of /etc/resolv.conf; "": none.
   */
  const char *search;
  /**
   * A file of addresses and names in the form of /etc/hosts, read when the stack is opened; NULL: /etc/hosts;
   * "": none.
   */
  const char *hosts;
  /**
   * Dots from which on a name is first tried as it is, at most 15; 0: as /etc/resolv.conf says, or else 1.
   */
  uint32_t ndots;
  /**
   * How long a name server may take, milliseconds, at most 30000; 0: as /etc/resolv.conf says, or else 5000.
   */
  uint32_t names_timeout_ms;
  /** How often each name server is asked, at most 5; 0: as /etc/resolv.conf says, or else 2. */
  uint32_t names_attempts;
  /**
   * How long usertcp_connect_to() gives one address before it tries the next beside it, milliseconds, 10 to
   * 2000; 0: 250.
   */
  uint32_t connect_delay_ms;
} usertcp_config_t;

/** Names an open stack; 0 names none. */
typedef uint64_t usertcp_stack_t;

/**
 * Opens the link, starts the stack and stores its handle in `*stack`.
 *
 * The stack's own threads, "usertcp-io", inherit the CPUs that the thread calling this may run on, and its
 * scheduling policy. Who sends much gives them one CPU, and itself another: see sched_setaffinity(2).
 *
 * -EINVAL: a setting is wrong, usertcp_last_error() names it. -E2BIG: the struct is of a later version and
 * uses what this library does not know. -EPERM, -EACCES: a device is not granted, usertcp_last_error() names
 * the ways to get one; a sandbox is one of them. -ENOENT, -ENODEV, -ENXIO: there is no /dev/net/tun. -EBUSY:
 * somebody else is attached to the device. -EBADF: `fd` is not open. -EADDRINUSE: something else is at
 * `control_path`. -ENAMETOOLONG: it is longer than 107 bytes. -ENOENT, -ENOTDIR, -EACCES and what else
 * open(2) returns: the file that `hosts`, `trace`, `pcap` or `control_path` names cannot be opened or made.
 * -EAGAIN: no thread can be made.
 */
int usertcp_stack_open(const struct usertcp_config_t *config, usertcp_stack_t *stack);

/**
 * Ends a stack. Blocked callers wake with -ECANCELED. What is queued is sent, then FINs; what is not done
 * after `timeout_ms` is reset (0: at once, negative: as long as the protocol takes). Signal handlers do not
 * end the wait. Handles of the stack and of its sockets are stale afterwards, whatever is returned but
 * -EDEADLK.
 *
 * -ETIMEDOUT: connections had to be reset.
 */
int usertcp_stack_close(usertcp_stack_t stack, int timeout_ms);

/**
 * Copies the name of the stack's device into `buffer`, terminated by NUL: empty for a descriptor that has
 * none. Returns the length of the name; -ENOSPC when `size` is too small, 16 bytes always suffice.
 */
int usertcp_stack_device(usertcp_stack_t stack, char *buffer, size_t size);

/** 1 when the stack's device does segmentation and checksum offload, else 0. */
int usertcp_stack_offloaded(usertcp_stack_t stack);

/**
 * Writes to the capture file what usertcp_config_t.pcap_ring has kept, as when a connection is cut off; it is
 * written when the call returns.
 *
 * -EINVAL: the stack was opened without one. -ENOSPC, -EIO and others: the file cannot be written.
 */
int usertcp_stack_dump_capture(usertcp_stack_t stack);

/**
 * Changes the faults between stack and link, for what is sent and received from here on: as
 * usertcp_config_t's `impairment` and `impairment_in`, NULL and NULL being none. Packets under way arrive as
 * they would have, in order.
 *
 * -EINVAL: a setting is wrong, usertcp_last_error() names it and nothing has changed; or the stack was opened
 * without impairments, which may be such as do nothing. -E2BIG: a struct is of a later version and uses what
 * this library does not know.
 */
int usertcp_stack_impair(usertcp_stack_t stack,
                         const struct usertcp_impairment_t *outgoing,
                         const struct usertcp_impairment_t *incoming);

/* ----------------------------------------------------------------------------------------------------------
 * Counters
 *
 * A stack counts what it does; every packet that it drops is counted under the name of the reason. Names
 * stay, their order may change.
 * ------------------------------------------------------------------------------------------------------- */

/** Stores the value of one counter in `*value`. -ENOENT when there is none of this name. */
int usertcp_stack_counter(usertcp_stack_t stack, const char *name, uint64_t *value);

/**
 * Walks over all counters: for `index` 0, 1, ... stores the name of a counter, its value and what it counts,
 * until -ERANGE. Each of the three pointers may be NULL. The strings are static.
 */
int usertcp_stack_counter_at(usertcp_stack_t stack,
                             uint32_t index,
                             const char **name,
                             uint64_t *value,
                             const char **meaning);

/* ----------------------------------------------------------------------------------------------------------
 * Sockets
 *
 * TCP and UDP sockets that behave as the system's do, with handles in place of descriptors. Any thread may
 * use any socket at any time. A new socket blocks; a signal handler installed without SA_RESTART makes a
 * blocked call return -EINTR. As with the system's own, one that runs just before the call sleeps does not;
 * nor does one that runs in the microseconds in which the call handles the packet that woke it first. Later
 * packets have signals wait until they are handled. Whoever closes a socket wakes those who are blocked on
 * it: they return -ECANCELED.
 * ------------------------------------------------------------------------------------------------------- */

/**
 * usertcp_socket(), usertcp_accept(): the new socket does not block. usertcp_child_wait(): return at once.
 */
#define USERTCP_NONBLOCK 2048

/** Names an open socket; 0 names none. */
typedef uint64_t usertcp_socket_t;

/**
 * Makes a socket and stores its handle in `*socket`. `domain` is AF_INET or AF_INET6, `type` SOCK_STREAM
 * (TCP) or SOCK_DGRAM (UDP), `flags` 0 or USERTCP_NONBLOCK.
 *
 * -EAFNOSUPPORT, -ESOCKTNOSUPPORT: another domain or type. -EMFILE: the stack has as many sockets as it may,
 * 1,048,576.
 */
int usertcp_socket(usertcp_stack_t stack, int domain, int type, int flags, usertcp_socket_t *socket);

/**
 * Gives a socket its own address; port 0 picks one.
 *
 * -EADDRINUSE, -EADDRNOTAVAIL (not an address of the stack), -EAFNOSUPPORT, -EINVAL (it has one already, or a
 * wrong length), -ENODEV (a link that is not there).
 */
int usertcp_bind(usertcp_socket_t socket, const struct sockaddr *address, socklen_t length);

/**
 * Listens; `backlog` connections may wait to be accepted, a negative number stands for as many as the stack
 * allows. A socket without an address gets a port.
 *
 * -EINVAL: it is connected. -EADDRINUSE: another listens there, or no port is free. -EOPNOTSUPP: a datagram
 * socket.
 */
int usertcp_listen(usertcp_socket_t socket, int backlog);

/**
 * Takes the oldest waiting connection and stores its handle in `*accepted`. Its peer's address goes to
 * `*address`, `*length` as with accept(2); both may be NULL. `flags` is 0 or USERTCP_NONBLOCK, for the new
 * socket.
 *
 * -EAGAIN: none is waiting and the socket does not block, or its receive timeout is over. -EINVAL: it does
 * not listen. -EOPNOTSUPP: a datagram socket. -ECANCELED, -EINTR, -ENETDOWN. -EMFILE: there are no more
 * handles.
 */
int usertcp_accept(usertcp_socket_t socket,
                   usertcp_socket_t *accepted,
                   struct sockaddr *address,
                   socklen_t *length,
                   int flags);

/**
 * Connects to `address`, and waits for it to be done. A datagram socket is connected at once: it hears this
 * peer alone and sends to it without an address; it may be connected again, and an address of family
 * AF_UNSPEC takes its peer away.
 *
 * -EINPROGRESS: the socket does not block and the peer did not answer at once, or its send timeout is over;
 * it becomes ready for USERTCP_POLLOUT when done, and SO_ERROR tells the outcome. -EALREADY: an earlier call
 * is still under way. -ECONNREFUSED, -ETIMEDOUT, -EISCONN, -ENETUNREACH, -EHOSTUNREACH, -ENETDOWN,
 * -EADDRNOTAVAIL, -EADDRINUSE, -EAFNOSUPPORT, -ECANCELED, -EINTR (it goes on, as with connect(2)). -EACCES: a
 * broadcast address, without SO_BROADCAST. -ENODEV: a link that is not there. -ECONNRESET, -EPIPE: it was
 * made, and cut off before it was told. -ECONNABORTED: its error was told to another call. -EOPNOTSUPP: an
 * interceptor.
 */
int usertcp_connect(usertcp_socket_t socket, const struct sockaddr *address, socklen_t length);

/**
 * Sends `size` bytes; waits until all are queued, unless the socket does not block or `flags` has
 * MSG_DONTWAIT. Returns how many were queued. The buffer is the program's again. `flags` are the system's:
 * MSG_MORE says that more will be written at once, so that less than a segment waits for it, for 200 ms at
 * most. MSG_OOB makes the last byte urgent. MSG_FASTOPEN is -EOPNOTSUPP; others change nothing, as with the
 * system's TCP.
 *
 * -EAGAIN: nothing could be queued without waiting, or within the send timeout. -EPIPE: this half is shut
 * down or the connection is over. -ECONNRESET, -ETIMEDOUT, -ENOTCONN, -ENETDOWN, -ECANCELED, -EINTR. Others
 * as usertcp_sendto().
 */
ssize_t usertcp_send(usertcp_socket_t socket, const void *data, size_t size, int flags);

/**
 * Sends a datagram of `size` bytes, 0 among them, to `address`, or with NULL to the peer; waits while the
 * send buffer is full, unless the socket does not block or `flags` has MSG_DONTWAIT. Returns `size`. MSG_OOB
 * and MSG_MORE are -EOPNOTSUPP; other flags change nothing, as with the system's UDP. A stream ignores the
 * address: usertcp_send().
 *
 * -EDESTADDRREQ: neither an address nor a peer. -EMSGSIZE: more than UDP carries, or than the path does where
 * IP_MTU_DISCOVER forbids fragments. -ECONNREFUSED, -EMSGSIZE, -EHOSTUNREACH, -ENETUNREACH, -ENOPROTOOPT,
 * -EPROTO, -EACCES: an earlier datagram to the peer was refused on its way. -EINVAL (port 0), -EAFNOSUPPORT,
 * -ENODEV (a link that is not there), -EACCES (broadcast without SO_BROADCAST), -EAGAIN, -EPIPE, -ENETDOWN,
 * -ECANCELED, -EINTR, -EADDRNOTAVAIL (it was not bound, and no port is free; the system's is EAGAIN). Others
 * as usertcp_send().
 */
ssize_t usertcp_sendto(usertcp_socket_t socket,
                       const void *data,
                       size_t size,
                       int flags,
                       const struct sockaddr *address,
                       socklen_t length);

/**
 * Receives a datagram, as much of it as `size` bytes hold; the rest is lost. Whom it came from goes to
 * `*address`, `*length` as with recvfrom(2); both may be NULL. Returns how many bytes were stored, 0 for an
 * empty datagram; with MSG_TRUNC in `flags` the length of the datagram. MSG_PEEK, MSG_DONTWAIT and
 * MSG_ERRQUEUE are as for usertcp_recv(); other flags change nothing. A stream receives as there, and leaves
 * `*length` 0.
 *
 * -EAGAIN, -ECANCELED, -EINTR, -ENETDOWN. -ECONNREFUSED, -EMSGSIZE, -EHOSTUNREACH, -ENETUNREACH,
 * -ENOPROTOOPT, -EPROTO, -EACCES: a datagram to the peer was refused on its way. Others as usertcp_recv().
 */
ssize_t usertcp_recvfrom(usertcp_socket_t socket,
                         void *data,
                         size_t size,
                         int flags,
                         struct sockaddr *address,
                         socklen_t *length);

/**
 * Receives up to `size` bytes, and waits for the first of them unless the socket does not block or `flags`
 * has MSG_DONTWAIT. Returns how many; 0 is the end of the stream. `flags` are the system's: MSG_PEEK leaves
 * them to be received again, MSG_WAITALL waits for all `size`, MSG_TRUNC throws them away and leaves the
 * buffer alone, which may be NULL then. MSG_ERRQUEUE is -EAGAIN; others but MSG_OOB change nothing, as with
 * the system's TCP. A datagram socket receives one datagram, as usertcp_recvfrom() does.
 *
 * Urgent data comes in line, and a call stops before its last byte: there SIOCATMARK is true. (SO_OOBINLINE
 * is on by default, unlike the system's.) With SO_OOBINLINE off that byte is passed over, and MSG_OOB
 * receives it, without waiting.
 *
 * -EAGAIN: there is nothing now, or within the receive timeout; with MSG_OOB, the urgent byte has been
 * announced and is not there yet. -EINVAL: MSG_OOB without urgent data, after it was received, or while it
 * comes in line. -ECONNRESET, -EPIPE (reset behind its peer's FIN), -ETIMEDOUT, -ENOTCONN, -ENETDOWN,
 * -ECANCELED, -EINTR. Others as usertcp_recvfrom().
 */
ssize_t usertcp_recv(usertcp_socket_t socket, void *data, size_t size, int flags);

/**
 * Shuts down a half of the connection: `how` is SHUT_RD, SHUT_WR (what is queued is sent, then FIN) or
 * SHUT_RDWR. -ENOTCONN.
 */
int usertcp_shutdown(usertcp_socket_t socket, int how);

/**
 * Calls off whoever is blocked on a socket now, in whichever call, usertcp_poll() included: each returns
 * -ECANCELED, or how much it had sent or received by then. The socket goes on as if nothing had happened, and
 * so does a connection that is being made: usertcp_connect() may be called again to wait for it. It concerns
 * those who wait now: a call that begins later waits again, and so may one that another thread is just about
 * to make; usertcp_shutdown() and usertcp_close() last. usertcp_close() itself and who waits by a poll set or
 * a descriptor are not called off.
 *
 * -EBADF, -ECHILD; -EDEADLK: from a log callback of the same stack.
 */
int usertcp_cancel(usertcp_socket_t socket);

/**
 * Closes a socket: the handle is stale from now on, whoever is blocked on it returns -ECANCELED. What is
 * queued is still sent. Waits only when SO_LINGER says so, also on a socket that does not block, until the
 * time is over or a signal handler runs. Data left unread, or a linger time of 0, resets the connection.
 */
int usertcp_close(usertcp_socket_t socket);

/** Resets the connection and closes the socket: nothing more is sent but RST. */
int usertcp_abort(usertcp_socket_t socket);

/**
 * A descriptor of the system that shows what the socket is ready for to poll(2), epoll(7) and the event loops
 * made of them: POLLIN, POLLOUT, POLLRDHUP, POLLHUP and POLLERR, level-triggered, and with an edge for each
 * of them that comes. Urgent data does not show. Returns the descriptor, always the same one for a socket.
 *
 * Poll it; never read, write, shut down or close it. It is made by the first call (before that a socket has
 * none), is close-on-exec, and is closed with the socket: take it out of an event loop before. A duplicate of
 * it shows POLLHUP from then on. The pending error is told by SO_ERROR of usertcp_getsockopt(), not of
 * getsockopt(2).
 *
 * POLLHUP and POLLERR, once shown, are for good. A socket that is not connected yet shows POLLOUT alone; an
 * error that ends nothing (a link that went down) shows as POLLIN and POLLOUT, and the next call returns it.
 * A connect that failed and a listener that was shut down show POLLHUP; when the same socket connects or
 * listens again the descriptor begins anew, and epoll(7) has to be told of it again.
 *
 * -EMFILE, -ENFILE; -EOPNOTSUPP: the kernel cannot show these states.
 */
int usertcp_fd(usertcp_socket_t socket);

/**
 * Turns a connection into a byte stream of the system: returns a descriptor, a connected AF_UNIX socket, that
 * is the program's own, for code that insists on read(2) and write(2): SSL_set_fd(), sendfile(2), the
 * standard streams of another program. The handle is stale from now on and whoever is blocked on it returns
 * -ECANCELED; the library's thread moves the bytes.
 *
 * What was received and not read comes first. Whichever side does not read stops the other from writing,
 * through the window of the connection. shutdown(2) of a half, and the peer's end of stream, pass to the
 * other side. A reset or another error of the connection: what was received can be read, then read(2) fails
 * with ECONNRESET if the program had written what was not sent yet, and otherwise returns 0; write(2) fails
 * with EPIPE, which raises SIGPIPE as it does with any descriptor. When the last duplicate is closed, in
 * whatever process, the connection is closed as by usertcp_close(): FIN, or RST if bytes were left unread.
 *
 * The descriptor is close-on-exec, blocks as the socket did, and is the one that usertcp_fd() returned if it
 * was called: event loops that have it need not be told, unless it has shown POLLRDHUP. usertcp_stack_close()
 * sends what was written before it, within its timeout. A forked child, or whoever is handed the descriptor,
 * may use it as long as the process that has the stack lives.
 *
 * A listener becomes a listening AF_UNIX socket: accept(2) on it, in whatever process, returns such streams,
 * one for each connection, whose addresses usertcp_fd_addresses() tells. Its queue holds as many as the
 * listener's, and as many wait behind it. Once its last duplicate is closed the listener is closed too,
 * within a quarter of a second, and what nobody has accepted is reset. usertcp_stack_close() has accept(2)
 * fail with EINVAL where a descriptor of this process is open for it; another process waits on. It has the
 * number that usertcp_fd() returned, if it was called, and is another open file: event loops have to be told.
 * It takes a folder for temporary files (TMPDIR, else /tmp) for a moment, and /proc as long as it listens.
 *
 * -ENOTCONN: there is no connection. -EOPNOTSUPP: a datagram socket. -ECONNRESET, -EPIPE, -ETIMEDOUT,
 * -ENETDOWN (others as usertcp_connect()): it has ended, and nobody was told. -EMFILE, -ENFILE, -ENOMEM,
 * -ENOSPC (/proc/sys/fs/epoll/max_user_watches). -ENOBUFS: the descriptor of usertcp_fd() cannot be made to
 * show what it has to. For a listener also -EACCES, -ENOENT, -EROFS and others: what usertcp_last_error()
 * says. The handle stays open then.
 */
int usertcp_export_fd(usertcp_socket_t socket);

/**
 * Stores the addresses of the connection or listener that a descriptor stands for which usertcp_export_fd()
 * returned, or accept(2) on such a one: its own in `*own`, `*own_length`, the peer's in `*peer`,
 * `*peer_length`, as getsockname(2) and getpeername(2) do; both pointers of a pair may be NULL. The addresses
 * are those at the time of the export. It works in any process that has the descriptor, also in a forked
 * child, and needs no stack: the addresses are in the name of the AF_UNIX socket at the other end. Whoever is
 * handed a descriptor by somebody else is told what that one says.
 *
 * -EINVAL: the descriptor stands for no connection or listener. -ENOTCONN: the peer of a listener was asked
 * for, or of a connection that was over when it was exported. -EBADF, -ENOTSOCK: as with the system's calls.
 * -EFAULT: one of a pair is NULL.
 */
int usertcp_fd_addresses(int fd,
                         struct sockaddr *own,
                         socklen_t *own_length,
                         struct sockaddr *peer,
                         socklen_t *peer_length);

/** Stores the socket's own address, as getsockname(2) does. */
int usertcp_getsockname(usertcp_socket_t socket, struct sockaddr *address, socklen_t *length);

/** Stores the peer's address, as getpeername(2) does. -ENOTCONN. */
int usertcp_getpeername(usertcp_socket_t socket, struct sockaddr *address, socklen_t *length);

/* ----------------------------------------------------------------------------------------------------------
 * Interceptors
 *
 * For proxies, tunnels and sandboxes that stand in for hosts which they are not: a stack takes the connection
 * requests (SYNs) for every address of a prefix and a range of ports, and the program decides about each of
 * them, later, from any thread: accept, refuse or drop. Nothing is answered before; the peer's system sends
 * its SYN again meanwhile, and that is still the same request.
 *
 * An interceptor is a socket: usertcp_fd(), usertcp_poll() and poll sets show USERTCP_POLLIN while
 * usertcp_intercept_next() has a request, usertcp_setsockopt() on it sets what the connections that it
 * accepts begin with, usertcp_cancel() and usertcp_close() do what they do with others. It is neither bound,
 * connected nor accepted from. usertcp_getsockname() tells the first address of its prefix,
 * usertcp_tcp_info() how many requests are undecided (tcpi_unacked) of how many that may be (tcpi_sacked).
 *
 * Listeners go before interceptors, and of those the one with the longest prefix has the request. Of
 * addresses that are not the stack's own TCP alone is taken: no echo is answered, no datagram received but by
 * a socket with IP_TRANSPARENT that is bound there, and a request that no interceptor is for is dropped
 * without an answer. Whatever else comes for an intercepted address and port and belongs to no connection is
 * answered with RST, as at a closed port. Multicast, broadcast, loopback and IPv6 link-local addresses are
 * never taken, nor are the stack's own connections: those go to the link. The link has to bring the packets:
 * route the prefix to the device.
 * ------------------------------------------------------------------------------------------------------- */

/** usertcp_syn_info_t.flags: the peer asks for ECN (RFC 3168). */
#define USERTCP_SYN_ECN 1

/** What an interceptor is for. Begin with USERTCP_INTERCEPT_CONFIG_INIT and set `prefix`. */
typedef struct usertcp_intercept_config_t {
  /** sizeof(usertcp_intercept_config_t). */
  uint32_t size;
  /**
   * Undecided requests that are kept, those among them that the program has taken; 0: 1024. More are dropped
   * and counted as drop_tcp_intercept_queue.
   */
  uint32_t queue;
  /**
   * The addresses, "203.0.113.0/24" or "2001:db8:5::/48"; "0.0.0.0/0" and "::/0" are all of a family. A
   * single address may go without its length.
   */
  const char *prefix;
  /** The first port; 0: 1. */
  uint16_t first_port;
  /** The last port; 0: 65535 if `first_port` is 0 too, else that one port. */
  uint16_t last_port;
  /**
   * How long a request is kept, milliseconds; 0: 127000, when a client of Linux gives up. Then it is dropped
   * and counted as tcp_syns_expired.
   */
  uint32_t timeout_ms;
} usertcp_intercept_config_t;

/** Names a connection request that waits for a decision; 0 names none. */
typedef uint64_t usertcp_syn_t;

/** A connection request. Begin with USERTCP_SYN_INFO_INIT. */
typedef struct usertcp_syn_info_t {
  /** sizeof(usertcp_syn_info_t). */
  uint32_t size;
  /** USERTCP_SYN_ECN or 0. */
  uint32_t flags;
  /** The largest segment that the peer takes, bytes; 0: it does not say. */
  uint32_t mss;
  /** How long the request has been kept, milliseconds. */
  uint32_t age_ms;
  /** Bytes of `local`. */
  socklen_t local_length;
  /** Bytes of `peer`. */
  socklen_t peer_length;
  /** The address and port that the peer wants. */
  struct sockaddr_storage local;
  /** The peer's. */
  struct sockaddr_storage peer;
} usertcp_syn_info_t;

/**
 * Makes an interceptor and stores its handle, a socket's, in `*interceptor`. `flags` is 0 or
 * USERTCP_NONBLOCK.
 *
 * -EINVAL: a setting makes no sense, usertcp_last_error() names it. -EADDRINUSE: another interceptor of the
 * stack has some of the ports for the same prefix. -EMFILE: the stack has as many sockets as it may,
 * 1,048,576. -ENETDOWN: the link is gone.
 */
int usertcp_intercept_open(usertcp_stack_t stack,
                           const struct usertcp_intercept_config_t *config,
                           int flags,
                           usertcp_socket_t *interceptor);

/**
 * Takes the oldest request and stores its handle in `*syn`, and what is known of it in `*info`, which may be
 * NULL. Waits `timeout_ms` for one; a negative time waits for ever, unless the interceptor does not block or
 * its receive timeout (SO_RCVTIMEO) is over. Of several threads each gets requests of its own.
 *
 * The handle is good until something is decided: usertcp_syn_accept(), usertcp_syn_refuse() or
 * usertcp_syn_drop(), from any thread. Closing the interceptor or the stack drops what is undecided.
 *
 * -EAGAIN: there is none, or none has come in time. -EINVAL: the socket is no interceptor. -ECANCELED: it was
 * closed meanwhile, or its stack was. -ENETDOWN, -EINTR.
 */
int usertcp_intercept_next(usertcp_socket_t interceptor,
                           int timeout_ms,
                           usertcp_syn_t *syn,
                           struct usertcp_syn_info_t *info);

/**
 * Accepts a request: answers the peer and waits `timeout_ms`, a negative time for ever, until it has
 * acknowledged that. The connection's handle is stored in `*socket`. Its own address, usertcp_getsockname(),
 * is the one that the peer wanted. `flags` is 0 or USERTCP_NONBLOCK, for the new socket.
 *
 * With USERTCP_NONBLOCK, or a time of 0, nothing is waited for: the socket is one that connects, as after
 * usertcp_connect() returned -EINPROGRESS. It becomes ready for USERTCP_POLLOUT when done, and SO_ERROR tells
 * the outcome: 0, ECONNREFUSED (the peer reset it) or ETIMEDOUT (it never acknowledged).
 *
 * -EBADF: it was decided before. -ETIMEDOUT: nobody decided in time, the peer never acknowledged, or
 * `timeout_ms` is over (the connection is reset then). -ECONNREFUSED: the peer reset it. -ECANCELED: the
 * interceptor, or the stack, was closed. -EINTR: the connection is reset. The handle of the request is stale
 * after all of these. It stays open, nothing decided, at -EMFILE (the stack has as many sockets as it may,
 * 1,048,576), -ENETDOWN, -EADDRINUSE (a connection of the same addresses has come to be meanwhile) and
 * -EINVAL (flags), -EFAULT.
 */
int usertcp_syn_accept(usertcp_syn_t syn, int flags, int timeout_ms, usertcp_socket_t *socket);

/**
 * Refuses a request: the peer gets RST, as from a port that nobody listens on. The handle is stale from now
 * on, whatever is returned but -EDEADLK.
 *
 * -EBADF: it was decided before. -ETIMEDOUT: nobody decided in time. -ECANCELED: the interceptor, or the
 * stack, was closed.
 */
int usertcp_syn_refuse(usertcp_syn_t syn);

/**
 * Drops a request: the peer is told nothing. If it tries again, which its system does by itself, that is a
 * new request. The handle is stale from now on, whatever is returned but -EDEADLK. Others as
 * usertcp_syn_refuse().
 */
int usertcp_syn_drop(usertcp_syn_t syn);

/* ----------------------------------------------------------------------------------------------------------
 * Messages in several pieces
 *
 * What usertcp_send() and its kin do with one buffer, these do with several, in the order that they stand in:
 * the pieces are copied straight to where they go, and are not joined before. At most 1024 of them (IOV_MAX)
 * make a call, and they must not overlap where they are written to. An empty piece may be NULL.
 * ------------------------------------------------------------------------------------------------------- */

/**
 * Sends the `count` pieces of `pieces` as usertcp_send() does one buffer; on a datagram socket they make one
 * datagram. Returns how many bytes were queued.
 *
 * -EINVAL: more than 1024 pieces, or more than SSIZE_MAX bytes. Others as usertcp_send(), or for datagrams as
 * usertcp_sendto().
 */
ssize_t usertcp_sendv(usertcp_socket_t socket, const struct iovec *pieces, int count, int flags);

/**
 * Receives into the `count` pieces of `pieces`, one after the other, as usertcp_recv() does into one buffer.
 * Returns how many bytes came.
 *
 * -EINVAL: more than 1024 pieces, or more than SSIZE_MAX bytes. Others as usertcp_recv().
 */
ssize_t usertcp_recvv(usertcp_socket_t socket, const struct iovec *pieces, int count, int flags);

/**
 * Sends what `*message` says, as sendmsg(2) does: the pieces of `msg_iov` to the address in `msg_name`, or
 * with NULL to the peer; a stream ignores the address. `flags` are those of usertcp_send() and
 * usertcp_sendto(); `msg_flags` is ignored. Returns how many bytes were queued.
 *
 * Control data says what is asked for this datagram alone: IPPROTO_IP with IP_PKTINFO (`ipi_spec_dst`: the
 * address to send from), IP_TTL and IP_TOS; IPPROTO_IPV6 with IPV6_PKTINFO (`ipi6_addr`), IPV6_HOPLIMIT and
 * IPV6_TCLASS, of which -1 stands for what the socket's options say. What is written for IPv6 holds for a
 * datagram that a socket of AF_INET6 sends over IPv4, and the other way round.
 *
 * -EINVAL: other control data, or any with a stream; a wrong length or value of it; an address to send from
 * that is not the stack's (or with IP_TRANSPARENT any host's), of the family of the destination; more than
 * SSIZE_MAX bytes. -ENODEV: another link than 1, the only one, and 0. -EMSGSIZE: more than 1024 pieces.
 * Others as usertcp_send() and usertcp_sendto().
 */
ssize_t usertcp_sendmsg(usertcp_socket_t socket, const struct msghdr *message, int flags);

/**
 * Receives into `*message`, as recvmsg(2) does: into the pieces of `msg_iov`, with the sender's address in
 * `msg_name` unless it is NULL; `msg_namelen` becomes the length of the address, 0 for a stream. `flags` are
 * those of usertcp_recv() and usertcp_recvfrom(). Returns how many bytes came.
 *
 * `msg_control` gets what options of a datagram socket ask for, and `msg_controllen` becomes its length, 0
 * where nothing does: IP_PKTINFO for the address that it came to, IP_RECVTTL for IP_TTL (an int), IP_RECVTOS
 * for IP_TOS (a byte); with AF_INET6 IPV6_RECVPKTINFO for IPV6_PKTINFO, IPV6_RECVHOPLIMIT for IPV6_HOPLIMIT,
 * IPV6_RECVTCLASS for IPV6_TCLASS (ints), over IPv4 too. `msg_flags` becomes MSG_TRUNC if more of a datagram
 * came than there was room for, MSG_CTRUNC if control data was left out because it did not fit, MSG_OOB for
 * an urgent byte, else 0.
 *
 * -EMSGSIZE: more than 1024 pieces. -EINVAL: more than SSIZE_MAX bytes. Others as usertcp_recv() and
 * usertcp_recvfrom().
 */
ssize_t usertcp_recvmsg(usertcp_socket_t socket, struct msghdr *message, int flags);

/* ----------------------------------------------------------------------------------------------------------
 * Names
 *
 * Names of hosts are looked up over the stack's own sockets: A and AAAA records, asked for together by UDP
 * and by TCP where an answer is too long for that. Servers, search list and the like are usertcp_config_t's,
 * or else what /etc/resolv.conf and /etc/hosts of the system say when the stack is opened; other sources of
 * the C library (nsswitch.conf) play no part. A server is asked through the stack: 127.0.0.1 and 127.0.0.53
 * are the stack's own addresses, where none of the system's programs listens. Answers are kept for as long as
 * the servers say.
 *
 * Looked up first are addresses in digits, the hosts file, "localhost" and names below it (the loopback
 * addresses), and names below "invalid" and "onion" (which do not exist); none of these asks anybody. A name
 * is ASCII: others are written in their ASCII form, xn--.
 *
 * The errors are those that getaddrinfo(3) gives numbers of its own:
 *
 *   -ENOENT    there is no such host (EAI_NONAME)
 *   -ENODATA   there is, without an address of the family asked for (EAI_NODATA)
 *   -EREMOTEIO the name servers answered that they cannot or will not, or nonsense; or they cannot be reached,
 *              or none is known (EAI_FAIL)
 *   -ETIMEDOUT no name server answered in time (EAI_AGAIN), or `timeout_ms` was over
 *
 * Each of them says nothing of the connection in usertcp_connect_to() but the last, and usertcp_last_error()
 * tells which.
 * ------------------------------------------------------------------------------------------------------- */

/**
 * Looks `name` up and stores its addresses in `addresses`, the best first, at most `count`. Returns how many
 * were stored.
 *
 * `service` is a port in digits, or a name of /etc/services such as "https"; NULL: port 0. `family` is
 * AF_UNSPEC for both, AF_INET or AF_INET6. They are ordered as RFC 6724 says: first those that the stack can
 * reach, IPv6 before IPv4 where nothing else decides. `timeout_ms` is for the whole call; negative: until
 * every server has been asked as often as the configuration says, 0: only what is known without asking. Any
 * number of threads may look names up at the same time.
 *
 * -ENOENT, -ENODATA, -EREMOTEIO, -ETIMEDOUT: see above. -EINVAL: `name` can be no host's, or `service` is
 * unknown, or `count` is 0. -EAFNOSUPPORT: another family. -ECANCELED: the stack was closed meanwhile.
 * -EINTR: a signal handler ran. -EMFILE: the stack has as many sockets as it may, 1,048,576.
 */
int usertcp_resolve(usertcp_stack_t stack,
                    const char *name,
                    const char *service,
                    int family,
                    int timeout_ms,
                    struct sockaddr_storage *addresses,
                    size_t count);

/**
 * Makes a TCP connection and stores its socket's handle in `*socket`: "example.com:443", "192.0.2.1:80",
 * "[2001:db8::1]:80", or with a name of /etc/services, "example.com:https". `flags` is 0 or USERTCP_NONBLOCK:
 * the call waits all the same, and the socket does not block from then on.
 *
 * The addresses of a host are tried in order, the families in turn. Each attempt begins when the one before
 * fails or has taken usertcp_config_t.connect_delay_ms, beside it; IPv4 waits 50 ms for the answer about
 * IPv6. The first connection is taken, and the other attempts are given up (RFC 8305). `timeout_ms` is for
 * the whole call; negative: as long as looking up and connecting take.
 *
 * -EINVAL: `target` is not a host with a port. -ENOENT, -ENODATA, -EREMOTEIO, -ETIMEDOUT: see above.
 * -ECONNREFUSED, -ETIMEDOUT, -EHOSTUNREACH, -ENETUNREACH (others as usertcp_connect()): what the last of the
 * attempts came to. -ECANCELED: the stack was closed meanwhile. -EINTR: a signal handler ran. -EMFILE: the
 * stack has as many sockets as it may, 1,048,576. No socket is left behind then.
 */
int usertcp_connect_to(usertcp_stack_t stack,
                       const char *target,
                       int flags,
                       int timeout_ms,
                       usertcp_socket_t *socket);

/* ----------------------------------------------------------------------------------------------------------
 * Waiting for many sockets
 * ------------------------------------------------------------------------------------------------------- */

/** Data, the end of the stream, a connection to accept, or an error. The numbers are those of poll(2). */
#define USERTCP_POLLIN 1

/**
 * Urgent data has been announced and not been read. With SO_OOBINLINE off: MSG_OOB can receive its last byte.
 */
#define USERTCP_POLLPRI 2

/** Room to send, connected, or an error. */
#define USERTCP_POLLOUT 4

/** An error is pending. Always waited for. */
#define USERTCP_POLLERR 8

/** Both halves are over. Always waited for. */
#define USERTCP_POLLHUP 16

/** The handle names no open socket. Always waited for. */
#define USERTCP_POLLNVAL 32

/** The peer has shut down its sending half. */
#define USERTCP_POLLRDHUP 8192

/** A socket to wait for, and what for. */
typedef struct usertcp_pollfd_t {
  /** The socket; an entry with 0 is skipped. */
  usertcp_socket_t socket;
  /** What to wait for: USERTCP_POLL bits. */
  uint32_t events;
  /** What it is ready for; set by usertcp_poll(). */
  uint32_t revents;
} usertcp_pollfd_t;

/**
 * Waits until a socket is ready or `timeout_ms` is over (0: does not wait, negative: for ever). The sockets
 * may be those of several stacks. Returns how many entries have `revents` set, 0 when the time is over. A
 * socket that is closed meanwhile shows as USERTCP_POLLNVAL. -EINTR: a signal handler ran. -ECANCELED:
 * usertcp_cancel() was called for one of the sockets. -EINVAL: `events` has other bits, or there are too many
 * entries.
 */
int usertcp_poll(struct usertcp_pollfd_t *entries, size_t count, int timeout_ms);

/* ----------------------------------------------------------------------------------------------------------
 * Poll sets
 *
 * A poll set is epoll(7) for sockets of this library: any number of them, of any stacks, and waiting costs
 * what is ready, not what is there. Each socket is in a set with the events that are asked for and a number
 * of the program's that comes back with them. Any thread may use any set at any time; of several threads that
 * wait in one, each event that is asked for by its edge is told to one.
 *
 * A socket that is closed, also by the end of its stack, is in no set any more; so is one that
 * usertcp_export_fd() has turned into a descriptor. A set does not keep sockets open.
 * ------------------------------------------------------------------------------------------------------- */

/**
 * usertcp_pollset_add(), _modify(): tell it once, and nothing more of this socket until
 * usertcp_pollset_modify().
 */
#define USERTCP_POLLONESHOT 1073741824

/**
 * usertcp_pollset_add(), _modify(): tell it once for each event (data came, room came after a call had found
 * too little, a stream or connection began or ended), not as long as it lasts. Whoever asks so reads and
 * writes until -EAGAIN.
 */
#define USERTCP_POLLET 2147483648

/** Names an open poll set; 0 names none. */
typedef uint64_t usertcp_pollset_t;

/** A socket that is ready. */
typedef struct usertcp_event_t {
  /** What it is ready for, of what was asked for: USERTCP_POLL bits. */
  uint32_t events;
  /** 0. */
  uint32_t reserved;
  /** What the program gave with it. */
  uint64_t data;
} usertcp_event_t;

/**
 * Makes an empty poll set and stores its handle in `*set`. `flags` must be 0. -EINVAL: they are not; -EFAULT,
 * -EMFILE, -ENOMEM, -ECHILD.
 */
int usertcp_pollset_open(int flags, usertcp_pollset_t *set);

/**
 * Puts a socket into a set. `events` are USERTCP_POLLIN, _POLLPRI, _POLLOUT and _POLLRDHUP, of which any may
 * be missing, with USERTCP_POLLET and USERTCP_POLLONESHOT; USERTCP_POLLERR and _POLLHUP are told in any case.
 * What it is ready for already is told. `data` comes back with its events.
 *
 * -EEXIST: it is in the set. -EINVAL: other bits in `events`. -EBADF: one of the handles is not open.
 * -ECHILD.
 */
int usertcp_pollset_add(usertcp_pollset_t set, usertcp_socket_t socket, uint32_t events, uint64_t data);

/**
 * Changes what a set asks a socket for, and `data`; makes one live again that USERTCP_POLLONESHOT has
 * silenced. What it is ready for already is told.
 *
 * -ENOENT: it is not in the set. -EINVAL, -EBADF, -ECHILD.
 */
int usertcp_pollset_modify(usertcp_pollset_t set, usertcp_socket_t socket, uint32_t events, uint64_t data);

/**
 * Takes a socket out of a set; nothing is told of it from then on, but by a usertcp_pollset_wait() of another
 * thread that has found something already. -ENOENT: it is not in it. -EBADF, -ECHILD.
 */
int usertcp_pollset_remove(usertcp_pollset_t set, usertcp_socket_t socket);

/**
 * Waits until a socket of the set is ready, usertcp_pollset_wake() is called, or `timeout_ms` is over (0:
 * does not wait, negative: for ever). Stores at most `count` ready sockets in `events`, those first that have
 * waited for longest, so that none is passed over for ever. Returns how many; 0: the time is over, or
 * somebody called usertcp_pollset_wake().
 *
 * -EINVAL: `count` is 0. -EFAULT: `events` is NULL. -EINTR: a signal handler ran. -ECANCELED: the set was
 * closed meanwhile. -EBADF: it is not open. -EDEADLK: from a log callback, which must not wait. -ECHILD.
 */
int usertcp_pollset_wait(usertcp_pollset_t set, struct usertcp_event_t *events, size_t count, int timeout_ms);

/**
 * Ends one usertcp_pollset_wait() before its time: one that waits, or else the next one. Called again before
 * that wait it does nothing more. It is how other threads have an event loop look at something. -EBADF,
 * -ECHILD.
 */
int usertcp_pollset_wake(usertcp_pollset_t set);

/**
 * A descriptor of the system that shows POLLIN while usertcp_pollset_wait() may find something, so that a set
 * can be waited for by poll(2), epoll(7) and other event loops beside whatever else they wait for: when it
 * does, call usertcp_pollset_wait() with a timeout of 0, until it returns 0 if the loop waits for edges. It
 * may show although nothing is found then; the call itself turns it off. Returns the descriptor, always the
 * same one for a set.
 *
 * Poll it; never read, write or close it. It is made by the first call, is close-on-exec, and is closed with
 * the set: take it out of an event loop before. -EBADF, -EMFILE, -ENFILE, -ECHILD.
 */
int usertcp_pollset_fd(usertcp_pollset_t set);

/**
 * Closes a set; its sockets stay as they are. Whoever waits in it returns -ECANCELED. -EBADF: it is not open.
 * -ECHILD.
 */
int usertcp_pollset_close(usertcp_pollset_t set);

/* ----------------------------------------------------------------------------------------------------------
 * Options and timeouts
 *
 * Levels, names and values are the system's: SOL_SOCKET with SO_ERROR, SO_REUSEADDR, SO_REUSEPORT,
 * SO_KEEPALIVE, SO_LINGER, SO_RCVBUF, SO_SNDBUF, SO_RCVTIMEO, SO_SNDTIMEO, SO_TYPE, SO_DOMAIN, SO_PROTOCOL,
 * SO_ACCEPTCONN; SO_RCVLOWAT, SO_SNDLOWAT (1); IPPROTO_TCP with TCP_NODELAY, TCP_CORK, TCP_QUICKACK,
 * TCP_MAXSEG, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT, TCP_SYNCNT, TCP_LINGER2, TCP_DEFER_ACCEPT,
 * TCP_USER_TIMEOUT, TCP_WINDOW_CLAMP, TCP_NOTSENT_LOWAT, TCP_CONGESTION ("cubic", "reno"), and to read
 * TCP_INFO in the system's layout, as much of it as there is room for; IPPROTO_IP with IP_TTL, IP_TOS,
 * IP_MTU_DISCOVER, IP_MTU, IP_TRANSPARENT; IPPROTO_IPV6 with IPV6_UNICAST_HOPS, IPV6_TCLASS,
 * IPV6_MTU_DISCOVER, IPV6_MTU, IPV6_V6ONLY, IPV6_TRANSPARENT. Datagram sockets have none of TCP, but
 * SO_BROADCAST and, by their family, IP_MULTICAST_TTL, IP_PKTINFO, IP_RECVTTL and IP_RECVTOS, or
 * IPV6_MULTICAST_HOPS, IPV6_RECVPKTINFO, IPV6_RECVHOPLIMIT and IPV6_RECVTCLASS, which usertcp_recvmsg()
 * obeys. The two ECN bits of IP_TOS and IPV6_TCLASS are TCP's on a stream and stay as they are. Of path MTU
 * discovery there are IP_PMTUDISC_DONT (routers may cut packets into fragments; over IPv6 they are at most
 * 1280 bytes), IP_PMTUDISC_WANT (the default), IP_PMTUDISC_DO and IP_PMTUDISC_PROBE (a stream probes for what
 * the path carries and believes no router); others are -EINVAL. Accepted sockets have the options of their
 * listener. SO_RCVBUF and SO_SNDBUF grow by themselves, the one to twice what is read in a round trip, the
 * other to twice the congestion window, until they are set, which fixes them. They are what was set or has
 * grown, where Linux tells the double. What would do nothing here, such as SO_PRIORITY, is -ENOPROTOOPT;
 * SO_RCVBUFFORCE and SO_SNDBUFFORCE are -EPERM.
 *
 * TCP_USER_TIMEOUT takes the place of the number of retransmissions, be it longer or shorter, until the
 * socket is closed: what is not acknowledged then goes again a limited number of times.
 *
 * With IP_TRANSPARENT (or IPV6_TRANSPARENT, which is the same one) a socket may be bound to any host's
 * address, be it none of the stack's: it connects from there, listens there, sends and receives datagrams
 * there, and what the link brings for that address is taken in. So a proxy that has accepted what an
 * interceptor brought may go on under the client's address. A wildcard stands for the stack's own addresses
 * alone; usertcp_sendmsg() may send from any host's address. No privilege is needed. It counts when bind is
 * called, which is -EADDRNOTAVAIL where no host can have the address; from another host's address to the
 * stack itself connect is -EINVAL.
 *
 * SO_REUSEADDR and SO_REUSEPORT are obeyed as by Linux: sockets that all set SO_REUSEPORT may listen on one
 * address, and share its connections by a hash of the peers' addresses; closing one resets only its own.
 * IPV6_V6ONLY is 0 unless set: a socket of AF_INET6 bound to the unspecified address takes connections over
 * IPv4 too, and shows their addresses as ::ffff:192.0.2.1; it may also bind and connect to such addresses.
 * Setting it after bind or connect is -EINVAL.
 * ------------------------------------------------------------------------------------------------------- */

/**
 * Sets an option. -ENOPROTOOPT: not an option of this library. -EINVAL: a wrong length or value. -EDOM:
 * SO_RCVTIMEO or SO_SNDTIMEO with microseconds that are none. -ENOENT: no such congestion control. -EPERM:
 * see above.
 */
int usertcp_setsockopt(usertcp_socket_t socket, int level, int name, const void *value, socklen_t length);

/**
 * Reads an option: at most `*length` bytes are stored in `value`, and their number in `*length`.
 * -ENOPROTOOPT: not an option of this library. -ENOTCONN: IP_MTU or IPV6_MTU without a peer.
 */
int usertcp_getsockopt(usertcp_socket_t socket, int level, int name, void *value, socklen_t *length);

/**
 * Sets how long accept and receive, and how long connect and send may wait, in milliseconds; negative: for
 * ever. 0 does not wait at all.
 */
int usertcp_set_timeout(usertcp_socket_t socket, int receive_ms, int send_ms);

/** Makes a socket return -EAGAIN or -EINPROGRESS where it would wait, or wait again when `on` is 0. */
int usertcp_set_nonblock(usertcp_socket_t socket, int on);

/**
 * Answers `request` by the system's numbers of ioctl(2) in `*value`: SIOCINQ (FIONREAD), bytes that can be
 * read now; SIOCOUTQ (TIOCOUTQ), bytes that the peer has not acknowledged, sent or not, the FIN counting as
 * one; SIOCOUTQNSD, those that were never sent. SIOCATMARK: 1 if the next byte to read is the last urgent
 * one, else 0. FIONBIO reads `*value` as usertcp_set_nonblock() does `on`.
 *
 * -ENOTTY: another request. -EINVAL: a listening socket.
 */
int usertcp_ioctl(usertcp_socket_t socket, unsigned long request, int *value);

/* ----------------------------------------------------------------------------------------------------------
 * Figures of a connection
 * ------------------------------------------------------------------------------------------------------- */

/**
 * A connection in figures, under the names of Linux. Begin with USERTCP_TCP_INFO_INIT. A figure that the
 * library does not have is 0.
 */
typedef struct usertcp_tcp_info_t {
  /** sizeof(usertcp_tcp_info_t). */
  uint32_t size;
  /** State by the numbers of <netinet/tcp.h>: TCP_ESTABLISHED is 1, TCP_LISTEN 10. */
  uint8_t tcpi_state;
  /** State of loss recovery: 0 open, 1 disorder, 2 window reduced, 3 recovery, 4 loss. */
  uint8_t tcpi_ca_state;
  /** Timeouts in a row without progress. */
  uint8_t tcpi_retransmits;
  /** Window or keep-alive probes unanswered. */
  uint8_t tcpi_probes;
  /** Times the timeout was doubled. */
  uint8_t tcpi_backoff;
  /** Options negotiated: 1 timestamps, 2 selective acknowledgement, 4 window scale. */
  uint8_t tcpi_options;
  /** Window scale of the peer. */
  uint8_t tcpi_snd_wscale;
  /** Own window scale. */
  uint8_t tcpi_rcv_wscale;
  /** Retransmission timeout, microseconds. */
  uint32_t tcpi_rto;
  /** Delay of acknowledgements, microseconds. */
  uint32_t tcpi_ato;
  /** Largest segment sent, bytes. */
  uint32_t tcpi_snd_mss;
  /** Largest segment received, bytes. */
  uint32_t tcpi_rcv_mss;
  /** Segments in flight. */
  uint32_t tcpi_unacked;
  /** Segments acknowledged selectively. */
  uint32_t tcpi_sacked;
  /** Segments taken for lost. */
  uint32_t tcpi_lost;
  /** Segments retransmitted and in flight. */
  uint32_t tcpi_retrans;
  /** Milliseconds since data was last sent. */
  uint32_t tcpi_last_data_sent;
  /** Milliseconds since data was last received. */
  uint32_t tcpi_last_data_recv;
  /** Milliseconds since the last acknowledgement. */
  uint32_t tcpi_last_ack_recv;
  /** Path MTU, bytes. */
  uint32_t tcpi_pmtu;
  /** Receive window that is offered at most now, bytes. */
  uint32_t tcpi_rcv_ssthresh;
  /** Smoothed round-trip time, microseconds. */
  uint32_t tcpi_rtt;
  /** Its mean deviation, microseconds. */
  uint32_t tcpi_rttvar;
  /** Slow start threshold, segments. */
  uint32_t tcpi_snd_ssthresh;
  /** Congestion window, segments. */
  uint32_t tcpi_snd_cwnd;
  /** MSS announced, bytes. */
  uint32_t tcpi_advmss;
  /** Reordering that is tolerated, segments. */
  uint32_t tcpi_reordering;
  /** Receive buffer in use for the window, bytes. */
  uint32_t tcpi_rcv_space;
  /** Segments retransmitted since the beginning. */
  uint32_t tcpi_total_retrans;
  /** Bytes acknowledged by the peer. */
  uint64_t tcpi_bytes_acked;
  /** Bytes received in order. */
  uint64_t tcpi_bytes_received;
  /** Bytes sent, retransmissions included. */
  uint64_t tcpi_bytes_sent;
  /** Bytes retransmitted. */
  uint64_t tcpi_bytes_retrans;
  /** Segments sent. */
  uint32_t tcpi_segs_out;
  /** Segments received. */
  uint32_t tcpi_segs_in;
  /** Segments with data received. */
  uint32_t tcpi_data_segs_in;
  /** Segments with data sent. */
  uint32_t tcpi_data_segs_out;
  /** Bytes queued that were never sent. */
  uint32_t tcpi_notsent_bytes;
  /** Least round-trip time, microseconds. */
  uint32_t tcpi_min_rtt;
  /** Window of the peer, bytes. */
  uint32_t tcpi_snd_wnd;
  /** Window offered, bytes. */
  uint32_t tcpi_rcv_wnd;
  /** Segments received out of order. */
  uint32_t tcpi_rcv_ooopack;
  /** Segments that the peer received twice, as far as it told. */
  uint32_t tcpi_dsack_dups;
  /** Bytes a second that Linux would pace at; nothing is paced here. UINT64_MAX: nothing is measured yet. */
  uint64_t tcpi_pacing_rate;
  /** UINT64_MAX: no limit is set. */
  uint64_t tcpi_max_pacing_rate;
  /** Bytes delivered a second, as last measured. */
  uint64_t tcpi_delivery_rate;
  /** Microseconds with something to send or to be acknowledged. */
  uint64_t tcpi_busy_time;
  /** Of those, limited by the peer's window. */
  uint64_t tcpi_rwnd_limited;
  /** Of those, limited by the send buffer. */
  uint64_t tcpi_sndbuf_limited;
  /** Segments delivered, the SYN included. */
  uint32_t tcpi_delivered;
  /** Of these, segments whose ACKs told of marks of congestion (ECN). */
  uint32_t tcpi_delivered_ce;
  /** Times that the path was seen to reorder. */
  uint32_t tcpi_reord_seen;
  /** Round-trip time as the receiver sees it, microseconds; 0: not measured. */
  uint32_t tcpi_rcv_rtt;
  /** 0, as in Linux. */
  uint32_t tcpi_fackets;
  /** 0, as in Linux. */
  uint32_t tcpi_last_ack_sent;
  /** 0: no path is left for another by changing the flow label. */
  uint32_t tcpi_rehash;
  /** Milliseconds spent repairing what retransmission timeouts told of, up to now. */
  uint32_t tcpi_total_rto_time;
  /** Retransmission timeouts. */
  uint16_t tcpi_total_rto;
  /** Times that it came to one, however many followed. */
  uint16_t tcpi_total_rto_recoveries;
  /** 1: the delivery rate was limited by what there was to send. */
  uint8_t tcpi_delivery_rate_app_limited;
  /** 0. */
  uint8_t tcpi_reserved[3];
  /** Packets received that a router has marked. */
  uint32_t tcpi_received_ce;
  /** 0, as are those that follow: accurate ECN (RFC 9768) is not spoken. */
  uint32_t tcpi_delivered_e1_bytes;
  /** 0. */
  uint32_t tcpi_delivered_e0_bytes;
  /** 0. */
  uint32_t tcpi_delivered_ce_bytes;
  /** 0. */
  uint32_t tcpi_received_e1_bytes;
  /** 0. */
  uint32_t tcpi_received_e0_bytes;
  /** 0. */
  uint32_t tcpi_received_ce_bytes;
  /** 0. */
  uint16_t tcpi_accecn_fail_mode;
  /** 0. */
  uint16_t tcpi_accecn_opt_seen;
} usertcp_tcp_info_t;

/**
 * Fills `*info`, as much of it as its `size` says. A socket without a connection reports its state only.
 * -EINVAL, -E2BIG: `size` is wrong. -ENOPROTOOPT: a datagram socket.
 */
int usertcp_tcp_info(usertcp_socket_t socket, struct usertcp_tcp_info_t *info);

/* ----------------------------------------------------------------------------------------------------------
 * Sockets of a stack
 *
 * All sockets of a stack at one moment, as ss(8) shows those of the system: also the ones that no program
 * holds, half open, or closed and not over. With usertcp_config_t.control_path other programs of the same
 * user can ask too: `usertcp ss PATH` does.
 * ------------------------------------------------------------------------------------------------------- */

/** A socket as it is at one moment. Begin with USERTCP_SOCKET_INFO_INIT. */
typedef struct usertcp_socket_info_t {
  /** sizeof(usertcp_socket_info_t). */
  uint32_t size;
  /** SOCK_STREAM or SOCK_DGRAM. */
  uint32_t kind;
  /**
   * State by the numbers of <netinet/tcp.h>; a datagram socket is TCP_ESTABLISHED when it is connected, else
   * TCP_CLOSE.
   */
  uint32_t state;
  /**
   * 1: a program has it, or may take it from a listener's queue. 0: it is half open, or closed and not over.
   */
  uint32_t held;
  /** Bytes that wait to be read; of a listening socket connections that wait to be accepted. */
  uint64_t receive_queue;
  /**
   * Bytes that the peer has not acknowledged, sent or not; of a listening socket the most connections that
   * may wait.
   */
  uint64_t send_queue;
  /** Its own address; the family is 0 as long as it has none. */
  struct sockaddr_storage local;
  /** The peer's; the family is 0 as long as there is none. */
  struct sockaddr_storage remote;
  /** Name of the congestion control of a stream, ended by NUL. */
  char congestion[16];
  /** 0. */
  uint64_t reserved[4];
  /** Its figures, the last ones once the connection is over; all 0 but the size where there never was one. */
  usertcp_tcp_info_t info;
} usertcp_socket_info_t;

/**
 * Stores what each socket of a stack is doing in `infos[0]`, `infos[1]` and so on, at most `count` of them;
 * `infos` may be NULL if `count` is 0. Every entry must have been set to USERTCP_SOCKET_INFO_INIT. Returns
 * how many sockets there are, which may be more than `count`: sockets come and go. Where there are many the
 * stack works meanwhile, so that each is as it was at some moment of the call.
 *
 * -EINVAL, -E2BIG: the `size` of an entry is wrong. Entries lie one behind the other, each as long as its
 * `size` says.
 */
ssize_t usertcp_stack_sockets(usertcp_stack_t stack, struct usertcp_socket_info_t *infos, size_t count);

/**
 * Writes the same as text, a line or two for each socket, as `ss -tiun` does. Copies at most `size` bytes,
 * always terminated by NUL unless `size` is 0; returns the length of the whole text without the NUL.
 */
ssize_t usertcp_stack_sockets_text(usertcp_stack_t stack, char *buffer, size_t size);

/* ----------------------------------------------------------------------------------------------------------
 * Event traces
 *
 * What happens to connections, as lines of JSON in the structure of qlog: states, every segment with the
 * reason that it was sent for, every packet dropped with the name of its counter, congestion window,
 * round-trip times and timers whenever they change. usertcp-trace(7) describes every event. A connection that
 * is not traced pays one branch at each of these places.
 *
 * A trace is written to a descriptor by the stack's own thread: a file, or a pipe or socket. If it blocks,
 * the whole stack waits for whoever reads it. If it does not (O_NONBLOCK), up to 4 MiB wait, and then events
 * are dropped and counted in the trace.
 * ------------------------------------------------------------------------------------------------------- */

/**
 * Writes what happens to every connection of a stack to `fd` from now on, those that live already included,
 * and what the stack drops; -1: no more. The stack works on a duplicate: close yours whenever you like. The
 * descriptor before is closed once everything is in it. usertcp_config_t.trace does the same from the
 * beginning.
 *
 * -EBADF: `fd` is not open, or `stack` names none.
 */
int usertcp_stack_trace(usertcp_stack_t stack, int fd);

/**
 * Writes what happens to one connection to `fd` from now on, instead of where its stack's trace goes; -1: no
 * more. Called before usertcp_connect(), it has all of the connection; called on a listening socket, the
 * connections that it accepts from then on. The library works on a duplicate of `fd`.
 *
 * -EBADF: `fd` is not open, or `socket` names none. -EOPNOTSUPP: a datagram socket.
 */
int usertcp_trace(usertcp_socket_t socket, int fd);

/* ----------------------------------------------------------------------------------------------------------
 * Why a connection ended
 * ------------------------------------------------------------------------------------------------------- */

/** Both sides have sent FIN and both are acknowledged. */
#define USERTCP_END_FINISHED 1

/**
 * The peer reset it; `error` is ECONNREFUSED while connecting, EPIPE once the peer had sent its FIN, else
 * ECONNRESET. `rst_seq` is set.
 */
#define USERTCP_END_RESET 2

/** The peer did not answer SYN. */
#define USERTCP_END_HANDSHAKE_TIMEOUT 3

/** The peer did not acknowledge what was sent. */
#define USERTCP_END_RETRANSMISSION_TIMEOUT 4

/** The peer did not answer probes of its closed window. */
#define USERTCP_END_PROBE_TIMEOUT 5

/** TCP_USER_TIMEOUT was over. */
#define USERTCP_END_USER_TIMEOUT 6

/** The peer did not answer keep-alive probes. */
#define USERTCP_END_KEEP_ALIVE_TIMEOUT 7

/** The peer did not finish after this side had closed. */
#define USERTCP_END_FIN_WAIT_2_TIMEOUT 8

/**
 * The network returned a segment of the handshake. `icmp_type` and what follows it is set; it is after a
 * timeout too, if the network had returned what went unanswered.
 */
#define USERTCP_END_UNREACHABLE 9

/** The program aborted it: usertcp_abort(), SO_LINGER with a time of 0, a connect that was given up. */
#define USERTCP_END_ABORTED 10

/** The program closed it with data unread, or data came after it had closed. */
#define USERTCP_END_UNREAD 11

/** The stack had to let go of it: it was at its limits. */
#define USERTCP_END_LIMIT 12

/** The link is gone. */
#define USERTCP_END_LINK_GONE 13

/** The stack was closed before the connection was. */
#define USERTCP_END_STACK_CLOSED 14

/** Why a connection is over. Begin with USERTCP_END_REASON_INIT. */
typedef struct usertcp_end_reason_t {
  /** sizeof(usertcp_end_reason_t). */
  uint32_t size;
  /** USERTCP_END_FINISHED and so on. */
  uint32_t kind;
  /** The error that belongs to it, a positive number of <errno.h>; 0 for an orderly end. */
  int32_t error;
  /** Sequence number of the RST. */
  uint32_t rst_seq;
  /** AF_INET or AF_INET6 if the network returned a segment, else 0. */
  uint32_t icmp_family;
  /** Type of the ICMP or ICMPv6 message. */
  uint8_t icmp_type;
  /** Its code. */
  uint8_t icmp_code;
  /** 0. */
  uint16_t reserved;
  /** Who sent it: a struct in_addr or in6_addr. */
  uint8_t icmp_from[16];
} usertcp_end_reason_t;

/**
 * Fills `*reason` with why the connection is over. That may be asked as often as wanted and does not depend
 * on the error having been told. -EAGAIN: it is not over, or there never was one. -EINVAL, -E2BIG: `size` is
 * wrong.
 */
int usertcp_end_reason(usertcp_socket_t socket, struct usertcp_end_reason_t *reason);

/**
 * Why the connection is over in a sentence, such as "connection reset by peer: RST with sequence number 7".
 * Copies at most `size` bytes, always terminated by NUL unless `size` is 0; returns the length of the whole
 * sentence without the NUL. -EAGAIN: it is not over, or there never was one.
 */
ssize_t usertcp_end_text(usertcp_socket_t socket, char *buffer, size_t size);

/* ----------------------------------------------------------------------------------------------------------
 * Sandboxes
 *
 * A sandbox is a network namespace with a TUN device in it, for programs that are not granted one: neither
 * root nor sudo is needed, and the machine's own network is left alone. Give its TUN to a stack, and let the
 * other side be kernel-side sockets or whole programs in the sandbox.
 * ------------------------------------------------------------------------------------------------------- */

/** How to make a sandbox. Begin with USERTCP_SANDBOX_CONFIG_INIT, then set what differs. */
typedef struct usertcp_sandbox_config_t {
  /** sizeof(usertcp_sandbox_config_t). */
  uint32_t size;
  /** MTU of the TUN, bytes; 0: 1500. */
  uint32_t mtu;
  /**
   * Addresses of the kernel's side of the TUN, with prefix lengths, separated by commas:
   * "192.0.2.1/24,2001:db8::1/64".
   */
  const char *host_addresses;
  /** 1: the TUN does segmentation and checksum offload. A stack with impairments needs it 0. */
  uint32_t offload;
  /** Must be 0. */
  uint32_t flags;
  /**
   * Queues of the TUN, as many as the stack on it is to have workers; 0 and 1: one. See
   * usertcp_sandbox_queues().
   */
  uint32_t queues;
  /** Must be 0. */
  uint32_t reserved;
} usertcp_sandbox_config_t;

/** Names an open sandbox; 0 names none. */
typedef uint64_t usertcp_sandbox_t;

/** Names a program that was started in a sandbox; 0 names none. */
typedef uint64_t usertcp_child_t;

/**
 * Makes a sandbox and stores its handle in `*sandbox`.
 *
 * -EPERM, -EACCES, -ENOENT, -ENODEV, -ENXIO, -ENOSPC: the system does not grant one; usertcp_last_error()
 * says what is missing.
 */
int usertcp_sandbox_open(const struct usertcp_sandbox_config_t *config, usertcp_sandbox_t *sandbox);

/**
 * Returns a new descriptor of the sandbox's TUN, for usertcp_config_t.fd. It belongs to the program. One
 * stack at a time may use it.
 */
int usertcp_sandbox_tun(usertcp_sandbox_t sandbox);

/**
 * Stores new descriptors of all queues of the sandbox's TUN in `fds`, for usertcp_config_t.queues. They
 * belong to the program. Returns how many there are; -ENOSPC when that is more than `count`.
 */
int usertcp_sandbox_queues(usertcp_sandbox_t sandbox, int *fds, uint32_t count);

/**
 * Returns a socket of the kernel in the sandbox, as socket(2) does: `domain` is AF_INET or AF_INET6. It
 * belongs to the program.
 */
int usertcp_sandbox_socket(usertcp_sandbox_t sandbox, int domain, int type, int protocol);

/**
 * Starts a program in the sandbox and stores its handle in `*child`. `argv` and `envp` end with NULL;
 * `argv[0]` is looked for in PATH; an `envp` of NULL is this process's environment. `fds` are the program's
 * standard streams; NULL: those of this process.
 *
 * -ENOENT, -EACCES, -ENOEXEC: it cannot be executed. -EBADF: one of `fds` is not open.
 */
int usertcp_sandbox_spawn(usertcp_sandbox_t sandbox,
                          const char *const *argv,
                          const char *const *envp,
                          const int *fds,
                          usertcp_child_t *child);

/** The program's process id. */
int usertcp_child_pid(usertcp_child_t child);

/** Sends the program a signal. -ESRCH: it has been waited for. */
int usertcp_child_kill(usertcp_child_t child, int signal);

/**
 * Waits for the program to end and stores its exit status in `*status`, 128 + N if signal N ended it;
 * `status` may be NULL. The handle stays. With USERTCP_NONBLOCK in `flags`, -EAGAIN when it still runs.
 *
 * -EINTR: a signal handler ran. -ECHILD: the status is lost, because the process ignores SIGCHLD or has
 * waited for any child elsewhere.
 */
int usertcp_child_wait(usertcp_child_t child, int flags, int *status);

/** Lets go of the program's handle. A program that still runs is killed. */
int usertcp_child_close(usertcp_child_t child);

/** Lets go of the sandbox. It ends when its TUN, its sockets and its programs are gone as well. */
int usertcp_sandbox_close(usertcp_sandbox_t sandbox);

/* ----------------------------------------------------------------------------------------------------------
 * Initializers
 * ------------------------------------------------------------------------------------------------------- */

/** No faults. */
#define USERTCP_IMPAIRMENT_INIT \
  { sizeof(usertcp_impairment_t), 0, 0, 0, 0, 0, 0.0, 0.0, 0.0, 0.0, 0, 0, 0.0, 0.0, 0.0, 0, 0, 0, 0, 0, 0 }

/** A TUN device that the kernel names, without addresses. */
#define USERTCP_CONFIG_INIT \
  { sizeof(usertcp_config_t), 0, NULL, -1, 0, NULL, NULL, 0, NULL, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, \
    0, 0, NULL, NULL, 0, NULL, NULL, NULL, 0, 0, 0, 0 }

/** Every port of a prefix that is to be set. */
#define USERTCP_INTERCEPT_CONFIG_INIT { sizeof(usertcp_intercept_config_t), 0, NULL, 0, 0, 0 }

/** To be filled by usertcp_intercept_next(). */
#ifdef __cplusplus
#define USERTCP_SYN_INFO_INIT { sizeof(usertcp_syn_info_t), 0, 0, 0, 0, 0, {}, {} }
#else
#define USERTCP_SYN_INFO_INIT { sizeof(usertcp_syn_info_t), 0, 0, 0, 0, 0, {0}, {0} }
#endif

/** To be filled by usertcp_tcp_info(). */
#define USERTCP_TCP_INFO_INIT \
  { sizeof(usertcp_tcp_info_t), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, \
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, \
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, {0}, 0, 0, 0, 0, 0, 0, 0, 0, 0 }

/** To be filled by usertcp_stack_sockets(). */
#define USERTCP_SOCKET_INFO_INIT \
  { sizeof(usertcp_socket_info_t), 0, 0, 0, 0, 0, {0, {0}, 0}, {0, {0}, 0}, {0}, {0}, USERTCP_TCP_INFO_INIT }

/** To be filled by usertcp_end_reason(). */
#define USERTCP_END_REASON_INIT { sizeof(usertcp_end_reason_t), 0, 0, 0, 0, 0, 0, 0, {0} }

/** A TUN of 1500 bytes without addresses and without offload. */
#define USERTCP_SANDBOX_CONFIG_INIT { sizeof(usertcp_sandbox_config_t), 0, NULL, 0, 0, 0, 0 }

#ifdef __cplusplus
}
#endif

#endif /* USERTCP_H */
