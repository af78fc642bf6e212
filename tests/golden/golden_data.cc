// See golden_data.h.
#include "tests/golden/golden_data.h"

#include <array>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

namespace mortar {
namespace {

using nlohmann::json;

std::string Path(const std::string& file) {
  return std::string(MORTAR_TEST_DATA) + "/golden/" + file;
}

// Takes values off the front of a file's bytes; zeros, and `failed`, where it ends too early.
class Taker {
 public:
  explicit Taker(std::string bytes) : bytes_(std::move(bytes)) {}

  template <typename T>
  std::vector<T> Some(size_t n) {
    std::vector<T> values(n);
    if ((bytes_.size() - at_) / sizeof(T) < n) {
      failed_ = true;
    } else {
      std::memcpy(values.data(), bytes_.data() + at_, n * sizeof(T));
      at_ += n * sizeof(T);
    }
    return values;
  }

  template <typename T>
  T One() {
    return Some<T>(1)[0];
  }

  bool failed() const { return failed_; }
  bool empty() const { return at_ == bytes_.size(); }

 private:
  std::string bytes_;
  size_t at_ = 0;
  bool failed_ = false;
};

struct Header {
  std::array<char, 8> magic;
  uint32_t n_vocab, n_lists, n_positions, n_top, n_random;
};
static_assert(sizeof(Header) == 28);

// The output function of splitmix64 (Steele, Lea and Flood 2014), as golden_files.py has it.
uint64_t Mix(uint64_t x) {
  x += 0x9E3779B97F4A7C15u;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

std::vector<int32_t> RandomIds(uint64_t list, uint64_t position, const Header& header) {
  std::vector<int32_t> ids(header.n_random);
  for (size_t j = 0; j < ids.size(); ++j) {
    ids[j] = static_cast<int32_t>(Mix((list * 65536 + position) * 16 + j) % header.n_vocab);
  }
  return ids;
}

// Whether the sizes are those that make_golden.py writes, and belong to these tokens.
bool Fits(const Header& header, const TokenLists& tokens) {
  if (std::string(header.magic.begin(), header.magic.end()) != "MRTGOLD1") return false;
  if (header.n_vocab == 0 || header.n_top != 16 || header.n_random != 16) return false;
  if (header.n_lists != tokens.size()) return false;
  for (const std::vector<int32_t>& list : tokens) {
    if (list.size() != header.n_positions) return false;
  }
  return true;
}

absl::StatusOr<json> ReadValue(const std::string& file, const std::vector<std::string>& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadText(file));
  json value = json::parse(text, nullptr, /*allow_exceptions=*/false);
  for (const std::string& key : path) {
    if (!value.is_object() || !value.contains(key)) {
      return DataLoss(Path(file) + ": has no '" + key + "' where it is expected");
    }
    json next = value[key];
    value = std::move(next);
  }
  return value;
}

}  // namespace

absl::StatusOr<std::string> ReadText(const std::string& file) {
  std::ifstream in(Path(file), std::ios::binary);
  if (!in) return NotFound(Path(file) + ": cannot be read");
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

absl::StatusOr<TokenLists> ReadTokenLists(const std::string& name) {
  ASSIGN_OR_RETURN(const std::string text, ReadText(name + ".tokens"));
  std::istringstream lines(text);
  TokenLists lists;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream ids(line);
    lists.emplace_back();
    for (int32_t id; ids >> id;) lists.back().push_back(id);
    if (!ids.eof()) return DataLoss(Path(name) + ".tokens: holds more than numbers");
  }
  if (lists.empty()) return DataLoss(Path(name) + ".tokens: holds no list");
  return lists;
}

absl::StatusOr<std::vector<float>> ReadFloats(const std::string& file) {
  ASSIGN_OR_RETURN(std::string bytes, ReadText(file));
  const size_t n = bytes.size() / sizeof(float);
  if (n * sizeof(float) != bytes.size()) return DataLoss(Path(file) + ": ends inside a number");
  return Taker(std::move(bytes)).Some<float>(n);
}

absl::StatusOr<GoldenLists> ReadGoldenLists(const std::string& name) {
  GoldenLists out;
  ASSIGN_OR_RETURN(out.tokens, ReadTokenLists(name));
  ASSIGN_OR_RETURN(std::string bytes, ReadText(name + ".ref"));
  Taker taker(std::move(bytes));
  const Header header = taker.One<Header>();
  if (!Fits(header, out.tokens)) {
    return DataLoss(Path(name) + ".ref: is no golden file of the lists in " + name + ".tokens");
  }
  out.n_vocab = static_cast<int>(header.n_vocab);
  out.records.resize(header.n_lists);
  for (uint32_t list = 0; list < header.n_lists; ++list) {
    for (uint32_t position = 0; position < header.n_positions; ++position) {
      GoldenRecord& record = out.records[list].emplace_back();
      record.log_sum_exp = taker.One<float>();
      record.top_ids = taker.Some<int32_t>(header.n_top);
      record.top_logits = taker.Some<float>(header.n_top);
      record.random_ids = RandomIds(list, position, header);
      record.random_logits = taker.Some<float>(header.n_random);
    }
  }
  if (taker.failed() || !taker.empty()) {
    return DataLoss(Path(name) + ".ref: has not the size that its header says");
  }
  return out;
}

absl::StatusOr<std::vector<std::string>> ReadPromptTexts() {
  ASSIGN_OR_RETURN(const json prompts, ReadValue("prompts.json", {}));
  std::vector<std::string> texts;
  if (!prompts.is_array()) return DataLoss(Path("prompts.json") + ": is no list");
  for (const json& prompt : prompts) {
    if (!prompt.is_object() || !prompt.contains("text") || !prompt["text"].is_string()) {
      return DataLoss(Path("prompts.json") + ": has an entry without text");
    }
    texts.push_back(prompt["text"].get<std::string>());
  }
  return texts;
}

absl::StatusOr<double> ReadNumber(const std::string& file, const std::vector<std::string>& path) {
  ASSIGN_OR_RETURN(const json value, ReadValue(file, path));
  if (!value.is_number()) return DataLoss(Path(file) + ": '" + path.back() + "' is no number");
  return value.get<double>();
}

absl::StatusOr<std::string> ReadString(const std::string& file,
                                       const std::vector<std::string>& path) {
  ASSIGN_OR_RETURN(const json value, ReadValue(file, path));
  if (!value.is_string()) return DataLoss(Path(file) + ": '" + path.back() + "' is no text");
  return value.get<std::string>();
}

}  // namespace mortar
