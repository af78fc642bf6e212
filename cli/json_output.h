// Reports as JSON, one value with a newline behind it. Home of nlohmann-json.
//
// Field names are an interface (docs/cli.md): they are added to, never renamed.
#pragma once

#include <string>

#include "cli/reports.h"

namespace mortar {

std::string ToJson(const VersionReport& report);

std::string ToJson(const KeysReport& report);
std::string ToJson(const RunReport& report);
std::string ToJson(const RouteReport& report);
std::string ToJson(const TokenReport& report);
std::string ToJson(const TokenizeReport& report);
std::string ToJson(const EmbedReport& report);
// An array, one object for each test.
std::string ToJson(const BenchReport& report);
std::string ToJson(const PerplexityReport& report);
std::string ToJson(const CompareReport& report);
std::string ToJson(const InspectReport& report);
std::string ToJson(const PlanReport& report);

}  // namespace mortar
