// OpenMPI behind the table of mpi_plugin.h. Links nothing of ours.
#define OMPI_SKIP_MPICXX 1  // C++ bindings that OpenMPI has given up
#include "protocol/mpi_plugin.h"

#include <mpi.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <type_traits>

namespace mortar {
namespace {

static_assert(std::is_pointer_v<MPI_Comm> && std::is_pointer_v<MPI_Request> &&
                  std::is_pointer_v<MPI_Message>,
              "handles cross as pointers, as OpenMPI's are");

MPI_Comm CommOf(void* job) { return static_cast<MPI_Comm>(job); }

// MPI 3 counts in int. No message of ours is near it.
bool Countable(size_t bytes) {
  return bytes <= static_cast<size_t>(std::numeric_limits<int>::max());
}

// Requests that are done already, and MPI's own null, are our null.
int Started(int error, MPI_Request request, void** out) {
  *out = error == MPI_SUCCESS && request != MPI_REQUEST_NULL ? request : nullptr;
  return error;
}

int Start(void** job, int* rank, int* size) {
  int provided = 0;
  // A loop is turned by one of two threads at a time (common/loop_driver.h).
  int error = MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &provided);
  if (error != MPI_SUCCESS) return error;
  if (provided < MPI_THREAD_SERIALIZED) return MPI_ERR_OTHER;
  MPI_Comm world = MPI_COMM_WORLD;
  error = MPI_Comm_set_errhandler(world, MPI_ERRORS_RETURN);
  if (error == MPI_SUCCESS) error = MPI_Comm_rank(world, rank);
  if (error == MPI_SUCCESS) error = MPI_Comm_size(world, size);
  *job = world;
  return error;
}

// The copy has its first's error handler.
int Second(void* job, void** other) {
  MPI_Comm copy = MPI_COMM_NULL;
  const int error = MPI_Comm_dup(CommOf(job), &copy);
  *other = copy;
  return error;
}

int Send(void* job, int to, int tag, const void* data, size_t bytes, void** request) {
  if (!Countable(bytes)) return MPI_ERR_COUNT;
  MPI_Request started = MPI_REQUEST_NULL;
  const int error =
      MPI_Isend(data, static_cast<int>(bytes), MPI_BYTE, to, tag, CommOf(job), &started);
  return Started(error, started, request);
}

int Probe(void* job, int from, MpiArrival* arrival) {
  int found = 0;
  MPI_Message message = MPI_MESSAGE_NULL;
  MPI_Status status;
  *arrival = {};
  int error = MPI_Improbe(from, MPI_ANY_TAG, CommOf(job), &found, &message, &status);
  if (error != MPI_SUCCESS || found == 0) return error;
  int bytes = 0;
  error = MPI_Get_count(&status, MPI_BYTE, &bytes);
  if (error == MPI_SUCCESS && bytes < 0) error = MPI_ERR_COUNT;
  if (error == MPI_SUCCESS) *arrival = {message, status.MPI_TAG, static_cast<size_t>(bytes)};
  return error;
}

int Receive(void* message, void* into, size_t bytes, void** request) {
  if (!Countable(bytes)) return MPI_ERR_COUNT;
  auto* matched = static_cast<MPI_Message>(message);
  MPI_Request started = MPI_REQUEST_NULL;
  const int error = MPI_Imrecv(into, static_cast<int>(bytes), MPI_BYTE, &matched, &started);
  return Started(error, started, request);
}

int Test(void** request) {
  auto* tested = static_cast<MPI_Request>(*request);
  int done = 0;
  const int error = MPI_Test(&tested, &done, MPI_STATUS_IGNORE);
  if (error != MPI_SUCCESS || done != 0) *request = nullptr;
  return error;
}

void Describe(int error, char* text, size_t bytes) {
  char whole[MPI_MAX_ERROR_STRING] = "";
  int length = 0;
  MPI_Error_string(error, whole, &length);
  const size_t n = std::min(std::strlen(whole), bytes - 1);
  std::memcpy(text, whole, n);
  text[n] = '\0';
}

void Abort(void* job, int exit_code) { MPI_Abort(CommOf(job), exit_code); }

int Finish() { return MPI_Finalize(); }

int Broadcast(void* job, int root, void* data, size_t bytes, void** request) {
  if (!Countable(bytes)) return MPI_ERR_COUNT;
  MPI_Request started = MPI_REQUEST_NULL;
  const int error =
      MPI_Ibcast(data, static_cast<int>(bytes), MPI_BYTE, root, CommOf(job), &started);
  return Started(error, started, request);
}

constexpr MpiFunctions kFunctions = {kMpiPluginVersion, Start, Second,   Send,  Probe,
                                     Receive,           Test,  Describe, Abort, Finish,
                                     Broadcast};

}  // namespace
}  // namespace mortar

const mortar::MpiFunctions* MortarMpiFunctions() { return &mortar::kFunctions; }
