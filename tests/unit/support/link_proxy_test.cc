// Goal: a link has the delay, the rate and the faults that it was given, and changes no byte.
#include "tests/support/link_proxy.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace mortar {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

// Far more than a wake-up takes on a busy machine, far less than a test may.
constexpr milliseconds kPatience(10'000);

double Milliseconds(Clock::duration time) {
  return std::chrono::duration<double, std::milli>(time).count();
}

// A connection's end, which owns its socket.
class End {
 public:
  explicit End(int fd) : fd_(fd) {
    const int one = 1;
    setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  }
  End(End&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  ~End() {
    if (fd_ >= 0) close(fd_);
  }
  void Send(const std::string& bytes) const {
    ASSERT_EQ(send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  void SendNoMore() const { shutdown(fd_, SHUT_WR); }
  bool Readable(milliseconds wait) const {
    pollfd end{fd_, POLLIN, 0};
    return poll(&end, 1, static_cast<int>(wait.count())) == 1;
  }
  // Of what has come, at most `n` bytes; "" at the end; "reset" when there is no connection.
  std::string Some(size_t n) const {
    if (!Readable(kPatience)) return "nothing came";
    std::string bytes(n, '\0');
    const ssize_t got = recv(fd_, bytes.data(), n, 0);
    if (got < 0) return "reset";
    bytes.resize(static_cast<size_t>(got));
    return bytes;
  }
  std::string All(size_t n) const {
    std::string bytes;
    while (bytes.size() < n) {
      const std::string some = Some(n - bytes.size());
      if (some.empty()) break;
      bytes += some;
    }
    return bytes;
  }

 private:
  int fd_;
};

// Somebody to dial through a link.
class Listener {
 public:
  Listener() : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(listen(fd_, 8), 0);
    socklen_t size = sizeof address;
    getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size);
    endpoint_ = "tcp://127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  }
  ~Listener() { close(fd_); }
  const std::string& endpoint() const { return endpoint_; }
  End Accept() const { return End(accept(fd_, nullptr, nullptr)); }

 private:
  int fd_;
  std::string endpoint_;
};

End Dial(const LinkProxy& link) {
  const std::string& endpoint = link.endpoint();
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port =
      htons(static_cast<uint16_t>(std::stoi(endpoint.substr(endpoint.rfind(':') + 1))));
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  EXPECT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  return End(fd);
}

// Milliseconds that a byte takes there and back, the median: a machine that is busy wakes late.
double RoundTrip(const End& near, const End& far) {
  std::vector<double> times;
  for (int i = 0; i < 15; ++i) {
    const auto start = Clock::now();
    near.Send("a");
    EXPECT_EQ(far.All(1), "a");
    far.Send("b");
    EXPECT_EQ(near.All(1), "b");
    times.push_back(Milliseconds(Clock::now() - start));
  }
  std::ranges::sort(times);
  return times[times.size() / 2];
}

TEST(LinkProxy, EachDirectionTakesItsDelay) {
  const Listener listener;
  for (const int delay : {0, 5, 20}) {
    const LinkProxy link(listener.endpoint(), {.delay = milliseconds(delay)});
    const End near = Dial(link);
    const End far = listener.Accept();
    const double time = RoundTrip(near, far);
    EXPECT_GE(time, 2 * delay);
    EXPECT_LE(time, 2 * delay + 5);
  }
}

TEST(LinkProxy, ManyBytesTakeTheTimeOfTheRateAndArriveAsTheyWere) {
  const Listener listener;
  const LinkProxy link(listener.endpoint(), {.delay = milliseconds(10), .bytes_per_second = 1e6});
  const End near = Dial(link);
  const End far = listener.Accept();
  std::string bytes(200'000, '\0');
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * i % 251);
  const auto start = Clock::now();
  near.Send(bytes);
  EXPECT_TRUE(far.All(bytes.size()) == bytes);
  EXPECT_GE(Milliseconds(Clock::now() - start), 210);
  EXPECT_LE(Milliseconds(Clock::now() - start), 400);
  EXPECT_EQ(link.traffic().up, bytes.size());
  EXPECT_EQ(link.traffic().down, 0u);
}

TEST(LinkProxy, JitterChangesTimesAndNeverTheOrder) {
  const Listener listener;
  const LinkProxy link(listener.endpoint(), {.delay = milliseconds(1), .jitter = milliseconds(20)});
  const End near = Dial(link);
  const End far = listener.Accept();
  const double time = RoundTrip(near, far);
  EXPECT_GE(time, 5);  // of 2 to 42
  EXPECT_LE(time, 45);
  std::string sent;
  for (int i = 0; i < 100; ++i) {
    sent += static_cast<char>('0' + i % 75);
    near.Send(sent.substr(sent.size() - 1));
  }
  EXPECT_EQ(far.All(sent.size()), sent);
}

TEST(LinkProxy, ASilentLinkHoldsWhatItIsGivenAndPassesItOnLater) {
  const Listener listener;
  LinkProxy link(listener.endpoint(), {});
  const End near = Dial(link);
  const End far = listener.Accept();
  EXPECT_LE(RoundTrip(near, far), 5);
  link.Set(LinkState::kSilent);
  near.Send("hello");
  far.Send("you");
  EXPECT_FALSE(far.Readable(milliseconds(50)));
  EXPECT_FALSE(near.Readable(milliseconds(50)));
  link.Set(LinkState::kUp);
  EXPECT_EQ(far.All(5), "hello");
  EXPECT_EQ(near.All(3), "you");
}

TEST(LinkProxy, ALinkThatIsDownResetsAllConnectionsUntilItIsUp) {
  const Listener listener;
  LinkProxy link(listener.endpoint(), {.delay = milliseconds(1)});
  const End near = Dial(link);
  const End far = listener.Accept();
  EXPECT_LE(RoundTrip(near, far), 7);
  link.Set(LinkState::kDown);
  EXPECT_EQ(near.Some(1), "reset");
  EXPECT_EQ(far.Some(1), "reset");
  EXPECT_EQ(Dial(link).Some(1), "reset");
  link.Set(LinkState::kUp);
  const End again = Dial(link);
  EXPECT_LE(RoundTrip(again, listener.Accept()), 7);
}

TEST(LinkProxy, WhoeverSendsNoMoreStillHearsTheAnswer) {
  const Listener listener;
  const LinkProxy link(listener.endpoint(), {.delay = milliseconds(2)});
  const End near = Dial(link);
  const End far = listener.Accept();
  near.Send("question");
  near.SendNoMore();
  EXPECT_EQ(far.All(9), "question");  // and the end
  far.Send("answer");
  far.SendNoMore();
  EXPECT_EQ(near.All(7), "answer");
}

TEST(LinkProxy, WhereNobodyListensWhoeverDialsIsReset) {
  std::string nobody;
  {
    const Listener listener;
    nobody = listener.endpoint();
  }
  const LinkProxy link(nobody, {});
  EXPECT_EQ(Dial(link).Some(1), "reset");
}

}  // namespace
}  // namespace mortar
