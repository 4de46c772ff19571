#pragma once
// Members whose address is left out of the configuration: looked for on the LAN (net/discovery.h),
// and only if there are such. Where an address is given, it is dialled and nothing else.
//
// A node whose own address is left out takes part as well, so that others find it.
#include <asio/io_context.hpp>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "apps/p2psync/config.h"
#include "engine/status.h"
#include "net/discovery.h"
#include "net/transport.h"

namespace p2psync::app {

class Lan {
 public:
  /// `config` and `transport` outlive it. The configuration's ids were judged.
  Lan(asio::io_context& io, const Config& config, net::Transport& transport);

  /// A member was connected or lost.
  void reconsider();
  void stop();

  /// Where members are whose address is left out, as far as they are connected.
  [[nodiscard]] std::map<engine::NodeId, std::string> places() const;
  /// What keeps members from being found, while some are missing.
  [[nodiscard]] std::optional<engine::Problem> problem() const;
  [[nodiscard]] std::uint64_t sent_bytes() const;
  [[nodiscard]] std::uint64_t received_bytes() const;

 private:
  [[nodiscard]] std::vector<std::string> missing() const;

  const Config& config_;
  net::Transport& transport_;
  engine::Instant started_;
  std::unique_ptr<net::Discovery> discovery_;  ///< none if nobody is to be found
};

}  // namespace p2psync::app
