// How many guesses a session's next step carries, from what became of the last ones.
//
// A row more costs a step a tenth of its time or so where memory is what it waits for, and a guess
// that fails gives nothing for it. So it is many guesses while they hold, one where they fail, and
// now and then one to see whether that has changed:
//
//   of the last step's guesses        | the next step carries
//   ----------------------------------+------------------------------------------------------------
//   all held                          | twice as many, at most `max`
//   some held                         | one more than held
//   none held, the first time         | one
//   none held, again                  | none for a pause, each time twice as long up to kPauseMax;
//                                     | then one
//   a worker refused them             | none for kPauseMax steps; then one
//   there were none                   | the same, or one step less of the pause
#pragma once

#include <algorithm>

namespace mortar {

class DraftLength {
 public:
  static constexpr int kFirst = 4;  // guesses of the first step that has any
  static constexpr int kPauseMin = 2;
  // Steps. A guess that fails every 32 steps costs less than one part in two hundred.
  static constexpr int kPauseMax = 32;

  DraftLength() = default;
  explicit DraftLength(int max) : max_(max), length_(std::min(max, kFirst)) {}

  int Next() const { return pause_left_ > 0 ? 0 : length_; }
  // A step gave tokens: it carried `guessed` guesses, of which the first `held` did.
  void Stepped(int guessed, int held);
  void Refused();

 private:
  int max_ = 0;
  int length_ = 0;
  int pause_left_ = 0;
  int next_pause_ = 0;  // 0: the last guesses did not all fail
};

}  // namespace mortar
