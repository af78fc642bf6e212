// Filters over lists and dicts; filters.h says what they have in common.
#pragma once

#include "engine/text/jinja/filters.h"

namespace mortar::jinja {

absl::StatusOr<Value> FirstItem(const Args& args);    // |first
absl::StatusOr<Value> LastItem(const Args& args);     // |last
absl::StatusOr<Value> JoinItems(const Args& args);    // |join(d, attribute)
absl::StatusOr<Value> ListOf(const Args& args);       // |list
absl::StatusOr<Value> Reversed(const Args& args);     // |reverse
absl::StatusOr<Value> SortItems(const Args& args);    // |sort(reverse, case_sensitive, attribute)
absl::StatusOr<Value> SortDict(const Args& args);     // |dictsort(case_sensitive, by, reverse)
absl::StatusOr<Value> UniqueItems(const Args& args);  // |unique(case_sensitive, attribute)
absl::StatusOr<Value> Least(const Args& args);        // |min(case_sensitive, attribute)
absl::StatusOr<Value> Greatest(const Args& args);     // |max(case_sensitive, attribute)
absl::StatusOr<Value> SumItems(const Args& args);     // |sum(attribute, start)
absl::StatusOr<Value> DictItems(const Args& args);    // |items

// The pairs of a dict as a sequence of tuples.
List Pairs(const Dict& dict);

}  // namespace mortar::jinja
