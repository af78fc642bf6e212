// What each command found out, as values: the same for people and for --json.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/clock.h"
#include "common/layer_range.h"
#include "engine/brick/manifest.h"
#include "engine/model/config.h"
#include "protocol/allow_list.h"

namespace mortar {

struct VersionReport {
  std::string version;
  std::string contract;  // id of the numeric contract (docs/numerics.md)
  std::string isa;       // the kernels that this CPU gets
};

struct KeysReport {
  std::string file{};
  std::string public_key{};  // hexadecimal; empty: there is no such file
  std::string list{};
  std::vector<AllowedKey> allowed{};
};

// Who hosts what, in the order in which a token passes: the edge stands at both ends.
struct RouteNode {
  std::string node;
  std::string role;
  LayerRange layers;
  uint64_t bytes = 0;  // of weights, resident
};

// What a node did for an answer: the frames that it sent, as handed to the transport, and how long
// its layers computed.
struct HopFigures {
  uint64_t messages = 0;
  uint64_t bytes = 0;
  uint64_t rows = 0;
  Duration compute{};
};

// Frames from one node to the next, on the answer's last route.
struct HopTraffic {
  std::string from;
  std::string to;
  std::optional<HopFigures> figures{};  // of `from`; absent: it was gone before it could say
};

// A route as it is granted: the first one, and one for each time that a hop was replaced.
struct RouteReport {
  std::vector<RouteNode> route;
  double ms = 0;  // from the first moment in main
};

// A token as it comes.
struct TokenReport {
  int32_t token = 0;
  std::string text;  // the characters that it completes
  double ms = 0;     // from the first moment in main
};

struct RunReport {
  std::vector<int32_t> prompt_tokens;
  std::vector<int32_t> tokens;
  std::string text;
  std::string finish_reason;  // "stop" or "length"
  uint64_t seed = 0;
  double load_ms = 0;        // from the first moment in main until a route was there
  double ttft_ms = 0;        // from the first moment in main until the first token
  double prefill_tok_s = 0;  // prompt tokens over the time from the route to the first token
  double decode_tok_s = 0;   // tokens after the first, over the time since it; 0 for one token
  // Between a token and the next, when half and when 99 of 100 were faster; 0 for one token.
  double inter_token_ms_p50 = 0;
  double inter_token_ms_p99 = 0;
  double inter_token_ms_max = 0;  // the longest pause
  int drafts_proposed = 0;        // guesses that went with a step
  int drafts_accepted = 0;        // of them: tokens of the answer
  int tokens_alone = 0;           // of the answer, that the edge computed with all layers
  std::vector<RouteNode> route;
  std::vector<HopTraffic> hops;  // none when the edge keeps all layers
  // hops.front() is edge → workers, hops.back() workers → edge.
};

struct TokenPiece {
  int32_t id = 0;
  std::string bytes;  // what it stands for: part of a character, at times
};

struct TokenizeReport {
  std::vector<TokenPiece> tokens;
};

struct EmbedReport {
  std::string model;
  size_t tokens = 0;    // of the text, the model's own included
  std::string pooling;  // "mean", "cls" or "last"
  bool normalized = false;
  std::vector<float> embedding;
};

struct BenchResult {
  std::string test;               // "pp512", "tg128", "tg128@16"
  double tok_s = 0;               // mean over the repetitions
  double stddev = 0;              // of tok_s
  double gb_s = 0;                // 10^9 bytes of weights and KV read per second
  double bandwidth_fraction = 0;  // gb_s over the measured bandwidth
  struct Roles {
    double bare_tok_s = 0;          // the bare forward loop's
    double added_us_per_token = 0;  // median over pairs of tokens
    double added_us_per_token_error = 0;
  };
  std::optional<Roles> roles;  // of "tg128@roles" alone
};

struct BenchReport {
  std::string model;
  std::string isa;
  int threads = 0;
  int threads_batch = 0;
  double bandwidth_gb_s = 0;  // measured in the same run
  std::vector<BenchResult> results;
};

struct PerplexityReport {
  double ppl = 0;
  double ppl_error = 0;  // standard error of ppl
  size_t tokens = 0;     // that were scored
  int chunks = 0;
  int ctx_size = 0;
};

struct CompareReport {
  size_t positions = 0;
  size_t same_top = 0;  // positions with the same likeliest token
  double kl_mean = 0;   // of side B from side A, nats a token
  double kl_error = 0;  // standard error of kl_mean
  double kl_max = 0;
  double ppl = 0;                   // of side A
  double against_ppl = 0;           // of side B
  double nll_difference = 0;        // mean of -ln p, side B's less side A's, nats a token
  double nll_difference_error = 0;  // its standard error: the text's own spread cancels
  double logit_difference_max = 0;

  double top1_agreement() const {
    return positions == 0 ? 0 : static_cast<double>(same_top) / static_cast<double>(positions);
  }
};

struct InspectReport {
  std::string path;
  uint64_t file_bytes = 0;
  ModelConfig config;
  Manifest manifest;
};

struct PlannedReplica {
  std::string node;
  int sessions = 0;  // its part of those that the plan is for
};

struct PlannedHop {
  std::string node;
  std::string role;
  LayerRange layers;
  uint64_t bytes = 0;                 // of weights, resident, as RouteNode has them
  uint64_t wire_bytes_per_token = 0;  // to the next hop; 0 for the last
  double link_ms = 0;                 // from the hop before; 0 for the first
  double ms_per_token = 0;            // without the link
  int sessions = 0;                   // its part of those that the plan is for
  std::vector<PlannedReplica> replicas{};
  std::string why;
};

struct DroppedPlanNode {
  std::string node;
  std::string why;
};

struct PlanReport {
  std::vector<PlannedHop> hops;
  double predicted_ms_per_token = 0;
  // Of a plan from speeds: the best with exactly so many nodes, infinite where there is none.
  std::vector<double> ms_by_nodes;
  std::vector<DroppedPlanNode> dropped;
  size_t dropped_more = 0;  // beside those in `dropped`
  std::string why;
};

}  // namespace mortar
