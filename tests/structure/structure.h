// The tree as data: which folder may use which, where each third-party header lives, and what
// breaks either. Reads text alone, so a test can plant a wrong arrow in a tree of two files.
#pragma once

#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace mortar {

// Path from the root with '/', and the file's text.
using Tree = std::map<std::string, std::string>;

struct FolderRule {
  std::string folder;         // "engine/gguf"; holds everything below it
  std::set<std::string> may;  // folders of ours that it may use beside itself
};

struct HeaderHome {
  std::string header;           // beginning of an include's path: "openssl/"
  std::vector<std::string> in;  // folders that may include it
};

struct Rules {
  std::vector<FolderRule> folders;
  std::vector<HeaderHome> homes;
};

// The rules of docs/architecture.md, section "Folders".
Rules HouseRules();

// C++ sources and CMakeLists.txt below `root`, without build folders and hidden ones.
Tree ReadTree(const std::filesystem::path& root);

// One line for each wrong include: "edge/a.cc includes worker/b.h: edge may not use worker".
// Files outside every folder of `rules` are a finding too; tests/ and tools/ may use all.
std::vector<std::string> CheckIncludes(const Tree& tree, const Rules& rules);

// The same for what CMakeLists.txt link: the DEPS of mortar_library() and the arguments of
// target_link_libraries(), resolved to the folder that makes the target.
std::vector<std::string> CheckTargets(const Tree& tree, const Rules& rules);

// A cycle among folders that `rules` allows, as "a -> b -> a", or "" where there is none.
std::string FindCycle(const Rules& rules);

}  // namespace mortar
