#pragma once
// Every key that a configuration may have beyond those that it must, none at its default. Begins in
// the section [node].
#include <string>

namespace p2psync::app {

inline const std::string every_key = R"(
listen = "127.0.0.9:99"
[gossip]
interval = "200ms"
[scan]
watch = false
interval = "10m"
max_delete = "50%"
[transfer]
upload_limit = "1MiB"
download_limit = 4096
[versions]
keep = "0"
max_bytes = "1KiB"
thin = false
[http]
listen = ""
[log]
level = "debug"
format = "json"
)";

}  // namespace p2psync::app
