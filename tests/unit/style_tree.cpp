// The rules of the tree that a compiler cannot check, over every file that git knows (or, outside a
// checkout, every file in the directory): who includes whom, what the engine may not touch, sizes.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

namespace fs = std::filesystem;

constexpr std::size_t columns_max = 100;
constexpr std::size_t file_lines_max = 500;

struct SourceFile {
  std::string path;  ///< relative to the top, with '/'
  std::vector<std::string> lines;
};

const fs::path top = P2PSYNC_SOURCE_DIR;

std::vector<std::string> paths_from_git() {
  const std::string command = "git -C '" + top.string() + "' ls-files -z 2>/dev/null";
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(command.c_str(), "r"), pclose);
  REQUIRE(pipe);
  std::vector<std::string> paths;
  std::string path;
  for (int c = std::fgetc(pipe.get()); c != EOF; c = std::fgetc(pipe.get())) {
    if (c != '\0') {
      path.push_back(static_cast<char>(c));
    } else {
      paths.push_back(std::exchange(path, {}));
    }
  }
  return paths;
}

std::vector<std::string> paths_from_directory() {
  std::vector<std::string> paths;
  for (auto walk = fs::recursive_directory_iterator(top); walk != fs::end(walk); ++walk) {
    const std::string name = walk->path().filename();
    if (walk->is_directory() && (name == "build" || name == ".git")) {
      walk.disable_recursion_pending();
    } else if (walk->is_regular_file() && !walk->is_symlink()) {
      paths.push_back(walk->path().lexically_relative(top).generic_string());
    }
  }
  return paths;
}

std::vector<SourceFile> read_tree() {
  std::vector<std::string> paths = paths_from_git();
  if (paths.empty()) {
    paths = paths_from_directory();
  }
  std::ranges::sort(paths);
  std::vector<SourceFile> files;
  for (const std::string& path : paths) {
    // What git lists may be deleted in the working tree; links lead to files that are listed
    // anyway.
    if (!fs::is_regular_file(fs::symlink_status(top / path))) {
      continue;
    }
    std::ifstream in(top / path, std::ios::binary);
    SourceFile file{.path = path, .lines = {}};
    for (std::string line; std::getline(in, line);) {
      file.lines.push_back(std::move(line));
    }
    files.push_back(std::move(file));
  }
  return files;
}

const std::vector<SourceFile>& tree() {
  static const std::vector<SourceFile> files = read_tree();
  return files;
}

bool is_below(const SourceFile& file, std::string_view folder) {
  return file.path.starts_with(folder) && file.path.size() > folder.size() &&
         file.path[folder.size()] == '/';
}

bool is_header(const SourceFile& file) {
  return file.path.ends_with(".h");
}
bool is_cpp(const SourceFile& file) {
  return is_header(file) || file.path.ends_with(".cpp");
}

std::string room_of(const std::string& path) {
  return path.substr(0, path.find('/'));
}

/// The file's findings, one a line: "path:line: text".
class Findings {
 public:
  void add(const SourceFile& file, std::size_t line, std::string_view what) {
    text_ << file.path << ':' << line << ": " << what << '\n';
  }
  [[nodiscard]] std::string text() const { return text_.str(); }

 private:
  std::ostringstream text_;
};

/// Code points, so that a text with arrows or quotes is measured as it is seen.
std::size_t columns(std::string_view line) {
  return static_cast<std::size_t>(std::ranges::count_if(
      line, [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

void forbid(Findings& findings, const SourceFile& file, const std::regex& pattern,
            std::string_view why) {
  for (std::size_t i = 0; i < file.lines.size(); ++i) {
    if (std::regex_search(file.lines[i], pattern)) {
      findings.add(file, i + 1, why);
    }
  }
}

}  // namespace

TEST_CASE("style: the test sees the tree") {
  std::set<std::string> rooms;
  for (const SourceFile& file : tree()) {
    if (is_cpp(file)) {
      rooms.insert(room_of(file.path));
    }
  }
  for (const char* room : {"engine", "storage", "net", "apps", "tests"}) {
    CHECK_MESSAGE(rooms.contains(room), std::string(room));
  }
}

TEST_CASE("style: each room includes only itself and those below it") {
  static const std::regex ours(R"re(^\s*#\s*include\s+"(engine|storage|net|apps|tests)/)re");
  const auto allowed = [](const std::string& room) -> std::set<std::string> {
    if (room == "engine") {
      return {"engine"};
    }
    if (room == "storage" || room == "net") {
      return {"engine", room};
    }
    if (room == "apps") {
      return {"engine", "storage", "net", "apps"};
    }
    if (room == "tests") {
      return {"engine", "storage", "net", "apps", "tests"};
    }
    return {"engine", "storage", "net"};
  };
  Findings findings;
  for (const SourceFile& file : tree()) {
    if (!is_cpp(file)) {
      continue;
    }
    const std::set<std::string> rooms = allowed(room_of(file.path));
    for (std::size_t i = 0; i < file.lines.size(); ++i) {
      std::smatch match;
      if (std::regex_search(file.lines[i], match, ours) && !rooms.contains(match[1].str())) {
        findings.add(file, i + 1, "includes from " + match[1].str());
      }
    }
  }
  CHECK(findings.text() == "");
}

TEST_CASE("style: the engine has no clock, thread, file, socket or random source") {
  static const std::regex banned(
      R"re(::now\(|#\s*include\s+<(thread|mutex|random|filesystem|fstream|iostream|unistd\.h|sys/|asio|openssl|sqlite3))re");
  Findings findings;
  for (const SourceFile& file : tree()) {
    if (is_cpp(file) && is_below(file, "engine")) {
      forbid(findings, file, banned, "not in engine/");
    }
  }
  CHECK(findings.text() == "");
}

TEST_CASE("style: what is in the folder is reached by descriptors, never by a path in a string") {
  static const std::regex by_path(
      R"re((^|[^A-Za-z0-9_>:])::(open|creat|l?stat|access|unlink|rename|mkdir|rmdir|symlink|link|)re"
      R"re(readlink|l?chown|chmod|truncate|utimes?|mknod|mkfifo|opendir|statv?fs|realpath|fopen)\()re"
      R"re(|std::filesystem|#\s*include\s+<(fstream|ftw\.h|glob\.h)>)re");
  // How many lines do so, for what is not in the folder: the folder's own path, configuration and
  // keys, the control socket, what libraries read.
  const std::map<std::string, std::size_t> allowed{
      {"net/tls.cpp", 3},
      {"storage/posix_fs.cpp", 4},
      {"storage/fence.cpp", 1},
      {"apps/p2psync/cluster_files.cpp", 7},
      {"apps/p2psync/config.cpp", 2},
      {"apps/p2psync/control_server.cpp", 2},
      {"apps/p2psync/control_socket.cpp", 3},
      {"apps/p2psync/folder.cpp", 3},
  };
  std::map<std::string, std::size_t> found;
  for (const SourceFile& file : tree()) {
    if (is_cpp(file) && !is_below(file, "tests")) {
      const auto lines = std::ranges::count_if(
          file.lines, [](const std::string& line) { return std::regex_search(line, by_path); });
      if (lines > 0) {
        found.emplace(file.path, lines);
      }
    }
  }
  Findings findings;
  for (const SourceFile& file : tree()) {
    const auto here = found.find(file.path);
    const auto may = allowed.find(file.path);
    if (here != found.end() && (may == allowed.end() || here->second != may->second)) {
      findings.add(file, 1, std::to_string(here->second) + " lines take a path in a string");
    }
  }
  CHECK(findings.text() == "");
  CHECK(found.size() == allowed.size());
}

TEST_CASE("style: no test sleeps, it waits for the event") {
  // In two pieces, so that this file does not find itself.
  static const std::regex sleeping(
      "sleep_"
      R"re((for|until)\s*\(|\bu?sleep\s*\()re");
  Findings findings;
  for (const SourceFile& file : tree()) {
    if (is_cpp(file) && is_below(file, "tests")) {
      forbid(findings, file, sleeping, "sleeps");
    }
  }
  CHECK(findings.text() == "");
}

TEST_CASE("style: C++ files keep to 100 columns and 500 lines") {
  Findings findings;
  for (const SourceFile& file : tree()) {
    if (!is_cpp(file)) {
      continue;
    }
    if (file.lines.size() > file_lines_max) {
      findings.add(file, file.lines.size(), "more than 500 lines: divide it");
    }
    for (std::size_t i = 0; i < file.lines.size(); ++i) {
      // A raw string cannot be broken without changing it.
      if (columns(file.lines[i]) > columns_max && !file.lines[i].contains("R\"")) {
        findings.add(file, i + 1, "more than 100 columns");
      }
    }
  }
  CHECK(findings.text() == "");
}

TEST_CASE("style: every header has its guard and says what it is for") {
  Findings findings;
  for (const SourceFile& file : tree()) {
    if (!is_header(file)) {
      continue;
    }
    const auto code = std::ranges::find_if(file.lines, [](const std::string& line) {
      return !line.empty() && !line.starts_with("//") && line != "#pragma once";
    });
    if (std::ranges::find(file.lines.begin(), code, "#pragma once") == code) {
      findings.add(file, 1, "no #pragma once before the code");
    }
    if (!std::any_of(file.lines.begin(), code,
                     [](const std::string& line) { return line.starts_with("// "); })) {
      findings.add(file, 1, "no comment at the top");
    }
  }
  CHECK(findings.text() == "");
}

TEST_CASE("style: no file names a package registry or a path of one machine") {
  // In pieces, so that this file does not find itself.
  static const std::regex registry(
      "deb\\.debian"
      R"re(\.org|snapshot\.debian)re"
      R"re(\.org|pypi\.)re"
      R"re(org|crates\.)re"
      R"re(io|npmjs\.)re"
      R"re(org|docker\.)re"
      R"re(io/|ghcr\.)re"
      R"re(io|proxy\.golang\.)re"
      "org");
  static const std::regex home_directory(
      "/ho"
      R"re(me/[a-z]+/|/ro)re"
      "ot/");
  const std::string here = top.lexically_normal().string();
  Findings findings;
  for (const SourceFile& file : tree()) {
    forbid(findings, file, registry, "names a package registry");
    forbid(findings, file, home_directory, "names somebody's home directory");
    for (std::size_t i = 0; i < file.lines.size(); ++i) {
      // A checkout right below the root ("/src") may have a name that means something else
      // elsewhere.
      if (here.find('/', 1) != std::string::npos && file.lines[i].contains(here)) {
        findings.add(file, i + 1, "names the directory of this checkout");
      }
    }
  }
  CHECK(findings.text() == "");
}
