// Hundreds of hits on a real model's answers, which take longer than CI may: `./dev test --soak`.
// Each is a line of a file, so that it goes on where it was ended, whatever ended it. Prints
// totals, pauses, and tokens lost and repeated; exit 1 when one of them misses its bar.
//
//   recovery_soak --state FILE --model FILE --mortar-digest TEXT [--hits N] [--kind N] [--minutes
//   M]
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <vector>

#include "tests/integration/recovery_cluster.h"

namespace mortar {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::minutes;

// Hits of each kind, and what is asked of the pauses after them.
struct Goal {
  HitKind kind;
  int hits;
  int median_max_ms = 1500;
};
constexpr Goal kGoals[] = {{HitKind::kWorker, 500},
                           {HitKind::kLink, 100},
                           {HitKind::kRelay, 100},
                           {HitKind::kCoordinator, 100},
                           {HitKind::kSilence, 100, 2500}};  // a second later than a kill
constexpr int kPauseMaxMs = 4000;

struct SoakOptions {
  std::string state;
  std::string model;
  std::string binary;  // of the program: hits of another one do not count
  int kind = -1;       // index of the only kind; -1: all
  int hits = -1;       // of each kind, in place of its goal
  minutes longest = std::chrono::hours(24);
};

// Hits that are done, by kind, each with what it did.
using Done = std::map<std::string, std::vector<json>>;

Done ReadState(const SoakOptions& options) {
  Done done;
  std::ifstream file(options.state);
  for (std::string line; std::getline(file, line);) {
    json hit = json::parse(line, nullptr, /*allow_exceptions=*/false);
    // A line that was not finished is one that was ended amid its hit.
    if (hit.is_discarded() || hit.value("binary", "") != options.binary) continue;
    done[hit["kind"].get<std::string>()].push_back(std::move(hit));
  }
  return done;
}

json LineOf(const SoakOptions& options, HitKind kind, uint64_t number, const HitResult& hit) {
  return {{"kind", Name(kind)},       {"number", number},
          {"asked", Name(hit.asked)}, {"what", hit.what},
          {"token", hit.token},       {"too_late", hit.too_late},
          {"ended", hit.ended},       {"lost", hit.lost},
          {"repeated", hit.repeated}, {"pause_ms", hit.pause.count()},
          {"routes", hit.routes},     {"errors", hit.errors},
          {"binary", options.binary}};
}

RecoveryModel RealModel(const std::string& path) {
  RecoveryModel model{.path = path,
                      .cut = {"--front", "2", "--back", "2"},
                      .prompt = kPrompt,
                      .long_prompt = {},
                      .prefill_max = milliseconds(400)};
  for (int i = 0; i < 35; ++i) model.long_prompt += std::string(kPrompt) + ". ";
  return model;
}

// The hits of one kind that are missing, each written down at once.
void RunKind(const SoakOptions& options, const Goal& goal, std::vector<json>& done,
             std::chrono::steady_clock::time_point until) {
  uint64_t number = 0;
  int counted = 0;
  for (const json& hit : done) {
    number = std::max(number, hit["number"].get<uint64_t>() + 1);
    counted += hit["too_late"].get<bool>() ? 0 : 1;
  }
  const int wanted = options.hits >= 0 ? options.hits : goal.hits;
  if (counted >= wanted) return;
  RecoveryCluster cluster(RealModel(options.model), goal.kind);
  std::ofstream file(options.state, std::ios::app);
  for (; counted < wanted && std::chrono::steady_clock::now() < until; ++number) {
    const HitResult hit = cluster.Hit(number);
    const json line = LineOf(options, goal.kind, number, hit);
    file << line.dump() << std::endl;
    if (!file.good()) {
      std::cerr << "error: cannot write to " << options.state << "\n";
      std::exit(1);
    }
    const bool whole = hit.ended && hit.lost == 0 && hit.repeated == 0;
    if (!whole) std::cout << line.dump() << "\n" << cluster.Said() << std::endl;
    counted += hit.too_late ? 0 : 1;
    if (counted % 20 == 0) std::cout << Name(goal.kind) << ": " << counted << std::endl;
    done.push_back(line);
  }
}

// A line of the table; whether all bars are met.
bool Show(const Goal& goal, const std::vector<json>& done) {
  std::vector<int> pauses;
  int failed = 0, lost = 0, repeated = 0;
  for (const json& hit : done) {
    if (hit["too_late"].get<bool>()) continue;
    failed += hit["ended"].get<bool>() ? 0 : 1;
    lost += hit["lost"].get<int>();
    repeated += hit["repeated"].get<int>();
    pauses.push_back(hit["pause_ms"].get<int>());
  }
  std::ranges::sort(pauses);
  const int median = pauses.empty() ? 0 : pauses[pauses.size() / 2];
  const int longest = pauses.empty() ? 0 : pauses.back();
  std::printf("| %-20s | %4zu of %4d | %6d | %4d | %8d | %9d | %6d |\n", Name(goal.kind),
              pauses.size(), goal.hits, failed, lost, repeated, median, longest);
  return failed == 0 && lost == 0 && repeated == 0 && median < goal.median_max_ms &&
         longest <= kPauseMaxMs;
}

bool Read(int argc, char** argv, SoakOptions& options) {
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string flag = argv[i], value = argv[i + 1];
    if (flag == "--state") options.state = value;
    if (flag == "--model") options.model = value;
    if (flag == "--mortar-digest") options.binary = value;
    if (flag == "--kind") options.kind = std::atoi(value.c_str());
    if (flag == "--hits") options.hits = std::atoi(value.c_str());
    if (flag == "--minutes") options.longest = minutes(std::atoi(value.c_str()));
  }
  return argc % 2 == 1 && !options.state.empty() && !options.model.empty() &&
         !options.binary.empty();
}

int RunSoak(int argc, char** argv) {
  SoakOptions options;
  if (!Read(argc, argv, options)) {
    std::cerr << "usage: recovery_soak --state FILE --model FILE --mortar-digest TEXT [--hits N] "
                 "[--kind 0-4] [--minutes M]\n";
    return 2;
  }
  const auto until = std::chrono::steady_clock::now() + options.longest;
  Done done = ReadState(options);
  for (size_t i = 0; i < std::size(kGoals); ++i) {
    if (options.kind >= 0 && options.kind != static_cast<int>(i)) continue;
    RunKind(options, kGoals[i], done[Name(kGoals[i].kind)], until);
  }
  std::printf(
      "| hits                 |        done | failed | lost | repeated | median ms | max ms |\n");
  std::printf(
      "| -------------------- | ----------: | -----: | ---: | -------: | --------: | -----: |\n");
  bool good = !testing::Test::HasFailure();
  for (const Goal& goal : kGoals) good &= Show(goal, done[Name(goal.kind)]);
  return good ? 0 : 1;
}

}  // namespace
}  // namespace mortar

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  return mortar::RunSoak(argc, argv);
}
