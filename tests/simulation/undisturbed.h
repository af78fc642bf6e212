// The tokens that requests of the simulation give in one process that nobody disturbs. What each
// kind gives is computed once: runs of thousands of seeds ask for the same ones.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "edge/request.h"
#include "engine/gguf/gguf.h"

namespace mortar {

inline constexpr int kRequestKinds = 12;    // prompts of several lengths; greedy and sampled
inline constexpr int kScenarioTokens = 40;  // at most, of an answer

// The prompt is a text that begins with kCanary, a token for each byte.
inline constexpr char kCanary[] = "private canary";
GenerateRequest RequestOfKind(int kind, int n_predict);

class Undisturbed {
 public:
  explicit Undisturbed(std::shared_ptr<GgufFile> file) : file_(std::move(file)) {}

  const std::shared_ptr<GgufFile>& file() const { return file_; }
  // kScenarioTokens of them: a shorter answer is the beginning.
  const std::vector<Token>& TokensOf(int kind);

 private:
  const std::shared_ptr<GgufFile> file_;
  std::map<int, std::vector<Token>> tokens_;
};

}  // namespace mortar
