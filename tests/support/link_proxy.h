// A TCP proxy on loopback that makes a link slow, uneven or dead. Needs no privileges, unlike a
// network namespace. Each connection is a link of its own, and so is each of its directions. It
// loses no packet: to TCP's users a loss is a delay, which jitter stands for. Connections are
// opened at once, without a round trip.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <thread>

namespace mortar {

struct LinkSpeed {
  std::chrono::microseconds delay{0};   // one way
  std::chrono::microseconds jitter{0};  // up to so much more, each time anew; the order stays
  double bytes_per_second = 0;          // 0: as fast as it goes
};

enum class LinkState {
  kUp,
  kSilent,  // a pulled cable: nothing passes and nobody is told; what is held goes on later
  kDown,    // all connections are reset, and those who dial are reset at once
};

// Bytes that were passed on, of all connections.
struct LinkTraffic {
  uint64_t up = 0;  // from whoever dialled
  uint64_t down = 0;
};

class LinkProxy {
 public:
  // Listens on a port of its own and passes each connection on to `target`,
  // "tcp://127.0.0.1:PORT", which is dialled when somebody comes.
  LinkProxy(const std::string& target, LinkSpeed speed);
  ~LinkProxy();
  LinkProxy(const LinkProxy&) = delete;
  LinkProxy& operator=(const LinkProxy&) = delete;

  const std::string& endpoint() const { return endpoint_; }

  // From any thread.
  void Set(LinkState state);
  LinkTraffic traffic() const { return {bytes_up_, bytes_down_}; }

 private:
  void Run();
  void Wake() const;

  const LinkSpeed speed_;
  int target_port_ = 0;
  int listener_ = -1;
  int wake_ = -1;
  std::string endpoint_;
  std::atomic<LinkState> state_ = LinkState::kUp;
  std::atomic<bool> stopping_ = false;
  std::atomic<uint64_t> bytes_up_ = 0;
  std::atomic<uint64_t> bytes_down_ = 0;
  std::thread thread_;
};

}  // namespace mortar
