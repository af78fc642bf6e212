#include "edge/draft_length.h"

#include "common/check.h"

namespace mortar {

void DraftLength::Stepped(int guessed, int held) {
  CHECK(held >= 0 && held <= guessed && guessed <= max_);
  if (guessed == 0) {
    pause_left_ = std::max(0, pause_left_ - 1);
    return;
  }
  if (held > 0) {
    next_pause_ = 0;
    length_ = std::min(max_, held == guessed ? 2 * held : held + 1);
    return;
  }
  length_ = 1;
  pause_left_ = next_pause_;
  next_pause_ = std::clamp(2 * next_pause_, kPauseMin, kPauseMax);
}

void DraftLength::Refused() {
  length_ = std::min(max_, 1);
  pause_left_ = next_pause_ = kPauseMax;
}

}  // namespace mortar
