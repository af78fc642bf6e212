// Goal: an engine loads its parts alone, and what is wrong with a model or an option is said.
#include "engine/batch/engine.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <limits>

#include "tests/support/memory.h"
#include "tests/unit/engine/batch/tiny_engine.h"

namespace mortar {
namespace {

using testing::HasSubstr;

absl::Status LoadStatus(const GgufWriter& writer, std::vector<PartSpec> parts,
                        EngineOptions options = TinyEngineOptions().engine) {
  auto file = GgufFile::FromBytes(writer.Bytes(), "tiny.gguf");
  if (!file.ok()) return file.status();
  const std::unique_ptr<ThreadPool> pool = *ThreadPool::Create(1);
  return Engine::Load(**file, std::move(parts), options, **SelectKernels(""), *pool).status();
}

TEST(Engine, HoldsTheWeightsOfItsPartsAlone) {
  TinyEngineOptions options;
  const uint64_t whole = TinyEngine(options).engine->weight_bytes();
  options.parts = {{false, {1, 3}, false}};
  const uint64_t middle = TinyEngine(options).engine->weight_bytes();
  options.parts = {{true, {0, 1}, false}, {false, {3, 4}, true}};
  const uint64_t ends = TinyEngine(options).engine->weight_bytes();
  EXPECT_EQ(middle + ends, whole) << "a tied head is the embedding's own matrix";
  EXPECT_LT(middle, whole / 2);
}

#ifndef MORTAR_SANITIZED  // they keep memory of their own
TEST(Engine, APartIsResidentAloneAndTheRestOfTheFileIsNot) {
  const std::string path = testing::TempDir() + "/mortar_resident_" + std::to_string(getpid());
  const TinyModelOptions model = {.n_embd = 256, .n_ff = 1024, .n_layers = 8};
  WriteTinyModel(model, path);
  const auto load_middle = [&path] {
    const uint64_t before = ResidentBytes();
    const std::shared_ptr<GgufFile> file = *GgufFile::Open(path);
    const std::unique_ptr<ThreadPool> pool = *ThreadPool::Create(1);
    const std::unique_ptr<Engine> engine = *Engine::Load(
        *file, {{false, {3, 5}, false}}, TinyEngineOptions().engine, **SelectKernels(""), *pool);
    const uint64_t grown = ResidentBytes() - before;
    // Large pages round up by 2 MB; 2 MB more for the header, tables and the allocator.
    const bool right = engine->weight_bytes() > 7'000'000 && grown >= engine->weight_bytes() &&
                       grown < engine->weight_bytes() + (4 << 20) &&
                       file->file_bytes() > 3 * engine->weight_bytes();
    std::fprintf(stderr, "%llu bytes of weights of a file of %llu made %llu resident\n",
                 static_cast<unsigned long long>(engine->weight_bytes()),
                 static_cast<unsigned long long>(file->file_bytes()),
                 static_cast<unsigned long long>(grown));
    _exit(right ? 0 : 1);
  };
  EXPECT_EXIT(load_middle(), testing::ExitedWithCode(0), "resident");
  unlink(path.c_str());
}
#endif

TEST(Engine, AMissingTensorIsNamedIfItIsNeeded) {
  GgufWriter writer = MakeTinyModel({});
  std::erase_if(writer.tensors,
                [](const GgufWriter::Tensor& t) { return t.name == "blk.3.ffn_up.weight"; });
  EXPECT_EQ(Message(LoadStatus(writer, {{true, {0, 4}, true}})),
            "tensor 'blk.3.ffn_up.weight' is missing");
  EXPECT_TRUE(LoadStatus(writer, {{true, {0, 3}, false}}).ok());
}

TEST(Engine, AForeignTensorIsRefusedByPartsThatWouldNotLoadIt) {
  GgufWriter writer = MakeTinyModel({});
  writer.AddTensor("blk.0.attn_q.bias", TensorType::kF32, {64}, std::vector<float>(64));
  EXPECT_THAT(Message(LoadStatus(writer, {{false, {2, 3}, false}})),
              HasSubstr("tensor 'blk.0.attn_q.bias' is none of a llama model"));
}

TEST(Engine, AWrongShapeIsNamedWithBothShapes) {
  GgufWriter writer = MakeTinyModel({});
  for (GgufWriter::Tensor& t : writer.tensors) {
    if (t.name == "blk.1.attn_k.weight") t.shape = {32, 64};
  }
  EXPECT_EQ(Message(LoadStatus(writer, {{true, {0, 4}, true}})),
            "tensor 'blk.1.attn_k.weight': expected shape [64, 32], got [32, 64]");
}

TEST(Engine, ANormThatIsNotFiniteIsNamed) {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
    for (const std::string name :
         {"blk.2.attn_norm.weight", "blk.0.ffn_norm.weight", "output_norm.weight"}) {
      GgufWriter writer = MakeTinyModel({});
      std::memcpy(writer.FindTensor(name).data.data() + 5 * sizeof(float), &bad, sizeof(float));
      EXPECT_EQ(Message(LoadStatus(writer, {{true, {0, 4}, true}})),
                "tensor '" + name + "': element 5 is not finite");
    }
  }
}

TEST(Engine, OptionsOutOfBoundsAreRefused) {
  const GgufWriter writer = MakeTinyModel({});
  const std::vector<PartSpec> parts = {{true, {0, 4}, true}};
  EngineOptions options = TinyEngineOptions().engine;
  options.context_max = 513;
  EXPECT_THAT(Message(LoadStatus(writer, parts, options)),
              HasSubstr("expected 1 to the 512 positions"));
  options = TinyEngineOptions().engine;
  options.rows_max = 0;
  EXPECT_THAT(Message(LoadStatus(writer, parts, options)), HasSubstr("rows of a batch"));
  options = TinyEngineOptions().engine;
  options.kv_positions_max = 100;
  EXPECT_THAT(Message(LoadStatus(writer, parts, options)), HasSubstr("cannot hold a context"));
}

TEST(Engine, LackOfMemoryForABatchIsAnErrorThatNamesTheSize) {
  const auto load_with_little_memory = [] {
    const GgufWriter writer = MakeTinyModel({});
    EngineOptions options = TinyEngineOptions().engine;
    options.kv_positions_max = options.context_max = 1;
    options.rows_max = options.logit_rows_max = 4096;
    if (!LimitMemory(8 << 20)) _exit(0);
    const absl::Status status = LoadStatus(writer, {{true, {0, 4}, true}}, options);
    std::fputs(Message(status).c_str(), stderr);
    _exit(status.code() == absl::StatusCode::kResourceExhausted ? 0 : 1);
  };
  EXPECT_EXIT(load_with_little_memory(), testing::ExitedWithCode(0),
              "^$|map [0-9]+ bytes for batches of 4096 rows");
}

TEST(Engine, PartsMustLieInTheModelAndNotOverlap) {
  const GgufWriter writer = MakeTinyModel({});
  EXPECT_THAT(Message(LoadStatus(writer, {{false, {2, 5}, false}})),
              HasSubstr("layers [2, 5) do not lie within the model's [0, 4)"));
  EXPECT_THAT(Message(LoadStatus(writer, {{true, {0, 2}, false}, {false, {1, 4}, true}})),
              HasSubstr("layer 1 stands in two parts"));
}

}  // namespace
}  // namespace mortar
