#include "protocol/mpi_world.h"

#include <dlfcn.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <filesystem>
#include <thread>

namespace mortar {
namespace {

// After MPI was told to end all ranks, which it does at once.
constexpr auto kAbortMax = std::chrono::seconds(5);

absl::StatusOr<std::string> FindPlugin(const std::string& folder) {
  for (const char* place : {"/", "/../lib/"}) {
    std::string path = folder + place + kMpiPluginFile;
    std::error_code ignored;
    if (std::filesystem::exists(path, ignored)) return path;
  }
  return FailedPrecondition(std::string("this build has no MPI: ") + kMpiPluginFile +
                            " is not in " + folder +
                            "; install Debian's libopenmpi-dev and build again");
}

absl::StatusOr<const MpiFunctions*> LoadPlugin(const std::string& folder) {
  ASSIGN_OR_RETURN(const std::string path, FindPlugin(folder));
  // Global: OpenMPI loads parts of itself, which look for its symbols. Never closed: MPI starts and
  // ends once a process.
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (library == nullptr) {
    return FailedPrecondition("MPI cannot be loaded: " + std::string(dlerror()) +
                              "; install OpenMPI 4.1 (Debian's openmpi-bin)");
  }
  const auto functions =
      reinterpret_cast<decltype(&MortarMpiFunctions)>(dlsym(library, kMpiPluginSymbol));
  if (functions == nullptr || functions()->version != kMpiPluginVersion) {
    return FailedPrecondition(path + " is of another version of mortar; build both together");
  }
  return functions();
}

}  // namespace

absl::Status MpiError(const MpiFunctions& mpi, int error, const std::string& what) {
  if (error == 0) return absl::OkStatus();
  std::array<char, 256> text{};
  mpi.describe(error, text.data(), text.size());
  return Unavailable("MPI: " + what + ": " + text.data());
}

absl::StatusOr<std::unique_ptr<MpiWorld>> MpiWorld::Join(const std::string& folder) {
  ASSIGN_OR_RETURN(const MpiFunctions* mpi, LoadPlugin(folder));
  return JoinWith(*mpi);
}

absl::StatusOr<std::unique_ptr<MpiWorld>> MpiWorld::JoinWith(const MpiFunctions& mpi) {
  void* job = nullptr;
  int rank = 0;
  int size = 0;
  RETURN_IF_ERROR(MpiError(mpi, mpi.start(&job, &rank, &size), "joining the job"));
  void* second_job = nullptr;
  RETURN_IF_ERROR(MpiError(mpi, mpi.second(job, &second_job), "joining the job"));
  return std::unique_ptr<MpiWorld>(new MpiWorld(mpi, job, second_job, rank, size));
}

absl::Status MpiWorld::Leave() { return MpiError(mpi_, mpi_.finish(), "leaving the job"); }

void MpiWorld::Abort(int exit_code) const {
  mpi_.abort(job_, exit_code);
  std::this_thread::sleep_for(kAbortMax);
  _exit(exit_code);
}

}  // namespace mortar
