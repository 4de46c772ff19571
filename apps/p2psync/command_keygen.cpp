// p2psync keygen: a new private key, and the id that belongs to it.
#include <fmt/format.h>

#include <memory>

#include "apps/p2psync/command.h"
#include "net/tls.h"

namespace p2psync::app {

void describe_keygen(CommandLine& line) {
  Command command(line, "keygen",
                  "Writes a new private key (mode 0600, never over a file) and prints its id");
  const auto file = std::make_shared<std::string>();
  command.text("file", *file, "FILE", "where to write the key", Command::Need::required);
  command.runs([file] {
    const auto key = net::PrivateKey::generate();
    if (!key) {
      return fail(key.error().message());
    }
    if (const auto written = key->write_new(*file); !written) {
      return fail(written.error().message());
    }
    fmt::print("{}\n", key->id().hex());
    return exit_done;
  });
}

}  // namespace p2psync::app
