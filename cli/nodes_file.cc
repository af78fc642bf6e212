#include "cli/nodes_file.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include "cli/byte_size.h"
#include "cli/config_file.h"
#include "cli/layer_text.h"

namespace mortar {
namespace {

constexpr char kEdgeName[] = "edge";
constexpr char kDefaultZone[] = "default";
// Bounds that no machine of today comes near.
constexpr double kGbMin = 1e-3;
constexpr double kGbMax = 1e6;
constexpr double kRttMsMax = 6e4;
constexpr double kMbitMin = 1e-3;
constexpr double kMbitMax = 1e9;

// One table of the file, of which each key is asked for by name.
class Section {
 public:
  Section(const ConfigSection& section, const std::string& path) : section_(section), path_(path) {}

  const std::string& name() const { return section_.name; }
  absl::Status Wrong(const std::string& what) const { return WrongAt(section_.line, what); }

  absl::Status CheckKeys(const std::vector<std::string_view>& known) const {
    std::string list;
    for (const std::string_view key : known) list += (list.empty() ? "" : ", ") + std::string(key);
    for (const ConfigEntry& entry : section_.entries) {
      if (std::ranges::find(known, entry.key) != known.end()) continue;
      return WrongAt(entry.line, "[" + name() + "] has no key " + entry.key + ", only " + list);
    }
    return absl::OkStatus();
  }

  // Nothing when the key is left out.
  absl::StatusOr<std::optional<double>> Number(std::string_view key, double least,
                                               double most) const {
    const ConfigEntry* entry = Find(key);
    if (entry == nullptr) return std::optional<double>();
    const auto* real = std::get_if<double>(&entry->value);
    const auto* whole = std::get_if<int64_t>(&entry->value);
    if (real == nullptr && whole == nullptr) return WrongAt(entry->line, Text(key, "a number"));
    const double value = real != nullptr ? *real : static_cast<double>(*whole);
    if (value >= least && value <= most) return std::optional<double>(value);
    return WrongAt(entry->line, Text(key, "from " + Short(least) + " to " + Short(most)));
  }
  absl::StatusOr<double> RttNs() const {
    ASSIGN_OR_RETURN(const auto ms, Number("rtt_ms", 0, kRttMsMax));
    return ms.value_or(0) * 1e6;
  }
  absl::StatusOr<double> NeededRttNs() const {
    if (Find("rtt_ms") == nullptr) return Missing("rtt_ms");
    return RttNs();
  }
  // Of one byte on a link; nothing: it is as fast as may be.
  absl::StatusOr<double> NsPerWireByte() const {
    ASSIGN_OR_RETURN(const auto mbit, Number("mbit_s", kMbitMin, kMbitMax));
    return mbit ? 8e3 / *mbit : 0;
  }
  absl::StatusOr<std::optional<double>> NsPerByte() const {
    ASSIGN_OR_RETURN(auto gb, Number("gb_s", kGbMin, kGbMax));
    if (gb) gb = 1 / *gb;
    return gb;
  }

  // Nothing when the key is left out; otherwise 1 to kNameBytesMax bytes.
  absl::StatusOr<std::optional<std::string>> Name(std::string_view key) const {
    const ConfigEntry* entry = Find(key);
    if (entry == nullptr) return std::optional<std::string>();
    const auto* text = std::get_if<std::string>(&entry->value);
    if (text != nullptr && !text->empty() && text->size() <= kNameBytesMax) {
      return std::optional<std::string>(*text);
    }
    return WrongAt(entry->line,
                   Text(key, "a string of 1 to " + std::to_string(kNameBytesMax) + " bytes"));
  }
  absl::StatusOr<std::string> NeededName(std::string_view key) const {
    ASSIGN_OR_RETURN(const auto text, Name(key));
    if (!text) return Missing(key);
    return *text;
  }

  absl::StatusOr<uint64_t> Memory() const {
    const ConfigEntry* entry = Find("memory");
    if (entry == nullptr) return Missing("memory");
    const std::string where = path_ + ":" + std::to_string(entry->line) + ": memory";
    if (const auto* text = std::get_if<std::string>(&entry->value)) {
      return ParseByteSize(*text, where);
    }
    if (const auto* whole = std::get_if<int64_t>(&entry->value)) {
      return ParseByteSize(std::to_string(*whole), where);
    }
    return WrongAt(entry->line, Text("memory", "a size such as \"32G\""));
  }

  absl::StatusOr<LayerRange> Layers(int n_layers) const {
    const ConfigEntry* entry = Find("layers");
    if (entry == nullptr) return LayerRange{};
    const auto* text = std::get_if<std::string>(&entry->value);
    const auto range = text == nullptr ? std::nullopt : ParseLayerRange(*text, n_layers);
    if (range) return *range;
    return WrongAt(entry->line,
                   Text("layers", "a string FIRST-END within 0-" + std::to_string(n_layers) +
                                      ", the end not included"));
  }

  absl::Status Missing(std::string_view key) const {
    return Wrong("this [" + name() + "] has no " + std::string(key));
  }

 private:
  const ConfigEntry* Find(std::string_view key) const {
    const auto found = std::ranges::find(section_.entries, key, &ConfigEntry::key);
    return found == section_.entries.end() ? nullptr : &*found;
  }
  absl::Status WrongAt(int line, const std::string& what) const {
    return InvalidArgument(path_ + ":" + std::to_string(line) + ": " + what);
  }
  static std::string Text(std::string_view key, const std::string& wanted) {
    return std::string(key) + " must be " + wanted;
  }
  static std::string Short(double bound) {
    char text[32];
    std::snprintf(text, sizeof text, "%.10g", bound);
    return text;
  }

  const ConfigSection& section_;
  const std::string& path_;
};

class Reader {
 public:
  Reader(const std::string& path, int n_layers, uint64_t wire_bytes)
      : path_(path), n_layers_(n_layers), wire_bytes_(static_cast<double>(wire_bytes)) {}

  absl::StatusOr<NodesFile> Read(const std::vector<ConfigSection>& sections) {
    for (const ConfigSection& section : sections) {
      const Section s(section, path_);
      if (section.name == "edge") {
        RETURN_IF_ERROR(ReadEdge(s));
      } else if (section.name == "node") {
        RETURN_IF_ERROR(ReadNode(s));
      } else if (section.name != "zone" && section.name != "pair") {
        return s.Wrong("there is no [" + section.name +
                       "], only [edge], [[node]], [[zone]] and "
                       "[[pair]]");
      }
    }
    if (out_.nodes.empty()) return InvalidArgument(path_ + ": there is no [[node]]");
    if (!edge_seen_) {
      ASSIGN_OR_RETURN(out_.edge_zone, ZoneOf(kDefaultZone));
    }
    out_.zones.assign(zones_.size(), std::vector<double>(zones_.size(), -1));
    // Ways speak of zones and of nodes, wherever those stand in the file.
    for (const ConfigSection& section : sections) {
      const Section s(section, path_);
      if (section.name == "zone") RETURN_IF_ERROR(ReadZone(s));
      if (section.name == "pair") RETURN_IF_ERROR(ReadPair(s));
    }
    RETURN_IF_ERROR(CheckZones());
    return std::move(out_);
  }

 private:
  absl::StatusOr<int> ZoneOf(const std::string& name) {
    const auto [zone, fresh] = zones_.try_emplace(name, static_cast<int>(zones_.size()));
    if (zones_.size() <= kZoneNamesMax) return zone->second;
    return InvalidArgument(path_ + ": more than " + std::to_string(kZoneNamesMax) + " zones");
  }

  // Its own link, once there and once back.
  absl::StatusOr<double> AccessNs(const Section& s, double& wire_ns_per_byte) {
    ASSIGN_OR_RETURN(const double rtt, s.RttNs());
    ASSIGN_OR_RETURN(wire_ns_per_byte, s.NsPerWireByte());
    return rtt + 2 * wire_bytes_ * wire_ns_per_byte;
  }

  absl::Status ReadEdge(const Section& s) {
    RETURN_IF_ERROR(s.CheckKeys({"gb_s", "zone", "rtt_ms", "mbit_s"}));
    if (std::exchange(edge_seen_, true)) return s.Wrong("a second [edge]; a plan has one");
    ASSIGN_OR_RETURN(out_.edge_ns_per_byte, s.NsPerByte());
    ASSIGN_OR_RETURN(const auto zone, s.Name("zone"));
    ASSIGN_OR_RETURN(out_.edge_zone, ZoneOf(zone.value_or(kDefaultZone)));
    ASSIGN_OR_RETURN(out_.edge_access_ns, AccessNs(s, edge_wire_ns_per_byte_));
    return absl::OkStatus();
  }

  absl::Status ReadNode(const Section& s) {
    RETURN_IF_ERROR(s.CheckKeys({"name", "gb_s", "memory", "zone", "rtt_ms", "mbit_s", "layers"}));
    if (out_.nodes.size() == kPlannedNodesMax) {
      return s.Wrong("more than " + std::to_string(kPlannedNodesMax) + " nodes");
    }
    PlannerNode node;
    ASSIGN_OR_RETURN(node.name, s.NeededName("name"));
    ASSIGN_OR_RETURN(const auto ns_per_byte, s.NsPerByte());
    if (!ns_per_byte) return s.Missing("gb_s");
    node.ns_per_byte = *ns_per_byte;
    ASSIGN_OR_RETURN(node.memory_bytes, s.Memory());
    ASSIGN_OR_RETURN(node.layers_only, s.Layers(n_layers_));
    ASSIGN_OR_RETURN(const auto zone, s.Name("zone"));
    ASSIGN_OR_RETURN(node.zone, ZoneOf(zone.value_or(kDefaultZone)));
    double wire_ns_per_byte = 0;
    ASSIGN_OR_RETURN(node.access_ns, AccessNs(s, wire_ns_per_byte));
    if (node.name == kEdgeName ||
        !stops_.try_emplace(node.name, static_cast<int>(out_.nodes.size())).second) {
      return s.Wrong("a second node is called " + node.name);
    }
    wire_ns_per_byte_.push_back(wire_ns_per_byte);
    out_.nodes.push_back(std::move(node));
    return absl::OkStatus();
  }

  absl::Status ReadZone(const Section& s) {
    RETURN_IF_ERROR(s.CheckKeys({"from", "to", "rtt_ms"}));
    size_t ends[2];
    for (const int i : {0, 1}) {
      ASSIGN_OR_RETURN(const std::string name, s.NeededName(i == 0 ? "from" : "to"));
      const auto zone = zones_.find(name);
      if (zone == zones_.end()) return s.Wrong("no node and no edge is in zone " + name);
      ends[i] = static_cast<size_t>(zone->second);
    }
    ASSIGN_OR_RETURN(const double rtt, s.NeededRttNs());
    if (out_.zones[ends[0]][ends[1]] >= 0) return s.Wrong("this way is said a second time");
    out_.zones[ends[0]][ends[1]] = out_.zones[ends[1]][ends[0]] = rtt / 2;
    return absl::OkStatus();
  }

  absl::Status ReadPair(const Section& s) {
    RETURN_IF_ERROR(s.CheckKeys({"from", "to", "rtt_ms"}));
    if (out_.pairs.size() == kPairsMax) {
      return s.Wrong("more than " + std::to_string(kPairsMax) + " pairs");
    }
    int ends[2];
    double wire_ns_per_byte = 0;  // of the slower link
    for (const int i : {0, 1}) {
      ASSIGN_OR_RETURN(const std::string name, s.NeededName(i == 0 ? "from" : "to"));
      const auto stop = stops_.find(name);
      if (name != kEdgeName && stop == stops_.end()) return s.Wrong("no node is called " + name);
      ends[i] = name == kEdgeName ? kEdgeStop : stop->second;
      const double own = name == kEdgeName ? edge_wire_ns_per_byte_
                                           : wire_ns_per_byte_[static_cast<size_t>(ends[i])];
      wire_ns_per_byte = std::max(wire_ns_per_byte, own);
    }
    if (ends[0] == ends[1]) return s.Wrong("both ends of the pair are the same");
    if (!paired_.insert(std::minmax(ends[0], ends[1])).second) {
      return s.Wrong("this pair is given a second time");
    }
    ASSIGN_OR_RETURN(const double rtt, s.NeededRttNs());
    out_.pairs.push_back({ends[0], ends[1], rtt / 2 + wire_bytes_ * wire_ns_per_byte});
    return absl::OkStatus();
  }

  // Within a zone nothing need be said; between two of them there is no telling.
  absl::Status CheckZones() {
    for (const auto& [from, a] : zones_) {
      for (const auto& [to, b] : zones_) {
        double& time = out_.zones[static_cast<size_t>(a)][static_cast<size_t>(b)];
        if (time >= 0) continue;
        if (a != b) {
          return InvalidArgument(path_ + ": no [[zone]] says the rtt_ms between \"" + from +
                                 "\" and \"" + to + "\"");
        }
        time = 0;
      }
    }
    return absl::OkStatus();
  }

  const std::string& path_;
  int n_layers_;
  double wire_bytes_;
  NodesFile out_;
  bool edge_seen_ = false;
  double edge_wire_ns_per_byte_ = 0;
  std::map<std::string, int> zones_;
  std::map<std::string, int> stops_;
  std::vector<double> wire_ns_per_byte_;  // of each node's own link
  std::set<std::pair<int, int>> paired_;
};

}  // namespace

absl::StatusOr<NodesFile> ParseNodes(const std::string& text, const std::string& path, int n_layers,
                                     uint64_t wire_bytes) {
  ASSIGN_OR_RETURN(const std::vector<ConfigSection> sections, ParseSections(text, path));
  return Reader(path, n_layers, wire_bytes).Read(sections);
}

}  // namespace mortar
