#include "protocol/waited.h"

#include <algorithm>

#include "protocol/limits.h"

namespace mortar {

Duration Waited::At(Time now) {
  if (looked_) waited_ += std::min(now - *looked_, Duration(kStallMax));
  looked_ = now;
  return waited_;
}

}  // namespace mortar
