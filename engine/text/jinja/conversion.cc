#include "engine/text/jinja/conversion.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <limits>

#include "engine/text/jinja/limits.h"
#include "engine/text/utf8.h"

namespace mortar::jinja {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// Each character as a text of its own.
absl::StatusOr<List> Characters(const Text& text) {
  if (CountCodePoints(text.bytes()) > kListItemsMax) {
    return ResourceExhausted("a text of more than " + std::to_string(kListItemsMax) +
                             " characters cannot become a list");
  }
  List out;
  const std::string_view view = text.bytes();
  for (size_t at = 0; at < view.size();) {
    const size_t bytes = NextUtf8(view.substr(at)).bytes;
    out.push_back(text.Slice(at, at + bytes));
    at += bytes;
  }
  return out;
}

std::string Hexadecimal(char32_t c) {
  char buffer[16];
  std::snprintf(buffer, sizeof(buffer), "%04X", static_cast<unsigned>(c));
  return buffer;
}

// Characters outside ASCII that Python writes as they are, as far as scripts in wide use need it:
// blocks of Unicode that are whole and without controls, spaces and what only formats.
bool IsPlain(char32_t c) {
  constexpr std::pair<char32_t, char32_t> kRanges[] = {
      {0xA1, 0xAC},       {0xAE, 0x377},      {0x400, 0x482},    {0x48A, 0x52F},   {0x2010, 0x2027},
      {0x2030, 0x205E},   {0x20A0, 0x20BF},   {0x2190, 0x23FF},  {0x2500, 0x27BF}, {0x3001, 0x303F},
      {0x3041, 0x3096},   {0x30A1, 0x30FF},   {0x4E00, 0x9FA5},  {0xAC00, 0xD7A3}, {0xFF01, 0xFF5E},
      {0x1F300, 0x1F64F}, {0x1F680, 0x1F6C5}, {0x1F900, 0x1F9FF}};
  return std::any_of(std::begin(kRanges), std::end(kRanges),
                     [c](const auto& range) { return c >= range.first && c <= range.second; });
}

// Python's repr of a text: its bytes keep their trust, an escape has that of its character.
absl::Status Quote(const Text& text, Text* out) {
  constexpr char kHex[] = "0123456789abcdef";
  const std::string& bytes = text.bytes();
  const bool doubled =
      bytes.find('\'') != std::string::npos && bytes.find('"') == std::string::npos;
  const char quote = doubled ? '"' : '\'';
  out->Append(std::string_view(&quote, 1), true);
  size_t at = 0;
  for (const Text::Run& run : text.runs()) {
    std::string written;
    for (; at < run.end; ++at) {
      const char c = bytes[at];
      const auto byte = static_cast<uint8_t>(c);
      if (byte >= 0x80) {
        const Utf8Step step = NextUtf8(std::string_view(bytes).substr(at));
        if (!IsPlain(step.code_point)) {
          return Unimplemented("printing a list or dict with U+" + Hexadecimal(step.code_point) +
                               " is not supported");
        }
        written += std::string_view(bytes).substr(at, step.bytes);
        at += step.bytes - 1;
        continue;
      }
      if (c == quote || c == '\\') {
        written += {'\\', c};
      } else if (c == '\n' || c == '\r' || c == '\t') {
        written += {'\\', c == '\n' ? 'n' : c == '\r' ? 'r' : 't'};
      } else if (byte < 0x20 || byte == 0x7F) {
        written += {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
      } else {
        written += c;
      }
    }
    out->Append(written, run.trusted);
  }
  out->Append(std::string_view(&quote, 1), true);
  return absl::OkStatus();
}

absl::Status CheckSize(const Text& out) {
  if (out.size() <= kOutputBytesMax) return absl::OkStatus();
  return ResourceExhausted("a list or dict prints more than " + std::to_string(kOutputBytesMax) +
                           " bytes");
}

absl::Status Represent(const Value& value, Text* out);

absl::Status RepresentItems(const List& items, Text* out) {
  for (size_t i = 0; i < items.size(); ++i) {
    if (i > 0) out->Append(", ", true);
    RETURN_IF_ERROR(Represent(items[i], out));
    RETURN_IF_ERROR(CheckSize(*out));
  }
  return absl::OkStatus();
}

// Python's repr. The depth of values is bounded, and so is their printing's.
absl::Status Represent(const Value& value, Text* out) {
  if (value.is_markup()) return Unimplemented("printing a list with what 'safe' gave");
  if (value.text() != nullptr) return Quote(*value.text(), out);
  if (value.Is(Sequence::kList) || value.Is(Sequence::kTuple)) {
    const bool tuple = value.Is(Sequence::kTuple);
    out->Append(tuple ? "(" : "[", true);
    RETURN_IF_ERROR(RepresentItems(*value.list(), out));
    if (tuple) out->Append(value.list()->size() == 1 ? ",)" : ")", true);
    if (!tuple) out->Append("]", true);
    return absl::OkStatus();
  }
  if (value.dict() != nullptr) {
    out->Append("{", true);
    bool first = true;
    for (const auto& [key, item] : *value.dict()) {
      if (!std::exchange(first, false)) out->Append(", ", true);
      RETURN_IF_ERROR(Quote(key, out));
      out->Append(": ", true);
      RETURN_IF_ERROR(Represent(item, out));
      RETURN_IF_ERROR(CheckSize(*out));
    }
    out->Append("}", true);
    return absl::OkStatus();
  }
  if (value.undefined() != nullptr) {
    out->Append("Undefined", true);
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const Text plain, Print(value));
  out->Append(plain);
  return absl::OkStatus();
}

std::string_view Trimmed(std::string_view text) {
  text.remove_prefix(LeadingSpaceBytes(text));
  text.remove_suffix(TrailingSpaceBytes(text));
  return text;
}

}  // namespace

std::string PrintReal(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  char buffer[40];
  const auto end =
      std::to_chars(buffer, buffer + sizeof(buffer), value, std::chars_format::scientific).ptr;
  const std::string_view written(buffer, static_cast<size_t>(end - buffer));  // -d.ddde-xx
  const size_t e = written.find('e');
  const std::string sign = written[0] == '-' ? "-" : "";
  std::string digits;
  for (const char c : written.substr(0, e)) {
    if (IsDigit(c)) digits += c;
  }
  const int exponent = std::atoi(std::string(written.substr(e + 1)).c_str());
  if (exponent < -4 || exponent >= 16) {
    const std::string rest = digits.size() > 1 ? "." + digits.substr(1) : "";
    return sign + digits[0] + rest + std::string(written.substr(e));
  }
  if (exponent < 0) {
    return sign + "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  }
  const auto whole = static_cast<size_t>(exponent) + 1;
  if (digits.size() < whole) digits.append(whole - digits.size(), '0');
  const std::string fraction = digits.size() > whole ? digits.substr(whole) : "0";
  return sign + digits.substr(0, whole) + "." + fraction;
}

// Numbers, truth values and None are trusted: their text holds no byte of a message.
absl::StatusOr<Text> Print(const Value& value) {
  if (value.text() != nullptr) return *value.text();
  if (value.undefined() != nullptr) return Text();
  if (value.is_none()) return Text("None", true);
  if (value.boolean() != nullptr) return Text(*value.boolean() ? "True" : "False", true);
  if (value.integer() != nullptr) return Text(std::to_string(*value.integer()), true);
  if (value.real() != nullptr) return Text(PrintReal(*value.real()), true);
  const bool written =
      value.dict() != nullptr || value.Is(Sequence::kList) || value.Is(Sequence::kTuple);
  if (!written) return Unimplemented("printing a " + KindName(value) + " is not supported");
  Text out;
  RETURN_IF_ERROR(Represent(value, &out));
  return out;
}

absl::StatusOr<List> Items(const Value& value) {
  if (value.undefined() != nullptr) return List();
  if (!value.Spend()) {
    return Unimplemented("running twice over what a filter gave is not supported (add '| list')");
  }
  if (value.list() != nullptr) return *value.list();
  if (value.text() != nullptr) return Characters(*value.text());
  if (value.dict() == nullptr) return InvalidArgument("'" + KindName(value) + "' has no items");
  List keys;
  for (const auto& [name, item] : *value.dict()) keys.push_back(name);
  return keys;
}

absl::StatusOr<int64_t> ToInteger(const Value& value) {
  if (const auto number = AsInteger(value)) return *number;
  if (value.real() != nullptr) {
    const double cut = std::trunc(*value.real());
    if (std::isnan(cut)) return InvalidArgument("NaN is no integer");
    constexpr double kEnd = 9223372036854775808.0;
    if (cut < -kEnd || cut >= kEnd) return OutOfRange("an integer of more than 64 bits");
    return static_cast<int64_t>(cut);
  }
  if (value.undefined() != nullptr) return InvalidArgument(value.undefined()->why);
  if (value.text() == nullptr) return InvalidArgument("a " + KindName(value) + " is no integer");
  std::string_view text = Trimmed(value.text()->bytes());
  const std::string whole(text.substr(0, 50));
  const bool sign = !text.empty() && (text[0] == '-' || text[0] == '+');
  std::string digits(text.substr(0, sign && text[0] == '-' ? 1 : 0));
  text.remove_prefix(sign ? 1 : 0);
  for (size_t i = 0; i < text.size(); ++i) {
    // A _ may stand between two digits.
    const bool joint = text[i] == '_' && i > 0 && IsDigit(text[i - 1]) && i + 1 < text.size();
    if (static_cast<uint8_t>(text[i]) >= 0x80) {
      return Unimplemented("numbers in text outside ASCII are not supported");
    }
    if (!IsDigit(text[i]) && !joint) return InvalidArgument("'" + whole + "' is no integer");
    if (!joint) digits += text[i];
  }
  if (text.empty() || !IsDigit(text.back())) {
    return InvalidArgument("'" + whole + "' is no integer");
  }
  int64_t number = 0;
  const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (read.ec != std::errc()) return OutOfRange("an integer of more than 64 bits");
  return number;
}

absl::StatusOr<double> ToReal(const Value& value) {
  if (const auto number = AsReal(value)) return *number;
  if (value.undefined() != nullptr) return InvalidArgument(value.undefined()->why);
  if (value.text() == nullptr) return InvalidArgument("a " + KindName(value) + " is no number");
  std::string_view text = Trimmed(value.text()->bytes());
  const std::string whole(text.substr(0, 50));
  if (text.find('_') != std::string_view::npos) {
    return Unimplemented("numbers with _ in a text are not supported");
  }
  if (!text.empty() && text[0] == '+' && text.substr(1, 1) != "-") text.remove_prefix(1);
  double number = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
  if (read.ec == std::errc::result_out_of_range) return OutOfRange("'" + whole + "' is no float");
  const bool all = read.ec == std::errc() && read.ptr == text.data() + text.size();
  if (!all || text.find('(') != std::string_view::npos) {
    return InvalidArgument("'" + whole + "' is no number");
  }
  return number;
}

}  // namespace mortar::jinja
