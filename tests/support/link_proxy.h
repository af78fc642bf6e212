// A TCP proxy on loopback that makes a link slow: each direction has a delay and a rate. Needs no
// privileges, unlike a network namespace.
#pragma once

#include <atomic>
#include <chrono>
#include <string>
#include <thread>

namespace mortar {

struct LinkSpeed {
  std::chrono::microseconds delay{0};  // one way
  double bytes_per_second = 0;         // 0: as fast as it goes
};

class LinkProxy {
 public:
  // Listens on a port of its own and passes each connection on to `target`, "tcp://127.0.0.1:PORT".
  LinkProxy(const std::string& target, LinkSpeed speed);
  ~LinkProxy();
  LinkProxy(const LinkProxy&) = delete;
  LinkProxy& operator=(const LinkProxy&) = delete;

  const std::string& endpoint() const { return endpoint_; }

 private:
  void Run();

  const LinkSpeed speed_;
  int target_port_ = 0;
  int listener_ = -1;
  std::string endpoint_;
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

}  // namespace mortar
