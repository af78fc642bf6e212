#include "cli/planned_route.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "cli/byte_size.h"
#include "cli/console.h"
#include "cli/model.h"
#include "engine/kernels/kernels.h"
#include "protocol/envelope.h"

namespace mortar {
namespace {

double Ms(double ns) { return ns / 1e6; }

PlannerInput InputOf(const PlannedModel& model, const PlanRequest& request, NodesFile nodes) {
  PlannerInput in;
  in.layer_bytes = model.shares.layers;
  in.kv_bytes_per_layer = request.kv_bytes_per_layer;
  in.sessions = request.sessions;
  in.edge = {.ns_per_byte = request.edge_ns_per_byte,
             .head_bytes = model.head_bytes(),
             .resident_bytes = model.shares.embedding + model.shares.head,
             .memory_bytes = request.edge_memory,
             .least = request.least,
             .zone = nodes.edge_zone,
             .access_ns = nodes.edge_access_ns};
  in.nodes = std::move(nodes.nodes);
  in.zones = std::move(nodes.zones);
  in.pairs = std::move(nodes.pairs);
  return in;
}

std::string WhyHosts(const PlannerNode& node, int layers) {
  char text[96];
  std::snprintf(text, sizeof text, "%d layers at %.1f GB/s, room for %.1f GiB%s", layers,
                1 / node.ns_per_byte, static_cast<double>(node.memory_bytes) / (uint64_t{1} << 30),
                node.layers_only.empty() ? "" : ": it hosts only these");
  return text;
}

// `reads`: bytes of weights that a token reads there.
void SetEdgeFigures(const PlanRequest& request, uint64_t reads, PlannedHop& hop) {
  hop.ms_per_token = Ms(static_cast<double>(reads) * request.edge_ns_per_byte);
  hop.sessions = request.sessions;
}

PlannedHop NodeHop(const PlannedModel& model, const PlannerInput& in, const PlannedStop& stop) {
  const PlannedNode& first = stop.hosts.front();
  const PlannerNode& node = in.nodes[static_cast<size_t>(first.node)];
  PlannedHop hop{.node = node.name,
                 .role = "worker",
                 .layers = stop.layers,
                 .bytes = model.shares.Of(stop.layers),
                 .link_ms = Ms(stop.link_ns),
                 .ms_per_token = Ms(first.compute_ns),
                 .sessions = first.sessions,
                 .why = WhyHosts(node, stop.layers.size())};
  for (size_t i = 1; i < stop.hosts.size(); ++i) {
    const PlannedNode& host = stop.hosts[i];
    hop.replicas.push_back({in.nodes[static_cast<size_t>(host.node)].name, host.sessions});
  }
  return hop;
}

}  // namespace

uint64_t PlannedModel::token_bytes() const {
  return shares.Of({0, config.n_layers}) + head_bytes();
}

PlannedHop EdgeFront(const PlannedModel& model, int front) {
  const LayerRange layers{0, front};
  return {.node = "edge",
          .role = "edge",
          .layers = layers,
          .bytes = model.shares.embedding + model.shares.Of(layers),
          .why = "the text, the tokens and the first layers stay with their owner"};
}

PlannedHop EdgeBack(const PlannedModel& model, int back) {
  const LayerRange layers{model.config.n_layers - back, model.config.n_layers};
  return {.node = "edge",
          .role = "edge",
          .layers = layers,
          .bytes = model.shares.Of(layers) + model.shares.head,
          .why = "the last layers, the head and the choice of the token stay with their owner"};
}

uint64_t WireBytes(const ModelConfig& config, int hops_behind) {
  const Envelope e{.n_hops = static_cast<uint8_t>(hops_behind)};
  return static_cast<uint64_t>(config.n_embd) * sizeof(float) + EncodedBytes(e);
}

absl::StatusOr<PlanRequest> ReadPlanRequest(const Settings& settings, const ModelConfig& config) {
  PlanRequest request;
  ASSIGN_OR_RETURN(request.least, ReadLayerCut(settings, config.n_layers));
  if (const auto memory = settings.OptionalString("edge-memory")) {
    const auto bytes = ParseByteSize(*memory, settings.Where("edge-memory"));
    if (!bytes.ok()) return UsageError(Message(bytes.status()));
    request.edge_memory = *bytes;
  }
  request.sessions = static_cast<int>(settings.Int("parallel"));
  ASSIGN_OR_RETURN(const int context, ContextSize(settings, config.n_ctx_train));
  const KvShape kv{KvTypeOf(settings.String("kv")), config.n_kv_heads, config.head_dim};
  const int pages = (context + kKvPagePositions - 1) / kKvPagePositions;
  request.kv_bytes_per_layer =
      kv.layer_bytes() * static_cast<uint64_t>(pages) * static_cast<uint64_t>(request.sessions);
  return request;
}

NodesFile NodesLikeTheEdge(int worker_count, double ns_per_byte) {
  NodesFile nodes;
  nodes.zones.assign(1, std::vector<double>(1, 0));
  for (int i = 1; i <= worker_count; ++i) {
    nodes.nodes.push_back({.name = "worker-" + std::to_string(i),
                           .ns_per_byte = ns_per_byte,
                           .memory_bytes = kByteSizeMax});
  }
  return nodes;
}

absl::StatusOr<PlanReport> ReportRoute(const PlannedModel& model, const PlanRequest& request,
                                       NodesFile nodes) {
  const PlannerInput in = InputOf(model, request, std::move(nodes));
  ASSIGN_OR_RETURN(const RoutePlan plan, PlanRoute(in));
  const int n_layers = model.config.n_layers;
  PlanReport report;
  report.hops.push_back(EdgeFront(model, plan.cut.front));
  SetEdgeFigures(request, model.shares.Of({0, plan.cut.front}), report.hops.back());
  for (const PlannedStop& stop : plan.stops) report.hops.push_back(NodeHop(model, in, stop));
  report.hops.push_back(EdgeBack(model, plan.cut.back));
  SetEdgeFigures(request,
                 model.shares.Of({n_layers - plan.cut.back, n_layers}) + model.head_bytes(),
                 report.hops.back());
  report.hops.back().link_ms = Ms(plan.last_link_ns);
  const int stops = static_cast<int>(plan.stops.size());
  for (int i = 0; i <= stops && stops > 0; ++i) {
    report.hops[static_cast<size_t>(i)].wire_bytes_per_token =
        WireBytes(model.config, std::max(0, stops - 1 - i));
  }
  report.predicted_ms_per_token = Ms(plan.total_ns);
  for (const double ns : plan.by_nodes) report.ms_by_nodes.push_back(Ms(ns));
  for (const DroppedNode& dropped : plan.dropped) {
    report.dropped.push_back({in.nodes[static_cast<size_t>(dropped.node)].name, dropped.why});
  }
  report.dropped_more = plan.dropped_more;
  report.why = plan.why;
  return report;
}

}  // namespace mortar
