#include "net/hints.h"

#include <algorithm>

namespace p2psync::net {

using asio::ip::tcp;

void Hints::heard(const tcp::endpoint& where) {
  if (std::ranges::find(places_, where) == places_.end()) {
    put_first(where);
  }
}

void Hints::failed(const tcp::endpoint& where) {
  const auto found = std::ranges::find(places_, where);
  if (found != places_.end()) {
    std::rotate(found, found + 1, places_.end());
  }
}

void Hints::met(const tcp::endpoint& where) {
  met_ = where;
  std::erase(places_, where);
  put_first(where);
}

void Hints::put_first(const tcp::endpoint& where) {
  if (places_.size() == most) {
    const bool spared = places_.back() == met_;
    places_.erase(places_.end() - (spared ? 2 : 1));
  }
  places_.insert(places_.begin(), where);
}

}  // namespace p2psync::net
