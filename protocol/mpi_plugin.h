// What Mortar asks of MPI, as a table of C functions: the face of the plug-in libmortar_mpi.so,
// whose one source file is the home of mpi.h. The program loads it in `cluster` alone, so that
// everything else runs on machines without OpenMPI.
//
// Every function but `abort` gives an error code, 0 when it went well. They are used by one thread
// at a time. Nothing here blocks except `start`, `second` and `finish`: a receive that blocks burns
// a core.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mortar {

inline constexpr uint32_t kMpiPluginVersion = 3;
inline constexpr char kMpiPluginFile[] = "libmortar_mpi.so";
inline constexpr char kMpiPluginSymbol[] = "MortarMpiFunctions";

// A message that has come and was taken out of MPI's queue; its bytes are asked for by `receive`.
struct MpiArrival {
  void* message = nullptr;  // null: nothing has come
  int tag = 0;
  size_t bytes = 0;
};

struct MpiFunctions {
  uint32_t version;  // kMpiPluginVersion
  // Once a process. `job` is what all others are given.
  int (*start)(void** job, int* rank, int* size);
  // Another line between the same ranks: a job whose messages meet none of the first's. Once, by
  // all ranks, behind `start`; it waits for them.
  int (*second)(void* job, void** other);
  // The memory is the caller's, and MPI reads it until the request is done.
  int (*send)(void* job, int to, int tag, const void* data, size_t bytes, void** request);
  // The next message of this rank, whatever its tag. Those of one rank keep their order.
  int (*probe)(void* job, int from, MpiArrival* arrival);
  int (*receive)(void* message, void* into, size_t bytes, void** request);
  // When it is done, `request` is null. An error ends it too.
  int (*test)(void** request);
  void (*describe)(int error, char* text, size_t bytes);  // ends with a zero
  void (*abort)(void* job, int exit_code);                // ends all ranks, this one too
  int (*finish)();                                        // waits for all ranks to come here
  // What rank `root` has at `data` comes to all others there: each rank calls it, in the same
  // order.
  int (*broadcast)(void* job, int root, void* data, size_t bytes, void** request);
};

}  // namespace mortar

extern "C" const mortar::MpiFunctions* MortarMpiFunctions();
