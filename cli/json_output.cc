#include "cli/json_output.h"

#include <cmath>
#include <nlohmann/json.hpp>

namespace mortar {
namespace {

using Json = nlohmann::ordered_json;

// Bytes that are not UTF-8 become U+FFFD: JSON can hold nothing else.
std::string Dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Json BrickJson(const Brick& brick) {
  Json tensors = Json::array();
  for (const BrickTensor& tensor : brick.tensors) {
    tensors.push_back({{"name", tensor.name},
                       {"type", Name(tensor.type)},
                       {"shape", tensor.shape},
                       {"bytes", tensor.bytes}});
  }
  return {{"name", brick.name},
          {"kind", Name(brick.kind)},
          {"version", brick.version},
          {"layers", {brick.layers.begin, brick.layers.end}},
          {"bytes", brick.bytes},
          {"sha256", brick.digest ? Json(ToHex(*brick.digest)) : Json()},
          {"sensitivity", Name(brick.sensitivity)},
          {"tensors", std::move(tensors)}};
}

Json RouteJson(const std::vector<RouteNode>& nodes) {
  Json route = Json::array();
  for (const RouteNode& node : nodes) {
    route.push_back({{"node", node.node},
                     {"role", node.role},
                     {"layers", {node.layers.begin, node.layers.end}},
                     {"bytes", node.bytes}});
  }
  return route;
}

}  // namespace

std::string ToJson(const VersionReport& report) {
  return Dump({{"version", report.version}, {"contract", report.contract}, {"isa", report.isa}});
}

std::string ToJson(const KeysReport& report) {
  Json allowed = Json::array();
  for (const AllowedKey& key : report.allowed) {
    Json roles = Json::array();
    for (const Role role : key.roles) roles.push_back(Name(role));
    allowed.push_back({{"public", ToHex(key.key)}, {"roles", roles}, {"name", key.name}});
  }
  return Dump({{"file", report.file},
               {"public", report.public_key.empty() ? Json() : Json(report.public_key)},
               {"list", report.list},
               {"allowed", std::move(allowed)}});
}

std::string ToJson(const RunReport& report) {
  Json hops = Json::array();
  uint64_t messages = 0;
  for (const HopTraffic& hop : report.hops) {
    Json figures = {{"from", hop.from},
                    {"to", hop.to},
                    {"messages", nullptr},
                    {"bytes", nullptr},
                    {"compute_ms", nullptr}};
    if (hop.figures) {
      figures["messages"] = hop.figures->messages;
      figures["bytes"] = hop.figures->bytes;
      figures["compute_ms"] = Milliseconds(hop.figures->compute);
      messages += hop.figures->messages;
    }
    hops.push_back(std::move(figures));
  }
  const Json bytes_up = hops.empty() ? Json(0) : hops.front()["bytes"];
  const Json bytes_down = hops.empty() ? Json(0) : hops.back()["bytes"];
  return Dump(
      {{"prompt_tokens", report.prompt_tokens},
       {"tokens", report.tokens},
       {"text", report.text},
       {"finish_reason", report.finish_reason},
       {"seed", report.seed},
       {"timings",
        {{"load_ms", report.load_ms},
         {"ttft_ms", report.ttft_ms},
         {"prefill_tok_s", report.prefill_tok_s},
         {"decode_tok_s", report.decode_tok_s},
         {"inter_token_ms",
          {{"p50", report.inter_token_ms_p50},
           {"p99", report.inter_token_ms_p99},
           {"max", report.inter_token_ms_max}}}}},
       {"drafts", {{"proposed", report.drafts_proposed}, {"accepted", report.drafts_accepted}}},
       {"tokens_alone", report.tokens_alone},
       {"route", RouteJson(report.route)},
       {"wire",
        {{"messages", messages},
         {"bytes_up", bytes_up},
         {"bytes_down", bytes_down},
         {"hops", std::move(hops)}}}});
}

std::string ToJson(const RouteReport& report) {
  return Dump({{"route", RouteJson(report.route)}, {"ms", report.ms}});
}

std::string ToJson(const TokenReport& report) {
  return Dump({{"token", report.token}, {"text", report.text}, {"ms", report.ms}});
}

// A piece that is no UTF-8 by itself shows U+FFFD; its bytes are exact.
std::string ToJson(const TokenizeReport& report) {
  Json ids = Json::array();
  Json pieces = Json::array();
  for (const TokenPiece& piece : report.tokens) {
    ids.push_back(piece.id);
    Json bytes = Json::array();
    for (const char c : piece.bytes) bytes.push_back(static_cast<uint8_t>(c));
    pieces.push_back({{"id", piece.id}, {"piece", piece.bytes}, {"bytes", std::move(bytes)}});
  }
  return Dump({{"tokens", std::move(ids)}, {"pieces", std::move(pieces)}});
}

std::string ToJson(const EmbedReport& report) {
  return Dump({{"model", report.model},
               {"dimensions", report.embedding.size()},
               {"tokens", report.tokens},
               {"pooling", report.pooling},
               {"normalized", report.normalized},
               {"embedding", report.embedding}});
}

std::string ToJson(const BenchReport& report) {
  Json json = Json::array();
  for (const BenchResult& result : report.results) {
    Json test = {{"test", result.test},
                 {"tok_s", result.tok_s},
                 {"stddev", result.stddev},
                 {"gb_s", result.gb_s},
                 {"bandwidth_fraction", result.bandwidth_fraction}};
    if (result.roles) {
      test["bare_tok_s"] = result.roles->bare_tok_s;
      test["added_us_per_token"] = result.roles->added_us_per_token;
      test["added_us_per_token_error"] = result.roles->added_us_per_token_error;
    }
    test["bandwidth_gb_s"] = report.bandwidth_gb_s;
    test["threads"] = report.threads;
    test["threads_batch"] = report.threads_batch;
    test["isa"] = report.isa;
    test["model"] = report.model;
    json.push_back(std::move(test));
  }
  return Dump(json);
}

std::string ToJson(const PerplexityReport& report) {
  return Dump({{"ppl", report.ppl},
               {"ppl_error", report.ppl_error},
               {"tokens", report.tokens},
               {"chunks", report.chunks},
               {"ctx_size", report.ctx_size}});
}

std::string ToJson(const CompareReport& report) {
  return Dump({{"positions", report.positions},
               {"kl_mean", report.kl_mean},
               {"kl_error", report.kl_error},
               {"kl_max", report.kl_max},
               {"ppl", report.ppl},
               {"against_ppl", report.against_ppl},
               {"nll_difference", report.nll_difference},
               {"nll_difference_error", report.nll_difference_error},
               {"top1_agreement", report.top1_agreement()},
               {"logit_difference_max", report.logit_difference_max}});
}

std::string ToJson(const InspectReport& report) {
  const ModelConfig& config = report.config;
  Json bricks = Json::array();
  for (const Brick& brick : report.manifest.bricks) bricks.push_back(BrickJson(brick));
  return Dump({{"path", report.path},
               {"file_bytes", report.file_bytes},
               {"model", report.manifest.model},
               {"architecture", config.architecture},
               {"n_layers", config.n_layers},
               {"n_embd", config.n_embd},
               {"n_ff", config.n_ff},
               {"n_heads", config.n_heads},
               {"n_kv_heads", config.n_kv_heads},
               {"head_dim", config.head_dim},
               {"n_vocab", config.n_vocab},
               {"n_ctx_train", config.n_ctx_train},
               {"tied_head", config.tied_head},
               {"bricks", std::move(bricks)}});
}

std::string ToJson(const PlanReport& report) {
  Json hops = Json::array();
  for (const PlannedHop& hop : report.hops) {
    Json replicas = Json::array();
    for (const PlannedReplica& replica : hop.replicas) {
      replicas.push_back({{"node", replica.node}, {"sessions", replica.sessions}});
    }
    hops.push_back({{"node", hop.node},
                    {"role", hop.role},
                    {"layers", {hop.layers.begin, hop.layers.end}},
                    {"bytes", hop.bytes},
                    {"wire_bytes_per_token", hop.wire_bytes_per_token},
                    {"link_ms", hop.link_ms},
                    {"predicted_ms_per_token", hop.ms_per_token},
                    {"sessions", hop.sessions},
                    {"replicas", std::move(replicas)},
                    {"why", hop.why}});
  }
  Json by_nodes = Json::array();
  for (const double ms : report.ms_by_nodes) {
    by_nodes.push_back(std::isfinite(ms) ? Json(ms) : Json());
  }
  Json dropped = Json::array();
  for (const DroppedPlanNode& node : report.dropped) {
    dropped.push_back({{"node", node.node}, {"why", node.why}});
  }
  return Dump({{"hops", std::move(hops)},
               {"predicted_ms_per_token", report.predicted_ms_per_token},
               {"ms_by_nodes", std::move(by_nodes)},
               {"dropped", std::move(dropped)},
               {"dropped_more", report.dropped_more},
               {"why", report.why}});
}

}  // namespace mortar
