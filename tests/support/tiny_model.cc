#include "tests/support/tiny_model.h"

#include <array>
#include <string_view>
#include <utility>
#include <vector>

#include "common/check.h"
#include "common/random.h"

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

void AddShape(const TinyModelOptions& options, GgufWriter& writer) {
  const auto count = [](int n) { return static_cast<uint32_t>(n); };
  writer.AddString("general.architecture", "llama");
  writer.AddString("general.type", "model");
  writer.AddString("general.name", "Tiny random llama");
  writer.AddUint32("llama.block_count", count(options.n_layers));
  writer.AddUint32("llama.context_length", count(options.n_ctx));
  writer.AddUint32("llama.embedding_length", count(options.n_embd));
  writer.AddUint32("llama.feed_forward_length", count(options.n_ff));
  writer.AddUint32("llama.attention.head_count", count(options.n_heads));
  writer.AddUint32("llama.attention.head_count_kv", count(options.n_kv_heads));
  writer.AddFloat("llama.rope.freq_base", options.rope_base);
  writer.AddFloat("llama.attention.layer_norm_rms_epsilon", options.rms_eps);
  writer.AddUint32("llama.vocab_size", count(options.n_vocab));
  const int head_dim = HeadDim(options);
  writer.AddUint32("llama.rope.dimension_count",
                   count(options.rope_dims ? options.rope_dims : head_dim));
  if (options.head_dim) {
    writer.AddUint32("llama.attention.key_length", count(head_dim));
    writer.AddUint32("llama.attention.value_length", count(head_dim));
  }
}

// FNV-1a: tells the streams of a seed apart by the tensor's name.
uint64_t HashName(std::string_view name) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : name) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3;
  return hash;
}

// `n` draws of mean `mean` and deviation 0.05. A sum of 12 uniform numbers has variance 1 and
// is close enough to a bell curve; it needs no function whose last bit depends on the machine.
std::vector<float> Draw(uint64_t n, float mean, uint64_t seed, std::string_view name) {
  const uint64_t key = seed * 0x9e3779b97f4a7c15 + HashName(name);
  std::vector<float> values(n);
  for (uint64_t i = 0; i < n; ++i) {
    uint32_t sum = 0;  // of 12 numbers of 24 bits
    for (uint32_t part = 0; part < 3; ++part) {
      const auto index = static_cast<uint32_t>(i);
      for (const uint32_t bits : Philox({index, part, 0, 0}, key)) sum += bits >> 8;
    }
    values[i] = mean + 0.05f * (static_cast<float>(sum) * 0x1p-24f - 6);
  }
  return values;
}

// Adds the tensors of one seed.
class TensorMaker {
 public:
  TensorMaker(const TinyModelOptions& options, GgufWriter& writer)
      : options_(options), writer_(writer) {}

  void Norm(const std::string& name) {
    const auto n = static_cast<uint64_t>(options_.n_embd);
    writer_.AddTensor(name, TensorType::kF32, {n}, Draw(n, 1, options_.seed, name));
  }
  void Matrix(const std::string& name, TensorType type, int n_in, int n_out) {
    if (!options_.mixed_types.empty()) {
      type = options_.mixed_types[n_matrices_++ % options_.mixed_types.size()];
      if (n_in % BlockElements(type) != 0) type = TensorType::kF16;
    }
    const auto in = static_cast<uint64_t>(n_in);
    const auto out = static_cast<uint64_t>(n_out);
    writer_.AddTensor(name, type, {in, out}, Draw(in * out, 0, options_.seed, name));
  }

 private:
  const TinyModelOptions& options_;
  GgufWriter& writer_;
  size_t n_matrices_ = 0;
};

}  // namespace

GgufWriter MakeTinyModel(const TinyModelOptions& o) {
  CHECK(o.n_vocab >= kTinyVocab && o.n_heads % o.n_kv_heads == 0);
  CHECK(o.head_dim != 0 || o.n_embd % o.n_heads == 0);
  GgufWriter writer;
  AddShape(o, writer);
  AddTokenizer(o.n_vocab, writer);
  TensorMaker make(o, writer);
  const TensorType embedding_type = o.embedding_type.value_or(o.type);
  const int n_q = HeadDim(o) * o.n_heads;
  const int n_kv = HeadDim(o) * o.n_kv_heads;
  make.Matrix("token_embd.weight", embedding_type, o.n_embd, o.n_vocab);
  for (int layer = 0; layer < o.n_layers; ++layer) {
    const std::string block = "blk." + std::to_string(layer) + ".";
    make.Norm(block + "attn_norm.weight");
    make.Matrix(block + "attn_q.weight", o.type, o.n_embd, n_q);
    make.Matrix(block + "attn_k.weight", o.type, o.n_embd, n_kv);
    make.Matrix(block + "attn_v.weight", o.type, o.n_embd, n_kv);
    make.Matrix(block + "attn_output.weight", o.type, n_q, o.n_embd);
    make.Norm(block + "ffn_norm.weight");
    make.Matrix(block + "ffn_gate.weight", o.type, o.n_embd, o.n_ff);
    make.Matrix(block + "ffn_up.weight", o.type, o.n_embd, o.n_ff);
    make.Matrix(block + "ffn_down.weight", o.type, o.n_ff, o.n_embd);
  }
  make.Norm("output_norm.weight");
  if (!o.tied_head) make.Matrix("output.weight", embedding_type, o.n_embd, o.n_vocab);
  return writer;
}

void WriteTinyModel(const TinyModelOptions& options, const std::string& path) {
  MakeTinyModel(options).WriteTo(path);
}

}  // namespace mortar
