#include "common/job_queue.h"

namespace mortar {

bool PumpedJobs::RunOne() {
  Job* job = Begin();
  if (job == nullptr) return false;
  job->Run();
  End(job);
  return true;
}

void PumpedJobs::Drain() {
  waiting_.clear();
  done_.clear();
}

}  // namespace mortar
