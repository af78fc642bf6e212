#include "tests/support/link_proxy.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <deque>
#include <list>
#include <optional>
#include <random>
#include <vector>

#include "common/check.h"

namespace mortar {
namespace {

using Clock = std::chrono::steady_clock;

// What a direction holds before it reads no more: six times what is on its way at 50 Mbit/s and
// 100 ms there and back. TCP then holds the sender back, as it does before a slow link.
constexpr size_t kHeldMax = size_t{4} << 20;

sockaddr_in Loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  return address;
}

// Bytes on their way in one direction, each piece with the moment at which it arrives.
struct Direction {
  int from = -1;
  int to = -1;
  struct Piece {
    Clock::time_point due;
    std::vector<char> bytes;  // none: the end of the stream
  };
  std::deque<Piece> pieces;
  size_t held = 0;
  Clock::time_point free{};  // when the link has sent what it was given
  bool ended = false;        // `from` sends no more
  bool full = false;         // `to` takes no more until poll says so
  bool closed = false;       // `to` was told of the end

  bool Reads() const { return !ended && held < kHeldMax; }

  // When there is something to do without being asked.
  std::optional<Clock::time_point> Due() const {
    if (pieces.empty() || full) return std::nullopt;
    return pieces.front().due;
  }

  void Take(const LinkSpeed& speed, std::minstd_rand& random) {
    std::array<char, 16384> buffer;
    ssize_t n = recv(from, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    n = std::max<ssize_t>(n, 0);  // a reset is an end too
    ended = n == 0;
    free = std::max(free, Clock::now());
    if (speed.bytes_per_second > 0) {
      const std::chrono::duration<double> sending(static_cast<double>(n) / speed.bytes_per_second);
      free += std::chrono::duration_cast<Clock::duration>(sending);
    }
    Clock::time_point due = free + speed.delay;
    if (speed.jitter.count() > 0) {
      due += std::chrono::microseconds(
          std::uniform_int_distribution<int64_t>(0, speed.jitter.count())(random));
    }
    if (!pieces.empty()) due = std::max(due, pieces.back().due);
    pieces.push_back({due, {buffer.data(), buffer.data() + n}});
    held += static_cast<size_t>(n);
  }

  // False when the receiver is gone.
  bool Give(std::atomic<uint64_t>& given) {
    while (!full && !pieces.empty() && pieces.front().due <= Clock::now()) {
      std::vector<char>& bytes = pieces.front().bytes;
      if (bytes.empty()) {
        shutdown(to, SHUT_WR);
        closed = true;
      } else {
        // Counted before, so that whoever has read them finds them counted.
        given += bytes.size();
        const ssize_t n = send(to, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN && errno != EINTR) return false;
        const size_t sent = n < 0 ? 0 : static_cast<size_t>(n);
        given -= bytes.size() - sent;
        held -= sent;
        full = sent < bytes.size();
        if (full) {
          bytes.erase(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(sent));
          return true;
        }
      }
      pieces.pop_front();
    }
    return true;
  }
};

struct Connection {
  Direction up;
  Direction down;

  Connection(int client, int server) {
    up.from = down.to = client;
    up.to = down.from = server;
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() {
    close(up.from);
    close(down.from);
  }

  bool Done() const { return up.closed && down.closed; }
};

void SetNoDelay(int fd) {
  const int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

// So that close() resets the connection, as a peer finds it that was cut off.
void SetReset(int fd) {
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

// What `fd` is waited for: to read for `in`, to write for `out`. poll() skips negative ones.
pollfd Waiting(int fd, const Direction& in, const Direction& out) {
  const int events = (in.Reads() ? POLLIN : 0) | (out.full ? POLLOUT : 0);
  return {events == 0 ? -1 : fd, static_cast<int16_t>(events), 0};
}

// Waits for any of `ends`, at most until `due`.
void Wait(std::vector<pollfd>& ends, std::optional<Clock::time_point> due) {
  timespec timeout{};
  if (due.has_value()) {
    const auto left = std::max(*due - Clock::now(), Clock::duration(0));
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(left);
    timeout = {.tv_sec = seconds.count(), .tv_nsec = (left - seconds).count()};
  }
  ppoll(ends.data(), ends.size(), due.has_value() ? &timeout : nullptr, nullptr);
}

void AcceptOne(int listener, int target_port, LinkState state, std::list<Connection>& connections) {
  const int client = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
  if (client < 0) return;
  const int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = Loopback(target_port);
  if (state == LinkState::kDown ||
      connect(server, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    SetReset(client);
    close(client);
    close(server);
    return;
  }
  SetNoDelay(client);
  SetNoDelay(server);
  connections.emplace_back(client, server);
}

}  // namespace

LinkProxy::LinkProxy(const std::string& target, LinkSpeed speed) : speed_(speed) {
  target_port_ = std::stoi(target.substr(target.rfind(':') + 1));
  wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = Loopback(0);
  CHECK(bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  CHECK(listen(listener_, 16) == 0);
  socklen_t size = sizeof address;
  CHECK(getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  endpoint_ = "tcp://127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  thread_ = std::thread([this] { Run(); });
}

LinkProxy::~LinkProxy() {
  stopping_ = true;
  Wake();
  thread_.join();
  close(listener_);
  close(wake_);
}

void LinkProxy::Set(LinkState state) {
  state_ = state;
  Wake();
}

void LinkProxy::Wake() const {
  const uint64_t one = 1;
  CHECK(write(wake_, &one, sizeof one) == sizeof one);
}

void LinkProxy::Run() {
  // Linux adds 50 us to every wait otherwise.
  prctl(PR_SET_TIMERSLACK, 1UL);
  std::minstd_rand random(1);
  std::list<Connection> connections;
  while (!stopping_) {
    const LinkState state = state_;
    if (state == LinkState::kDown) {
      for (Connection& c : connections) {
        SetReset(c.up.from);
        SetReset(c.down.from);
      }
      connections.clear();
    }
    const bool silent = state == LinkState::kSilent;
    std::vector<pollfd> ends = {{wake_, POLLIN, 0}, {silent ? -1 : listener_, POLLIN, 0}};
    std::optional<Clock::time_point> due;
    for (const Connection& c : connections) {
      if (silent) break;
      ends.push_back(Waiting(c.up.from, c.up, c.down));
      ends.push_back(Waiting(c.down.from, c.down, c.up));
      for (const auto& one : {c.up.Due(), c.down.Due()}) {
        if (one.has_value()) due = due.has_value() ? std::min(*due, *one) : *one;
      }
    }
    Wait(ends, due);
    uint64_t times_woken = 0;
    if (read(wake_, &times_woken, sizeof times_woken) > 0 || silent) continue;
    size_t i = 2;
    for (auto c = connections.begin(); c != connections.end();) {
      const pollfd& client = ends[i++];
      const pollfd& server = ends[i++];
      if (client.revents != 0 && c->up.Reads()) c->up.Take(speed_, random);
      if (server.revents != 0 && c->down.Reads()) c->down.Take(speed_, random);
      if (client.revents != 0) c->down.full = false;
      if (server.revents != 0) c->up.full = false;
      const bool alive = c->up.Give(bytes_up_) && c->down.Give(bytes_down_);
      c = alive && !c->Done() ? std::next(c) : connections.erase(c);
    }
    if (ends[1].revents != 0) AcceptOne(listener_, target_port_, state, connections);
  }
}

}  // namespace mortar
