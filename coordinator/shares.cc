#include "coordinator/shares.h"

#include <algorithm>
#include <limits>
#include <tuple>
#include <utility>

#include "common/check.h"

namespace mortar {
namespace {

// Who is surpassed by `others_max` nodes in every respect is never needed: a route that has it
// lacks one of those and could have that one instead. Whoever surpasses comes first in the order,
// so that of equal nodes the first ones stay.
std::vector<ShareNode> Unsurpassed(std::vector<ShareNode> nodes, int others_max) {
  std::ranges::sort(nodes, [](const ShareNode& a, const ShareNode& b) {
    return std::tuple(a.layer_ns, a.used_ns, -a.room, a.node) <
           std::tuple(b.layer_ns, b.used_ns, -b.room, b.node);
  });
  std::vector<ShareNode> kept;
  for (const ShareNode& node : nodes) {
    int surpassed_by = 0;
    for (const ShareNode& other : kept) {
      if (other.used_ns <= node.used_ns && other.room >= node.room) ++surpassed_by;
      if (surpassed_by == others_max) break;
    }
    if (surpassed_by < others_max) kept.push_back(node);
  }
  return kept;
}

}  // namespace

ShareTable::ShareTable(std::vector<ShareNode> nodes, int nodes_max, int layers_max)
    : nodes_max_(nodes_max), layers_max_(layers_max) {
  CHECK(nodes_max >= 1 && layers_max >= 0 && layers_max <= std::numeric_limits<uint16_t>::max());
  std::erase_if(nodes, [](const ShareNode& node) { return node.room < 1; });
  for (ShareNode& node : nodes) node.room = std::min(node.room, layers_max);
  nodes_ = Unsurpassed(std::move(nodes), nodes_max);
  const size_t cells = Index(nodes_max_, layers_max_) + 1;
  time_.assign(cells, std::numeric_limits<double>::infinity());
  time_[Index(0, 0)] = 0;
  layers_of_.assign(cells * nodes_.size(), 0);
  for (const ShareNode& node : nodes_) Add(node);
}

// time'(k, n) = min(time(k, n), used + min over 1 <= m <= room of time(k - 1, n - m) + m layer).
// With n - m = from the inner minimum is n layer + min of time(k - 1, from) - from layer over a
// window of `from` that slides with n: a queue of ascending candidates gives it at constant cost.
void ShareTable::Add(const ShareNode& node) {
  const size_t cells = time_.size();
  uint16_t* layers_of = layers_of_.data() + cells * static_cast<size_t>(&node - nodes_.data());
  std::vector<int> window(static_cast<size_t>(layers_max_) + 1);
  // From the last k down, so that the row before still lacks this node.
  for (int k = nodes_max_; k >= 1; --k) {
    const double* before = time_.data() + Index(k - 1, 0);
    const auto rest = [&](int from) { return before[from] - from * node.layer_ns; };
    size_t head = 0;
    size_t tail = 0;
    for (int n = 1; n <= layers_max_; ++n) {
      const int added = n - 1;
      while (tail > head && rest(window[tail - 1]) >= rest(added)) --tail;
      window[tail++] = added;
      if (window[head] < n - node.room) ++head;
      const int from = window[head];
      const double time = before[from] + node.used_ns + (n - from) * node.layer_ns;
      if (time >= time_[Index(k, n)]) continue;
      time_[Index(k, n)] = time;
      layers_of[Index(k, n)] = static_cast<uint16_t>(n - from);
    }
  }
}

std::vector<NodeShare> ShareTable::Best(int k, int n) const {
  CHECK(Time(k, n) < std::numeric_limits<double>::infinity());
  std::vector<NodeShare> shares;
  // The last node that changed a cell is the one whose choice stands in it.
  for (size_t i = nodes_.size(); i-- > 0;) {
    const int layers = layers_of_[i * time_.size() + Index(k, n)];
    if (layers == 0) continue;
    shares.push_back({nodes_[i].node, layers});
    --k;
    n -= layers;
  }
  CHECK(k == 0 && n == 0);
  return shares;
}

}  // namespace mortar
