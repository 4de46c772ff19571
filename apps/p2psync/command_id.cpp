// p2psync id: the id that belongs to a private key.
#include <fmt/format.h>

#include <memory>

#include "apps/p2psync/command.h"
#include "apps/p2psync/key_id.h"

namespace p2psync::app {

void describe_id(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("id", "Prints the id that belongs to a private key");
  const auto file = std::make_shared<std::string>();
  command->add_option("file", *file, "the private key")->required()->type_name("FILE");
  command->callback([file, &action] {
    action = [file] {
      const auto id = read_key_id(*file);
      if (!id) {
        return fail(id.error().message());
      }
      fmt::print("{}\n", *id);
      return exit_done;
    };
  });
}

}  // namespace p2psync::app
