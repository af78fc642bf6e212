// Text that knows which of its bytes are trusted: the template's own words are, what a message
// brought in is not. Every operation keeps that per byte.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace mortar::jinja {

class Text {
 public:
  struct Run {
    size_t end;  // offset after the run's last byte; runs lie end to end
    bool trusted;
    bool operator==(const Run&) const = default;
  };

  Text() = default;
  Text(std::string_view bytes, bool trusted) { Append(bytes, trusted); }

  const std::string& bytes() const { return bytes_; }
  size_t size() const { return bytes_.size(); }
  // Neighbouring runs differ in trust; none is empty.
  const std::vector<Run>& runs() const { return runs_; }
  // Bytes that a copy takes: where trust changes often, a run outweighs its bytes.
  size_t memory_bytes() const { return bytes_.size() + sizeof(Run) * runs_.size(); }

  void Append(std::string_view bytes, bool trusted);
  void Append(const Text& other) { AppendSlice(other, 0, other.size()); }
  // Appends bytes [begin, end) of `other` with their trust. Needs: begin <= end <= its size.
  void AppendSlice(const Text& other, size_t begin, size_t end);
  Text Slice(size_t begin, size_t end) const;

  // Replaces the bytes by as many others; each keeps its trust.
  void ReplaceBytes(std::string bytes);

 private:
  std::string bytes_;
  std::vector<Run> runs_;
};

// White space as Python's str.isspace has it, which decides what trimming takes.
bool IsPythonSpace(char32_t code_point);

// Bytes of white space at the beginning, and at the end, of valid UTF-8.
size_t LeadingSpaceBytes(std::string_view text);
size_t TrailingSpaceBytes(std::string_view text);

}  // namespace mortar::jinja
