#include "tests/structure/structure.h"

#include <fstream>
#include <functional>
#include <regex>
#include <sstream>

namespace mortar {
namespace {

bool Below(const std::string& path, const std::string& folder) {
  return path.starts_with(folder) && path.size() > folder.size() && path[folder.size()] == '/';
}

// The folder of `rules` that holds `path`, or null.
const FolderRule* FolderOf(const std::string& path, const Rules& rules) {
  for (const FolderRule& rule : rules.folders) {
    if (Below(path, rule.folder)) return &rule;
  }
  return nullptr;
}

// These use everything and are used by nobody but each other.
bool MayUseAll(const std::string& path) { return Below(path, "tests") || Below(path, "tools"); }

bool IsSource(const std::string& path) {
  return path.ends_with(".h") || path.ends_with(".cc") || path.ends_with(".inc");
}

std::vector<std::string> FirstGroups(const std::string& text, const std::regex& pattern) {
  std::vector<std::string> groups;
  for (std::sregex_iterator it(text.begin(), text.end(), pattern), end; it != end; ++it) {
    groups.push_back((*it)[1]);
  }
  return groups;
}

std::vector<std::string> IncludesOf(const std::string& text) {
  static const std::regex pattern(R"re((?:^|\n)[ \t]*#[ \t]*include[ \t]*[<"]([^>"]+)[>"])re");
  return FirstGroups(text, pattern);
}

// What is wrong when a file of `from` uses one of `to`; "" when nothing is.
std::string WrongArrow(const FolderRule& from, const std::string& to) {
  if (from.folder == to || from.may.contains(to)) return "";
  return from.folder + " may not use " + to;
}

std::string WrongHome(const std::string& path, const std::string& header, const Rules& rules) {
  for (const HeaderHome& home : rules.homes) {
    if (!header.starts_with(home.header)) continue;
    std::string names;
    for (const std::string& folder : home.in) {
      if (Below(path, folder)) return "";
      names += (names.empty() ? "" : " or ") + folder;
    }
    return "its home is " + names;
  }
  return "";
}

std::string WrongInclude(const std::string& path, const std::string& header, const Rules& rules) {
  if (const std::string wrong = WrongHome(path, header, rules); !wrong.empty()) return wrong;
  if (Below(header, "tests") || Below(header, "tools")) return "nothing uses tests or tools";
  const FolderRule* to = FolderOf(header, rules);
  return to == nullptr ? "" : WrongArrow(*FolderOf(path, rules), to->folder);
}

std::string WithoutCMakeComments(const std::string& text) {
  return std::regex_replace(text, std::regex(R"(#[^\n]*)"), "");
}

std::vector<std::string> Words(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

// Arguments of every call of `command` in a CMake file, as words.
std::vector<std::vector<std::string>> Calls(const std::string& text, const std::string& command) {
  const std::regex pattern("\\b" + command + R"(\s*\(([^)]*)\))");
  std::vector<std::vector<std::string>> calls;
  for (const std::string& arguments : FirstGroups(WithoutCMakeComments(text), pattern)) {
    calls.push_back(Words(arguments));
  }
  return calls;
}

// The word after `key`, or "".
std::string Value(const std::vector<std::string>& words, const std::string& key) {
  for (size_t i = 0; i + 1 < words.size(); ++i) {
    if (words[i] == key) return words[i + 1];
  }
  return "";
}

// Targets that one CMake file makes.
std::vector<std::string> TargetsMade(const std::string& text) {
  std::vector<std::string> names;
  for (const char* command : {"add_library", "add_executable"}) {
    for (const auto& words : Calls(text, command)) {
      if (!words.empty()) names.push_back(words[0]);
    }
  }
  for (const char* command : {"mortar_library", "mortar_test"}) {
    for (const auto& words : Calls(text, command)) names.push_back(Value(words, "NAME"));
  }
  return names;
}

// (target, what it links) of one CMake file; keywords such as PUBLIC are among the words.
std::vector<std::vector<std::string>> Links(const std::string& text) {
  std::vector<std::vector<std::string>> links = Calls(text, "target_link_libraries");
  for (const auto& words : Calls(text, "mortar_library")) {
    std::vector<std::string> link = {Value(words, "NAME")};
    bool in_deps = false;
    for (const std::string& word : words) {
      if (in_deps) link.push_back(word);
      in_deps = (in_deps || word == "DEPS") && word != "SRCS" && word != "NAME";
    }
    links.push_back(link);
  }
  return links;
}

bool IsCMake(const std::string& path) { return path.ends_with("/CMakeLists.txt"); }

}  // namespace

Tree ReadTree(const std::filesystem::path& root) {
  Tree tree;
  std::filesystem::recursive_directory_iterator it(root);
  for (const auto& entry : it) {
    const std::string name = entry.path().filename().string();
    const bool at_root = it.depth() == 0;
    if (entry.is_directory()) {
      if (name.starts_with(".") || (at_root && name == "build")) it.disable_recursion_pending();
      continue;
    }
    if (!entry.is_regular_file() || (!IsSource(name) && name != "CMakeLists.txt")) continue;
    std::ostringstream text;
    text << std::ifstream(entry.path(), std::ios::binary).rdbuf();
    tree[entry.path().lexically_relative(root).generic_string()] = text.str();
  }
  return tree;
}

std::vector<std::string> CheckIncludes(const Tree& tree, const Rules& rules) {
  std::vector<std::string> findings;
  for (const auto& [path, text] : tree) {
    if (!IsSource(path) || MayUseAll(path)) continue;
    if (FolderOf(path, rules) == nullptr) {
      findings.push_back(path + " is in no folder of the rules");
      continue;
    }
    for (const std::string& header : IncludesOf(text)) {
      const std::string wrong = WrongInclude(path, header, rules);
      if (!wrong.empty()) findings.push_back(path + " includes " + header + ": " + wrong);
    }
  }
  return findings;
}

std::vector<std::string> CheckTargets(const Tree& tree, const Rules& rules) {
  std::map<std::string, std::string> folder_of_target;
  for (const auto& [path, text] : tree) {
    const FolderRule* folder = IsCMake(path) ? FolderOf(path, rules) : nullptr;
    if (folder == nullptr) continue;
    for (const std::string& name : TargetsMade(text)) folder_of_target[name] = folder->folder;
  }
  std::vector<std::string> findings;
  for (const auto& [path, text] : tree) {
    const FolderRule* from = IsCMake(path) ? FolderOf(path, rules) : nullptr;
    if (from == nullptr) continue;
    for (const auto& link : Links(text)) {
      for (size_t i = 1; i < link.size(); ++i) {
        const auto to = folder_of_target.find(link[i]);
        if (to == folder_of_target.end()) continue;  // a foreign library, or a keyword
        const std::string wrong = WrongArrow(*from, to->second);
        if (!wrong.empty()) {
          findings.push_back(path + ": " + link[0] + " links " + link[i] + ": " + wrong);
        }
      }
    }
  }
  return findings;
}

std::string FindCycle(const Rules& rules) {
  std::map<std::string, std::set<std::string>> arrows;
  for (const FolderRule& rule : rules.folders) arrows[rule.folder] = rule.may;
  std::set<std::string> done;
  std::vector<std::string> way;
  std::function<std::string(const std::string&)> visit = [&](const std::string& folder) {
    for (size_t i = 0; i < way.size(); ++i) {
      if (way[i] != folder) continue;
      std::string cycle;
      for (; i < way.size(); ++i) cycle += way[i] + " -> ";
      return cycle + folder;
    }
    if (done.contains(folder)) return std::string();
    way.push_back(folder);
    std::string cycle;
    for (const std::string& next : arrows[folder]) {
      if (cycle.empty()) cycle = visit(next);
    }
    way.pop_back();
    done.insert(folder);
    return cycle;
  };
  for (const FolderRule& rule : rules.folders) {
    if (const std::string cycle = visit(rule.folder); !cycle.empty()) return cycle;
  }
  return "";
}

}  // namespace mortar
