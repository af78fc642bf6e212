#include "cli/json_output.h"

#include <nlohmann/json.hpp>

namespace mortar {
namespace {

using Json = nlohmann::ordered_json;

// Bytes that are not UTF-8 become U+FFFD: JSON can hold nothing else.
std::string Dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace

std::string ToJson(const VersionReport& report) {
  return Dump({{"version", report.version}, {"contract", report.contract}});
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

std::string ToJson(const BenchReport& report) {
  Json json = Json::array();
  for (const BenchResult& result : report.results) {
    json.push_back({{"test", result.test},
                    {"tok_s", result.tok_s},
                    {"stddev", result.stddev},
                    {"gb_s", result.gb_s},
                    {"bandwidth_fraction", result.bandwidth_fraction},
                    {"bandwidth_gb_s", report.bandwidth_gb_s},
                    {"threads", report.threads},
                    {"isa", report.isa},
                    {"model", report.model}});
  }
  return Dump(json);
}

}  // namespace mortar
