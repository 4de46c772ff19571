#include "net/send_queue.h"

namespace p2psync::net {

SendQueue::Bytes SendQueue::Lane::pop() {
  Bytes frame = std::move(frames.front());
  frames.pop_front();
  bytes -= frame.size();
  return frame;
}

/// The small frames at the front, in one.
SendQueue::Bytes SendQueue::Lane::pop_together() {
  std::size_t count = 0;
  std::size_t together = 0;
  while (count < frames.size() && frames[count].size() <= small_bytes_max &&
         together + frames[count].size() <= gathered_bytes_max) {
    together += frames[count].size();
    ++count;
  }
  if (count <= 1) {
    return pop();
  }
  Bytes batch;
  batch.reserve(together);
  while (count-- > 0) {
    const Bytes frame = pop();
    batch.insert(batch.end(), frame.begin(), frame.end());
  }
  return batch;
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
  return lane.frames.empty() ? Bytes() : lane.pop_together();
}

}  // namespace p2psync::net
