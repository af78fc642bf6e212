// Goal: an include or a link from one folder to another that the design does not allow, or a
// third-party header outside its home, fails here with the file's name.
#include "tests/structure/structure.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mortar {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(Structure, TreeHasNoWrongInclude) {
  const Tree tree = ReadTree(MORTAR_SOURCE_DIR);
  ASSERT_TRUE(tree.contains("common/status.h")) << "nothing was read from " << MORTAR_SOURCE_DIR;
  EXPECT_THAT(CheckIncludes(tree, HouseRules()), IsEmpty());
}

TEST(Structure, TreeHasNoWrongLink) {
  const Tree tree = ReadTree(MORTAR_SOURCE_DIR);
  ASSERT_TRUE(tree.contains("common/CMakeLists.txt"));
  EXPECT_THAT(CheckTargets(tree, HouseRules()), IsEmpty());
}

TEST(Structure, RulesHaveNoCycle) { EXPECT_EQ(FindCycle(HouseRules()), ""); }

TEST(Structure, FindsCycleInRules) {
  Rules rules;
  rules.folders = {{"a", {"b"}}, {"b", {"c"}}, {"c", {"b"}}};
  EXPECT_EQ(FindCycle(rules), "b -> c -> b");
}

TEST(Structure, RolesNeverUseOneAnother) {
  for (const FolderRule& rule : HouseRules().folders) {
    for (const char* role : {"edge", "worker", "coordinator"}) {
      EXPECT_FALSE(rule.folder != "cli" && rule.may.contains(role)) << rule.folder;
    }
  }
}

TEST(Structure, FindsPlantedInclude) {
  const Tree tree = {
      {"worker/worker.h", "#pragma once\n"},
      {"edge/a.cc", "#include \"edge/a.h\"\n  #  include \"worker/worker.h\"\n"},
      {"engine/gguf/b.cc", "#include \"engine/kernels/kernels.h\"\n"},
      {"coordinator/c.cc",
       "#include \"engine/brick/manifest.h\"\n"
       "#include \"engine/model/config.h\"\n"},
      {"common/d.h", "#include \"tests/support/x.h\"\n"},
  };
  EXPECT_THAT(CheckIncludes(tree, HouseRules()),
              ElementsAre("common/d.h includes tests/support/x.h: nothing uses tests or tools",
                          "coordinator/c.cc includes engine/model/config.h: "
                          "coordinator may not use engine/model",
                          "edge/a.cc includes worker/worker.h: edge may not use worker",
                          "engine/gguf/b.cc includes engine/kernels/kernels.h: "
                          "engine/gguf may not use engine/kernels"));
}

TEST(Structure, LeavesAllowedIncludesAlone) {
  const Tree tree = {
      {"edge/a.cc", "#include <vector>\n#include \"engine/text/tokenizer.h\"\n"},
      {"cli/b.cc", "#include <CLI/CLI.hpp>\n#include \"edge/edge.h\"\n"},
      {"tests/unit/edge/c.cc", "#include \"worker/worker.h\"\n#include <openssl/evp.h>\n"},
      {"engine/text/d.cc", "#include <pcre2.h>\n// #include \"worker/worker.h\"\n"},
  };
  EXPECT_THAT(CheckIncludes(tree, HouseRules()), IsEmpty());
}

TEST(Structure, FindsHeaderOutsideItsHome) {
  const Tree tree = {{"edge/a.cc", "#include <openssl/sha.h>\n#include <zmq.h>\n"},
                     {"cli/b.cc", "#include <mpi.h>\n"}};
  EXPECT_THAT(CheckIncludes(tree, HouseRules()),
              ElementsAre("cli/b.cc includes mpi.h: its home is protocol",
                          "edge/a.cc includes openssl/sha.h: its home is engine/brick",
                          "edge/a.cc includes zmq.h: its home is protocol"));
}

TEST(Structure, FindsFileOutsideEveryFolder) {
  EXPECT_THAT(CheckIncludes({{"util/a.h", ""}}, HouseRules()),
              ElementsAre("util/a.h is in no folder of the rules"));
}

TEST(Structure, FindsPlantedLink) {
  const Tree tree = {
      {"worker/CMakeLists.txt", "mortar_library(NAME worker\n  SRCS w.cc DEPS protocol batch)\n"},
      {"engine/batch/CMakeLists.txt", "add_library(batch INTERFACE)\n"},
      {"protocol/CMakeLists.txt",
       "add_library(protocol INTERFACE)\n"
       "# target_link_libraries(protocol INTERFACE worker)\n"
       "target_link_libraries(protocol INTERFACE mortar_flags batch)\n"},
      {"edge/CMakeLists.txt", "mortar_library(NAME edge SRCS e.cc DEPS batch worker spdlog)\n"},
  };
  EXPECT_THAT(CheckTargets(tree, HouseRules()),
              ElementsAre("edge/CMakeLists.txt: edge links worker: edge may not use worker",
                          "protocol/CMakeLists.txt: protocol links batch: "
                          "protocol may not use engine/batch"));
}

}  // namespace
}  // namespace mortar
