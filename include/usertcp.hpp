/*
 * usertcp.hpp - TCP/IP in user space, for C++17: usertcp.h with owners, exceptions and durations.
 *
 *   usertcp::config_t config = usertcp::config();
 *   config.device = "utcp0";
 *   config.addresses = "192.0.2.2/24";
 *   usertcp::stack stack(config);
 *   usertcp::socket socket = usertcp::connect(stack, usertcp::address("192.0.2.1:80"), 10s);
 *   socket.send_all("GET / HTTP/1.0\r\n\r\n", 18);
 *   ...
 *   stack.close(5s);
 *
 * What holds everywhere:
 *
 *   Owners     are movable and not copyable; each owns one handle of usertcp.h, or none, and closes it in its
 *              destructor. get() lends the handle for any call of usertcp.h, release() gives it away.
 *   Errors     std::system_error with generic_category(): e.code() == std::errc::connection_refused. what()
 *              has the sentence of usertcp_last_error(). Calls that begin with try_ return an empty
 *              std::optional where the others would fail with EAGAIN. Destructors throw nothing.
 *   Durations  are std::chrono::milliseconds, which whole seconds and minutes become by themselves; `forever`
 *              and anything negative waits for ever, zero does not wait.
 *   Threads    calls on one object may be made by any threads at once, as with the handle. Moving, assigning
 *              and destroying it may not, nor release(). To wake those who are blocked on it, call
 *              cancel(), or usertcp_close() of get(), or close the stack; the object is then closed only once more.
 *
 * Flags, options and constants are those of usertcp.h and of the system. Everything is inline: nothing of this
 * file is part of the library's ABI.
 */
#ifndef USERTCP_HPP
#define USERTCP_HPP

#include <usertcp.h>

#include <sys/uio.h>
#include <netinet/in.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace usertcp {

/* ---- errors and durations ---- */

/** What the last call that failed on this thread has to say. */
inline std::string last_error() {
  char text[512];
  std::size_t length = usertcp_last_error(text, sizeof text);
  if (length < sizeof text) return std::string(text, length);
  std::string whole(length + 1, '\0');
  usertcp_last_error(&whole[0], whole.size());
  whole.pop_back();
  return whole;
}

/** Throws what a call of usertcp.h returned, a negative number. */
[[noreturn]] inline void raise(long error) {
  throw std::system_error(static_cast<int>(-error), std::generic_category(), last_error());
}

/** The result of a call of usertcp.h, or an exception if it is negative. */
template <class Result>
Result check(Result result) {
  if (result < 0) raise(static_cast<long>(result));
  return result;
}

/** The result of a call of usertcp.h, nothing for -EAGAIN, or an exception. */
inline std::optional<std::size_t> check_again(ssize_t result) {
  if (result == -EAGAIN) return std::nullopt;
  return static_cast<std::size_t>(check(result));
}

/** A time-out that never comes. */
inline constexpr std::chrono::milliseconds forever{-1};

/** A duration as usertcp.h takes it. One that is longer than an int holds, 24 days, is cut to that. */
inline int to_ms(std::chrono::milliseconds time) {
  if (time.count() < 0) return -1;
  return time.count() > INT_MAX ? INT_MAX : static_cast<int>(time.count());
}

/** A count as the system's calls take it; one that no int holds is more than any of them allows. */
inline int to_int(std::size_t count) { return count > INT_MAX ? INT_MAX : static_cast<int>(count); }

/* ---- configurations ---- */

/** How to open a stack. The strings that it points to must live until the stack is open. */
using config_t = usertcp_config_t;
/** Faults of a link. */
using impairment_t = usertcp_impairment_t;
/** How to make a sandbox. */
using sandbox_config_t = usertcp_sandbox_config_t;
/** A socket to wait for. */
using pollfd_t = usertcp_pollfd_t;
/** A connection in figures. */
using tcp_info_t = usertcp_tcp_info_t;
/** Why a connection is over. */
using end_reason_t = usertcp_end_reason_t;
/** A socket as it is at one moment. */
using socket_info_t = usertcp_socket_info_t;
/** A socket of a poll set that is ready. */
using event_t = usertcp_event_t;

/** What an interceptor is for. The string that it points to must live until the interceptor is made. */
using intercept_config_t = usertcp_intercept_config_t;
/** What is known of a connection request. */
using syn_info_t = usertcp_syn_info_t;

/** USERTCP_CONFIG_INIT. */
inline config_t config() {
  config_t made = USERTCP_CONFIG_INIT;
  return made;
}

/** USERTCP_IMPAIRMENT_INIT. */
inline impairment_t impairment() {
  impairment_t made = USERTCP_IMPAIRMENT_INIT;
  return made;
}

/** USERTCP_SANDBOX_CONFIG_INIT. */
inline sandbox_config_t sandbox_config() {
  sandbox_config_t made = USERTCP_SANDBOX_CONFIG_INIT;
  return made;
}

/** USERTCP_SOCKET_INFO_INIT. */
inline socket_info_t socket_info() {
  socket_info_t made = USERTCP_SOCKET_INFO_INIT;
  return made;
}

/** USERTCP_INTERCEPT_CONFIG_INIT. */
inline intercept_config_t intercept_config() {
  intercept_config_t made = USERTCP_INTERCEPT_CONFIG_INIT;
  return made;
}

/* ---- addresses ---- */

/** An address and a port, of either family. */
class address {
 public:
  /** None: of family AF_UNSPEC. */
  address() = default;

  /** From text, "192.0.2.1:80" or "[2001:db8::1]:80"; EINVAL if it is none. */
  explicit address(const std::string &text) { check(usertcp_parse_addr(text.c_str(), &storage_, &length_)); }
  explicit address(const char *text) : address(std::string(text)) {}

  /** From the system's form. */
  address(const sockaddr *from, socklen_t length) {
    if (length > sizeof storage_) raise(-EINVAL);
    const unsigned char *bytes = reinterpret_cast<const unsigned char *>(from);
    unsigned char *to = reinterpret_cast<unsigned char *>(&storage_);
    for (socklen_t n = 0; n < length; n++) to[n] = bytes[n];
    length_ = length;
  }

  /** As text. */
  std::string text() const {
    char buffer[USERTCP_ADDRSTRLEN];
    int length = check(usertcp_format_addr(data(), length_, buffer, sizeof buffer));
    return std::string(buffer, static_cast<std::size_t>(length));
  }

  /** AF_INET, AF_INET6 or AF_UNSPEC. */
  int family() const { return storage_.ss_family; }
  const sockaddr *data() const { return reinterpret_cast<const sockaddr *>(&storage_); }
  socklen_t size() const { return length_; }

  /** Lets `call(sockaddr *, socklen_t *)` fill an address, and returns it with what the call returned. */
  template <class Call>
  static std::pair<address, decltype(std::declval<Call>()(nullptr, nullptr))> filled(Call call) {
    address made;
    made.length_ = sizeof made.storage_;
    auto result = call(reinterpret_cast<sockaddr *>(&made.storage_), &made.length_);
    return {made, result};
  }

 private:
  sockaddr_storage storage_{};
  socklen_t length_ = 0;
};

/* ---- owners ---- */

/** Owns something that a number names. `Traits` has `raw`, the number's type, `none` and `close(raw)`. */
template <class Traits>
class owner {
 public:
  using raw = typename Traits::raw;

  owner() = default;
  /** Takes what a call of usertcp.h gave. */
  explicit owner(raw handle) noexcept : handle_(handle) {}
  owner(owner &&other) noexcept : handle_(other.release()) {}
  owner &operator=(owner &&other) noexcept {
    if (this != &other) reset(other.release());
    return *this;
  }
  owner(const owner &) = delete;
  owner &operator=(const owner &) = delete;
  ~owner() { reset(); }

  /** The handle, which stays owned. */
  raw get() const noexcept { return handle_; }
  /** Whether there is one. */
  explicit operator bool() const noexcept { return handle_ != Traits::none; }
  /** The handle, which is the caller's to close from now on. */
  raw release() noexcept { return std::exchange(handle_, Traits::none); }
  /** Closes what is owned, and owns another. */
  void reset(raw handle = Traits::none) noexcept {
    raw old = std::exchange(handle_, handle);
    if (old != Traits::none) Traits::close(old);
  }

 private:
  raw handle_ = Traits::none;
};

/** Of a handle of usertcp.h and the function that closes it. */
template <int (*Close)(std::uint64_t)>
struct handle_traits {
  using raw = std::uint64_t;
  static constexpr raw none = 0;
  static void close(raw handle) noexcept { Close(handle); }
};

/** Of a descriptor of the system. */
struct descriptor_traits {
  using raw = int;
  static constexpr raw none = -1;
  static void close(raw fd) noexcept { ::close(fd); }
};

/** Of a stack, which nobody has taken leave of. */
struct stack_traits {
  using raw = usertcp_stack_t;
  static constexpr raw none = 0;
  static void close(raw handle) noexcept { usertcp_stack_close(handle, 0); }
};

/** Owns a descriptor of the system. */
using descriptor = owner<descriptor_traits>;

/* ---- stacks ---- */

/** A host. Its destructor resets the connections that are left; close() ends them in order. */
class stack : public owner<stack_traits> {
 public:
  /** None. */
  stack() = default;

  /** Opens one: usertcp_stack_open(). */
  explicit stack(const config_t &config) {
    raw made = 0;
    check(usertcp_stack_open(&config, &made));
    reset(made);
  }

  /** Sends what is queued, ends the connections and the stack: usertcp_stack_close(). False: some had to be reset. */
  bool close(std::chrono::milliseconds timeout) {
    int result = usertcp_stack_close(get(), to_ms(timeout));
    if (result == -EDEADLK) raise(result);
    release();
    return result == -ETIMEDOUT ? false : check(result) == 0;
  }

  /** The device's name, empty for a descriptor. */
  std::string device() const {
    char name[16];
    return std::string(name, static_cast<std::size_t>(check(usertcp_stack_device(get(), name, sizeof name))));
  }

  /** Whether the device does segmentation and checksum offload. */
  bool offloaded() const { return check(usertcp_stack_offloaded(get())) != 0; }

  /** One counter; ENOENT if there is none of this name. */
  std::uint64_t counter(const std::string &name) const {
    std::uint64_t value = 0;
    check(usertcp_stack_counter(get(), name.c_str(), &value));
    return value;
  }

  /** Calls `each(const char *name, std::uint64_t value, const char *meaning)` for all counters. */
  template <class Each>
  void counters(Each each) const {
    for (std::uint32_t index = 0;; index++) {
      const char *name, *meaning;
      std::uint64_t value;
      int result = usertcp_stack_counter_at(get(), index, &name, &value, &meaning);
      if (result == -ERANGE) return;
      check(result);
      each(name, value, meaning);
    }
  }

  /** What each of its sockets is doing, also of those that nobody holds. */
  std::vector<socket_info_t> sockets() const {
    for (std::vector<socket_info_t> made(16, socket_info());;) {
      std::size_t count = static_cast<std::size_t>(check(usertcp_stack_sockets(get(), made.data(), made.size())));
      bool whole = count <= made.size();
      made.resize(whole ? count : count + count / 8, socket_info());
      if (whole) return made;
    }
  }

  /** The same as text, as ss(8) writes it. */
  std::string sockets_text() const {
    for (std::string text(4096, '\0');;) {
      std::size_t length = static_cast<std::size_t>(check(usertcp_stack_sockets_text(get(), &text[0], text.size())));
      bool whole = length < text.size();
      text.resize(whole ? length : length + length / 8 + 1);
      if (whole) return text;
    }
  }

  /** Writes to the capture file what config_t::pcap_ring has kept. */
  void dump_capture() { check(usertcp_stack_dump_capture(get())); }

  /** Changes the faults between stack and link, if it was opened with such; `incoming` NULL: as `outgoing`, NULL: none. */
  void impair(const usertcp_impairment_t *outgoing, const usertcp_impairment_t *incoming = nullptr) {
    check(usertcp_stack_impair(get(), outgoing, incoming));
  }

  /** Writes what happens to all connections to a descriptor from now on; -1: no more. */
  void trace(int fd) { check(usertcp_stack_trace(get(), fd)); }
};

/* ---- sockets ---- */

/** What connections, listeners and datagram sockets have in common. */
class endpoint : public owner<handle_traits<usertcp_close>> {
 public:
  /** Gives it its own address. */
  void bind(const address &own) { check(usertcp_bind(get(), own.data(), own.size())); }

  /** Its own address. */
  address local() const {
    return named([this](sockaddr *to, socklen_t *length) { return usertcp_getsockname(get(), to, length); });
  }

  /** The peer's address. */
  address peer() const {
    return named([this](sockaddr *to, socklen_t *length) { return usertcp_getpeername(get(), to, length); });
  }

  /** Sets an option, of the system's numbers and types. */
  template <class Value>
  void set_option(int level, int name, const Value &value) {
    check(usertcp_setsockopt(get(), level, name, &value, sizeof value));
  }
  void set_option(int level, int name, const std::string &value) {
    check(usertcp_setsockopt(get(), level, name, value.data(), static_cast<socklen_t>(value.size())));
  }

  /** Reads an option. */
  template <class Value>
  Value option(int level, int name) const {
    Value value{};
    socklen_t length = sizeof value;
    check(usertcp_getsockopt(get(), level, name, &value, &length));
    return value;
  }

  /** The error that is pending, which is told once: SO_ERROR. */
  std::error_code pending_error() const {
    return std::error_code(option<int>(SOL_SOCKET, SO_ERROR), std::generic_category());
  }

  /** How long calls may wait. */
  void timeouts(std::chrono::milliseconds receive, std::chrono::milliseconds send) {
    check(usertcp_set_timeout(get(), to_ms(receive), to_ms(send)));
  }

  /** Whether calls wait at all. */
  void nonblocking(bool on) { check(usertcp_set_nonblock(get(), on ? 1 : 0)); }

  /** Calls off whoever is blocked on it now, with ECANCELED. */
  void cancel() { check(usertcp_cancel(get())); }

  /** A figure by the system's number: SIOCINQ, SIOCOUTQ, SIOCOUTQNSD, SIOCATMARK. */
  int ioctl(unsigned long request) const {
    int value = 0;
    check(usertcp_ioctl(get(), request, &value));
    return value;
  }

  /** A descriptor to poll, which stays the socket's: usertcp_fd(). */
  int fd() const { return check(usertcp_fd(get())); }

  /** Writes what happens to the connection to a descriptor from now on; -1: no more. */
  void trace(int fd) { check(usertcp_trace(get(), fd)); }

  /** Closes it, with the error that the destructor would keep for itself. */
  void close() { check(usertcp_close(release())); }

 protected:
  using owner::owner;

  endpoint(const stack &of, int domain, int type, int flags) {
    raw made = 0;
    check(usertcp_socket(of.get(), domain, type, flags, &made));
    reset(made);
  }

 private:
  template <class Call>
  static address named(Call call) {
    auto [name, result] = address::filled(call);
    check(result);
    return name;
  }
};

/** A connection, or a socket that is to become one. */
class socket : public endpoint {
 public:
  /** None. */
  socket() = default;
  /** Takes what a call of usertcp.h gave. */
  explicit socket(raw handle) noexcept : endpoint(handle) {}

  /** A stream for a family, not connected. */
  socket(const stack &of, int domain, int flags = 0) : endpoint(of, domain, SOCK_STREAM, flags) {}

  /** Connects, and waits for it. */
  void connect(const address &to) { check(usertcp_connect(get(), to.data(), to.size())); }

  /** Begins to connect. False: under way; pending_error() has the outcome when it is ready for USERTCP_POLLOUT. */
  bool try_connect(const address &to) {
    int result = usertcp_connect(get(), to.data(), to.size());
    return result == -EINPROGRESS || result == -EALREADY ? false : check(result) == 0;
  }

  /** Sends, and returns how many bytes were queued: less than `size` only when it may not wait. */
  std::size_t send(const void *data, std::size_t size, int flags = 0) {
    return static_cast<std::size_t>(check(usertcp_send(get(), data, size, flags)));
  }

  /** Sends what there is room for; nothing where send() would fail with EAGAIN. */
  std::optional<std::size_t> try_send(const void *data, std::size_t size, int flags = 0) {
    return check_again(usertcp_send(get(), data, size, flags | MSG_DONTWAIT));
  }

  /** Sends all of it. EAGAIN: the time-out was over before. */
  void send_all(const void *data, std::size_t size, int flags = 0) {
    const char *bytes = static_cast<const char *>(data);
    while (size > 0) {
      std::size_t sent = send(bytes, size, flags);
      bytes += sent;
      size -= sent;
    }
  }

  /** Receives at least a byte, and returns how many; 0 is the end of the stream. */
  std::size_t recv(void *data, std::size_t size, int flags = 0) {
    return static_cast<std::size_t>(check(usertcp_recv(get(), data, size, flags)));
  }

  /** Receives what is there; nothing where recv() would fail with EAGAIN. */
  std::optional<std::size_t> try_recv(void *data, std::size_t size, int flags = 0) {
    return check_again(usertcp_recv(get(), data, size, flags | MSG_DONTWAIT));
  }

  /** Sends, or receives into, several pieces in one call; returns how many bytes. */
  std::size_t sendv(const iovec *pieces, std::size_t count, int flags = 0) {
    return static_cast<std::size_t>(check(usertcp_sendv(get(), pieces, to_int(count), flags)));
  }
  std::size_t recvv(const iovec *pieces, std::size_t count, int flags = 0) {
    return static_cast<std::size_t>(check(usertcp_recvv(get(), pieces, to_int(count), flags)));
  }

  /** Shuts down a half: SHUT_RD, SHUT_WR, SHUT_RDWR. */
  void shutdown(int how) { check(usertcp_shutdown(get(), how)); }

  /** Resets the connection and closes the socket. */
  void abort() { check(usertcp_abort(release())); }

  /** Makes the connection a stream of the system: usertcp_export_fd(). This owns nothing afterwards. */
  descriptor export_fd() {
    descriptor made(check(usertcp_export_fd(get())));
    release();
    return made;
  }

  /** The connection in figures. */
  tcp_info_t info() const {
    tcp_info_t made = USERTCP_TCP_INFO_INIT;
    check(usertcp_tcp_info(get(), &made));
    return made;
  }

  /** Why it is over; nothing while it is not. */
  std::optional<end_reason_t> end_reason() const {
    end_reason_t made = USERTCP_END_REASON_INIT;
    if (!check_again(usertcp_end_reason(get(), &made))) return std::nullopt;
    return made;
  }

  /** Sends a message: usertcp_sendmsg(). */
  std::size_t sendmsg(const msghdr &message, int flags = 0) {
    return static_cast<std::size_t>(check(usertcp_sendmsg(get(), &message, flags)));
  }

  /** Receives one, and what `message` has room for of its address and control data: usertcp_recvmsg(). */
  std::size_t recvmsg(msghdr &message, int flags = 0) {
    return static_cast<std::size_t>(check(usertcp_recvmsg(get(), &message, flags)));
  }

  /** Why it is over, in a sentence; empty while it is not. */
  std::string end_text() const {
    char text[512];
    std::optional<std::size_t> length = check_again(usertcp_end_text(get(), text, sizeof text));
    return length ? std::string(text) : std::string();
  }
};

/** Connects a new socket, which has these time-outs from then on. ETIMEDOUT, too, if `timeout` is over first. */
inline socket connect(const stack &from, const address &to, std::chrono::milliseconds timeout = forever) {
  socket made(from, to.family());
  made.timeouts(timeout, timeout);
  if (!made.try_connect(to)) throw std::system_error(ETIMEDOUT, std::generic_category(), to.text());
  return made;
}

/** Connects to "example.com:443", "192.0.2.1:80" or "[2001:db8::1]:80": usertcp_connect_to(). */
inline socket connect_to(const stack &from, const std::string &target, std::chrono::milliseconds timeout = forever,
                         int flags = 0) {
  usertcp_socket_t made = 0;
  check(usertcp_connect_to(from.get(), target.c_str(), flags, to_ms(timeout), &made));
  return socket(made);
}

/** The addresses of a host, the best first, at most 64 of them: usertcp_resolve(). `service` may be empty: port 0. */
inline std::vector<address> resolve(const stack &by, const std::string &name, const std::string &service = std::string(),
                                    int family = AF_UNSPEC, std::chrono::milliseconds timeout = forever) {
  std::vector<sockaddr_storage> room(64);
  const char *port = service.empty() ? nullptr : service.c_str();
  int count = check(usertcp_resolve(by.get(), name.c_str(), port, family, to_ms(timeout), room.data(), room.size()));
  std::vector<address> found;
  for (int at = 0; at < count; at++) {
    const sockaddr_storage &each = room[static_cast<std::size_t>(at)];
    socklen_t length = each.ss_family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
    found.emplace_back(reinterpret_cast<const sockaddr *>(&each), length);
  }
  return found;
}

/** A socket that listens. */
class listener : public endpoint {
 public:
  /** None. */
  listener() = default;
  /** Takes what a call of usertcp.h gave. */
  explicit listener(raw handle) noexcept : endpoint(handle) {}

  /** Listens at an address; a negative `backlog` stands for as many as the stack allows. */
  listener(const stack &of, const address &at, int backlog = -1, int flags = 0)
      : endpoint(of, at.family(), SOCK_STREAM, flags) {
    bind(at);
    check(usertcp_listen(get(), backlog));
  }

  /** The oldest connection that waits. */
  socket accept(int flags = 0) {
    raw made = 0;
    check(usertcp_accept(get(), &made, nullptr, nullptr, flags));
    return socket(made);
  }

  /** The oldest connection that waits; nothing where accept() would fail with EAGAIN. */
  std::optional<socket> try_accept(int flags = 0) {
    raw made = 0;
    int result = usertcp_accept(get(), &made, nullptr, nullptr, flags);
    if (result == -EAGAIN) return std::nullopt;
    check(result);
    return socket(made);
  }
};

/** A connection request that waits for a decision, from any thread. The destructor drops it. */
class syn : public owner<handle_traits<usertcp_syn_drop>> {
 public:
  /** None. */
  syn() = default;
  /** Takes what a call of usertcp.h gave. */
  syn(raw handle, const syn_info_t &info) noexcept : owner(handle), info_(info) {}

  /** The address and port that the peer wants. */
  address local() const { return address(reinterpret_cast<const sockaddr *>(&info_.local), info_.local_length); }
  /** The peer's. */
  address peer() const { return address(reinterpret_cast<const sockaddr *>(&info_.peer), info_.peer_length); }
  /** What else is known of it. */
  const syn_info_t &info() const noexcept { return info_; }

  /** Accepts it, and waits until the peer has acknowledged that: usertcp_syn_accept(). */
  socket accept(std::chrono::milliseconds timeout = forever, int flags = 0) {
    raw made = 0;
    check(usertcp_syn_accept(get(), flags, to_ms(timeout), &made));
    release();
    return socket(made);
  }

  /** Refuses it: the peer gets RST. */
  void refuse() { check(usertcp_syn_refuse(release())); }

  /** Drops it: the peer is told nothing. */
  void drop() { check(usertcp_syn_drop(release())); }

 private:
  syn_info_t info_ = USERTCP_SYN_INFO_INIT;
};

/** Takes connection requests for every address of a prefix and leaves the decisions to the program. */
class interceptor : public endpoint {
 public:
  /** None. */
  interceptor() = default;
  /** Takes what a call of usertcp.h gave. */
  explicit interceptor(raw handle) noexcept : endpoint(handle) {}

  /** Makes one: usertcp_intercept_open(). */
  interceptor(const stack &of, const intercept_config_t &config, int flags = 0) {
    raw made = 0;
    check(usertcp_intercept_open(of.get(), &config, flags, &made));
    reset(made);
  }

  /** The oldest request; nothing when none has come in time. */
  std::optional<syn> next(std::chrono::milliseconds timeout = forever) {
    usertcp_syn_t made = 0;
    syn_info_t info = USERTCP_SYN_INFO_INIT;
    int result = usertcp_intercept_next(get(), to_ms(timeout), &made, &info);
    if (result == -EAGAIN) return std::nullopt;
    check(result);
    return syn(made, info);
  }
};

/** Own address and the peer's of what an exported descriptor stands for; the peer of a listener is of AF_UNSPEC. */
inline std::pair<address, address> fd_addresses(int fd) {
  address own = address::filled([&](sockaddr *to, socklen_t *length) {
                  return check(usertcp_fd_addresses(fd, to, length, nullptr, nullptr));
                }).first;
  auto [peer, result] = address::filled([&](sockaddr *to, socklen_t *length) {
    return usertcp_fd_addresses(fd, nullptr, nullptr, to, length);
  });
  if (result == -ENOTCONN) return {own, address()};
  check(result);
  return {own, peer};
}

/** A socket of UDP. */
class datagram : public endpoint {
 public:
  /** None. */
  datagram() = default;
  /** Takes what a call of usertcp.h gave. */
  explicit datagram(raw handle) noexcept : endpoint(handle) {}

  /** One for a family, not bound. */
  datagram(const stack &of, int domain, int flags = 0) : endpoint(of, domain, SOCK_DGRAM, flags) {}

  /** Sets the peer; one of AF_UNSPEC takes it away. */
  void connect(const address &to) {
    sockaddr none{};
    check(to.size() == 0 ? usertcp_connect(get(), &none, sizeof none) : usertcp_connect(get(), to.data(), to.size()));
  }

  /** Sends a datagram to an address, or to the peer. */
  void send_to(const void *data, std::size_t size, const address &to, int flags = 0) {
    check(usertcp_sendto(get(), data, size, flags, to.data(), to.size()));
  }
  void send(const void *data, std::size_t size, int flags = 0) {
    check(usertcp_sendto(get(), data, size, flags, nullptr, 0));
  }

  /** Receives a datagram: its length, and whom it came from. */
  std::pair<std::size_t, address> recv_from(void *data, std::size_t size, int flags = 0) {
    auto [from, result] = address::filled([&](sockaddr *to, socklen_t *length) {
      return usertcp_recvfrom(get(), data, size, flags, to, length);
    });
    return {static_cast<std::size_t>(check(result)), from};
  }

  /** Receives a datagram if there is one. */
  std::optional<std::pair<std::size_t, address>> try_recv_from(void *data, std::size_t size, int flags = 0) {
    auto [from, result] = address::filled([&](sockaddr *to, socklen_t *length) {
      return usertcp_recvfrom(get(), data, size, flags | MSG_DONTWAIT, to, length);
    });
    if (result == -EAGAIN) return std::nullopt;
    return std::pair(static_cast<std::size_t>(check(result)), from);
  }
};

/** Waits until a socket is ready; returns how many are, 0 when the time is over. */
inline std::size_t poll(pollfd_t *entries, std::size_t count, std::chrono::milliseconds timeout) {
  return static_cast<std::size_t>(check(usertcp_poll(entries, count, to_ms(timeout))));
}
inline std::size_t poll(std::vector<pollfd_t> &entries, std::chrono::milliseconds timeout) {
  return poll(entries.data(), entries.size(), timeout);
}

/** epoll(7) for sockets: waiting costs what is ready, not what is there. A socket that is closed is in no set any more. */
class pollset : public owner<handle_traits<usertcp_pollset_close>> {
 public:
  /** Makes an empty one. */
  pollset() {
    raw made = 0;
    check(usertcp_pollset_open(0, &made));
    reset(made);
  }

  /** Puts a socket in; `data` comes back with its events. */
  void add(const endpoint &socket, std::uint32_t events, std::uint64_t data) {
    check(usertcp_pollset_add(get(), socket.get(), events, data));
  }
  /** Changes what it is asked for. */
  void modify(const endpoint &socket, std::uint32_t events, std::uint64_t data) {
    check(usertcp_pollset_modify(get(), socket.get(), events, data));
  }
  /** Takes it out. */
  void remove(const endpoint &socket) { check(usertcp_pollset_remove(get(), socket.get())); }

  /** Waits; returns how many events it has stored, 0 when the time is over or somebody called wake(). */
  std::size_t wait(event_t *events, std::size_t count, std::chrono::milliseconds timeout) {
    return static_cast<std::size_t>(check(usertcp_pollset_wait(get(), events, count, to_ms(timeout))));
  }
  /** The same; the first elements of `events` are what is ready, as many as is returned. The others, and its size, stay. */
  std::size_t wait(std::vector<event_t> &events, std::chrono::milliseconds timeout) {
    return wait(events.data(), events.size(), timeout);
  }

  /** Ends one wait() before its time. */
  void wake() { check(usertcp_pollset_wake(get())); }
  /** A descriptor that shows POLLIN while wait() may find something; it stays the set's. */
  int fd() const { return check(usertcp_pollset_fd(get())); }
};

/* ---- sandboxes ---- */

/** A program that was started in a sandbox. The destructor kills it if it still runs. */
class child : public owner<handle_traits<usertcp_child_close>> {
 public:
  using owner::owner;

  /** Its process id. */
  int pid() const { return check(usertcp_child_pid(get())); }
  /** Sends it a signal. */
  void kill(int signal) { check(usertcp_child_kill(get(), signal)); }

  /** Waits for its end; returns its exit status, 128 + N if signal N ended it. */
  int wait() {
    int status = 0;
    check(usertcp_child_wait(get(), 0, &status));
    return status;
  }

  /** The same without waiting; nothing while it runs. */
  std::optional<int> try_wait() {
    int status = 0;
    if (!check_again(usertcp_child_wait(get(), USERTCP_NONBLOCK, &status))) return std::nullopt;
    return status;
  }
};

/** A network namespace with a TUN device in it. */
class sandbox : public owner<handle_traits<usertcp_sandbox_close>> {
 public:
  /** None. */
  sandbox() = default;

  /** Makes one: usertcp_sandbox_open(). */
  explicit sandbox(const sandbox_config_t &config) {
    raw made = 0;
    check(usertcp_sandbox_open(&config, &made));
    reset(made);
  }

  /** A descriptor of its TUN, for config_t::fd. */
  descriptor tun() const { return descriptor(check(usertcp_sandbox_tun(get()))); }

  /** Descriptors of all queues of its TUN, for config_t::queues. */
  std::vector<descriptor> queues() const {
    int fds[64];
    int count = check(usertcp_sandbox_queues(get(), fds, 64));
    std::vector<descriptor> made;
    for (int n = 0; n < count; n++) made.emplace_back(fds[n]);
    return made;
  }

  /** A socket of the kernel in it, as socket(2) makes them. */
  descriptor socket(int domain, int type, int protocol = 0) const {
    return descriptor(check(usertcp_sandbox_socket(get(), domain, type, protocol)));
  }

  /** Starts a program in it, with this process's environment and, unless `fds` has three others, standard streams. */
  child spawn(const std::vector<std::string> &argv, const int *fds = nullptr) const {
    std::vector<const char *> pointers;
    for (const std::string &argument : argv) pointers.push_back(argument.c_str());
    pointers.push_back(nullptr);
    usertcp_child_t made = 0;
    check(usertcp_sandbox_spawn(get(), pointers.data(), nullptr, fds, &made));
    return child(made);
  }
};

}  // namespace usertcp

#endif /* USERTCP_HPP */
