#include "net/send_queue.h"

namespace p2psync::net {

OutFrame SendQueue::Lane::pop() {
  OutFrame frame = std::move(frames.front());
  frames.pop_front();
  bytes -= frame.size();
  return frame;
}

/// The small frames at the front, in one.
OutFrame SendQueue::Lane::pop_together() {
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
  OutFrame batch;
  batch.head.reserve(together);
  while (count-- > 0) {
    const OutFrame frame = pop();
    invariant(!frame.tail, "a small frame is in one piece");
    batch.head.insert(batch.head.end(), frame.head.begin(), frame.head.end());
  }
  return batch;
}

void SendQueue::push(OutFrame frame, engine::Priority priority) {
  Lane& data = frame.size() <= small_bytes_max ? small_ : large_;
  Lane& lane = priority == engine::Priority::control ? control_ : data;
  lane.bytes += frame.size();
  lane.frames.push_back(std::move(frame));
}

OutFrame SendQueue::take(bool with_data) {
  Lane& data = small_.frames.empty() ? large_ : small_;
  Lane& lane = control_.frames.empty() && with_data ? data : control_;
  return lane.frames.empty() ? OutFrame() : lane.pop_together();
}

}  // namespace p2psync::net
