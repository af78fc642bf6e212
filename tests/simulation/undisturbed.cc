#include "tests/simulation/undisturbed.h"

#include <string>

#include "tests/integration/embedded_cluster.h"

namespace mortar {

GenerateRequest RequestOfKind(int kind, int n_predict) {
  static constexpr int kLengths[] = {17, 24, 33, 48, 66, 90};
  std::string text = std::string(kCanary) + " " + std::to_string(kind) + " of the owner ";
  GenerateRequest request;
  for (size_t i = 0; request.prompt.size() < static_cast<size_t>(kLengths[kind / 2]); ++i) {
    const auto byte = static_cast<uint8_t>(text[i % text.size()]);
    request.prompt.push_back(static_cast<Token>(kTinySpecialTokens + byte));
  }
  request.sampler.temperature = kind % 2 == 0 ? 0 : 0.9f;
  request.sampler.seed = static_cast<uint64_t>(kind);
  request.n_predict = n_predict;
  request.ignore_end = true;
  request.chunk_rows = kind % 3 == 0 ? 0 : 5 + kind;  // several frames of prefill in flight
  return request;
}

const std::vector<Token>& Undisturbed::TokensOf(int kind) {
  const auto found = tokens_.find(kind);
  if (found != tokens_.end()) return found->second;
  return tokens_.emplace(kind, DecodeAlone(*file_, RequestOfKind(kind, kScenarioTokens)))
      .first->second;
}

}  // namespace mortar
