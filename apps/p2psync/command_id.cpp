// p2psync id: the id that belongs to a private key.
#include <fmt/format.h>

#include <memory>

#include "apps/p2psync/command.h"
#include "apps/p2psync/key_id.h"

namespace p2psync::app {

void describe_id(CommandLine& line) {
  Command command(line, "id", "Prints the id that belongs to a private key");
  const auto file = std::make_shared<std::string>();
  command.text("file", *file, "FILE", "the private key", Command::Need::required);
  command.runs([file] {
    const auto id = read_key_id(*file);
    if (!id) {
      return fail(id.error().message());
    }
    fmt::print("{}\n", *id);
    return exit_done;
  });
}

}  // namespace p2psync::app
