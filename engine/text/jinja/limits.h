// The bounds of templates, each with its unit and its reason. Reaching one is an error.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mortar::jinja {

// Bytes of one template: the longest public chat templates have about 30,000.
inline constexpr size_t kSourceBytesMax = size_t{1} << 20;

// Depth of an expression's tree and of nested statements, so that walking one cannot exhaust
// the stack. A chain a + b + c is as deep as it has operators.
inline constexpr int kNestingMax = 100;

// Bodies and expressions that a rendering stands in at once, those of macros that call one another
// included: a few hundred bytes of stack each. Twice kNestingMax is what one template can nest.
inline constexpr int kDepthMax = 400;

// Steps of one rendering: one for each statement and expression evaluated, and one for each
// kBytesPerStep bytes (of a text and of what says which of them are trusted) and each item that is
// copied or searched: so a rendering makes at most 256 MB in all.
inline constexpr uint64_t kStepsMax = 1'000'000;
inline constexpr uint64_t kBytesPerStep = 256;

// Bytes that a rendering puts out, and of any text in between: four times the largest request
// that a server takes.
inline constexpr size_t kOutputBytesMax = size_t{16} << 20;

// Bytes and nesting of the JSON that a template is rendered over: the largest request that a server
// takes, and half of what a value may nest.
inline constexpr size_t kJsonBytesMax = size_t{4} << 20;
inline constexpr size_t kJsonNestingMax = 50;

// Items of one list, and numbers of one range (the same as jinja2's sandbox).
inline constexpr size_t kListItemsMax = 100'000;

// Bytes of the characters that one trim takes away (each is looked for in all of them), and of what
// rsplit looks for.
inline constexpr size_t kTrimBytesMax = 256;

}  // namespace mortar::jinja
