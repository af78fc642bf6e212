// What a caller asks of an edge, and what it gets back.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "common/clock.h"
#include "common/layer_range.h"
#include "common/status.h"
#include "edge/sampler.h"
#include "engine/text/tokenizer.h"
#include "protocol/messages.h"

namespace mortar {

using RequestId = uint64_t;  // given by the edge, ascending, never used again

inline constexpr size_t kStopsMax = 16;            // stop strings of one request
inline constexpr size_t kStopBytesMax = 256;       // of each: bounds what is held back
inline constexpr size_t kRequestsWaitingMax = 64;  // beyond those that run: then 429

struct GenerateRequest {
  std::vector<Token> prompt;  // at least one, fewer than the context holds
  SamplerOptions sampler{};
  int n_predict = 128;  // at least 1
  std::vector<std::string> stops{};
  int chunk_rows = 0;       // prompt positions of a frame; 0: as many as a frame holds
  bool ignore_end = false;  // end-of-generation tokens do not end it
};

struct Routed {
  std::vector<Hop> hops;
  LayerRange here{};  // the layers between the edge's own, where it took them over; else empty
};
// A token that belongs to the answer, with the text that it releases: whole characters, maybe
// none. It is the caller's to keep, so that more of it than a string holds in itself (15 bytes) is
// the one thing that a token allocates.
struct TokenOut {
  Token token = 0;
  std::string text;
};

enum class FinishReason { kStop, kLength, kCancelled, kError };
const char* Name(FinishReason reason);  // "stop", "length", "cancelled", "error"

struct Timings {
  int prompt_tokens = 0;
  int output_tokens = 0;
  Duration queued{};     // from Submit until it was given a place
  Duration ttft{};       // from Submit to the first token
  Duration prefill{};    // from the route to the first token
  Duration decode{};     // from the first token to the last
  Duration compute{};    // of the batches of the edge's own layers that had rows of it
  int retries = 0;       // new epochs
  int guesses = 0;       // that came back with a step's rows
  int guesses_held = 0;  // of them: tokens that were drawn
  int tokens_alone = 0;  // output tokens that this edge computed with all layers
};

// The last output of a request but for HopTotals.
struct Finished {
  FinishReason reason = FinishReason::kStop;
  absl::Status status;  // why, when the reason is kError
  std::string text;     // what was held back
  Timings timings;
};

// After Finished, once from each hop of the last route: what the hop sent on, and how long it
// computed. For figures; a hop that is gone says nothing.
struct HopTotals {
  NodeId hop;
  Ended sent;
};

struct EdgeOutput {
  RequestId request = 0;
  std::variant<Routed, TokenOut, Finished, HopTotals> what;
};

}  // namespace mortar
