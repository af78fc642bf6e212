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

}  // namespace mortar
