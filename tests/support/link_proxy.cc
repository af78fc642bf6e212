#include "tests/support/link_proxy.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <deque>
#include <list>
#include <vector>

#include "common/check.h"

namespace mortar {
namespace {

using Clock = std::chrono::steady_clock;

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
    std::vector<char> bytes;
  };
  std::deque<Piece> pieces;
  Clock::time_point free{};  // when the link has sent what it was given
  bool closed = false;

  void Take(const LinkSpeed& speed) {
    std::array<char, 16384> buffer;
    const ssize_t n = recv(from, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (n < 0) return;
    const Clock::time_point now = Clock::now();
    free = std::max(free, now);
    if (speed.bytes_per_second > 0) {
      const std::chrono::duration<double> sending(static_cast<double>(n) / speed.bytes_per_second);
      free += std::chrono::duration_cast<Clock::duration>(sending);
    }
    // An empty piece is the end of the stream.
    pieces.push_back({free + speed.delay, {buffer.data(), buffer.data() + n}});
  }

  void Give() {
    while (!pieces.empty() && pieces.front().due <= Clock::now()) {
      std::vector<char>& bytes = pieces.front().bytes;
      if (bytes.empty()) {
        shutdown(to, SHUT_WR);
        closed = true;
      } else {
        const ssize_t n = send(to, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0) return;  // full, or gone: the other direction will say so
        bytes.erase(bytes.begin(), bytes.begin() + n);
        if (!bytes.empty()) return;
      }
      pieces.pop_front();
    }
  }
};

struct Connection {
  Direction up;
  Direction down;
  ~Connection() {
    close(up.from);
    close(down.from);
  }
};

void SetNoDelay(int fd) {
  const int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

}  // namespace

LinkProxy::LinkProxy(const std::string& target, LinkSpeed speed) : speed_(speed) {
  target_port_ = std::stoi(target.substr(target.rfind(':') + 1));
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
  thread_.join();
  close(listener_);
}

void LinkProxy::Run() {
  std::list<Connection> connections;
  while (!stopping_) {
    std::vector<pollfd> ends = {{listener_, POLLIN, 0}};
    for (Connection& c : connections) {
      ends.push_back({c.up.from, POLLIN, 0});
      ends.push_back({c.down.from, POLLIN, 0});
    }
    const bool busy = std::ranges::any_of(connections, [](const Connection& c) {
      return !c.up.pieces.empty() || !c.down.pieces.empty();
    });
    poll(ends.data(), ends.size(), busy ? 0 : 10);
    if (busy) std::this_thread::sleep_for(std::chrono::microseconds(50));
    size_t i = 1;
    for (Connection& c : connections) {
      if (ends[i++].revents != 0 && !c.up.closed) c.up.Take(speed_);
      if (ends[i++].revents != 0 && !c.down.closed) c.down.Take(speed_);
      c.up.Give();
      c.down.Give();
    }
    connections.remove_if([](const Connection& c) { return c.up.closed || c.down.closed; });
    if (ends[0].revents == 0) continue;
    const int client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    const int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = Loopback(target_port_);
    if (connect(server, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
      close(client);
      close(server);
      continue;
    }
    SetNoDelay(client);
    SetNoDelay(server);
    connections.emplace_back();
    connections.back().up.from = connections.back().down.to = client;
    connections.back().up.to = connections.back().down.from = server;
  }
}

}  // namespace mortar
