// Goal: a Hugging Face folder gives the bits that the same model gives as a GGUF file, for every
// architecture; and a folder that is wrong is refused by the path and the field at fault.
#include "engine/hf/folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "engine/brick/digest.h"
#include "engine/hf/checkpoint.h"
#include "engine/model/config.h"
#include "engine/text/tokenizer.h"
#include "tests/support/compare.h"
#include "tests/support/hf_writer.h"
#include "tests/unit/engine/batch/tiny_engine.h"

namespace mortar {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class HfFolder : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = ::testing::TempDir() + "hf_folder_" +
              ::testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
    pool_ = *ThreadPool::Create(2);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  absl::StatusOr<std::shared_ptr<GgufFile>> Open(const HfWriter& writer, int n_shards = 1,
                                                 Quantize quantize = Quantize::kNone) {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
    writer.WriteTo(folder_, n_shards);
    return OpenHfFolder(folder_, quantize, *pool_);
  }
  std::string ErrorOf(const HfWriter& writer) { return Message(Open(writer).status()); }

  std::vector<float> Logits(const GgufFile& file) {
    const auto config = ReadModelConfig(file);
    if (!config.ok()) {
      ADD_FAILURE() << config.status();
      return {};
    }
    EngineOptions options{.kv_type = KvType::kF32,
                          .kv_positions_max = 64,
                          .context_max = std::min(32, config->n_ctx_train),
                          .rows_max = 32,
                          .logit_rows_max = 32};
    auto engine = Engine::Load(file, {{true, {0, config->n_layers}, true}}, options,
                               **SelectKernels(""), *pool_);
    if (!engine.ok()) {
      ADD_FAILURE() << engine.status();
      return {};
    }
    return AllLogits(**engine, RandomTokens(30, 5), 30);
  }

  std::string folder_;
  std::unique_ptr<ThreadPool> pool_;
};

TinyModelOptions Small(const char* architecture = "llama") {
  TinyModelOptions options;
  options.n_layers = 2;
  options.architecture = architecture;
  return options;
}

TEST_F(HfFolder, GivesTheBitsOfTheGgufFileForEveryArchitecture) {
  for (const TensorType type : {TensorType::kF32, TensorType::kBF16}) {
    for (NamedTinyModel model : TinyModelOfEveryArchitecture()) {
      if (model.name == "llama-factors") continue;  // random ones: no config.json says them
      model.options.type = type;
      const TinyPair pair = MakeTinyPair(model.options);
      const auto gguf = *GgufFile::FromBytes(pair.gguf.Bytes(), "tiny.gguf");
      const auto hf = Open(pair.hf, type == TensorType::kF32 ? 1 : 3);
      ASSERT_TRUE(hf.ok()) << model.name << ": " << hf.status();
      ASSERT_EQ((*hf)->tensors().size(), gguf->tensors().size()) << model.name;
      for (const TensorInfo& tensor : gguf->tensors()) {
        const TensorInfo* const other = (*hf)->FindTensor(tensor.name);
        ASSERT_NE(other, nullptr) << model.name << ' ' << tensor.name;
        EXPECT_TRUE(std::ranges::equal((*hf)->Data(*other), gguf->Data(tensor)))
            << model.name << ' ' << tensor.name;
      }
      EXPECT_TRUE(SameBits(Logits(**hf), Logits(*gguf))) << model.name << ' ' << Name(type);
    }
  }
}

TEST_F(HfFolder, HasTheBricksAndTokensOfTheGgufFile) {
  const TinyPair pair = MakeTinyPair(Small());
  const auto gguf = *GgufFile::FromBytes(pair.gguf.Bytes(), "tiny.gguf");
  const auto hf = *Open(pair.hf);
  const Manifest of_gguf = *BuildManifest(*gguf, 2);
  const Manifest of_hf = *BuildManifest(*hf, 2);
  ASSERT_EQ(of_hf.bricks.size(), of_gguf.bricks.size());
  for (size_t i = 0; i < of_hf.bricks.size(); ++i) {
    EXPECT_EQ(DigestBrick(*hf, of_hf.bricks[i]), DigestBrick(*gguf, of_gguf.bricks[i])) << i;
  }
  const auto theirs = *Tokenizer::FromGguf(*gguf);
  const auto ours = *Tokenizer::FromGguf(*hf);
  EXPECT_EQ(ours->n_vocab(), theirs->n_vocab());
  EXPECT_EQ(ours->bos(), theirs->bos());
  EXPECT_EQ(ours->eos(), theirs->eos());
  EXPECT_EQ(ours->adds_bos(), theirs->adds_bos());
  const std::vector<TextPiece> text = {{"<|im_start|>user\nthe bricks and 12 walls\n", true}};
  EXPECT_EQ(*ours->Encode(text), *theirs->Encode(text));
  EXPECT_EQ(*hf->GetString("tokenizer.chat_template"), *gguf->GetString("tokenizer.chat_template"));
}

TEST_F(HfFolder, PrefersTheTemplateThatHasAFileOfItsOwn) {
  const TinyPair pair = MakeTinyPair(Small());
  ASSERT_TRUE(Open(pair.hf).ok());
  WriteFile(folder_ + "/chat_template.jinja", "{{ messages }}");
  const auto hf = OpenHfFolder(folder_, Quantize::kNone, *pool_);
  EXPECT_EQ(*(*hf)->GetString("tokenizer.chat_template"), "{{ messages }}");
}

TEST_F(HfFolder, PadsTheVocabularyToTheRowsOfTheEmbedding) {
  TinyModelOptions options = Small("qwen2");
  options.n_vocab = kTinyVocab + 16;
  const auto hf = *Open(MakeTinyPair(options).hf);
  const auto tokenizer = *Tokenizer::FromGguf(*hf);
  EXPECT_EQ(tokenizer->n_vocab(), kTinyVocab + 16);
  EXPECT_EQ(tokenizer->Bytes(kTinyVocab + 3), "");
}

// Slow frequencies by the factor, fast ones not at all: Llama 3.1's numbers.
TEST_F(HfFolder, MakesTheFactorsOfLlama3) {
  TinyModelOptions options = Small();
  options.head_dim = 128;
  options.n_ctx = 512;
  options.rope_base = 500000;
  HfWriter writer = MakeTinyPair(options).hf;
  writer.config["rope_scaling"] = {{"rope_type", "llama3"},
                                   {"factor", 8.0},
                                   {"low_freq_factor", 1.0},
                                   {"high_freq_factor", 4.0},
                                   {"original_max_position_embeddings", 8192}};
  const auto hf = *Open(writer);
  const TensorInfo* const info = hf->FindTensor("rope_freqs.weight");
  ASSERT_NE(info, nullptr);
  std::vector<float> factors(64);
  ASSERT_EQ(info->bytes, 4 * factors.size());
  std::memcpy(factors.data(), hf->Data(*info).data(), info->bytes);
  for (int i = 0; i < 64; ++i) {
    const double frequency = std::pow(500000.0, -i / 64.0);
    const double wave = 2 * M_PI / frequency;
    double scaled = frequency;
    if (wave > 8192) {
      scaled = frequency / 8;
    } else if (wave > 2048) {
      const double smooth = (8192 / wave - 1) / (4 - 1);
      scaled = (1 - smooth) * frequency / 8 + smooth * frequency;
    }
    EXPECT_NEAR(factors[static_cast<size_t>(i)], frequency / scaled, 1e-5) << i;
  }
  EXPECT_TRUE(ReadModelConfig(*hf).ok());
}

TEST_F(HfFolder, QuantisesMatricesAndLeavesTheRest) {
  TinyModelOptions options = Small();
  options.n_embd = 256;
  options.n_ff = 320;
  const TinyPair pair = MakeTinyPair(options);
  const auto plain = *Open(pair.hf);
  const std::vector<float> want = Logits(*plain);
  // Relative to the logits' own size: 8 bits and 4 bits of 6 matrices behind one another.
  for (const auto& [quantize, error_max] :
       {std::pair(Quantize::kQ8_0, 0.05), std::pair(Quantize::kQ4_K, 0.4)}) {
    const auto small = *Open(pair.hf, 1, quantize);
    const bool q4 = quantize == Quantize::kQ4_K;
    const TensorType matrix = q4 ? TensorType::kQ4_K : TensorType::kQ8_0;
    EXPECT_EQ(small->FindTensor("blk.0.attn_q.weight")->type, matrix);
    EXPECT_EQ(small->FindTensor("blk.0.ffn_down.weight")->type, TensorType::kQ8_0);  // 320 columns
    EXPECT_EQ(small->FindTensor("token_embd.weight")->type, TensorType::kQ8_0);
    EXPECT_EQ(small->FindTensor("blk.0.attn_norm.weight")->type, TensorType::kF32);
    const std::vector<float> got = Logits(*small);
    ASSERT_EQ(got.size(), want.size());
    double error = 0, size = 0;
    for (size_t i = 0; i < want.size(); ++i) {
      error += std::pow(got[i] - want[i], 2);
      size += std::pow(want[i], 2);
    }
    RecordProperty(Name(matrix), std::to_string(std::sqrt(error / size)));
    EXPECT_LT(std::sqrt(error / size), error_max);
    EXPECT_GT(error, 0);
  }
}

TEST_F(HfFolder, NamesWhatIsMissing) {
  const TinyPair pair = MakeTinyPair(Small());
  for (const char* const name : {"config.json", "tokenizer.json", "model.safetensors"}) {
    ASSERT_TRUE(Open(pair.hf).ok());
    std::filesystem::remove(folder_ + "/" + name);
    const absl::Status status = OpenHfFolder(folder_, Quantize::kNone, *pool_).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kNotFound) << name;
    EXPECT_THAT(Message(status), AllOf(StartsWith(folder_), HasSubstr(name)));
  }
  ASSERT_TRUE(Open(pair.hf, 3).ok());
  std::filesystem::remove(folder_ + "/shard-1.safetensors");
  EXPECT_THAT(Message(OpenHfFolder(folder_, Quantize::kNone, *pool_).status()),
              HasSubstr("the folder lacks shard-1.safetensors"));
}

TEST_F(HfFolder, RefusesAnIndexThatLeadsOutOrLies) {
  const TinyPair pair = MakeTinyPair(Small());
  ASSERT_TRUE(Open(pair.hf, 2).ok());
  const std::string index = folder_ + "/model.safetensors.index.json";
  const auto error_with = [&](const std::string& map) {
    WriteFile(index, R"({"weight_map":)" + map + "}");
    return Message(OpenCheckpoint(folder_).status());
  };
  EXPECT_THAT(error_with(R"({"a":"../x.safetensors"})"), HasSubstr("a file in the same folder"));
  EXPECT_THAT(error_with(R"({"a":7})"), HasSubstr("a file in the same folder"));
  EXPECT_THAT(error_with("{}"), HasSubstr("names no tensor"));
  EXPECT_THAT(error_with("[]"), HasSubstr("expected an object, found a list"));
  EXPECT_THAT(error_with(R"({"a":"shard-0.safetensors"})"), HasSubstr("'a' is not in shard-0"));
}

TEST_F(HfFolder, RefusesConfigsByTheirField) {
  const HfWriter good = MakeTinyPair(Small()).hf;
  const auto error_with = [&](const char* field, const nlohmann::json& value) {
    HfWriter bad = good;
    bad.config[field] = value;
    return ErrorOf(bad);
  };
  EXPECT_THAT(error_with("architectures", {"MambaForCausalLM"}),
              AllOf(StartsWith(folder_ + "/config.json"), HasSubstr("'MambaForCausalLM'"),
                    HasSubstr("LlamaForCausalLM")));
  EXPECT_THAT(error_with("num_hidden_layers", 1 << 20), HasSubstr("'num_hidden_layers'"));
  EXPECT_THAT(error_with("hidden_size", "64"), HasSubstr("found a string"));
  EXPECT_THAT(error_with("hidden_act", "gelu"), HasSubstr("'gelu' is not computed"));
  EXPECT_THAT(error_with("quantization_config", {{"quant_method", "awq"}}),
              HasSubstr("quantised already"));
  EXPECT_THAT(error_with("rope_scaling", {{"rope_type", "yarn"}, {"factor", 4}}),
              HasSubstr("'yarn' is not computed; known are"));
  EXPECT_THAT(error_with("partial_rotary_factor", 0.5), HasSubstr("'partial_rotary_factor'"));
  EXPECT_THAT(error_with("num_attention_heads", 8), HasSubstr("heads of even width"));
  EXPECT_THAT(error_with("tie_word_embeddings", false), HasSubstr("no tensor 'lm_head.weight'"));
}

TEST_F(HfFolder, RefusesATensorThatWouldChangeTheResult) {
  HfWriter writer = MakeTinyPair(Small()).hf;
  writer.tensors.push_back({"model.layers.0.mlp.up_proj.bias", "F32", {1}, {0, 0, 0, 0}});
  EXPECT_THAT(ErrorOf(writer),
              AllOf(StartsWith(folder_), HasSubstr("'model.layers.0.mlp.up_proj")));
  // What old files carry beside the weights changes nothing.
  writer.tensors.back().name = "model.layers.0.self_attn.rotary_emb.inv_freq";
  EXPECT_TRUE(Open(writer).ok());
}

TEST_F(HfFolder, SeesThatAShardWasWrittenToWhileItIsOpen) {
  const TinyPair pair = MakeTinyPair(Small("qwen2"));
  const auto hf = *Open(pair.hf);
  EXPECT_TRUE(hf->CheckUnchanged().ok());
  std::ofstream(folder_ + "/model.safetensors", std::ios::app) << "more";
  EXPECT_EQ(hf->CheckUnchanged().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(Message(hf->CheckUnchanged()),
              StartsWith(folder_ + "/model.safetensors: was written to since"));
}

}  // namespace
}  // namespace mortar
