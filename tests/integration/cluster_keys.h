// A cluster of programs whose nodes have keys, and an allow-list that they share.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "tests/integration/cluster_programs.h"

namespace mortar {

class ClusterKeysTest : public ClusterTest {
 protected:
  ClusterKeysTest() {
    for (const char* name : {"coordinator", "lab-1", "lab-2", "desk", "relay"}) MakeKeys(name);
    Allow("lab-1", "worker");
    Allow("lab-2", "worker");
    Allow("desk", "edge");
    Allow("relay", "relay");
  }
  ~ClusterKeysTest() override {
    workers_.clear();  // they read the files
    coordinator_.reset();
  }

  std::string File(const std::string& name) const { return folder_.Path(name); }
  ProgramResult Keys(const Arguments& arguments) {
    return RunMortar(Arguments{"keys"} + arguments + Arguments{"--allow-list", File("allowed")});
  }
  void MakeKeys(const std::string& name) {
    const ProgramResult made = Keys({"new", "--keys", File(name)});
    ASSERT_EQ(made.exit_code, 0) << made.err;
    public_[name] = made.out.substr(0, made.out.find('\n'));
  }
  void Allow(const std::string& name, const std::string& role) {
    const ProgramResult result = Keys({"allow", public_[name], "--role", role, "--name", name});
    ASSERT_EQ(result.exit_code, 0) << result.err;
  }
  void Revoke(const std::string& name) {
    const ProgramResult result = Keys({"revoke", public_[name]});
    ASSERT_EQ(result.exit_code, 0) << result.err;
  }
  Arguments Listens(const std::string& name) const {
    return {"--keys", File(name), "--allow-list", File("allowed")};
  }
  Arguments Dials(const std::string& name, const Arguments& servers = {"coordinator"}) const {
    Arguments flags = {"--keys", File(name)};
    for (const std::string& server : servers) {
      flags = flags + Arguments{"--server-key", public_.at(server)};
    }
    return flags;
  }
  Arguments WorkerFlags(const std::string& name) const {
    return Dials(name) + Arguments{"--allow-list", File("allowed")};
  }
  void StartBoth(const Arguments& flags = {}) {
    StartCoordinator(2, "tcp://127.0.0.1:0", Listens("coordinator"));
    StartWorker(WorkerFlags("lab-1") + flags);
    StartWorker(WorkerFlags("lab-2") + flags);
  }

  TestFolder folder_;
  std::map<std::string, std::string> public_;
};

}  // namespace mortar
