#include "common/log.h"

#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <algorithm>

namespace mortar {
namespace {

const char* LevelName(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarning:
      return "warning";
    case LogLevel::kError:
      return "error";
    case LogLevel::kOff:
      return "off";
  }
  return "unknown";
}

std::string Quoted(std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte == 0x7f) {
      out += "\\u00";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    } else {
      out += c;
    }
  }
  return out + '"';
}

// Whether a value needs no quotes: nothing in it ends a field or means more than itself.
bool IsPlain(std::string_view text) {
  const auto is_plain = [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte > 0x20 && byte != 0x7f && c != '=' && c != '"' && c != '\\';
  };
  return !text.empty() && std::all_of(text.begin(), text.end(), is_plain);
}

}  // namespace

std::string FormatLogLine(LogFormat format, LogLevel level, std::string_view event,
                          std::initializer_list<LogField> fields) {
  std::string line;
  if (format == LogFormat::kText) {
    line = std::string(LevelName(level)) + ": " + std::string(event);
    for (const LogField& field : fields) {
      const bool bare = !field.quoted || IsPlain(field.value);
      line += ' ' + field.key + '=' + (bare ? field.value : Quoted(field.value));
    }
    return line;
  }
  line = "{\"level\":" + Quoted(LevelName(level)) + ",\"event\":" + Quoted(event);
  for (const LogField& field : fields) {
    const std::string bare = field.finite ? field.value : "null";
    line += ',' + Quoted(field.key) + ':' + (field.quoted ? Quoted(field.value) : bare);
  }
  return line + '}';
}

Logger::Logger(LogLevel level, LogFormat format)
    : level_(level),
      format_(format),
      sink_(std::make_unique<spdlog::logger>("mortar",
                                             std::make_shared<spdlog::sinks::stderr_sink_mt>())) {
  sink_->set_pattern(format == LogFormat::kText ? "%H:%M:%S.%e %v" : "%v");
  sink_->flush_on(spdlog::level::info);
}

Logger::~Logger() = default;

void Logger::Write(LogLevel level, std::string_view event,
                   std::initializer_list<LogField> fields) const {
  if (level < level_) return;
  sink_->info(FormatLogLine(format_, level, event, fields));
}

void Logger::Debug(std::string_view event, std::initializer_list<LogField> fields) const {
  Write(LogLevel::kDebug, event, fields);
}
void Logger::Info(std::string_view event, std::initializer_list<LogField> fields) const {
  Write(LogLevel::kInfo, event, fields);
}
void Logger::Warning(std::string_view event, std::initializer_list<LogField> fields) const {
  Write(LogLevel::kWarning, event, fields);
}
void Logger::Error(std::string_view event, std::initializer_list<LogField> fields) const {
  Write(LogLevel::kError, event, fields);
}

}  // namespace mortar
