#include "net/send_queue.h"

namespace p2psync::net {

SendQueue::Bytes SendQueue::Lane::pop() {
  Bytes frame = std::move(frames.front());
  frames.pop_front();
  bytes -= frame.size();
  return frame;
}

bool SendQueue::Lane::fits(std::size_t gathered) const {
  return !frames.empty() && frames.front().size() <= small_bytes_max &&
         gathered + frames.front().size() <= gathered_bytes_max;
}

void SendQueue::push(Bytes frame, engine::Priority priority) {
  Lane& data = frame.size() <= small_bytes_max ? small_ : large_;
  Lane& lane = priority == engine::Priority::control ? control_ : data;
  lane.bytes += frame.size();
  lane.frames.push_back(std::move(frame));
}

SendQueue::Bytes SendQueue::take(bool with_data) {
  Lane& data = small_.frames.empty() ? large_ : small_;
  Lane& lane = control_.frames.empty() && with_data ? data : control_;
  if (lane.frames.empty()) {
    return {};
  }
  Bytes batch = lane.pop();
  if (batch.size() <= small_bytes_max) {
    while (lane.fits(batch.size())) {
      const Bytes frame = lane.pop();
      batch.insert(batch.end(), frame.begin(), frame.end());
    }
  }
  return batch;
}

}  // namespace p2psync::net
