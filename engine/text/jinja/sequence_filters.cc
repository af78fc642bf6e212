#include "engine/text/jinja/sequence_filters.h"

#include <algorithm>

#include "engine/text/jinja/conversion.h"
#include "engine/text/jinja/limits.h"
#include "engine/text/jinja/operators.h"
#include "engine/text/jinja/text_operations.h"
#include "engine/text/utf8.h"

namespace mortar::jinja {
namespace {

Value Nothing(const char* why) { return Undefined{why}; }

// An item and what it is compared by.
struct Keyed {
  Value item;
  Value key;
};

absl::StatusOr<Value> KeyOf(const Value& value, bool case_sensitive) {
  if (case_sensitive || value.text() == nullptr) return value;
  ASSIGN_OR_RETURN(Text lower, ToCase(*value.text(), Case::kLower));
  return Value(std::move(lower));
}

absl::StatusOr<std::vector<Keyed>> WithKeys(const Value& value, const Value& attribute,
                                            bool case_sensitive) {
  ASSIGN_OR_RETURN(List items, Items(value));
  std::vector<Keyed> keyed;
  for (Value& item : items) {
    ASSIGN_OR_RETURN(const Value found, AttributeAt(item, attribute));
    ASSIGN_OR_RETURN(Value key, KeyOf(found, case_sensitive));
    keyed.push_back({std::move(item), std::move(key)});
  }
  return keyed;
}

// Sorts by key, equal ones in their order. A comparison that fails ends as the error of the whole.
absl::Status SortByKey(std::vector<Keyed>* keyed, bool reverse) {
  absl::Status failed;
  std::vector<const Keyed*> order;
  for (const Keyed& one : *keyed) order.push_back(&one);
  // What compares with the first compares with all: numbers, or texts.
  for (size_t i = 1; i < order.size(); ++i) {
    const auto comparable = Compare("<", order[0]->key, order[i]->key);
    if (!comparable.ok()) return comparable.status();
    const bool nan = !Equal(order[i]->key, order[i]->key);
    if (nan) return Unimplemented("sorting NaN is not supported");
  }
  const auto before = [&](const Keyed* a, const Keyed* b) {
    const auto less = reverse ? Compare("<", b->key, a->key) : Compare("<", a->key, b->key);
    if (!less.ok()) failed = less.status();
    return less.ok() && *less;
  };
  std::sort(order.begin(), order.end(), [&](const Keyed* a, const Keyed* b) {
    return before(a, b) || (a < b && !before(b, a));
  });
  RETURN_IF_ERROR(failed);
  std::vector<Keyed> sorted;
  for (const Keyed* const one : order) sorted.push_back(*one);
  *keyed = std::move(sorted);
  return absl::OkStatus();
}

List ItemsOf(std::vector<Keyed> keyed) {
  List items;
  for (Keyed& one : keyed) items.push_back(std::move(one.item));
  return items;
}

absl::StatusOr<Value> Extreme(const Args& args, bool greatest) {
  ASSIGN_OR_RETURN(std::vector<Keyed> keyed, WithKeys(args[0], args[2], IsTrue(args[1])));
  if (keyed.empty()) return Nothing("no aggregated item, sequence was empty");
  size_t best = 0;
  for (size_t i = 1; i < keyed.size(); ++i) {
    ASSIGN_OR_RETURN(const bool better,
                     Compare(greatest ? ">" : "<", keyed[i].key, keyed[best].key));
    if (better) best = i;
  }
  return keyed[best].item;
}

}  // namespace

absl::StatusOr<Value> AttributeAt(const Value& value, const Value& attribute,
                                  const Value* standard) {
  if (attribute.is_none()) return value;
  if (attribute.integer() != nullptr) return GetItem(value, attribute);
  if (attribute.text() == nullptr) {
    return InvalidArgument("an attribute is named by a text, not by a " + KindName(attribute));
  }
  Value at = value;
  const std::string_view path = attribute.text()->bytes();
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find('.', begin), path.size());
    const std::string_view part = path.substr(begin, end - begin);
    const bool number = !part.empty() && part.find_first_not_of("0123456789") == part.npos;
    Value key = Text(part, true);
    if (number) {
      ASSIGN_OR_RETURN(const int64_t index, ToInteger(key));
      key = Value(index);
    }
    ASSIGN_OR_RETURN(at, GetItem(at, key));
    if (at.undefined() != nullptr && standard != nullptr) at = *standard;
    begin = end + 1;
  }
  return at;
}

// Text is looked at in place: a list of its characters could be long.
absl::StatusOr<Value> FirstItem(const Args& args) {
  if (const Text* const text = args[0].text(); text != nullptr && text->size() > 0) {
    return text->Slice(0, NextUtf8(text->bytes()).bytes);
  }
  if (args[0].text() != nullptr) return Nothing("there is no first item");
  ASSIGN_OR_RETURN(const List items, Items(args[0]));
  return items.empty() ? Nothing("there is no first item") : items.front();
}

absl::StatusOr<Value> LastItem(const Args& args) {
  if (const Text* const text = args[0].text(); text != nullptr && text->size() > 0) {
    return text->Slice(LastCharacter(text->bytes()), text->size());
  }
  if (args[0].text() != nullptr) return Nothing("there is no last item");
  if (args[0].Is(Sequence::kGenerator)) return InvalidArgument("a generator has no last item");
  ASSIGN_OR_RETURN(const List items, Items(args[0]));
  return items.empty() ? Nothing("there is no last item") : items.back();
}

absl::StatusOr<Value> JoinItems(const Args& args) {
  ASSIGN_OR_RETURN(const List items, Items(args[0]));
  ASSIGN_OR_RETURN(const Text separator, Print(args[1]));
  std::vector<Text> texts;
  for (const Value& item : items) {
    ASSIGN_OR_RETURN(const Value part, AttributeAt(item, args[2]));
    ASSIGN_OR_RETURN(Text text, Print(part));
    texts.push_back(std::move(text));
  }
  ASSIGN_OR_RETURN(Text joined, JoinTexts(texts, separator));
  return Value(std::move(joined));
}

absl::StatusOr<Value> ListOf(const Args& args) {
  ASSIGN_OR_RETURN(List items, Items(args[0]));
  return Value(std::move(items));
}

absl::StatusOr<Value> Reversed(const Args& args) {
  if (args[0].Is(Sequence::kGenerator)) return InvalidArgument("a generator cannot be reversed");
  ASSIGN_OR_RETURN(List items, Items(args[0]));
  std::reverse(items.begin(), items.end());
  if (args[0].text() == nullptr) return Value(std::move(items), Sequence::kGenerator);
  Text text;
  for (const Value& item : items) text.Append(*item.text());
  return Value(std::move(text));
}

absl::StatusOr<Value> SortItems(const Args& args) {
  ASSIGN_OR_RETURN(std::vector<Keyed> keyed, WithKeys(args[0], args[3], IsTrue(args[2])));
  RETURN_IF_ERROR(SortByKey(&keyed, IsTrue(args[1])));
  return Value(ItemsOf(std::move(keyed)));
}

absl::StatusOr<Value> SortDict(const Args& args) {
  const bool by_key = args[2].text() != nullptr && args[2].text()->bytes() == "key";
  const bool by_value = args[2].text() != nullptr && args[2].text()->bytes() == "value";
  if (!by_key && !by_value) return InvalidArgument("dictsort sorts by 'key' or by 'value'");
  if (args[0].dict() == nullptr) {
    return InvalidArgument("dictsort takes a dict, not a " + KindName(args[0]));
  }
  std::vector<Keyed> keyed;
  for (Value& pair : Pairs(*args[0].dict())) {
    ASSIGN_OR_RETURN(Value key, KeyOf((*pair.list())[by_key ? 0 : 1], IsTrue(args[1])));
    keyed.push_back({std::move(pair), std::move(key)});
  }
  RETURN_IF_ERROR(SortByKey(&keyed, IsTrue(args[3])));
  return Value(ItemsOf(std::move(keyed)));
}

// Texts and numbers alone: what sorting can bring together.
absl::StatusOr<Value> UniqueItems(const Args& args) {
  ASSIGN_OR_RETURN(std::vector<Keyed> keyed, WithKeys(args[0], args[2], IsTrue(args[1])));
  std::vector<size_t> order;
  for (size_t i = 0; i < keyed.size(); ++i) {
    if (keyed[i].key.text() == nullptr && !AsInteger(keyed[i].key)) {
      return Unimplemented("unique is supported for texts and integers alone, not for a " +
                           KindName(keyed[i].key));
    }
    order.push_back(i);
  }
  const auto text_of = [&](size_t i) { return keyed[i].key.text(); };
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    if ((text_of(a) != nullptr) != (text_of(b) != nullptr)) return text_of(a) != nullptr;
    const int sign = text_of(a) != nullptr ? text_of(a)->bytes().compare(text_of(b)->bytes())
                                           : CompareNumbers(keyed[a].key, keyed[b].key);
    return sign != 0 ? sign < 0 : a < b;
  });
  std::vector<bool> repeats(keyed.size(), false);
  for (size_t i = 1; i < order.size(); ++i) {
    repeats[order[i]] = Equal(keyed[order[i - 1]].key, keyed[order[i]].key);
  }
  List kept;
  for (size_t i = 0; i < keyed.size(); ++i) {
    if (!repeats[i]) kept.push_back(std::move(keyed[i].item));
  }
  return Value(std::move(kept), Sequence::kGenerator);
}

absl::StatusOr<Value> Least(const Args& args) { return Extreme(args, false); }
absl::StatusOr<Value> Greatest(const Args& args) { return Extreme(args, true); }

absl::StatusOr<Value> SumItems(const Args& args) {
  ASSIGN_OR_RETURN(const List items, Items(args[0]));
  Value sum = args[2];
  if (!AsReal(sum)) return Unimplemented("sum is supported for numbers alone");
  for (const Value& item : items) {
    ASSIGN_OR_RETURN(const Value part, AttributeAt(item, args[1]));
    ASSIGN_OR_RETURN(sum, Arithmetic("+", sum, part));
  }
  return sum;
}

List Pairs(const Dict& dict) {
  List pairs;
  for (const auto& [key, value] : dict) {
    pairs.push_back(Value(List{key, value}, Sequence::kTuple));
  }
  return pairs;
}

absl::StatusOr<Value> DictItems(const Args& args) {
  if (args[0].undefined() != nullptr) return Value(List(), Sequence::kGenerator);
  if (args[0].dict() == nullptr) return InvalidArgument("can only get item pairs from a mapping");
  return Value(Pairs(*args[0].dict()), Sequence::kGenerator);
}

}  // namespace mortar::jinja
