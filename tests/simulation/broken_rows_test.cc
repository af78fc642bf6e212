// Goal: the loops check the rows that come to them, once, before anything is made of them: what is
// no number is rejected by a worker, and asked for again by an edge.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "tests/integration/embedded_cluster.h"
#include "tests/support/tiny_model.h"

namespace mortar {
namespace {

using testing::HasSubstr;

constexpr uint64_t kSeed = 3;

GenerateRequest Request() {
  GenerateRequest request;
  for (int i = 0; i < 9; ++i) request.prompt.push_back(static_cast<Token>(i * 13 % kTinyVocab));
  request.sampler.temperature = 0;
  request.n_predict = 5;
  request.ignore_end = true;
  return request;
}

// A cluster of two workers whose network keeps every message, and spoils one value of the first
// frame from one node to another.
class BrokenRows : public testing::Test {
 protected:
  std::unique_ptr<EmbeddedCluster> ClusterThatSpoils(NodeId spoilt_from, NodeId spoilt_to) {
    ClusterOptions options;
    options.n_workers = 2;
    options.sim = SimOptions{.seed = kSeed, .loss = 0, .duplicates = 0};
    options.sim->tamper = [this, spoilt_from, spoilt_to](NodeId from, NodeId to, AnyMessage& m) {
      auto* frame = std::get_if<Activation>(&m);
      if (from != spoilt_from || to != spoilt_to || frame == nullptr || spoilt_ > 0) return;
      frame->rows = pool_.Copy(frame->rows, 0, frame->rows.n());
      frame->rows.mutable_data()[3] = std::numeric_limits<float>::quiet_NaN();
      ++spoilt_;
    };
    return std::make_unique<EmbeddedCluster>(file_, options);
  }

  const std::shared_ptr<GgufFile> file_ = TinyFile({.n_layers = 6});
  RowsPool pool_;
  int spoilt_ = 0;
};

TEST_F(BrokenRows, AWorkerRejectsAFrameThatIsNoNumberAndServesTheNextRequest) {
  for (const int i : {0, 1}) {
    spoilt_ = 0;
    const auto cluster = ClusterThatSpoils(i == 0 ? kEdgeNode : WorkerNode(i - 1), WorkerNode(i));
    const Answer answer = cluster->Run(Request());
    EXPECT_EQ(spoilt_, 1);
    EXPECT_TRUE(absl::IsInvalidArgument(answer.finished.status)) << answer.finished.status;
    EXPECT_THAT(
        Message(answer.finished.status),
        HasSubstr("worker worker-" + std::to_string(i + 1) + ": row 0, column 3 is not finite"));
    EXPECT_EQ(cluster->worker(i).counters.rejected, 1u);
    EXPECT_EQ(cluster->worker(i).counters.frames, 0u);
    EXPECT_EQ(cluster->Run(Request()).tokens, DecodeAlone(*file_, Request()));
  }
}

TEST_F(BrokenRows, AnEdgeAsksAgainForAnAnswerThatIsNoNumber) {
  const auto cluster = ClusterThatSpoils(WorkerNode(1), kEdgeNode);
  const Answer answer = cluster->Run(Request());
  EXPECT_EQ(spoilt_, 1);
  ASSERT_TRUE(answer.finished.status.ok()) << answer.finished.status;
  EXPECT_EQ(answer.tokens, DecodeAlone(*file_, Request()));
  EXPECT_EQ(answer.finished.timings.retries, 1);
  EXPECT_EQ(cluster->edge().state().counters.broken_answers, 1u);
}

}  // namespace
}  // namespace mortar
