#include "storage/index_store.h"

#include <xxhash.h>

#include <algorithm>
#include <cstdio>
#include <type_traits>
#include <utility>

#include "engine/codec.h"
#include "storage/sqlite.h"

namespace p2psync::storage {
namespace {

using engine::Change;
using engine::HeldRow;
using engine::KeptVersion;
using engine::NodeId;
using engine::Path;
using engine::Record;
using engine::VersionVector;

constexpr std::uint64_t application_id = 0x70327073;
constexpr std::uint64_t schema_version = 5;
/// The same, but that no record is a PlainRecord: they become such when they change.
constexpr std::uint64_t schema_version_readable = 4;
constexpr std::int64_t ms_ns = 1'000'000;
constexpr std::size_t number_bytes = 8;
constexpr std::string_view knowledge_key = "knowledge";
constexpr std::string_view braked_key = "braked";

constexpr const char* schema =
    "CREATE TABLE meta(key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE entry(path BLOB PRIMARY KEY, data BLOB NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE held(member INTEGER PRIMARY KEY, data BLOB NOT NULL);"
    "CREATE TABLE ended(member INTEGER NOT NULL, number INTEGER NOT NULL, data BLOB NOT NULL,"
    " PRIMARY KEY(member, number)) WITHOUT ROWID;"
    "CREATE TABLE kept(file BLOB PRIMARY KEY, data BLOB NOT NULL) WITHOUT ROWID;"
    "PRAGMA application_id = 0x70327073;"
    "PRAGMA user_version = 5";

Blob bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

/// SQLite orders by bytes; with NUL for '/' that is the order of paths.
std::string key_of(std::string_view path) {
  std::string key(path);
  std::ranges::replace(key, '/', '\0');
  return key;
}

Path path_of(std::string_view key) {
  Path path(key);
  std::ranges::replace(path, '\0', '/');
  return path;
}

std::string hex(NodeId id) {
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(id));
  return text;
}

std::string ended_key(NodeId node, std::uint64_t number) {
  return hex(node) + " " + std::to_string(number);
}

SqliteFailure damaged(const std::string& file, std::string_view what) {
  return {{ErrorCode::corrupt, "read", file + " (" + std::string(what) + ')'}};
}

using Bytes = std::vector<std::uint8_t>;

void append(Bytes& bytes, std::uint64_t number) {
  for (int shift = 0; shift < 64; shift += 8) {
    bytes.push_back(static_cast<std::uint8_t>(number >> shift));
  }
}

std::uint64_t number_in(Blob bytes) {
  std::uint64_t number = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    number |= std::uint64_t{bytes[i]} << (8 * i);
  }
  return number;
}

std::uint64_t sum_of(Blob key, Blob data) {
  return XXH3_64bits_withSeed(data.data(), data.size(), XXH3_64bits(key.data(), key.size()));
}

/// As it stands in a row: SQLite does not notice a bit that has flipped within a value.
Bytes sealed(std::string_view key, Bytes data) {
  append(data, sum_of(bytes_of(key), data));
  return data;
}

Bytes sealed(std::string_view key, std::uint64_t number) {
  Bytes data;
  append(data, number);
  return sealed(key, std::move(data));
}

/// The value that was sealed.
Blob unsealed(const SqliteDatabase& sqlite, std::string_view key, Blob stored) {
  if (stored.size() >= number_bytes) {
    const Blob data = stored.first(stored.size() - number_bytes);
    if (number_in(stored.last(number_bytes)) == sum_of(bytes_of(key), data)) {
      return data;
    }
  }
  throw damaged(sqlite.file(), "a value is not what was stored");
}

/// The border of the room: a failure becomes an Error.
template <class Work>
auto caught(const Work& work) -> Result<decltype(work())> {
  try {
    if constexpr (std::is_void_v<decltype(work())>) {
      work();
      return {};
    } else {
      return work();
    }
  } catch (const SqliteFailure& failure) {
    return std::unexpected(failure.error);
  }
}

void create(SqliteDatabase& sqlite, NodeId self, std::uint64_t epoch) {
  sqlite.transaction([&] {
    sqlite.execute(schema);
    SqliteStatement insert(sqlite, "INSERT INTO meta VALUES(?1, ?2)");
    const auto put = [&](std::string_view key, std::uint64_t number) {
      const Bytes value = sealed(key, number);
      insert.bind(1, key).bind(2, Blob(value)).run();
    };
    put("node", self);
    put("epoch", epoch);
    put("scanned", 0);
    put("applied", 0);
  });
}

void examine(const SqliteDatabase& sqlite) {
  SqliteStatement check(sqlite, "PRAGMA quick_check(1)");
  while (check.step()) {
    if (check.text(0) != "ok") {
      // A page that cannot be read is a finding to SQLite; but the disk may give it next time.
      if (const auto& failure = sqlite.failure()) {
        throw SqliteFailure{*failure};
      }
      throw damaged(sqlite.file(), check.text(0));
    }
  }
}

/// Makes the tables in a new file; refuses what is not ours, newer or damaged.
void establish(SqliteDatabase& sqlite, NodeId self, std::uint64_t now_ms) {
  const std::uint64_t id = sqlite.number("PRAGMA application_id");
  const std::uint64_t version = sqlite.number("PRAGMA user_version");
  const bool made_now = sqlite.number("SELECT count(*) FROM sqlite_schema") == 0;
  if (!made_now && id != application_id) {
    throw damaged(sqlite.file(), "not an index of p2psync");
  }
  if (!made_now && version < schema_version_readable) {
    throw damaged(sqlite.file(), "of an older version");  // read anew: its records are not these
  }
  if (!made_now && version > schema_version) {
    throw SqliteFailure{{ErrorCode::newer, "open", sqlite.file()}};
  }
  // A header of a later format is sound to SQLite, but every write would fail.
  if (sqlite.read_only()) {
    throw damaged(sqlite.file(), "it cannot be written to");
  }
  sqlite.execute("PRAGMA journal_mode = WAL");
  if (made_now) {
    create(sqlite, self, now_ms);
  } else {
    examine(sqlite);
    if (version < schema_version) {
      sqlite.execute("PRAGMA user_version = 5");  // from now on not for older programs
    }
    // What a process that was killed had written and not synced is there, and the next power cut
    // may take it: it is made durable before anybody is told of it.
    sqlite.execute("PRAGMA wal_checkpoint(TRUNCATE)");
  }
}

std::uint64_t meta(const SqliteDatabase& sqlite, std::string_view key) {
  SqliteStatement select(sqlite, "SELECT value FROM meta WHERE key = ?1");
  if (!select.bind(1, key).step()) {
    throw damaged(sqlite.file(), "a value is missing");
  }
  return number_in(unsealed(sqlite, key, select.blob(0)));
}

/// The value of one row.
template <class T>
T decoded(const SqliteDatabase& sqlite, Blob data) {
  auto value = engine::decode<T>(data);
  if (!value) {
    throw damaged(sqlite.file(), value.error().object);
  }
  return std::move(*value);
}

engine::Endings load_endings(const SqliteDatabase& sqlite) {
  SqliteStatement rows(sqlite, "SELECT member, number, data FROM ended ORDER BY member, number");
  engine::Endings endings;
  while (rows.step()) {
    const NodeId node = rows.number(0);
    const std::uint64_t number = rows.number(1);
    const auto ending =
        decoded<engine::Ending>(sqlite, unsealed(sqlite, ended_key(node, number), rows.blob(2)));
    if (number != endings.of(node).size() + 1 || !endings.add(node, ending)) {
      throw damaged(sqlite.file(), "a list of endings with a gap");
    }
  }
  return endings;
}

/// Whether a database, or the WAL of one that could not follow, has this name.
Result<bool> is_taken(Fs& fs, const std::string& file) {
  for (const char* suffix : {"", "-wal"}) {
    const auto stat = fs.stat(file + suffix);
    if (stat) {
      return true;
    }
    if (stat.error().code != ErrorCode::not_found) {
      return std::unexpected(stat.error());
    }
  }
  return false;
}

}  // namespace

/// The connection and what is prepared on it.
struct IndexStore::Database {
  explicit Database(std::unique_ptr<SqliteDatabase> opened) : sqlite(std::move(opened)) {}

  void apply(const Change& change);
  void put_number(std::string_view key, std::uint64_t number) {
    const Bytes value = sealed(key, number);
    put_meta.bind(1, key).bind(2, Blob(value)).run();
  }

  std::unique_ptr<SqliteDatabase> sqlite;
  // After the connection, so that they go before it.
  SqliteStatement put_meta{*sqlite, "INSERT OR REPLACE INTO meta VALUES(?1, ?2)"};
  SqliteStatement put_entry{*sqlite, "INSERT OR REPLACE INTO entry VALUES(?1, ?2)"};
  SqliteStatement erase_entry{*sqlite, "DELETE FROM entry WHERE path = ?1"};
  SqliteStatement put_held{*sqlite, "INSERT OR REPLACE INTO held VALUES(?1, ?2)"};
  SqliteStatement put_ended{*sqlite, "INSERT OR REPLACE INTO ended VALUES(?1, ?2, ?3)"};
  SqliteStatement put_kept{*sqlite, "INSERT OR REPLACE INTO kept VALUES(?1, ?2)"};
  SqliteStatement erase_kept{*sqlite, "DELETE FROM kept WHERE file = ?1"};
};

void IndexStore::Database::apply(const Change& change) {
  for (const auto& [path, record] : change.records) {
    const std::string key = key_of(path);
    if (record) {
      const auto plain = engine::plain_record(path, *record);
      const Bytes data = sealed(key, plain ? engine::encode(*plain) : engine::encode(*record));
      put_entry.bind(1, bytes_of(key)).bind(2, Blob(data)).run();
    } else {
      erase_entry.bind(1, bytes_of(key)).run();
    }
  }
  if (change.applied) {
    put_number("applied", *change.applied);
  }
  if (change.braked) {
    put_number(braked_key, *change.braked ? 1 : 0);
  }
  if (change.knowledge) {
    const Bytes data = sealed(knowledge_key, engine::encode(*change.knowledge));
    put_meta.bind(1, knowledge_key).bind(2, Blob(data)).run();
  }
  for (const HeldRow& row : change.rows) {
    const Bytes data = sealed(hex(row.member), engine::encode(row));
    put_held.bind(1, row.member).bind(2, Blob(data)).run();
  }
  for (const auto& [node, number, ending] : change.endings) {
    const Bytes data = sealed(ended_key(node, number), engine::encode(ending));
    put_ended.bind(1, node).bind(2, number).bind(3, Blob(data)).run();
  }
  for (const KeptVersion& kept : change.kept) {
    const Bytes data = sealed(kept.file, engine::encode(kept));
    put_kept.bind(1, bytes_of(kept.file)).bind(2, Blob(data)).run();
  }
  for (const std::string& file : change.forgotten) {
    erase_kept.bind(1, bytes_of(file)).run();
  }
}

IndexStore::IndexStore(std::unique_ptr<Database> database, std::uint64_t epoch, bool fresh)
    : database_(std::move(database)), epoch_(epoch), fresh_(fresh) {}

IndexStore::~IndexStore() = default;

Result<std::unique_ptr<IndexStore>> IndexStore::open(Fs& fs, const std::string& file, NodeId self,
                                                     std::optional<std::uint64_t> seed) {
  return caught([&] {
    auto sqlite = std::make_unique<SqliteDatabase>(fs, file, seed);
    establish(*sqlite, self, static_cast<std::uint64_t>(fs.wall_time() / ms_ns));
    if (const NodeId node = meta(*sqlite, "node"); node != self) {
      throw SqliteFailure{{ErrorCode::invalid, "open",
                           file + " (it belongs to node " + hex(node) + ", this is node " +
                               hex(self) + ": a copied folder?)"}};
    }
    const std::uint64_t epoch = meta(*sqlite, "epoch");
    const bool fresh = meta(*sqlite, "scanned") == 0;
    return std::unique_ptr<IndexStore>(
        new IndexStore(std::make_unique<Database>(std::move(sqlite)), epoch, fresh));
  });
}

Result<std::string> IndexStore::set_aside(Fs& fs, const std::string& file) {
  std::string aside;
  for (int n = 1;; ++n) {
    aside = file + ".damaged-" + std::to_string(n);
    const auto taken = is_taken(fs, aside);
    if (!taken) {
      return std::unexpected(taken.error());
    }
    if (!*taken) {
      break;
    }
  }
  // The WAL goes along, since it may hold what the file lacks; and first, so that a crash in
  // between leaves an older index and never a WAL without its database.
  for (const char* suffix : {"-wal", "-journal", ""}) {
    const auto renamed = fs.rename(file + suffix, aside + suffix, RenameMode::replace);
    if (!renamed && renamed.error().code != ErrorCode::not_found) {
      return std::unexpected(renamed.error());
    }
  }
  if (const auto synced = fs.sync_directory(engine::parent_of(file)); !synced) {
    return std::unexpected(synced.error());
  }
  return aside;
}

Result<void> IndexStore::scanned() {
  return caught([&] { database_->put_number("scanned", 1); });
}

Result<engine::Loaded> IndexStore::load() {
  return caught([&] {
    const SqliteDatabase& sqlite = *database_->sqlite;
    engine::Loaded loaded;
    engine::Index::Builder records;
    SqliteStatement entries(sqlite, "SELECT path, data FROM entry ORDER BY path");
    while (entries.step()) {
      const std::string_view key = entries.text(0);
      Path path = path_of(key);
      if (const auto problem = engine::path_problem(path)) {
        throw damaged(sqlite.file(), *problem);
      }
      const Blob data = unsealed(sqlite, key, entries.blob(1));
      const bool added = engine::is_plain(data)
                             ? records.add(path, decoded<engine::PlainRecord>(sqlite, data))
                             : records.add(std::move(path), decoded<Record>(sqlite, data));
      if (!added) {
        throw damaged(sqlite.file(), "a record out of order");
      }
    }
    loaded.index = records.finish();
    SqliteStatement values(sqlite, "SELECT key, value FROM meta");
    while (values.step()) {  // all of them: a key that has rotted is a value that is missing
      const std::string_view key = values.text(0);
      const Blob value = unsealed(sqlite, key, values.blob(1));
      if (key == knowledge_key) {
        loaded.knowledge = decoded<VersionVector>(sqlite, value);
      } else if (key == braked_key) {
        loaded.braked = number_in(value) != 0;
      }
    }
    loaded.applied = meta(sqlite, "applied");
    SqliteStatement rows(sqlite, "SELECT member, data FROM held ORDER BY member");
    while (rows.step()) {
      loaded.rows.push_back(
          decoded<HeldRow>(sqlite, unsealed(sqlite, hex(rows.number(0)), rows.blob(1))));
    }
    loaded.endings = load_endings(sqlite);
    SqliteStatement kept(sqlite, "SELECT file, data FROM kept ORDER BY file");
    while (kept.step()) {
      loaded.kept.push_back(
          decoded<KeptVersion>(sqlite, unsealed(sqlite, kept.text(0), kept.blob(1))));
    }
    return loaded;
  });
}

Result<void> IndexStore::commit(std::span<const Change> changes) {
  if (std::ranges::all_of(changes, &Change::empty)) {
    return {};
  }
  return caught([&] {
    database_->sqlite->transaction([&] {
      for (const Change& change : changes) {
        database_->apply(change);
      }
    });
  });
}

}  // namespace p2psync::storage
