#include "protocol/allow_list.h"

#include <algorithm>

namespace mortar {
namespace {

constexpr std::string_view kBlank = " \t\r";

// The first word of `line`, which then begins behind it.
std::string_view TakeWord(std::string_view& line) {
  line.remove_prefix(std::min(line.find_first_not_of(kBlank), line.size()));
  const std::string_view word = line.substr(0, line.find_first_of(kBlank));
  line.remove_prefix(word.size());
  return word;
}

std::string_view TakeLine(std::string_view& text) {
  const size_t end = std::min(text.find('\n'), text.size());
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return line;
}

std::string_view Trimmed(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(kBlank), text.size()));
  const size_t last = text.find_last_not_of(kBlank);
  return last == std::string_view::npos ? std::string_view{} : text.substr(0, last + 1);
}

absl::StatusOr<std::vector<Role>> ReadRoles(std::string_view words) {
  std::vector<Role> roles;
  while (true) {
    const std::string_view word = words.substr(0, words.find(','));
    const std::optional<Role> role = AllowedRoleOf(word);
    if (!role) {
      return InvalidArgument("\"" + std::string(word.substr(0, kNameBytesMax)) +
                             "\" is no role; behind a key stands worker, edge or relay, or "
                             "several of them with commas");
    }
    if (std::ranges::find(roles, *role) == roles.end()) roles.push_back(*role);
    if (word.size() == words.size()) return roles;
    words.remove_prefix(word.size() + 1);
  }
}

// Absent: a line that says nothing.
absl::StatusOr<std::optional<AllowedKey>> ReadLine(std::string_view line) {
  const std::string_view word = TakeWord(line);
  if (word.empty() || word.starts_with('#')) return std::optional<AllowedKey>();
  AllowedKey allowed;
  ASSIGN_OR_RETURN(allowed.key, ParsePublicKey(word));
  ASSIGN_OR_RETURN(allowed.roles, ReadRoles(TakeWord(line)));
  allowed.name = std::string(Trimmed(line));
  return std::optional<AllowedKey>(std::move(allowed));
}

}  // namespace

std::optional<Role> AllowedRoleOf(std::string_view word) {
  for (const Role role : {Role::kWorker, Role::kEdge, Role::kRelay}) {
    if (word == Name(role)) return role;
  }
  return std::nullopt;
}

absl::StatusOr<AllowList> AllowList::Parse(std::string_view text) {
  if (text.size() > kAllowListBytesMax) {
    return ResourceExhausted("an allow-list of " + std::to_string(text.size()) +
                             " bytes, at most " + std::to_string(kAllowListBytesMax) + " are read");
  }
  AllowList list;
  for (int number = 1; !text.empty(); ++number) {
    const std::string where = "line " + std::to_string(number);
    auto read = ReadLine(TakeLine(text));
    if (!read.ok()) return WithContext(read.status(), where);
    if (!*read) continue;
    if (list.keys_.size() >= kAllowedKeysMax) {
      return ResourceExhausted(where + ": more than " + std::to_string(kAllowedKeysMax) + " keys");
    }
    if (!list.by_key_.emplace((*read)->key, list.keys_.size()).second) {
      return InvalidArgument(where +
                             ": this key stands in the list already; put all its roles "
                             "into one line");
    }
    list.keys_.push_back(**std::move(read));
  }
  return list;
}

bool AllowList::Allows(const PublicKey& key, Role role) const {
  const auto found = by_key_.find(key);
  if (found == by_key_.end()) return false;
  const std::vector<Role>& roles = keys_[found->second].roles;
  return std::ranges::find(roles, role) != roles.end();
}

std::string LineOf(const AllowedKey& key) {
  std::string line = ToHex(key.key) + " ";
  for (const Role role : key.roles) {
    line += (role == key.roles.front() ? "" : ",") + std::string(Name(role));
  }
  return key.name.empty() ? line : line + " " + key.name;
}

std::optional<std::string> WithoutKey(std::string_view text, const PublicKey& key) {
  std::string rest;
  bool found = false;
  while (!text.empty()) {
    const std::string_view all = text;
    std::string_view line = TakeLine(text);
    const size_t bytes = all.size() - text.size();  // with its end
    const auto read = ParsePublicKey(TakeWord(line));
    if (read.ok() && *read == key) {
      found = true;
    } else {
      rest += all.substr(0, bytes);
    }
  }
  if (!found) return std::nullopt;
  return rest;
}

}  // namespace mortar
