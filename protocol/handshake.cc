#include "protocol/handshake.h"

#include <string>

namespace mortar {
namespace {

// Of a node that has keys, and speaks to one that has.
absl::Status CheckFeatures(uint64_t features, const char* whose) {
  if ((features & kFeatureGrants) != 0) return absl::OkStatus();
  return FailedPrecondition(std::string(whose) +
                            " has keys and knows no signed routes: it is of an older Mortar, and "
                            "between keys nothing less is spoken");
}

absl::Status CheckTerms(uint32_t version, const std::string& contract) {
  if (version != kProtocolVersion) {
    return FailedPrecondition("protocol version " + std::to_string(version) +
                              ", this cluster speaks " + std::to_string(kProtocolVersion));
  }
  if (contract != kNumericContract) {
    return FailedPrecondition("numeric contract " + contract + ", this cluster follows " +
                              kNumericContract);
  }
  return absl::OkStatus();
}

std::string Describe(const ModelId& model) {
  return model.name + ", --kv " + Name(model.kv) + ", bricks " + ToHex(model.digest).substr(0, 16) +
         "…";
}

}  // namespace

bool HasNoModel(const Hello& hello) {
  return hello.role == Role::kWorker && hello.model == ModelId{};
}

absl::Status CheckHello(const Hello& hello, const std::optional<ModelId>& model) {
  RETURN_IF_ERROR(CheckTerms(hello.version, hello.contract));
  if (!hello.key.empty()) RETURN_IF_ERROR(CheckFeatures(hello.features, "this node"));
  if (hello.name.empty() || hello.name.size() > kNameBytesMax) {
    return InvalidArgument("a node's name has 1 to " + std::to_string(kNameBytesMax) + " bytes");
  }
  if (hello.role != Role::kRelay && !HasNoModel(hello) && model && !(hello.model == *model)) {
    return FailedPrecondition("this cluster serves model " + Describe(*model) + ", node " +
                              hello.name + " has " + Describe(hello.model));
  }
  return absl::OkStatus();
}

Welcome WelcomeFor(const Hello& hello) { return {.features = hello.features & kFeatures}; }

absl::Status CheckWelcome(const Welcome& welcome, bool has_keys) {
  RETURN_IF_ERROR(CheckTerms(welcome.version, welcome.contract));
  return has_keys ? CheckFeatures(welcome.features, "the other end") : absl::OkStatus();
}

}  // namespace mortar
