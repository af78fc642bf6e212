#include "engine/text/jinja/json.h"

#include <algorithm>
#include <cmath>

#include "engine/text/jinja/conversion.h"
#include "engine/text/jinja/limits.h"
#include "engine/text/utf8.h"

namespace mortar::jinja {
namespace {

void AppendUnit(uint32_t unit, std::string* out) {
  constexpr char kHex[] = "0123456789abcdef";
  *out += "\\u";
  for (int shift = 12; shift >= 0; shift -= 4) *out += kHex[(unit >> shift) & 15];
}

class Writer {
 public:
  explicit Writer(const JsonStyle& style) : style_(style) {}

  // Needs: a value of bounded depth.
  absl::Status Write(const Value& value);
  Text TakeText() { return std::move(out_); }

 private:
  void WriteText(const Text& text);
  absl::Status WriteList(const List& list);
  absl::Status WriteDict(const Dict& dict);
  // What stands before an item, or before the closing bracket.
  absl::Status Separate(bool first, bool closing);

  const JsonStyle& style_;
  Text out_;
  size_t level_ = 0;
};

absl::Status Writer::Separate(bool first, bool closing) {
  if (out_.size() > kOutputBytesMax) {
    return ResourceExhausted("JSON of more than " + std::to_string(kOutputBytesMax) + " bytes");
  }
  if (!first && !closing) out_.Append(style_.between);
  if (!style_.lines) return absl::OkStatus();
  out_.Append("\n", true);
  out_.Append(std::string(level_ * static_cast<size_t>(style_.indent), ' '), true);
  return absl::OkStatus();
}

void Writer::WriteText(const Text& text) {
  constexpr std::string_view kEscaped = "\"\\\n\r\t\f\b";
  constexpr std::string_view kNames = "\"\\nrtfb";
  out_.Append("\"", true);
  size_t at = 0;
  for (const Text::Run& run : text.runs()) {
    std::string written;
    while (at < run.end) {
      const Utf8Step step = NextUtf8(std::string_view(text.bytes()).substr(at));
      const char32_t c = step.code_point;
      const size_t known = c < 0x80 ? kEscaped.find(static_cast<char>(c)) : std::string_view::npos;
      if (known != std::string_view::npos) {
        written += {'\\', kNames[known]};
      } else if (c < 0x20 || (style_.ascii && c >= 0x80 && c < 0x10000)) {
        AppendUnit(c, &written);
      } else if (style_.ascii && c >= 0x10000) {
        AppendUnit(0xD800 + ((c - 0x10000) >> 10), &written);
        AppendUnit(0xDC00 + ((c - 0x10000) & 0x3FF), &written);
      } else {
        written += std::string_view(text.bytes()).substr(at, step.bytes);
      }
      at += step.bytes;
    }
    out_.Append(written, run.trusted);
  }
  out_.Append("\"", true);
}

absl::Status Writer::WriteList(const List& list) {
  out_.Append("[", true);
  ++level_;
  for (size_t i = 0; i < list.size(); ++i) {
    RETURN_IF_ERROR(Separate(i == 0, false));
    RETURN_IF_ERROR(Write(list[i]));
  }
  --level_;
  if (!list.empty()) RETURN_IF_ERROR(Separate(false, true));
  out_.Append("]", true);
  return absl::OkStatus();
}

absl::Status Writer::WriteDict(const Dict& dict) {
  std::vector<const Dict::value_type*> entries;
  for (const auto& entry : dict) entries.push_back(&entry);
  if (style_.sorted) {
    std::sort(entries.begin(), entries.end(),
              [](const auto* a, const auto* b) { return a->first.bytes() < b->first.bytes(); });
  }
  out_.Append("{", true);
  ++level_;
  for (size_t i = 0; i < entries.size(); ++i) {
    RETURN_IF_ERROR(Separate(i == 0, false));
    WriteText(entries[i]->first);
    out_.Append(style_.after_key);
    RETURN_IF_ERROR(Write(entries[i]->second));
  }
  --level_;
  if (!entries.empty()) RETURN_IF_ERROR(Separate(false, true));
  out_.Append("}", true);
  return absl::OkStatus();
}

absl::Status Writer::Write(const Value& value) {
  if (value.text() != nullptr) {
    WriteText(*value.text());
  } else if (value.Is(Sequence::kList) || value.Is(Sequence::kTuple)) {
    return WriteList(*value.list());
  } else if (value.dict() != nullptr) {
    return WriteDict(*value.dict());
  } else if (value.is_none()) {
    out_.Append("null", true);
  } else if (value.boolean() != nullptr) {
    out_.Append(*value.boolean() ? "true" : "false", true);
  } else if (value.integer() != nullptr) {
    out_.Append(std::to_string(*value.integer()), true);
  } else if (value.real() != nullptr) {
    const double real = *value.real();
    out_.Append(std::isnan(real)   ? "NaN"
                : std::isinf(real) ? (real < 0 ? "-Infinity" : "Infinity")
                                   : PrintReal(real),
                true);
  } else {
    return InvalidArgument("a " + KindName(value) + " has no form in JSON");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Text> ToJson(const Value& value, const JsonStyle& style) {
  Writer writer(style);
  RETURN_IF_ERROR(writer.Write(value));
  Text out = writer.TakeText();
  if (out.size() > kOutputBytesMax) {
    return ResourceExhausted("JSON of more than " + std::to_string(kOutputBytesMax) + " bytes");
  }
  return out;
}

}  // namespace mortar::jinja
