#include "protocol/io_threads.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "common/clock.h"
#include "protocol/zmq_socket.h"

namespace mortar {
namespace {

// A context whose I/O thread has a message to carry whenever it is asked.
class IoThreadsTest : public testing::Test {
 protected:
  IoThreadsTest() { Carry(); }  // so that the thread has named itself

  // A message from one socket of the context to the other, through its I/O thread.
  void Carry() {
    const std::vector<uint64_t> words = {1};
    while (from_->Send(0, words, {}) == SendOutcome::kFull) {
    }
    while (!to_->ReceiveHead()) {
      ZmqSocket* const sockets[] = {to_.get()};
      WaitForMessages(sockets, {}, nullptr, -1, std::chrono::seconds(1));
    }
    (void)to_->ReceiveBody();
  }
  // What this test is about needs of the system.
  static bool SystemAllows() {
    return access("/proc/self/schedstat", R_OK) == 0 && sched_getscheduler(0) == SCHED_OTHER;
  }
  int Policy() const { return sched_getscheduler(threads_.threads().at(0).id()); }

  ZmqContext context_;
  std::unique_ptr<ZmqSocket> to_ = *ZmqSocket::Listen(context_, "tcp://127.0.0.1:0");
  std::unique_ptr<ZmqSocket> from_ = *ZmqSocket::Dial(context_, to_->endpoint());
  ManualClock clock_;
  IoThreads threads_{clock_};
};

cpu_set_t Cpus(pid_t thread) {
  cpu_set_t cpus;
  EXPECT_EQ(sched_getaffinity(thread, sizeof cpus, &cpus), 0);
  return cpus;
}

void BindTo(const cpu_set_t& cpus, pid_t thread) {
  EXPECT_EQ(sched_setaffinity(thread, sizeof cpus, &cpus), 0);
}

cpu_set_t Only(int cpu) {
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  CPU_SET(cpu, &cpus);
  return cpus;
}

// Computes on one CPU.
class Busy {
 public:
  explicit Busy(int cpu)
      : thread_([this, cpu] {
          BindTo(Only(cpu), 0);
          runs_ = true;
          while (!stop_) {
          }
        }) {
    while (!runs_) std::this_thread::yield();
  }
  ~Busy() {
    stop_ = true;
    thread_.join();
  }

 private:
  std::atomic<bool> runs_ = false, stop_ = false;
  std::thread thread_;
};

TEST_F(IoThreadsTest, ArePatientWhileAStreamGoesOnWhereTheSystemSaysHowLongTheyWait) {
  const int before = sched_getscheduler(0);
  threads_.NoteStream(false);
  EXPECT_FALSE(threads_.patient());
  threads_.NoteStream(true);
  ASSERT_EQ(threads_.threads().size(), 1u) << "libzmq names them as it did";
  EXPECT_EQ(threads_.patient(), SystemAllows());
  EXPECT_EQ(Policy(), SystemAllows() ? SCHED_BATCH : before);
  threads_.NoteStream(false);
  EXPECT_FALSE(threads_.patient());
  EXPECT_EQ(Policy(), before);
}

// With the I/O thread and somebody who computes on one CPU, and this thread on another.
class CrowdedIoThreadsTest : public IoThreadsTest {
 protected:
  void SetUp() override {
    if (CPU_COUNT(&all_) < 2) GTEST_SKIP() << "takes two CPUs";
    if (!SystemAllows()) GTEST_SKIP() << "the system does not say how long threads wait";
    const int own = sched_getcpu();
    BindTo(Only(own), 0);  // or it would share the slices of its own wakes
    while (other_ == own || !CPU_ISSET(other_, &all_)) ++other_;
    threads_.NoteStream(true);
    ASSERT_EQ(threads_.threads().size(), 1u);
    BindTo(Only(other_), threads_.threads()[0].id());
    busy_ = std::make_unique<Busy>(other_);
  }
  void TearDown() override {
    BindTo(all_, 0);
    if (!threads_.threads().empty()) BindTo(all_, threads_.threads()[0].id());
  }

  const cpu_set_t all_ = Cpus(0);
  int other_ = 0;
  std::unique_ptr<Busy> busy_;
};

TEST_F(CrowdedIoThreadsTest, LosePatienceForAWhile) {
  for (int i = 0; i < 50 * kJobsBetweenLooks && threads_.patient(); ++i) {
    Carry();
    threads_.NoteStream(true);
  }
  busy_.reset();
  EXPECT_FALSE(threads_.patient());
  EXPECT_EQ(Policy(), SCHED_OTHER);
  threads_.NoteStream(true);
  EXPECT_FALSE(threads_.patient()) << "for a while";
  clock_.Advance(kImpatientFor);
  threads_.NoteStream(true);
  EXPECT_TRUE(threads_.patient());
}

TEST_F(CrowdedIoThreadsTest, LosePatienceInAStreamOfFewJobsToo) {
  for (int i = 0; i < 50 && threads_.patient(); ++i) {
    Carry();
    threads_.NoteStream(false);
    threads_.NoteStream(true);
  }
  EXPECT_FALSE(threads_.patient());
  EXPECT_EQ(Policy(), SCHED_OTHER);
}

// As where a node was started with that policy: its threads have inherited it.
TEST_F(IoThreadsTest, AreLeftAloneWhereAUserChoseAnotherPolicy) {
  threads_.NoteStream(true);
  threads_.NoteStream(false);
  const pid_t io_thread = threads_.threads().at(0).id();
  std::thread([&] {
    const sched_param priority{};
    EXPECT_EQ(sched_setscheduler(0, SCHED_BATCH, &priority), 0);
    EXPECT_EQ(sched_setscheduler(io_thread, SCHED_BATCH, &priority), 0);
    threads_.NoteStream(true);
    EXPECT_FALSE(threads_.patient());
    threads_.NoteStream(false);
    EXPECT_EQ(Policy(), SCHED_BATCH);
  }).join();
}

}  // namespace
}  // namespace mortar
