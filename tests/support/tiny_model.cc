#include "tests/support/tiny_model.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>
#include <vector>

#include "common/check.h"
#include "common/random.h"
#include "engine/model/architectures.h"

namespace mortar {
namespace {

constexpr std::string_view kChatTemplate =
    "{% for message in messages %}"
    "{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a wall of bricks.<|im_end|>\n' }}{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

constexpr std::array<const char*, kTinySpecialTokens> kSpecialTokens = {
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<repo_name>",
    "<reponame>",    "<file_sep>",   "<filename>", "<empty_output>"};

// In order of rank. \u0120 is how the byte alphabet spells a space.
constexpr std::array<std::pair<const char*, const char*>, 24> kMerges = {{
    {"\u0120", "t"}, {"\u0120", "a"}, {"i", "n"},        {"h", "e"},        {"r", "e"},
    {"o", "n"},      {"e", "r"},      {"\u0120t", "he"}, {"a", "t"},        {"\u0120", "s"},
    {"\u0120", "w"}, {"o", "u"},      {"n", "d"},        {"\u0120", "c"},   {"l", "l"},
    {"e", "n"},      {"i", "s"},      {"o", "r"},        {"\u0120", "o"},   {"e", "s"},
    {"in", "g"},     {"\u0120", "f"}, {"\u0120", "b"},   {"\u0120a", "nd"},
}};
static_assert(kTinySpecialTokens + 256 + kMerges.size() == kTinyVocab);

// GGUF's numbers for kinds of tokens.
constexpr int32_t kNormalToken = 1, kControlToken = 3, kUnusedToken = 5;

// Below 0x800, which is all that the byte alphabet needs.
std::string Utf8(int code_point) {
  if (code_point < 0x80) return std::string(1, static_cast<char>(code_point));
  return {static_cast<char>(0xc0 | code_point >> 6), static_cast<char>(0x80 | (code_point & 63))};
}

// How GPT-2 spells each byte: printable Latin-1 characters stand for themselves, the other
// bytes for the code points from 256 on, in ascending order.
std::array<std::string, 256> ByteAlphabet() {
  std::array<std::string, 256> alphabet;
  int next = 256;
  for (int byte = 0; byte < 256; ++byte) {
    const bool is_printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte != 173);
    alphabet[static_cast<size_t>(byte)] = Utf8(is_printable ? byte : next++);
  }
  return alphabet;
}

void AddTokenizer(int n_vocab, GgufWriter& writer) {
  std::vector<std::string> tokens(kSpecialTokens.begin(), kSpecialTokens.end());
  std::vector<int32_t> types(tokens.size(), kControlToken);
  for (const std::string& spelling : ByteAlphabet()) tokens.push_back(spelling);
  std::vector<std::string> merges;
  for (const auto& [left, right] : kMerges) {
    tokens.push_back(std::string(left) + right);
    merges.push_back(std::string(left) + " " + right);
  }
  types.resize(tokens.size(), kNormalToken);
  while (tokens.size() < static_cast<size_t>(n_vocab)) {
    tokens.push_back("<unused_" + std::to_string(tokens.size()) + ">");
    types.push_back(kUnusedToken);
  }
  writer.AddString("tokenizer.ggml.model", "gpt2");
  writer.AddString("tokenizer.ggml.pre", "smollm");
  writer.AddStrings("tokenizer.ggml.tokens", tokens);
  writer.AddInts("tokenizer.ggml.token_type", types);
  writer.AddStrings("tokenizer.ggml.merges", merges);
  writer.AddUint32("tokenizer.ggml.bos_token_id", 1);
  writer.AddUint32("tokenizer.ggml.eos_token_id", 2);
  writer.AddUint32("tokenizer.ggml.unknown_token_id", 0);
  writer.AddUint32("tokenizer.ggml.padding_token_id", 2);
  writer.AddBool("tokenizer.ggml.add_space_prefix", false);
  writer.AddBool("tokenizer.ggml.add_bos_token", false);
  writer.AddString("tokenizer.chat_template", kChatTemplate);
}

int HeadDim(const TinyModelOptions& o) { return o.head_dim ? o.head_dim : o.n_embd / o.n_heads; }

int RopeDims(const TinyModelOptions& o) { return o.rope_dims ? o.rope_dims : HeadDim(o); }

const Architecture& TraitsOf(const TinyModelOptions& o) {
  const Architecture* traits = FindArchitecture(o.architecture);
  CHECK(traits != nullptr);
  return *traits;
}

// Keys of what not every model has.
void AddFeatures(const TinyModelOptions& o, GgufWriter& writer) {
  const std::string prefix = o.architecture + '.';
  const auto add = [&](const char* name, float value) {
    if (value != 0) writer.AddFloat(prefix + name, value);
  };
  const auto add_count = [&](const char* name, int value) {
    if (value != 0) writer.AddUint32(prefix + name, static_cast<uint32_t>(value));
  };
  add_count("attention.sliding_window", o.window);
  add_count("attention.sliding_window_pattern", o.full_every);
  add("attn_logit_softcapping", o.attention_cap);
  add("final_logit_softcapping", o.logit_cap);
  if (o.linear_factor != 0) writer.AddString(prefix + "rope.scaling.type", "linear");
  add("rope.scaling.factor", o.linear_factor);
  if (o.rope_factors && TraitsOf(o).factors == RopeFactors::kShortLong) {
    writer.AddString(prefix + "rope.scaling.type", "longrope");
    add("rope.scaling.attn_factor", 1.0954451f);  // sqrt(1 + ln 2 / ln 32)
    add_count("rope.scaling.original_context_length", o.n_ctx / 2);
  }
}

// Those that the conversion of an encoder writes, and no others.
void AddEncoderKeys(const TinyModelOptions& o, GgufWriter& writer) {
  const std::string prefix = o.architecture + '.';
  writer.AddFloat(prefix + "attention.layer_norm_epsilon", o.rms_eps);
  writer.AddBool(prefix + "attention.causal", false);
  if (o.pooling >= 0) writer.AddUint32(prefix + "pooling_type", static_cast<uint32_t>(o.pooling));
  if (!TraitsOf(o).learned_positions) writer.AddFloat(prefix + "rope.freq_base", o.rope_base);
  writer.AddUint32("tokenizer.ggml.token_type_count", kTinyTokenTypes);
}

void AddShape(const TinyModelOptions& options, GgufWriter& writer) {
  const auto count = [](int n) { return static_cast<uint32_t>(n); };
  const std::string prefix = options.architecture + '.';
  writer.AddString("general.architecture", options.architecture);
  writer.AddString("general.type", "model");
  writer.AddString("general.name", "Tiny random " + options.architecture);
  writer.AddUint32(prefix + "block_count", count(options.n_layers));
  writer.AddUint32(prefix + "context_length", count(options.n_ctx));
  writer.AddUint32(prefix + "embedding_length", count(options.n_embd));
  writer.AddUint32(prefix + "feed_forward_length", count(options.n_ff));
  writer.AddUint32(prefix + "attention.head_count", count(options.n_heads));
  if (TraitsOf(options).encoder) {
    AddEncoderKeys(options, writer);
  } else {
    writer.AddUint32(prefix + "attention.head_count_kv", count(options.n_kv_heads));
    writer.AddFloat(prefix + "rope.freq_base", options.rope_base);
    writer.AddFloat(prefix + "attention.layer_norm_rms_epsilon", options.rms_eps);
    writer.AddUint32(prefix + "vocab_size", count(options.n_vocab));
    writer.AddUint32(prefix + "rope.dimension_count", count(RopeDims(options)));
  }
  if (options.head_dim) {
    writer.AddUint32(prefix + "attention.key_length", count(options.head_dim));
    writer.AddUint32(prefix + "attention.value_length", count(options.head_dim));
  }
  AddFeatures(options, writer);
}

// FNV-1a: tells the streams of a seed apart by the tensor's name.
uint64_t HashName(std::string_view name) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : name) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3;
  return hash;
}

// `n` draws of mean `mean` and deviation `deviation`. A sum of 12 uniform numbers has variance 1
// and is close enough to a bell curve; it needs no function whose last bit depends on the machine.
std::vector<float> Draw(uint64_t n, float mean, float deviation, uint64_t seed,
                        std::string_view name) {
  const uint64_t key = seed * 0x9e3779b97f4a7c15 + HashName(name);
  std::vector<float> values(n);
  for (uint64_t i = 0; i < n; ++i) {
    uint32_t sum = 0;  // of 12 numbers of 24 bits
    for (uint32_t part = 0; part < 3; ++part) {
      const auto index = static_cast<uint32_t>(i);
      for (const uint32_t bits : Philox({index, part, 0, 0}, key)) sum += bits >> 8;
    }
    values[i] = mean + deviation * (static_cast<float>(sum) * 0x1p-24f - 6);
  }
  return values;
}

// Lengthens a matrix to `n_out` rows by those that it has, from the first on.
void RepeatRows(uint64_t n_out, GgufWriter::Tensor& matrix) {
  const size_t period = matrix.data.size();
  const size_t row_bytes = period / matrix.shape[1];
  matrix.shape[1] = n_out;
  matrix.data.resize(row_bytes * n_out);
  for (size_t i = period; i < matrix.data.size(); i += row_bytes) {
    std::copy_n(matrix.data.begin() + static_cast<ptrdiff_t>(i - period), row_bytes,
                matrix.data.begin() + static_cast<ptrdiff_t>(i));
  }
}

// Adds the tensors of one seed.
class TensorMaker {
 public:
  TensorMaker(const TinyModelOptions& options, GgufWriter& writer)
      : options_(options), writer_(writer) {}

  // `name` without ".weight".
  void Norm(const std::string& name) {
    Vector(name + ".weight", options_.n_embd, 1);
    if (TraitsOf(options_).layer_norm) Vector(name + ".bias", options_.n_embd, 0);
  }
  // `n` values about `mean`.
  void Vector(const std::string& name, int n, float mean) {
    const auto count = static_cast<uint64_t>(n);
    writer_.AddTensor(name, TensorType::kF32, {count},
                      Draw(count, mean, options_.deviation, options_.seed, name));
  }
  // `n` values of 1 and more.
  void Factors(const std::string& name, int n) {
    const auto count = static_cast<uint64_t>(n);
    std::vector<float> values = Draw(count, 0, options_.deviation, options_.seed, name);
    for (float& value : values) value = 1 + 8 * (value < 0 ? -value : value);
    writer_.AddTensor(name, TensorType::kF32, {count}, values);
  }
  void Matrix(const std::string& name, TensorType type, int n_in, int n_out) {
    if (!options_.mixed_types.empty()) {
      type = options_.mixed_types[n_matrices_++ % options_.mixed_types.size()];
      if (n_in % BlockElements(type) != 0) type = TensorType::kF16;
    }
    if (options_.type_of) type = options_.type_of(name, n_in);
    const auto in = static_cast<uint64_t>(n_in);
    const auto out = static_cast<uint64_t>(n_out);
    const bool repeats = options_.drawn_rows > 0 && n_out > options_.drawn_rows;
    const uint64_t drawn = repeats ? static_cast<uint64_t>(options_.drawn_rows) : out;
    writer_.AddTensor(name, type, {in, drawn},
                      Draw(in * drawn, 0, options_.deviation, options_.seed, name));
    if (repeats) RepeatRows(out, writer_.tensors.back());
  }

 private:
  const TinyModelOptions& options_;
  GgufWriter& writer_;
  size_t n_matrices_ = 0;
};

void AddAttention(const TinyModelOptions& o, const std::string& block, TensorMaker& make) {
  const Architecture& traits = TraitsOf(o);
  const int n_q = HeadDim(o) * o.n_heads;
  const int n_kv = HeadDim(o) * o.n_kv_heads;
  if (!traits.norms_of_sums) make.Norm(block + "attn_norm");
  if (traits.fused_qkv) {
    make.Matrix(block + "attn_qkv.weight", o.type, o.n_embd, n_q + 2 * n_kv);
  } else {
    make.Matrix(block + "attn_q.weight", o.type, o.n_embd, n_q);
    make.Matrix(block + "attn_k.weight", o.type, o.n_embd, n_kv);
    make.Matrix(block + "attn_v.weight", o.type, o.n_embd, n_kv);
  }
  if (traits.qkv_bias) {
    make.Vector(block + "attn_q.bias", n_q, 0);
    make.Vector(block + "attn_k.bias", n_kv, 0);
    make.Vector(block + "attn_v.bias", n_kv, 0);
  }
  if (traits.qk_norm) {
    make.Vector(block + "attn_q_norm.weight", HeadDim(o), 1);
    make.Vector(block + "attn_k_norm.weight", HeadDim(o), 1);
  }
  make.Matrix(block + "attn_output.weight", o.type, n_q, o.n_embd);
  if (traits.branch_bias) make.Vector(block + "attn_output.bias", o.n_embd, 0);
  if (traits.norms_after) make.Norm(block + "post_attention_norm");
  if (traits.norms_of_sums) make.Norm(block + "attn_output_norm");
}

void AddFeedForward(const TinyModelOptions& o, const std::string& block, TensorMaker& make) {
  const Architecture& traits = TraitsOf(o);
  if (!traits.norms_of_sums) make.Norm(block + "ffn_norm");
  const bool gate = traits.gate != Gate::kNone && !traits.fused_gate_up;
  if (gate) make.Matrix(block + "ffn_gate.weight", o.type, o.n_embd, o.n_ff);
  make.Matrix(block + "ffn_up.weight", o.type, o.n_embd, (traits.fused_gate_up ? 2 : 1) * o.n_ff);
  make.Matrix(block + "ffn_down.weight", o.type, o.n_ff, o.n_embd);
  if (traits.branch_bias) {
    make.Vector(block + "ffn_up.bias", o.n_ff, 0);
    make.Vector(block + "ffn_down.bias", o.n_embd, 0);
  }
  if (traits.norms_after) make.Norm(block + "post_ffw_norm");
  if (traits.norms_of_sums) make.Norm(block + "layer_output_norm");
}

void AddEmbedding(const TinyModelOptions& o, TensorType type, TensorMaker& make) {
  const Architecture& traits = TraitsOf(o);
  make.Matrix("token_embd.weight", type, o.n_embd, o.n_vocab);
  // In files these two are never quantised.
  if (traits.token_types) {
    make.Matrix("token_types.weight", TensorType::kF32, o.n_embd, kTinyTokenTypes);
  }
  if (traits.learned_positions) {
    make.Matrix("position_embd.weight", TensorType::kF32, o.n_embd, o.n_ctx);
  }
  if (traits.embedding_norm) make.Norm("token_embd_norm");
}

void AddRopeFactors(const TinyModelOptions& o, TensorMaker& make) {
  const int n_pairs = RopeDims(o) / 2;
  switch (TraitsOf(o).factors) {
    case RopeFactors::kNone:
      break;
    case RopeFactors::kFreqs:
      return make.Factors("rope_freqs.weight", n_pairs);
    case RopeFactors::kShortLong:
      make.Factors("rope_factors_short.weight", n_pairs);
      return make.Factors("rope_factors_long.weight", n_pairs);
  }
  CHECK(false);
}

}  // namespace

GgufWriter MakeTinyModel(const TinyModelOptions& o) {
  CHECK(o.n_vocab >= kTinyVocab && o.n_heads % o.n_kv_heads == 0);
  CHECK(o.head_dim != 0 || o.n_embd % o.n_heads == 0);
  GgufWriter writer;
  AddShape(o, writer);
  AddTokenizer(o.n_vocab, writer);
  TensorMaker make(o, writer);
  const TensorType embedding_type = o.embedding_type.value_or(o.type);
  AddEmbedding(o, embedding_type, make);
  if (o.rope_factors) AddRopeFactors(o, make);
  for (int layer = 0; layer < o.n_layers; ++layer) {
    const std::string block = "blk." + std::to_string(layer) + ".";
    AddAttention(o, block, make);
    AddFeedForward(o, block, make);
  }
  if (TraitsOf(o).encoder) return writer;
  make.Norm("output_norm");
  if (!o.tied_head) make.Matrix("output.weight", embedding_type, o.n_embd, o.n_vocab);
  return writer;
}

std::vector<NamedTinyModel> TinyModelOfEveryArchitecture() {
  const auto base = [](const char* architecture) {
    TinyModelOptions o;
    o.n_layers = 6;
    o.n_ctx = 64;
    o.deviation = 0.2f;
    o.architecture = architecture;
    return o;
  };
  std::vector<NamedTinyModel> models;
  TinyModelOptions o = base("llama");
  o.tied_head = false;
  models.push_back({"llama", o});
  o.linear_factor = 4;
  models.push_back({"llama-linear", o});
  o.linear_factor = 0;
  o.rope_factors = true;
  models.push_back({"llama-factors", o});
  o = base("mistral");
  o.head_dim = 24;
  o.window = 7;
  o.tied_head = false;
  models.push_back({"mistral", o});
  models.push_back({"qwen2", base("qwen2")});
  o = base("qwen3");
  o.head_dim = 32;
  models.push_back({"qwen3", o});
  o = base("phi3");
  o.rope_dims = 12;
  o.window = 7;
  o.tied_head = false;
  o.rope_factors = true;
  models.push_back({"phi3", o});
  o = base("gemma2");
  o.head_dim = 32;
  o.window = 7;
  o.attention_cap = 2;
  o.logit_cap = 3;
  models.push_back({"gemma2", o});
  o = base("gemma3");
  o.head_dim = 24;
  o.rope_base = 1000000;
  o.window = 7;
  o.linear_factor = 8;
  models.push_back({"gemma3", o});
  return models;
}

std::vector<NamedTinyModel> TinyEncoders() {
  TinyModelOptions o;
  o.n_layers = 3;
  o.n_ctx = 64;
  o.n_kv_heads = 4;
  o.rms_eps = 1e-12f;
  o.deviation = 0.2f;
  std::vector<NamedTinyModel> models;
  o.architecture = "bert";
  o.pooling = 2;
  models.push_back({"bert", o});
  o.architecture = "nomic-bert";
  o.rope_base = 1000;
  o.pooling = 1;
  models.push_back({"nomic-bert", o});
  return models;
}

void WriteTinyModel(const TinyModelOptions& options, const std::string& path) {
  MakeTinyModel(options).WriteTo(path);
}

}  // namespace mortar
