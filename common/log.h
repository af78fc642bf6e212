// Structured log: one line an event, on stderr, as "event key=value …" or as JSON.
//
// A Logger is passed to whoever logs. Events are fixed strings; what varies is a field. Text,
// tokens and names of private bricks are never fields (docs/architecture.md, threat model).
#pragma once

#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>

namespace spdlog {
class logger;  // NOLINT(readability-identifier-naming): a name of theirs
}

namespace mortar {

enum class LogLevel { kDebug, kInfo, kWarning, kError, kOff };
enum class LogFormat { kText, kJson };

struct LogField {
  std::string key;
  std::string value;
  bool quoted;         // a string, as opposed to a number or a truth value
  bool finite = true;  // false of a number that JSON has no word for

  LogField(std::string_view k, std::string_view v) : key(k), value(v), quoted(true) {}
  LogField(std::string_view k, const char* v) : key(k), value(v), quoted(true) {}
  LogField(std::string_view k, const std::string& v) : key(k), value(v), quoted(true) {}
  LogField(std::string_view k, bool v) : key(k), value(v ? "true" : "false"), quoted(false) {}
  template <typename T>
    requires(std::is_arithmetic_v<T> && !std::is_same_v<T, bool>)
  LogField(std::string_view k, T v) : key(k), value(std::to_string(v)), quoted(false) {
    if constexpr (std::is_floating_point_v<T>) finite = std::isfinite(v);
  }
};

// Thread-safe.
class Logger {
 public:
  Logger(LogLevel level, LogFormat format);
  ~Logger();

  void Debug(std::string_view event, std::initializer_list<LogField> fields = {}) const;
  void Info(std::string_view event, std::initializer_list<LogField> fields = {}) const;
  void Warning(std::string_view event, std::initializer_list<LogField> fields = {}) const;
  void Error(std::string_view event, std::initializer_list<LogField> fields = {}) const;

 private:
  void Write(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) const;

  LogLevel level_;
  LogFormat format_;
  std::unique_ptr<spdlog::logger> sink_;
};

// The line that Logger writes for an event, without time and level. Control characters and
// quotes in values are escaped, so that a value cannot forge a line or speak to a terminal. In JSON
// infinities and NaN are null.
std::string FormatLogLine(LogFormat format, LogLevel level, std::string_view event,
                          std::initializer_list<LogField> fields);

}  // namespace mortar
