// Goal: while a session decodes, prefill runs in slices of kSliceTime, and a frame that ran in
// slices leaves as if it had run at once: its rows have the same bits, and whatever happens between
// two slices is dealt with as between two frames.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstring>
#include <utility>

#include "tests/support/tiny_model.h"
#include "tests/unit/worker/worker_tables.h"
#include "worker/jobs.h"

namespace mortar {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::IsEmpty;

class WorkerSlices : public WorkerTables {
 protected:
  static constexpr int kDecoding = 2, kPrompt = 1;  // sessions

  // Rows of prefill take a millisecond, and a session has just had a token.
  WorkerSlices() {
    Load();
    GiveFrame(Frame(3, 1, 1, 0, 50));
    RunBatch(milliseconds(50));
    GiveFrom(kEdge, End{Session(3)});
    Release();
    Decode();
    state_.outbox.clear();
  }
  int PlaceOf(uint8_t session) { return state_.place_of.at(Session(session)); }
  void GiveToken() {
    GiveFrame(Frame(kDecoding, 1, static_cast<uint64_t>(position_) + 1, position_, 1));
    ++position_;
  }
  void Decode() {
    GiveToken();
    RunBatch(milliseconds(5));
  }

  int position_ = 0;
};

TEST_F(WorkerSlices, AFrameRunsInSlicesThatTakeTenMillisecondsAndLeavesWhole) {
  GiveFrame(Frame(kPrompt, 1, 1, 0, 45));
  for (const int rows : {10, 10, 10, 10, 5}) {
    EXPECT_THAT(PlanNow().rows, ElementsAre(rows));
    EXPECT_THAT(state_.outbox, IsEmpty()) << "before its last rows";
    EXPECT_EQ(state_.frames_queued, 1);
    RunBatch(milliseconds(rows));
  }
  const auto whole = TakeOwed<Activation>();
  EXPECT_EQ(whole.envelope.n, 45u);
  EXPECT_EQ(whole.envelope.base, 0u);
  EXPECT_EQ(state_.frames_queued, 0);
  EXPECT_EQ(SessionState(kPrompt).applied_have, 45);
}

TEST_F(WorkerSlices, DecodeThatWaitsTakesTurnsWithSlices) {
  GiveFrame(Frame(kPrompt, 1, 1, 0, 25));
  GiveToken();
  EXPECT_THAT(RunBatch(milliseconds(5)), ElementsAre(PlaceOf(kDecoding)));
  GiveToken();
  const WorkerPlan plan = PlanNow();
  EXPECT_THAT(plan.batch, ElementsAre(PlaceOf(kPrompt), PlaceOf(kDecoding)));
  EXPECT_THAT(plan.rows, ElementsAre(10, 1));
  RunBatch(milliseconds(11));
  GiveToken();
  EXPECT_THAT(RunBatch(milliseconds(5)), ElementsAre(PlaceOf(kDecoding)));
}

TEST_F(WorkerSlices, PromptsOfSeveralSessionsShareASlice) {
  GiveFrame(Frame(kPrompt, 1, 1, 0, 4 + kDecodeRowsMax));
  GiveFrame(Frame(4, 1, 1, 0, 60));
  int slices = 0;
  for (; state_.frames_queued > 0; ++slices) {
    int rows = 0;
    for (const int n : PlanNow().rows) rows += n;
    EXPECT_EQ(rows, 10);
    RunBatch(milliseconds(10));
  }
  EXPECT_EQ(slices, (4 + kDecodeRowsMax + 60) / 10);
}

TEST_F(WorkerSlices, WithoutASessionThatDecodesAFrameRunsWhole) {
  now_ += kDecodeRecent;
  GiveFrame(Frame(kPrompt, 1, 1, 0, 60));
  EXPECT_THAT(PlanNow().rows, ElementsAre(60));
}

TEST_F(WorkerSlices, AFrameThatBeganInSlicesEndsAtOnceWhenNobodyDecodesAnyMore) {
  GiveFrame(Frame(kPrompt, 1, 1, 0, 60));
  RunBatch(milliseconds(10));
  now_ += kDecodeRecent;
  EXPECT_THAT(PlanNow().rows, ElementsAre(50));
}

TEST_F(WorkerSlices, SlowRowsMakeSlicesOfAFewRowsAndFastOnesWholeFrames) {
  GiveFrame(Frame(kPrompt, 1, 1, 0, 60));
  state_.row_time = milliseconds(100);
  EXPECT_THAT(PlanNow().rows, ElementsAre(kSliceRowsMin));
  state_.row_time = std::chrono::microseconds(10);
  EXPECT_THAT(PlanNow().rows, ElementsAre(60));
}

TEST_F(WorkerSlices, ARowsTimeFollowsWhatPrefillTakesAndNotDecode) {
  const Duration before = state_.row_time;
  Decode();
  EXPECT_EQ(state_.row_time, before);
  GiveFrame(Frame(kPrompt, 1, 1, 0, 20));
  RunBatch(milliseconds(50));  // ten rows of 5 ms
  EXPECT_EQ(state_.row_time, before + (milliseconds(5) - before) / 4);
}

TEST_F(WorkerSlices, ShortChunksOfAPromptThatFollowEachOtherAreNoDecode) {
  GiveFrame(Frame(kPrompt, 1, 1, 0, 4));
  const WorkerPlan plan = PlanNow();
  Give(BatchStarted{&plan.batch, &plan.rows});
  GiveFrame(Frame(kPrompt, 1, 2, 4, 4));
  Give(BatchDone{milliseconds(4)});
  GiveToken();
  EXPECT_THAT(RunBatch(milliseconds(5)), ElementsAre(PlaceOf(kDecoding)));
  EXPECT_THAT(RunBatch(milliseconds(4)), ElementsAre(PlaceOf(kPrompt)));
}

TEST_F(WorkerSlices, AHigherEpochAmidAFrameKeepsTheSlicesThatRan) {
  GiveFrame(Frame(kPrompt, 1, 1, 0, 30));
  const WorkerPlan plan = PlanNow();
  Give(BatchStarted{&plan.batch, &plan.rows});
  GiveFrame(Frame(kPrompt, 2, 2, 10, 5));  // its edge goes on behind them
  for (RunningFrame& frame : state_.running) frame.rows_out = frame.rows_in;
  Give(BatchDone{milliseconds(10)});
  EXPECT_THAT(state_.outbox, IsEmpty()) << "nobody waits for the old epoch's answer";
  EXPECT_EQ(SessionState(kPrompt).have, 15);
  RunBatch(milliseconds(5));
  const auto answer = TakeOwed<Activation>();
  EXPECT_EQ(answer.envelope.epoch, 2u);
  EXPECT_EQ(answer.rows.n(), 5) << "not the old frame's";
}

TEST_F(WorkerSlices, WhatASliceGaveWaitsForTheRestOfItsFrameAndOfNoOther) {
  GiveFrame(Frame(kPrompt, 1, 1, 0, 30));
  const auto run_slice = [&](Rows rows_out) {
    const WorkerPlan plan = PlanNow();
    Give(BatchStarted{&plan.batch, &plan.rows});
    Rows before = std::exchange(state_.running.at(0).rows_out, std::move(rows_out));
    return before;
  };
  const Rows of_frame = pool_.Take(30, kWidth);
  EXPECT_TRUE(run_slice(of_frame).empty()) << "there is nothing yet";
  Give(BatchDone{milliseconds(10)});
  EXPECT_EQ(run_slice(of_frame).data(), of_frame.data());
  GiveFrame(Frame(kPrompt, 2, 2, 20, 20));
  Give(BatchDone{milliseconds(10)});
  EXPECT_TRUE(run_slice(pool_.Take(20, kWidth)).empty()) << "of a frame of another epoch";
}

TEST_F(WorkerSlices, AnEndAmidAFrameFreesItsPages) {
  const int free = state_.pages_free;
  GiveFrame(Frame(kPrompt, 1, 1, 0, 30));
  RunBatch(milliseconds(10));
  GiveFrom(kEdge, End{Session(kPrompt)});
  Release();
  EXPECT_EQ(state_.pages_free, free);
  EXPECT_EQ(state_.frames_queued, 0);
}

// --- The job ---

constexpr int kRows = 23;

class SlicedFrame : public testing::Test {
 protected:
  SlicedFrame() {
    file_ = *GgufFile::FromBytes(MakeTinyModel({}).Bytes(), "tiny.gguf");
    compute_ = *ThreadPool::Create(1);
    EngineOptions options;
    options.context_max = 64;
    options.kv_positions_max = 128;
    options.rows_max = 64;
    engine_ =
        *Engine::Load(*file_, {{false, {1, 3}, false}}, options, **SelectKernels(""), *compute_);
  }

  // The rows that leave for a frame which runs in slices of `sizes`.
  Rows Run(RowsWanted wanted, std::initializer_list<int> sizes) {
    const int n_embd = engine_->config().n_embd;
    RunningFrame frame;
    frame.envelope.n = kRows;
    frame.envelope.rows_wanted = wanted;
    frame.rows_in = pool_.Take(kRows, n_embd);
    for (int i = 0; i < kRows * n_embd; ++i) {
      frame.rows_in.mutable_data()[i] = static_cast<float>(i * 37 % 101) / 50 - 1;
    }
    std::vector<KvTable> tables(1);
    EXPECT_TRUE(engine_->kv().Reserve(tables[0], 0, kRows).ok());
    const TellShards no_shards;
    BatchJob job(pool_, clock_, no_shards);
    std::vector<RunningFrame> frames = {std::move(frame)};
    for (const int size : sizes) {
      frames[0].n = size;
      job.Prepare(*engine_, frames, tables);
      job.Run();
      frames[0].first += size;
    }
    engine_->kv().Release(tables[0]);
    return std::move(frames[0].rows_out);
  }

  std::shared_ptr<GgufFile> file_;
  std::unique_ptr<ThreadPool> compute_;
  std::unique_ptr<Engine> engine_;
  RowsPool pool_;
  SteadyClock clock_;
};

TEST_F(SlicedFrame, HasTheBitsOfAWholeOne) {
  for (const RowsWanted wanted : {RowsWanted::kAll, RowsWanted::kLast}) {
    const Rows whole = Run(wanted, {kRows});
    ASSERT_EQ(whole.n(), wanted == RowsWanted::kAll ? kRows : 1);
    for (const auto& sizes : {std::initializer_list<int>{8, 8, 7}, {1, 22}, {22, 1}}) {
      const Rows sliced = Run(wanted, sizes);
      ASSERT_EQ(sliced.bytes(), whole.bytes());
      EXPECT_EQ(std::memcmp(sliced.data(), whole.data(), whole.bytes()), 0);
    }
  }
  EXPECT_TRUE(Run(RowsWanted::kNone, {8, 15}).empty());
}

}  // namespace
}  // namespace mortar
