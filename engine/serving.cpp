#include "engine/serving.h"

#include <utility>
#include <variant>

#include "engine/window.h"

namespace p2psync::engine {

void Serving::on_get(NodeId peer, const Get& get, std::vector<Output>& out) {
  Asked& asked = asked_[peer];
  const std::size_t unanswered = asked.waiting.size() + asked.reading.size() - asked.unwanted;
  if (get.length > block_bytes || unanswered >= requests_max) {
    out.push_back(Disconnect{peer, "it asks for more than a peer may"});
    return;
  }
  asked.waiting.push_back(get);
  read_next(peer, asked, out);
}

void Serving::on_read(BlockRead read, std::vector<Output>& out) {
  const auto asked = asked_.find(read.peer);
  if (asked == asked_.end()) {
    return;
  }
  auto done = asked->second.reading.extract(read.request);
  if (done.empty()) {
    return;
  }
  const Reading& reading = done.mapped();
  asked->second.reading_bytes -= reading.length;
  if (reading.wanted) {
    out.push_back(Send{read.peer, Block{reading.request, std::move(read.bytes)}, Priority::data});
  } else {
    --asked->second.unwanted;
  }
  read_next(read.peer, asked->second, out);
}

void Serving::peer_down(NodeId peer) {
  if (const auto asked = asked_.find(peer); asked != asked_.end()) {
    asked->second.waiting.clear();
    for (auto& [number, reading] : asked->second.reading) {
      reading.wanted = false;
    }
    asked->second.unwanted = asked->second.reading.size();
  }
}

void Serving::read_next(NodeId peer, Asked& asked, std::vector<Output>& out) {
  while (!asked.waiting.empty() && asked.reading.size() < requests_max &&
         asked.reading_bytes + asked.waiting.front().length <= Window::bytes_max) {
    read(peer, asked, asked.waiting.front(), out);
    asked.waiting.pop_front();
  }
}

void Serving::read(NodeId peer, Asked& asked, const Get& get, std::vector<Output>& out) {
  // Only contents that the index lists are served, by what their bytes hash to.
  Source source = replica_.source(get.content);
  if (std::holds_alternative<Nothing>(source) && transfer_.has(get)) {
    source = Unfinished{};
  }
  if (std::holds_alternative<Nothing>(source)) {
    out.push_back(Send{peer, Block{get.request, nullptr}, Priority::control});
    return;
  }
  asked.reading.emplace(++last_, Reading{get.request, get.length});
  asked.reading_bytes += get.length;
  ReadBlock read{peer, last_, get.content, source, std::nullopt, get.offset, get.length, get.list};
  if (const auto* at = std::get_if<AtName>(&source)) {
    read.expected = replica_.shown(at->name)->signature;
  }
  out.push_back(std::move(read));
}

}  // namespace p2psync::engine
