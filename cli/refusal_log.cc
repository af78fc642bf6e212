#include "cli/refusal_log.h"

namespace mortar {

void RefusalLog::Tick() {
  const Time now = clock_.Now();
  if (now - looked_ < kRefusalLogInterval) return;
  looked_ = now;
  End();
}

void RefusalLog::End() {
  const Counts counts = counts_();
  const uint64_t total = Total(counts);
  if (total == said_) return;
  said_ = total;
  log_.Info("refused", {{"total", total}, {"reasons", ToText(counts)}});
}

}  // namespace mortar
