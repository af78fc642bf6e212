// For tests that a sanitizer would make long.
#pragma once

namespace mortar {

// Whether this build watches memory and arithmetic (asan) or threads (tsan), which takes ten times
// as long. A test with many cases that do the same to either takes fewer of them there.
#ifdef MORTAR_SANITIZED
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

}  // namespace mortar
