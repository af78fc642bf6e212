// Goal: no file of nodes crashes its reader or the planner: it is refused in one line, or what was
// read can be planned.
#include <cstddef>
#include <cstdint>
#include <string>

#include "cli/nodes_file.h"
#include "common/check.h"

namespace mortar {
namespace {

constexpr int kLayers = 12;

void PlanThem(const std::string& text) {
  auto nodes = ParseNodes(text, "fuzz.toml", kLayers, 2500);
  if (!nodes.ok()) {
    CHECK(Message(nodes.status()).starts_with("fuzz.toml"));
    return;
  }
  PlannerInput in;
  in.layer_bytes.assign(kLayers, 1 << 20);
  in.kv_bytes_per_layer = 1 << 16;
  in.edge = {.ns_per_byte = nodes->edge_ns_per_byte.value_or(1),
             .least = {2, 2},
             .zone = nodes->edge_zone,
             .access_ns = nodes->edge_access_ns};
  in.nodes = nodes->nodes;
  in.zones = nodes->zones;
  in.pairs = nodes->pairs;
  const auto plan = PlanRoute(in);
  if (!plan.ok()) return;
  int hosted = plan->cut.front;
  for (const PlannedStop& stop : plan->stops) {
    CHECK(stop.layers.begin == hosted && !stop.layers.empty());
    hosted = stop.layers.end;
  }
  CHECK(hosted == kLayers - plan->cut.back);
}

}  // namespace
}  // namespace mortar

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  mortar::PlanThem(std::string(reinterpret_cast<const char*>(data), size));
  return 0;
}
