#pragma once

namespace mortar::jinja {

// Counts how deep something stands in itself (the parser in expressions, a rendering in bodies and
// expressions), for as long as it lives.
class Deeper {
 public:
  explicit Deeper(int* depth) : depth_(depth) { ++*depth_; }
  ~Deeper() { --*depth_; }
  Deeper(const Deeper&) = delete;
  Deeper& operator=(const Deeper&) = delete;

 private:
  int* const depth_;
};

}  // namespace mortar::jinja
