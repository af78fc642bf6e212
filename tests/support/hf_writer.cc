#include "tests/support/hf_writer.h"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <map>
#include <utility>

#include "common/check.h"
#include "engine/model/architectures.h"

namespace mortar {
namespace {

using nlohmann::json;

bool IsGemma(const TinyModelOptions& o) { return o.architecture.starts_with("gemma"); }

int HeadDim(const TinyModelOptions& o) { return o.head_dim ? o.head_dim : o.n_embd / o.n_heads; }

std::string ClassName(const std::string& architecture) {
  static const std::map<std::string, std::string> names = {
      {"llama", "Llama"}, {"mistral", "Mistral"}, {"qwen2", "Qwen2"},  {"qwen3", "Qwen3"},
      {"phi3", "Phi3"},   {"gemma2", "Gemma2"},   {"gemma3", "Gemma3"}};
  return names.at(architecture) + "ForCausalLM";
}

std::string NameInHf(const std::string& name, const TinyModelOptions& o) {
  static const std::map<std::string, std::string> names = {
      {"token_embd.weight", "model.embed_tokens.weight"},
      {"output_norm.weight", "model.norm.weight"},
      {"output.weight", "lm_head.weight"},
      {"attn_norm.weight", "input_layernorm.weight"},
      {"attn_q.weight", "self_attn.q_proj.weight"},
      {"attn_k.weight", "self_attn.k_proj.weight"},
      {"attn_v.weight", "self_attn.v_proj.weight"},
      {"attn_q.bias", "self_attn.q_proj.bias"},
      {"attn_k.bias", "self_attn.k_proj.bias"},
      {"attn_v.bias", "self_attn.v_proj.bias"},
      {"attn_q_norm.weight", "self_attn.q_norm.weight"},
      {"attn_k_norm.weight", "self_attn.k_norm.weight"},
      {"attn_qkv.weight", "self_attn.qkv_proj.weight"},
      {"attn_output.weight", "self_attn.o_proj.weight"},
      {"ffn_gate.weight", "mlp.gate_proj.weight"},
      {"ffn_down.weight", "mlp.down_proj.weight"},
      {"post_attention_norm.weight", "post_attention_layernorm.weight"},
      {"post_ffw_norm.weight", "post_feedforward_layernorm.weight"}};
  if (!name.starts_with("blk.")) return names.at(name);
  const size_t dot = name.find('.', 4);
  const std::string rest = name.substr(dot + 1);
  const std::string prefix = "model.layers." + name.substr(4, dot - 3);
  if (rest == "ffn_up.weight") {
    return prefix + (o.architecture == "phi3" ? "mlp.gate_up_proj.weight" : "mlp.up_proj.weight");
  }
  if (rest == "ffn_norm.weight") {
    return prefix +
           (IsGemma(o) ? "pre_feedforward_layernorm.weight" : "post_attention_layernorm.weight");
  }
  return prefix + names.at(rest);
}

// From neighbouring pairs to halves, the other way than the engine goes.
std::vector<uint8_t> ToHalves(const std::vector<uint8_t>& rows, size_t row_bytes, size_t head_dim) {
  std::vector<uint8_t> out(rows.size());
  for (size_t row = 0; row < rows.size() / row_bytes; ++row) {
    const size_t head = row / head_dim * head_dim;
    const size_t pair = (row - head) / 2;
    const size_t to = head + (row % 2 == 0 ? pair : head_dim / 2 + pair);
    std::memcpy(out.data() + to * row_bytes, rows.data() + row * row_bytes, row_bytes);
  }
  return out;
}

// Adds `offset` to every float of a norm.
void Shift(float offset, std::vector<uint8_t>& data) {
  for (size_t at = 0; at < data.size(); at += sizeof(float)) {
    float value = 0;
    std::memcpy(&value, data.data() + at, sizeof(value));
    value += offset;
    std::memcpy(data.data() + at, &value, sizeof(value));
  }
}

void AddTensors(const TinyModelOptions& o, TinyPair& pair) {
  for (GgufWriter::Tensor& tensor : pair.gguf.tensors) {
    if (tensor.name.starts_with("rope_factors")) continue;
    if (IsGemma(o) && tensor.name.ends_with("norm.weight")) {
      Shift(-1, tensor.data);
      Shift(1, tensor.data);
    }
    HfWriter::Tensor to;
    to.name = NameInHf(tensor.name, o);
    to.dtype = tensor.type == static_cast<uint32_t>(TensorType::kBF16) ? "BF16" : "F32";
    to.shape.assign(tensor.shape.rbegin(), tensor.shape.rend());
    to.data = tensor.data;
    if (IsGemma(o) && tensor.name.ends_with("norm.weight")) Shift(-1, to.data);
    const bool turns =
        FindArchitecture(o.architecture)->pairing == RopePairing::kNeighbours &&
        (tensor.name.ends_with("attn_q.weight") || tensor.name.ends_with("attn_k.weight"));
    if (turns) {
      to.data = ToHalves(to.data, to.data.size() / to.shape[0], static_cast<size_t>(HeadDim(o)));
    }
    pair.hf.tensors.push_back(std::move(to));
  }
}

std::vector<double> Factors(const GgufWriter& writer, const std::string& name) {
  for (const GgufWriter::Tensor& tensor : writer.tensors) {
    if (tensor.name != name) continue;
    std::vector<float> values(tensor.data.size() / sizeof(float));
    std::memcpy(values.data(), tensor.data.data(), tensor.data.size());
    return {values.begin(), values.end()};
  }
  CHECK(false);
}

json Config(const TinyModelOptions& o, const GgufWriter& gguf) {
  json config = {{"architectures", {ClassName(o.architecture)}},
                 {"model_type", o.architecture},
                 {"vocab_size", o.n_vocab},
                 {"hidden_size", o.n_embd},
                 {"intermediate_size", o.n_ff},
                 {"num_hidden_layers", o.n_layers},
                 {"num_attention_heads", o.n_heads},
                 {"num_key_value_heads", o.n_kv_heads},
                 {"head_dim", HeadDim(o)},
                 {"max_position_embeddings", o.n_ctx},
                 {"rms_norm_eps", o.rms_eps},
                 {"rope_theta", o.rope_base},
                 {"tie_word_embeddings", o.tied_head},
                 {"hidden_act", IsGemma(o) ? "gelu_pytorch_tanh" : "silu"},
                 {"bos_token_id", 1},
                 {"eos_token_id", {2, 0}},
                 {"torch_dtype", "float32"}};
  if (o.window != 0) config["sliding_window"] = o.window;
  if (o.architecture == "qwen2") {
    config["sliding_window"] = 4096;  // switched off, as in Qwen's own files
    config["use_sliding_window"] = false;
  }
  if (o.linear_factor != 0) {
    config["rope_scaling"] = {{"rope_type", "linear"}, {"factor", o.linear_factor}};
  }
  if (o.rope_dims != 0) {
    config["partial_rotary_factor"] = static_cast<double>(o.rope_dims) / HeadDim(o);
  }
  if (o.rope_factors) {
    config["original_max_position_embeddings"] = o.n_ctx / 2;
    config["rope_scaling"] = {{"type", "longrope"},
                              {"short_factor", Factors(gguf, "rope_factors_short.weight")},
                              {"long_factor", Factors(gguf, "rope_factors_long.weight")}};
  }
  if (IsGemma(o)) {
    config["query_pre_attn_scalar"] = HeadDim(o);
    if (o.attention_cap != 0) config["attn_logit_softcapping"] = o.attention_cap;
    if (o.logit_cap != 0) config["final_logit_softcapping"] = o.logit_cap;
  }
  if (o.architecture == "gemma3") config["rope_local_base_freq"] = 10000.0;
  return config;
}

// The vocabulary that the GGUF form has, through its own reader.
void AddTokenizer(TinyPair& pair) {
  const auto file = GgufFile::FromBytes(pair.gguf.Bytes(), "tiny.gguf");
  CHECK(file.ok());
  const std::vector<std::string>& tokens = **(*file)->GetStrings("tokenizer.ggml.tokens");
  const std::vector<int32_t> types = *(*file)->GetInts("tokenizer.ggml.token_type");
  json vocabulary = json::object();
  json added = json::array();
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (types[i] == 1) vocabulary[tokens[i]] = i;
    if (types[i] == 3) {
      added.push_back({{"id", i}, {"content", tokens[i]}, {"special", true}});
    }
  }
  const json byte_level = {{"type", "ByteLevel"}, {"add_prefix_space", false}};
  const json digits = {{"type", "Digits"}, {"individual_digits", true}};
  pair.hf.tokenizer = {
      {"version", "1.0"},
      {"normalizer", nullptr},
      {"pre_tokenizer",
       {{"type", "Sequence"}, {"pretokenizers", json::array({digits, byte_level})}}},
      {"added_tokens", added},
      {"model",
       {{"type", "BPE"},
        {"vocab", vocabulary},
        {"merges", **(*file)->GetStrings("tokenizer.ggml.merges")}}}};
  pair.hf.tokenizer_config = {{"bos_token", "<|im_start|>"},
                              {"eos_token", {{"content", "<|im_end|>"}}},
                              {"chat_template", *(*file)->GetString("tokenizer.chat_template")}};
}

}  // namespace

std::string SafetensorsBytes(const std::string& header, const std::string& data) {
  const uint64_t n = header.size();
  std::string bytes(sizeof(n), '\0');
  std::memcpy(bytes.data(), &n, sizeof(n));
  return bytes + header + data;
}

std::string SafetensorsBytes(const std::vector<HfWriter::Tensor>& tensors) {
  json header = {{"__metadata__", {{"format", "pt"}}}};
  std::string data;
  for (const HfWriter::Tensor& tensor : tensors) {
    const size_t begin = data.size();
    data.append(tensor.data.begin(), tensor.data.end());
    header[tensor.name] = {
        {"dtype", tensor.dtype}, {"shape", tensor.shape}, {"data_offsets", {begin, data.size()}}};
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  return SafetensorsBytes(text, data);
}

void WriteFile(const std::string& path, const std::string& bytes) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  file.close();
  CHECK(file.good());
}

void HfWriter::WriteTo(const std::string& folder, int n_shards) const {
  WriteFile(folder + "/config.json", config.dump());
  WriteFile(folder + "/tokenizer.json", tokenizer.dump());
  WriteFile(folder + "/tokenizer_config.json", tokenizer_config.dump());
  if (n_shards == 1) return WriteFile(folder + "/model.safetensors", SafetensorsBytes(tensors));
  std::vector<std::vector<Tensor>> shards(static_cast<size_t>(n_shards));
  json map = json::object();
  for (size_t i = 0; i < tensors.size(); ++i) {
    const size_t shard = i % shards.size();
    shards[shard].push_back(tensors[i]);
    map[tensors[i].name] = "shard-" + std::to_string(shard) + ".safetensors";
  }
  for (size_t i = 0; i < shards.size(); ++i) {
    WriteFile(folder + "/shard-" + std::to_string(i) + ".safetensors", SafetensorsBytes(shards[i]));
  }
  WriteFile(folder + "/model.safetensors.index.json", json{{"weight_map", map}}.dump());
}

TinyPair MakeTinyPair(const TinyModelOptions& options) {
  TinyPair pair{MakeTinyModel(options), {}};
  AddTensors(options, pair);
  pair.hf.config = Config(options, pair.gguf);
  AddTokenizer(pair);
  return pair;
}

}  // namespace mortar
