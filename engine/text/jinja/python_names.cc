#include "engine/text/jinja/python_names.h"

#include <algorithm>

namespace mortar::jinja {
namespace {

constexpr std::string_view kNames[] = {"append",       "as_integer_ratio",
                                       "bit_count",    "bit_length",
                                       "capitalize",   "casefold",
                                       "center",       "clear",
                                       "conjugate",    "copy",
                                       "count",        "denominator",
                                       "encode",       "endswith",
                                       "expandtabs",   "extend",
                                       "find",         "format",
                                       "format_map",   "from_bytes",
                                       "fromhex",      "fromkeys",
                                       "get",          "hex",
                                       "imag",         "index",
                                       "insert",       "is_integer",
                                       "isalnum",      "isalpha",
                                       "isascii",      "isdecimal",
                                       "isdigit",      "isidentifier",
                                       "islower",      "isnumeric",
                                       "isprintable",  "isspace",
                                       "istitle",      "isupper",
                                       "items",        "join",
                                       "keys",         "ljust",
                                       "lower",        "lstrip",
                                       "maketrans",    "numerator",
                                       "partition",    "pop",
                                       "popitem",      "real",
                                       "remove",       "removeprefix",
                                       "removesuffix", "replace",
                                       "reverse",      "rfind",
                                       "rindex",       "rjust",
                                       "rpartition",   "rsplit",
                                       "rstrip",       "setdefault",
                                       "sort",         "split",
                                       "splitlines",   "startswith",
                                       "strip",        "swapcase",
                                       "title",        "to_bytes",
                                       "translate",    "update",
                                       "upper",        "values",
                                       "zfill"};

constexpr std::string_view kDictNames[] = {"clear",      "copy",   "fromkeys", "get",
                                           "items",      "keys",   "pop",      "popitem",
                                           "setdefault", "update", "values"};

template <size_t kN>
bool Among(const std::string_view (&names)[kN], std::string_view name) {
  return std::find(names, names + kN, name) != names + kN;
}

}  // namespace

bool IsPythonName(std::string_view name) { return Among(kNames, name); }

bool HasPythonName(const Value& value, std::string_view name) {
  if (value.dict() != nullptr) return Among(kDictNames, name);
  const bool python = value.text() != nullptr || value.list() != nullptr || AsReal(value);
  return python && IsPythonName(name);
}

}  // namespace mortar::jinja
