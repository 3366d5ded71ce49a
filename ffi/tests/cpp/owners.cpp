/* Everything of usertcp.hpp: owners, errors, durations, over two stacks on a socket pair and in a sandbox. */
#include <usertcp.hpp>

#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <set>
#include <thread>
#include <type_traits>

#define CHECK(condition) \
  do { \
    if (!(condition)) { \
      fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition); \
      exit(1); \
    } \
  } while (0)
#define EQUAL(call, expected) \
  do { \
    long long got_ = static_cast<long long>(call), want_ = static_cast<long long>(expected); \
    if (got_ != want_) { \
      fprintf(stderr, "%s:%d: %s is %lld, not %lld\n", __FILE__, __LINE__, #call, got_, want_); \
      exit(1); \
    } \
  } while (0)

using namespace std::chrono_literals;
using usertcp::address;

static_assert(!std::is_copy_constructible_v<usertcp::stack> && std::is_nothrow_move_constructible_v<usertcp::stack>);
static_assert(!std::is_copy_assignable_v<usertcp::socket> && std::is_nothrow_move_assignable_v<usertcp::socket>);
static_assert(sizeof(usertcp::socket) == sizeof(usertcp_socket_t) && sizeof(usertcp::descriptor) == sizeof(int));
static_assert(!std::is_convertible_v<std::chrono::microseconds, std::chrono::milliseconds>);

/* The call throws this. */
template <class Call>
static std::string throws(Call call, std::errc expected) {
  try {
    call();
  } catch (const std::system_error &e) {
    CHECK(e.code() == expected);
    CHECK(e.code().category() == std::generic_category());
    return e.what();
  }
  CHECK(!"an exception");
  return "";
}

struct hosts {
  usertcp::stack left, right;
};

static usertcp::stack open_stack(int fd, const char *addresses) {
  usertcp::config_t config = usertcp::config();
  config.fd = fd;
  config.addresses = addresses;
  return usertcp::stack(config);
}

static hosts open_hosts() {
  int ends[2];
  CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
  usertcp::descriptor left(ends[0]), right(ends[1]);
  return {open_stack(left.get(), "192.0.2.1/24,2001:db8::1/64"), open_stack(right.get(), "192.0.2.2/24,2001:db8::2/64")};
}

static void errors_are_exceptions(hosts &two) {
  usertcp::config_t config = usertcp::config();
  config.addresses = "nonsense";
  CHECK(throws([&] { usertcp::stack none(config); }, std::errc::invalid_argument).find("nonsense") != std::string::npos);
  throws([&] { address none("example.org:80"); }, std::errc::invalid_argument);
  throws([&] { address none(nullptr, 1000); }, std::errc::invalid_argument);
  throws([&] { usertcp::connect(two.right, address("192.0.2.1:9")); }, std::errc::connection_refused);
  throws([&] { usertcp::connect(two.right, address("192.0.2.77:9"), 20ms); }, std::errc::timed_out);
  throws([&] { usertcp::socket none; none.connect(address("192.0.2.1:9")); }, std::errc::bad_file_descriptor);
  throws([&] { two.left.counter("nonesuch"); }, std::errc::no_such_file_or_directory);
  usertcp::socket closed(two.left, AF_INET);
  usertcp_close(closed.get());
  throws([&] { closed.close(); }, std::errc::bad_file_descriptor);
}

static void owners_move(hosts &two) {
  usertcp::socket a(two.left, AF_INET), b(two.left, AF_INET6);
  usertcp_socket_t first = a.get(), second = b.get();
  CHECK(a && b && first != second);
  b = std::move(a);
  CHECK(!a && b.get() == first);
  int value = 0;
  socklen_t length = sizeof value;
  EQUAL(usertcp_getsockopt(second, SOL_SOCKET, SO_TYPE, &value, &length), -EBADF);
  {
    usertcp::socket c(std::move(b));
    CHECK(c.get() == first && !b);
    usertcp::socket &same = c;
    c = std::move(same);
    CHECK(c.get() == first);
  }
  EQUAL(usertcp_getsockopt(first, SOL_SOCKET, SO_TYPE, &value, &length), -EBADF);
  usertcp::socket d(two.left, AF_INET);
  usertcp_socket_t raw = d.release();
  CHECK(!d);
  EQUAL(usertcp_close(raw), 0);
  std::vector<usertcp::socket> many;
  for (int n = 0; n < 20; n++) many.emplace_back(two.left, AF_INET);
  std::set<usertcp_socket_t> handles;
  for (const usertcp::socket &one : many) handles.insert(one.get());
  EQUAL(handles.size(), 20);
}

static void a_stream(hosts &two, const char *text) {
  usertcp::listener listener(two.left, address(text), 16);
  CHECK(listener.local().text() == text);
  listener.nonblocking(true);
  CHECK(!listener.try_accept());
  listener.nonblocking(false);
  usertcp::socket client = usertcp::connect(two.right, address(text), 10s);
  usertcp::socket server = listener.accept();
  CHECK(server.peer().text() == client.local().text() && client.peer().text() == text);
  CHECK(server.peer().family() == address(text).family());

  char buffer[64];
  CHECK(!server.try_recv(buffer, sizeof buffer));
  EQUAL(client.send("hello", 5), 5);
  std::vector<usertcp::pollfd_t> entries = {{server.get(), USERTCP_POLLIN, 0}};
  EQUAL(usertcp::poll(entries, 10s), 1);
  EQUAL(entries[0].revents, USERTCP_POLLIN);
  EQUAL(server.ioctl(SIOCINQ), 5);
  EQUAL(server.recv(buffer, sizeof buffer, MSG_PEEK), 5);
  EQUAL(*server.try_recv(buffer, sizeof buffer), 5);
  EQUAL(usertcp::poll(entries, 0ms), 0);
  server.timeouts(20ms, usertcp::forever);
  throws([&] { server.recv(buffer, sizeof buffer); }, std::errc::resource_unavailable_try_again);
  server.timeouts(usertcp::forever, usertcp::forever);

  /* More than the buffers hold: without waiting it is cut short, waiting it is sent whole. */
  std::vector<char> block(1 << 20, 'x');
  std::size_t queued = 0;
  while (std::optional<std::size_t> n = client.try_send(block.data(), block.size())) queued += *n;
  CHECK(queued > 0);
  std::thread reader([&] {
    std::size_t got = 0, n;
    std::vector<char> room(100000);
    while ((n = server.recv(room.data(), room.size())) > 0) got += n;
    EQUAL(got, queued + block.size());
    CHECK(!server.end_reason());
    CHECK(server.end_text().empty());
    server.send_all("bye", 3);
  });
  client.send_all(block.data(), block.size());
  client.shutdown(SHUT_WR);
  EQUAL(client.recv(buffer, 3, MSG_WAITALL), 3);
  reader.join();
  EQUAL(client.info().tcpi_bytes_received, 3);
  EQUAL(client.info().size, sizeof(usertcp::tcp_info_t));
  server.abort();
  CHECK(!server);
  throws([&] { client.recv(buffer, 1); }, std::errc::connection_reset);
  EQUAL(client.end_reason()->kind, USERTCP_END_RESET);
  CHECK(client.end_text().find("reset") != std::string::npos);
  client.close();
}

static void options_and_descriptors(hosts &two) {
  usertcp::listener listener(two.left, address("192.0.2.1:2000"));
  usertcp::socket client(two.right, AF_INET, USERTCP_NONBLOCK);
  client.set_option(IPPROTO_TCP, TCP_NODELAY, 1);
  EQUAL(client.option<int>(IPPROTO_TCP, TCP_NODELAY), 1);
  client.set_option(IPPROTO_TCP, TCP_CONGESTION, std::string("reno"));
  CHECK(std::string(client.option<std::array<char, 16>>(IPPROTO_TCP, TCP_CONGESTION).data()) == "reno");
  throws([&] { client.set_option(SOL_SOCKET, SO_PRIORITY, 1); }, std::errc::no_protocol_option);
  if (!client.try_connect(address("192.0.2.1:2000"))) {
    usertcp::pollfd_t entry = {client.get(), USERTCP_POLLOUT, 0};
    EQUAL(usertcp::poll(&entry, 1, usertcp::forever), 1);
  }
  CHECK(!client.pending_error());
  CHECK(client.fd() >= 0);
  usertcp::socket server = *listener.try_accept(USERTCP_NONBLOCK);
  client.nonblocking(false);
  usertcp::descriptor stream = client.export_fd();
  CHECK(stream && !client);
  EQUAL(write(stream.get(), "abc", 3), 3);
  server.nonblocking(false);
  char buffer[8];
  EQUAL(server.recv(buffer, 3, MSG_WAITALL), 3);
  int ends[2];
  CHECK(pipe(ends) == 0);
  usertcp::descriptor from(ends[0]), to(ends[1]);
  server.trace(to.get());
  two.left.trace(to.get());
  two.left.trace(-1);
  server.trace(-1);
}

static void datagrams(hosts &two) {
  usertcp::datagram left(two.left, AF_INET), right(two.right, AF_INET);
  left.bind(address("192.0.2.1:3000"));
  right.bind(address("192.0.2.2:3001"));
  char buffer[16];
  CHECK(!left.try_recv_from(buffer, sizeof buffer));
  right.send_to("ping", 4, address("192.0.2.1:3000"));
  auto [size, from] = left.recv_from(buffer, sizeof buffer);
  EQUAL(size, 4);
  CHECK(from.text() == "192.0.2.2:3001");
  left.connect(from);
  left.send("pong", 4);
  EQUAL(right.recv_from(buffer, sizeof buffer).first, 4);
  left.send("!", 1);
  usertcp::pollfd_t entry = {right.get(), USERTCP_POLLIN, 0};
  EQUAL(usertcp::poll(&entry, 1, 10s), 1);
  EQUAL(right.try_recv_from(buffer, sizeof buffer)->first, 1);
  left.connect(address());
  throws([&] { left.send("?", 1); }, std::errc::destination_address_required);
}

static void poll_sets_pieces_and_snapshots(hosts &two) {
  usertcp::listener listener(two.left, address("192.0.2.1:5000"));
  usertcp::socket client = usertcp::connect(two.right, address("192.0.2.1:5000"), 10s), server = listener.accept();
  usertcp::pollset set;
  set.add(server, USERTCP_POLLIN, 7);
  throws([&] { set.add(server, USERTCP_POLLIN, 7); }, std::errc::file_exists);
  std::vector<usertcp::event_t> events(4);
  EQUAL(set.wait(events, 0ms), 0);
  CHECK(set.fd() >= 0);
  char left[] = "ab", right[] = "cde", room[8] = "";
  iovec pieces[2] = {{left, 2}, {right, 3}};
  EQUAL(client.sendv(pieces, 2), 5);
  EQUAL(set.wait(events, 10s), 1);
  EQUAL(set.wait(events, 10s), 1);
  EQUAL(events.size(), 4);
  CHECK(events[0].data == 7 && events[0].events == USERTCP_POLLIN);
  iovec whole = {room, sizeof room};
  EQUAL(server.recvv(&whole, 1), 5);
  CHECK(std::string(room) == "abcde");
  set.modify(server, USERTCP_POLLIN | USERTCP_POLLOUT, 8);
  usertcp::event_t event;
  EQUAL(set.wait(&event, 1, 10s), 1);
  CHECK(event.data == 8 && event.events == USERTCP_POLLOUT);
  set.remove(server);
  set.wake();
  EQUAL(set.wait(&event, 1, usertcp::forever), 0);

  bool done = false;
  std::thread blocked([&] {
    throws([&] { server.recv(room, sizeof room); }, std::errc::operation_canceled);
    __atomic_store_n(&done, true, __ATOMIC_SEQ_CST);
  });
  /* Who is not asleep yet is not called off. */
  while (!__atomic_load_n(&done, __ATOMIC_SEQ_CST)) server.cancel();
  blocked.join();

  std::size_t held = 0;
  for (const usertcp::socket_info_t &info : two.left.sockets()) held += info.held;
  CHECK(held >= 2);
  CHECK(two.left.sockets_text().find("192.0.2.1:5000") != std::string::npos);
  throws([&] { two.left.dump_capture(); }, std::errc::invalid_argument);
}

static void names(hosts &two) {
  std::vector<address> found = usertcp::resolve(two.right, "own.localhost", "80");
  CHECK(found.size() == 2 && found[0].text() == "[::1]:80" && found[1].text() == "127.0.0.1:80");
  CHECK(usertcp::resolve(two.right, "192.0.2.1", "", AF_INET, 0ms)[0].text() == "192.0.2.1:0");
  throws([&] { usertcp::resolve(two.right, "name.invalid"); }, std::errc::no_such_file_or_directory);
  usertcp::listener listener(two.left, address("192.0.2.1:6000"));
  usertcp::socket client = usertcp::connect_to(two.right, "192.0.2.1:6000", 10s);
  CHECK(client.peer().text() == "192.0.2.1:6000");
  throws([&] { usertcp::connect_to(two.right, "192.0.2.1:9", 10s); }, std::errc::connection_refused);
  throws([&] { usertcp::connect_to(two.right, "192.0.2.1"); }, std::errc::invalid_argument);
}

static void requests_for_any_address(hosts &two) {
  usertcp::intercept_config_t config = usertcp::intercept_config();
  config.prefix = "203.0.113.0/24";
  usertcp::interceptor gate(two.left, config);
  throws([&] { usertcp::interceptor(two.left, config); }, std::errc::address_in_use);
  CHECK(!gate.next(0ms));
  usertcp::socket client(two.right, AF_INET, USERTCP_NONBLOCK);
  CHECK(!client.try_connect(address("203.0.113.7:443")));
  std::optional<usertcp::syn> request = gate.next(10s);
  CHECK(request && request->local().text() == "203.0.113.7:443" && request->info().mss == 1460);
  usertcp::socket accepted = request->accept(10s);
  CHECK(!*request && accepted.local().text() == "203.0.113.7:443" && accepted.peer().text() == client.local().text());
  char text[] = "hello", room[8] = "";
  iovec piece = {text, 5}, place = {room, sizeof room};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  EQUAL(accepted.sendmsg(message), 5);
  usertcp::pollfd_t entry = {client.get(), USERTCP_POLLIN, 0};
  EQUAL(usertcp::poll(&entry, 1, 10s), 1);
  message.msg_iov = &place;
  EQUAL(client.recvmsg(message), 5);
  CHECK(std::string(room) == "hello");
  usertcp::descriptor fd = accepted.export_fd();
  auto [own, peer] = usertcp::fd_addresses(fd.get());
  CHECK(own.text() == "203.0.113.7:443" && peer.text() == client.local().text());

  usertcp::socket refused(two.right, AF_INET, USERTCP_NONBLOCK);
  CHECK(!refused.try_connect(address("203.0.113.8:1")));
  request = gate.next(10s);
  request->refuse();
  throws([&] { request->refuse(); }, std::errc::bad_file_descriptor);
  entry = {refused.get(), USERTCP_POLLOUT, 0};
  EQUAL(usertcp::poll(&entry, 1, 10s), 1);
  EQUAL(refused.option<int>(SOL_SOCKET, SO_ERROR), ECONNREFUSED);

  usertcp::socket dropped(two.right, AF_INET, USERTCP_NONBLOCK);
  CHECK(!dropped.try_connect(address("203.0.113.9:1")));
  request = gate.next(10s);
  CHECK(request && request->peer().text() == dropped.local().text());
  request->drop();
  CHECK(!*request);
  throws([&] { request->drop(); }, std::errc::bad_file_descriptor);
  throws([&] { usertcp::syn(1, usertcp::syn_info_t()).drop(); }, std::errc::bad_file_descriptor);
}

/* An owner takes a handle that a call of usertcp.h gave, and closes it. */
template <class Owner>
static void owns(usertcp_socket_t handle) {
  int value = 0;
  socklen_t length = sizeof value;
  {
    Owner owner(handle);
    CHECK(owner && owner.get() == handle);
    EQUAL(usertcp_getsockopt(handle, SOL_SOCKET, SO_TYPE, &value, &length), 0);
  }
  EQUAL(usertcp_getsockopt(handle, SOL_SOCKET, SO_TYPE, &value, &length), -EBADF);
}

static void handles_of_the_c_interface(hosts &two) {
  usertcp_socket_t made = 0;
  EQUAL(usertcp_socket(two.left.get(), AF_INET, SOCK_STREAM, 0, &made), 0);
  owns<usertcp::socket>(made);
  EQUAL(usertcp_socket(two.left.get(), AF_INET, SOCK_STREAM, 0, &made), 0);
  EQUAL(usertcp_listen(made, 1), 0);
  owns<usertcp::listener>(made);
  EQUAL(usertcp_socket(two.left.get(), AF_INET, SOCK_DGRAM, 0, &made), 0);
  owns<usertcp::datagram>(made);
  usertcp::intercept_config_t config = usertcp::intercept_config();
  config.prefix = "198.51.100.0/24";
  EQUAL(usertcp_intercept_open(two.left.get(), &config, 0, &made), 0);
  owns<usertcp::interceptor>(made);
}

static void the_last_packets() {
  char path[] = "/tmp/usertcp-owners-XXXXXX";
  usertcp::descriptor file(mkstemp(path));
  CHECK(file);
  int ends[2];
  CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
  usertcp::descriptor link(ends[0]), other(ends[1]);
  usertcp::config_t config = usertcp::config();
  config.fd = link.get();
  config.addresses = "192.0.2.1/24";
  config.pcap = path;
  config.pcap_ring = 1 << 17;
  usertcp::stack left(config);
  usertcp::stack right = open_stack(other.get(), "192.0.2.2/24");
  off_t empty = lseek(file.get(), 0, SEEK_END);
  usertcp::listener listener(left, address("192.0.2.1:80"));
  usertcp::socket client = usertcp::connect(right, address("192.0.2.1:80"), 10s);
  EQUAL(lseek(file.get(), 0, SEEK_END), empty);
  left.dump_capture();
  CHECK(lseek(file.get(), 0, SEEK_END) > empty + 3 * 40);
  EQUAL(unlink(path), 0);
}

static void durations() {
  EQUAL(usertcp::to_ms(usertcp::forever), -1);
  EQUAL(usertcp::to_ms(-5s), -1);
  EQUAL(usertcp::to_ms(0ms), 0);
  EQUAL(usertcp::to_ms(2min), 120000);
  EQUAL(usertcp::to_ms(24h * 365), INT_MAX);
}

static void stacks(hosts &two) {
  CHECK(two.left.device().empty() && !two.left.offloaded());
  CHECK(two.right.counter("tcp_active_opens") > 0);
  std::size_t seen = 0;
  two.right.counters([&](const char *name, std::uint64_t, const char *meaning) { seen += name[0] != '\0' && meaning[0] != '\0'; });
  CHECK(seen > 20);
  /* Somebody who is blocked is woken, and the object closes nothing twice. */
  usertcp::listener listener(two.left, address("192.0.2.1:4000"));
  std::thread blocked([&] {
    try {
      listener.accept();
      CHECK(!"an exception");
    } catch (const std::system_error &e) {
      /* Whichever thread is first. */
      CHECK(e.code() == std::errc::operation_canceled || e.code() == std::errc::bad_file_descriptor);
    }
  });
  EQUAL(usertcp_close(listener.get()), 0);
  blocked.join();
}

/* Returns whether there is one. */
static bool sandboxes() {
  usertcp::sandbox_config_t settings = usertcp::sandbox_config();
  settings.host_addresses = "192.0.2.1/24";
  settings.queues = 2;
  usertcp::sandbox sandbox;
  try {
    sandbox = usertcp::sandbox(settings);
  } catch (const std::system_error &e) {
    printf("skipped: no sandbox is granted here: %s\n", e.what());
    return false;
  }
  EQUAL(sandbox.queues().size(), 2);
  CHECK(sandbox.tun() && sandbox.socket(AF_INET, SOCK_STREAM));
  usertcp::child quick = sandbox.spawn({"sh", "-c", "exit 7"});
  CHECK(quick.pid() > 0);
  EQUAL(quick.wait(), 7);
  throws([&] { quick.kill(9); }, std::errc::no_such_process);
  usertcp::child slow = sandbox.spawn({"sleep", "600"});
  CHECK(!slow.try_wait());
  slow.kill(15);
  EQUAL(slow.wait(), 128 + 15);
  throws([&] { sandbox.spawn({"/nonexistent"}); }, std::errc::no_such_file_or_directory);
  return true;
}

int main() {
  hosts two = open_hosts();
  errors_are_exceptions(two);
  owners_move(two);
  a_stream(two, "192.0.2.1:1000");
  a_stream(two, "[2001:db8::1]:1001");
  options_and_descriptors(two);
  datagrams(two);
  poll_sets_pieces_and_snapshots(two);
  names(two);
  requests_for_any_address(two);
  handles_of_the_c_interface(two);
  the_last_packets();
  durations();
  stacks(two);
  two.left.close(0ms);
  CHECK(!two.left);
  throws([&] { two.left.close(1s); }, std::errc::bad_file_descriptor);
  usertcp::impairment_t faults = usertcp::impairment();
  EQUAL(faults.size, sizeof faults);
  return sandboxes() ? 0 : 77;
}
