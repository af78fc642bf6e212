// A slow link as a program: `link_proxy --target tcp://127.0.0.1:PORT [--listen PORT]
// [--delay-ms D] [--jitter-ms J] [--mbit-s R]`. Says where it listens, then obeys lines on standard
// input, `up`, `silent` and `down` (link_proxy.h), until its end.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <map>
#include <string>

#include "tests/support/link_proxy.h"

namespace mortar {
namespace {

std::chrono::microseconds OneWay(const std::string& milliseconds) {
  return std::chrono::microseconds(std::lround(std::atof(milliseconds.c_str()) * 1e3));
}

int Main(int argc, char** argv) {
  std::map<std::string, std::string> flags = {{"--target", ""},    {"--listen", "0"},
                                              {"--delay-ms", "0"}, {"--jitter-ms", "0"},
                                              {"--mbit-s", "0"}};
  for (int i = 1; i < argc; i += 2) {
    const auto flag = flags.find(argv[i]);
    if (flag == flags.end() || i + 1 == argc) {
      std::fprintf(stderr, "link_proxy: '%s' is no flag with a value\n", argv[i]);
      return 2;
    }
    flag->second = argv[i + 1];
  }
  if (flags["--target"].find(':') == std::string::npos) {
    std::fprintf(stderr, "link_proxy: --target tcp://127.0.0.1:PORT is needed\n");
    return 2;
  }
  LinkProxy link(flags["--target"],
                 {.delay = OneWay(flags["--delay-ms"]),
                  .jitter = OneWay(flags["--jitter-ms"]),
                  .bytes_per_second = std::atof(flags["--mbit-s"].c_str()) * 1e6 / 8},
                 std::atoi(flags["--listen"].c_str()));
  std::cout << "link at " << link.endpoint() << std::endl;
  const std::map<std::string, LinkState> states = {
      {"up", LinkState::kUp}, {"silent", LinkState::kSilent}, {"down", LinkState::kDown}};
  for (std::string line; std::getline(std::cin, line);) {
    const auto state = states.find(line);
    if (state == states.end()) {
      std::fprintf(stderr, "link_proxy: no such order: '%s'\n", line.c_str());
      return 2;
    }
    link.Set(state->second);
  }
  return 0;
}

}  // namespace
}  // namespace mortar

int main(int argc, char** argv) { return mortar::Main(argc, argv); }
