// Cap'n Proto's headers, with the comparisons of strings that C++20 takes from kj 0.9: it leaves
// them to rewritten operators, which its own operator!= rules out (P2468, as clang has it and g++
// 12 not yet). Before the generated header.
#pragma once

#include <kj/string.h>

#if __cpp_impl_three_way_comparison
namespace kj {
inline bool operator==(const char* a, const StringPtr& b) { return b.operator==(StringPtr(a)); }
inline bool operator!=(const char* a, const StringPtr& b) { return !(a == b); }
}  // namespace kj
#endif

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <kj/exception.h>
#include <kj/io.h>
