#include "protocol/wire_values.h"

#include "protocol/limits.h"

namespace mortar {

std::string String(capnp::Text::Reader text, size_t bytes_max, const char* field) {
  if (text.size() <= bytes_max) return std::string(text.begin(), text.size());
  throw Refusal{std::string(field) + " of " + std::to_string(text.size()) + " bytes, at most " +
                std::to_string(bytes_max) + " are allowed"};
}

int Int(uint32_t value, const char* field) {
  if (value <= kIntMax) return static_cast<int>(value);
  throw Refusal{std::string(field) + " " + std::to_string(value) + " is beyond 2^31"};
}

uint32_t Padding(capnp::Data::Reader data) {
  if (data.size() <= kFrameRowBytesMax) return static_cast<uint32_t>(data.size());
  throw Refusal{"padding of " + std::to_string(data.size()) + " bytes, at most " +
                std::to_string(kFrameRowBytesMax) + " are allowed"};
}

Digest ReadDigest(capnp::Data::Reader data) {
  Digest digest;
  if (data.size() != digest.bytes.size()) {
    throw Refusal{"digest of " + std::to_string(data.size()) + " bytes, expected 32"};
  }
  std::memcpy(digest.bytes.data(), data.begin(), digest.bytes.size());
  return digest;
}

PublicKey ReadKey(capnp::Data::Reader data) {
  PublicKey key;
  if (data.size() == 0) return key;
  if (data.size() != key.bytes.size()) {
    throw Refusal{"public key of " + std::to_string(data.size()) + " bytes, expected 32"};
  }
  std::memcpy(key.bytes.data(), data.begin(), key.bytes.size());
  return key;
}

std::optional<SealTag> ReadSeal(capnp::Data::Reader data) {
  if (data.size() == 0) return std::nullopt;
  return ReadBytes<kSealBytes>(data, "seal");
}

LayerRange Read(wire::LayerRange::Reader in) {
  const LayerRange range{in.getBegin(), in.getEnd()};
  if (range.begin >= 0 && range.begin <= range.end) return range;
  throw Refusal{"layers " + ToString(range) + ", expected 0 <= begin <= end"};
}

int LayerCount(int32_t n, const char* field) {
  if (n >= 0 && n <= static_cast<int32_t>(kBricksMax)) return n;
  throw Refusal{std::string(field) + " " + std::to_string(n) + ", expected 0 to " +
                std::to_string(kBricksMax)};
}

SessionId Read(wire::SessionId::Reader in) {
  const uint64_t halves[2] = {in.getLow(), in.getHigh()};
  SessionId id;
  std::memcpy(id.bytes.data(), halves, sizeof halves);
  return id;
}

absl::Status Read(wire::Status::Reader in) {
  const uint16_t code = in.getCode();
  const std::string message = String(in.getMessage(), kStatusTextBytesMax, "status text");
  // A code of the future is an error too.
  const bool known = code <= static_cast<uint16_t>(absl::StatusCode::kUnauthenticated);
  return absl::Status(known ? static_cast<absl::StatusCode>(code) : absl::StatusCode::kUnknown,
                      message);
}

absl::Status ReadError(wire::Status::Reader in, const char* message) {
  absl::Status status = Read(in);
  if (!status.ok()) return status;
  throw Refusal{std::string(message) + " with code OK, expected an error"};
}

ModelId Read(wire::ModelId::Reader in) {
  ModelId model;
  model.name = String(in.getName(), kModelNameBytesMax, "model name");
  if (in.hasDigest()) model.digest = ReadDigest(in.getDigest());
  model.n_layers = LayerCount(in.getLayers(), "layers of a model");
  model.n_embd = in.getWidth();
  if (model.n_embd < 0) throw Refusal{"model with a negative width"};
  model.kv = Enum(in.getKv(), KvFormat::kQ80, "format of keys and values");
  return model;
}

std::vector<LayerBrick> ReadBricks(capnp::List<wire::LayerBrick>::Reader in) {
  std::vector<LayerBrick> bricks(CheckedSize(in, kBricksMax, "bricks"));
  for (unsigned i = 0; i < bricks.size(); ++i) {
    bricks[i].layers = Read(in[i].getLayers());
    bricks[i].digest = ReadDigest(in[i].getDigest());
    bricks[i].weight_bytes = in[i].getWeightBytes();
    bricks[i].sensitivity = in[i].getPrivate() ? Sensitivity::kPrivate : Sensitivity::kPublic;
  }
  return bricks;
}

}  // namespace mortar
