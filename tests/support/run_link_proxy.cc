// A slow link as a program: `link_proxy --target tcp://127.0.0.1:PORT [--delay-ms D]
// [--jitter-ms J] [--mbit-s R]`. Says where it listens, then obeys lines on standard input, `up`,
// `silent` and `down` (link_proxy.h), until its end.
#include <absl/strings/match.h>
#include <absl/strings/numbers.h>

#include <cmath>
#include <cstdio>
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include "tests/support/link_proxy.h"

namespace mortar {
namespace {

// Longer delays than an hour and faster links than a terabit a second are slips of the hand.
constexpr double kNumberMax = 3.6e6;
constexpr char kTarget[] = "tcp://127.0.0.1:";

int Wrong(const std::string& what) {
  std::fprintf(stderr, "link_proxy: %s\n", what.c_str());
  return 2;
}

bool IsTarget(const std::string& text) {
  int port = 0;
  return absl::StartsWith(text, kTarget) &&
         absl::SimpleAtoi(text.substr(sizeof kTarget - 1), &port) && port > 0 && port < 65536;
}

std::chrono::microseconds Microseconds(double milliseconds) {
  return std::chrono::microseconds(std::llround(milliseconds * 1e3));
}

int Obey(LinkProxy& link) {
  const std::map<std::string, LinkState> states = {
      {"up", LinkState::kUp}, {"silent", LinkState::kSilent}, {"down", LinkState::kDown}};
  for (std::string line; std::getline(std::cin, line);) {
    const auto state = states.find(line);
    if (state == states.end()) return Wrong("no such order: '" + line + "'");
    link.Set(state->second);
  }
  return 0;
}

int Main(const std::vector<std::string>& words) {
  std::string target;
  std::map<std::string, double> numbers = {{"--delay-ms", 0}, {"--jitter-ms", 0}, {"--mbit-s", 0}};
  for (size_t i = 0; i < words.size(); i += 2) {
    const auto number = numbers.find(words[i]);
    const bool last = i + 1 == words.size();
    if (words[i] == "--target" && !last) {
      target = words[i + 1];
    } else if (number == numbers.end() || last) {
      return Wrong("'" + words[i] + "' is no flag with a value");
    } else if (!absl::SimpleAtod(words[i + 1], &number->second) ||
               !(number->second >= 0 && number->second <= kNumberMax)) {
      return Wrong(words[i] + " '" + words[i + 1] + "' is no number from 0 to 3.6e6");
    }
  }
  if (!IsTarget(target)) return Wrong("--target tcp://127.0.0.1:PORT is needed");
  LinkProxy link(target, {.delay = Microseconds(numbers["--delay-ms"]),
                          .jitter = Microseconds(numbers["--jitter-ms"]),
                          .bytes_per_second = numbers["--mbit-s"] * 1e6 / 8});
  std::cout << "link at " << link.endpoint() << std::endl;
  return Obey(link);
}

}  // namespace
}  // namespace mortar

int main(int argc, char** argv) { return mortar::Main({argv + 1, argv + argc}); }
