#include "protocol/grant.h"

#include <sodium.h>

#include <algorithm>

#include "common/check.h"
#include "protocol/packed.h"

namespace mortar {
namespace {

static_assert(kKeyBytes == crypto_sign_PUBLICKEYBYTES && kKeyBytes == crypto_sign_SEEDBYTES);
static_assert(kSignatureBytes == crypto_sign_BYTES);

constexpr char kSignerContext[] = "mortar signing key 1";
constexpr char kGrantContext[] = "mortar route grant 1";

// The contexts, 200 bytes of the route and 48 of each hop.
using PackedGrant = Packed<256 + 48 * kHopsMax>;

PackedGrant Signed(const RouteGrant& g) {
  PackedGrant p;
  p.AddText(kGrantContext);
  p.Add(g.session).Add(g.edge.value).Add(g.edge_key.bytes);
  p.Add(g.model.digest.bytes).Add(g.model.n_layers).Add(g.model.n_embd);
  p.Add(static_cast<uint8_t>(g.model.kv)).AddText(g.contract);
  p.Add(g.positions_max).Add(g.frames_in_flight_max).Add(g.row_bytes_in_flight_max);
  p.Add(g.expires.time_since_epoch().count());
  p.Add(static_cast<uint32_t>(g.hops.size()));
  for (const Hop& hop : g.hops) {
    p.Add(hop.node.value).Add(hop.key.bytes).Add(hop.layers.begin).Add(hop.layers.end);
  }
  return p;
}

}  // namespace

Signer::Signer(const KeyPair& keys) {
  std::array<uint8_t, crypto_sign_SEEDBYTES> seed;
  CHECK(crypto_generichash(seed.data(), seed.size(),
                           reinterpret_cast<const uint8_t*>(kSignerContext), sizeof kSignerContext,
                           keys.secret_key.bytes.data(), kKeyBytes) == 0);
  static_assert(sizeof secret_ == crypto_sign_SECRETKEYBYTES);
  CHECK(crypto_sign_seed_keypair(key_.bytes.data(), secret_.data(), seed.data()) == 0);
  sodium_memzero(seed.data(), seed.size());
}

Signer::~Signer() { sodium_memzero(secret_.data(), secret_.size()); }

void Signer::Sign(RouteGrant& grant) const {
  CHECK(grant.hops.size() <= static_cast<size_t>(kHopsMax));
  const PackedGrant what = Signed(grant);
  Signature signature;
  CHECK(crypto_sign_detached(signature.data(), nullptr, what.data(), what.size(), secret_.data()) ==
        0);
  grant.signature = signature;
}

void Trust(std::vector<SignerKey>& signers, const SignerKey& key) {
  std::erase(signers, key);
  if (signers.size() == kSignersMax) signers.erase(signers.begin());
  signers.push_back(key);
}

void TrustAll(std::vector<SignerKey>& signers, const Doors& doors) {
  for (size_t i = doors.doors.size(); i > 0; --i) {
    const SignerKey& signer = doors.doors[i - 1].signer;
    if (!signer.empty()) Trust(signers, signer);
  }
}

RouteGrant ShownOf(const RouteGrant& grant) {
  RouteGrant shown = grant;
  shown.model.name.clear();
  for (Hop& hop : shown.hops) {
    hop.name.clear();
    hop.endpoint.clear();
    hop.bricks.clear();
  }
  return shown;
}

absl::Status CheckSignature(std::span<const SignerKey> signers, const RouteGrant& grant) {
  if (!grant.signature) return PermissionDenied("the route is not signed");
  if (grant.contract.size() > kContractBytesMax || grant.hops.size() > kHopsMax) {
    return PermissionDenied("the route is of no size that is signed");
  }
  const PackedGrant what = Signed(grant);
  for (size_t i = signers.size(); i > 0; --i) {  // the newest first
    if (crypto_sign_verify_detached(grant.signature->data(), what.data(), what.size(),
                                    signers[i - 1].bytes.data()) == 0) {
      return absl::OkStatus();
    }
  }
  return PermissionDenied("the route is not signed by a coordinator that this node has joined");
}

absl::Status CheckShown(const RouteGrant& grant, const GrantedHop& hop, NodeId edge,
                        CalendarTime now) {
  if (grant.edge != edge) {
    return PermissionDenied("the route is node " + ToString(grant.edge) + "'s, node " +
                            ToString(edge) + " shows it");
  }
  const auto named = std::ranges::find_if(
      grant.hops, [&](const Hop& h) { return h.node == hop.node && h.key == hop.key; });
  if (named == grant.hops.end()) return PermissionDenied("the route does not name this node");
  if (named->layers != hop.layers || grant.model.digest != hop.model) {
    return FailedPrecondition("the route is for layers " + ToString(named->layers) +
                              ", this node hosts " + ToString(hop.layers));
  }
  if (now > grant.expires + std::chrono::duration_cast<std::chrono::milliseconds>(kClockSkewMax)) {
    return FailedPrecondition("the route has expired");
  }
  return absl::OkStatus();
}

}  // namespace mortar
