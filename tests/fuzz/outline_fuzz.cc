// Goal: no bytes of a stranger that are said to be a model's outline do more than give an error,
// and what is read as one lists tensors, of which those without bytes are never touched.
#include <cstdint>
#include <span>
#include <vector>

#include "common/check.h"
#include "engine/brick/image.h"
#include "engine/brick/outline.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto outline = mortar::ReadOutline(std::span(data, size), "outline");
  if (!outline.ok()) {
    CHECK(mortar::Message(outline.status()).find('\n') == std::string::npos);
    return 0;
  }
  for (const mortar::Brick& brick : outline->manifest.bricks) {
    CHECK(brick.digest.has_value());
    const auto layout = mortar::LayoutOf(brick);
    CHECK(layout.ok());
    // An image of another kind: bytes that are at hand.
    CHECK(!mortar::CheckImage(*layout, std::span(data, size)).ok() || size == layout->bytes);
  }
  CHECK(mortar::WithBricks(*outline, {}, "none").ok());
  return 0;
}
