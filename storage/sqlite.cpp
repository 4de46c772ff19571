#include "storage/sqlite.h"

#include <fcntl.h>
#include <sqlite3.h>

#include <cerrno>
#include <cstring>

namespace p2psync::storage {
namespace {

constexpr const char* vfs_name = "p2psync";

/// SQLite's own unix VFS, but that names are taken as they are: it would resolve the link in
/// /proc/self/fd to the very path that it is there to avoid.
bool register_vfs() {
  sqlite3_vfs* const unix_vfs = sqlite3_vfs_find("unix");
  invariant(unix_vfs != nullptr, "SQLite has no unix VFS");
  static sqlite3_vfs vfs = *unix_vfs;
  vfs.zName = vfs_name;
  vfs.pNext = nullptr;
  vfs.xFullPathname = [](sqlite3_vfs*, const char* name, int size, char* into) {
    const std::size_t length = std::strlen(name);
    if (length >= static_cast<std::size_t>(size)) {
      return SQLITE_CANTOPEN;
    }
    std::memcpy(into, name, length + 1);
    return SQLITE_OK;
  };
  return sqlite3_vfs_register(&vfs, 0) == SQLITE_OK;
}

ErrorCode code_of(int extended_code) {
  // A file that ends too early.
  if (extended_code == SQLITE_IOERR_SHORT_READ) {
    return ErrorCode::corrupt;
  }
  switch (extended_code & 0xff) {
    // Our statements are right, so the tables are not what they should be.
    case SQLITE_ERROR:
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return ErrorCode::corrupt;
    case SQLITE_FULL: return ErrorCode::no_space;
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return ErrorCode::busy;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH: return ErrorCode::denied;
    default: return ErrorCode::io;
  }
}

}  // namespace

// --- Statements

void SqliteStatement::Finalize::operator()(sqlite3_stmt* statement) const {
  sqlite3_finalize(statement);
}

SqliteStatement::SqliteStatement(const SqliteDatabase& database, const char* sql)
    : database_(database) {
  sqlite3_stmt* made = nullptr;
  const int code =
      sqlite3_prepare_v3(database.connection(), sql, -1, SQLITE_PREPARE_PERSISTENT, &made, nullptr);
  statement_.reset(made);
  if (code != SQLITE_OK) {
    database.fail("read");
  }
}

// Binding fails only for a wrong place or a value beyond a gigabyte: ours to avoid.
SqliteStatement& SqliteStatement::bind(int at, Blob value) {
  // A null pointer would bind NULL instead of an empty blob.
  const void* data = value.empty() ? static_cast<const void*>("") : value.data();
  invariant(
      sqlite3_bind_blob64(statement_.get(), at, data, value.size(), SQLITE_STATIC) == SQLITE_OK,
      "SQLite: bind");
  return *this;
}

SqliteStatement& SqliteStatement::bind(int at, std::uint64_t value) {
  invariant(
      sqlite3_bind_int64(statement_.get(), at, static_cast<sqlite3_int64>(value)) == SQLITE_OK,
      "SQLite: bind");
  return *this;
}

SqliteStatement& SqliteStatement::bind(int at, std::string_view value) {
  invariant(sqlite3_bind_text64(statement_.get(), at, value.data(), value.size(), SQLITE_STATIC,
                                SQLITE_UTF8) == SQLITE_OK,
            "SQLite: bind");
  return *this;
}

bool SqliteStatement::step() {
  switch (sqlite3_step(statement_.get())) {
    case SQLITE_ROW: return true;
    case SQLITE_DONE: sqlite3_reset(statement_.get()); return false;
    default: break;
  }
  // Resetting it says the same again, so the error is still there afterwards.
  sqlite3_reset(statement_.get());
  database_.fail(sqlite3_stmt_readonly(statement_.get()) != 0 ? "read" : "write");
}

void SqliteStatement::run() {
  invariant(!step(), "SQLite: a row from a statement that has none");
}

Blob SqliteStatement::blob(int column) const {
  const auto* data =
      static_cast<const std::uint8_t*>(sqlite3_column_blob(statement_.get(), column));
  const auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement_.get(), column));
  return data == nullptr ? Blob() : Blob(data, size);
}

std::uint64_t SqliteStatement::number(int column) const {
  return static_cast<std::uint64_t>(sqlite3_column_int64(statement_.get(), column));
}

std::string_view SqliteStatement::text(int column) const {
  const Blob bytes = blob(column);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// --- The database

void SqliteDatabase::Close::operator()(sqlite3* connection) const {
  sqlite3_close_v2(connection);
}

SqliteDatabase::SqliteDatabase(std::string file) : file_(std::move(file)) {
  static const bool registered = register_vfs();
  invariant(registered, "SQLite: the VFS");

  const std::size_t name_at = file_.rfind('/') + 1;  // 0 without any
  const std::string folder = name_at == 0 ? "." : file_.substr(0, name_at);
  directory_ = Descriptor(::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!directory_) {
    throw SqliteFailure{system_error("open", folder, errno)};
  }
  const std::string name =
      "/proc/self/fd/" + std::to_string(directory_.get()) + '/' + file_.substr(name_at);
  sqlite3* connection = nullptr;
  const int code = sqlite3_open_v2(
      name.c_str(), &connection,
      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
      vfs_name);
  connection_.reset(connection);
  if (code != SQLITE_OK) {
    fail("open");
  }
  // With the exclusive mode set before the first access, the WAL's index is on the heap.
  execute(
      "PRAGMA locking_mode = EXCLUSIVE; PRAGMA mmap_size = 0; PRAGMA cell_size_check = ON;"
      "PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF");
}

void SqliteDatabase::execute(const char* sql) {
  if (sqlite3_exec(connection_.get(), sql, nullptr, nullptr, nullptr) != SQLITE_OK) {
    fail("write");
  }
}

std::uint64_t SqliteDatabase::number(const char* sql) const {
  SqliteStatement statement(*this, sql);
  invariant(statement.step(), "SQLite: no row where there is always one");
  return statement.number(0);
}

void SqliteDatabase::rollback() {
  if (sqlite3_get_autocommit(connection_.get()) == 0) {
    // A failure means that SQLite has rolled back by itself.
    sqlite3_exec(connection_.get(), "ROLLBACK", nullptr, nullptr, nullptr);
  }
}

void SqliteDatabase::fail(std::string_view operation) const {
  const ErrorCode code = code_of(sqlite3_extended_errcode(connection_.get()));
  const int number = sqlite3_system_errno(connection_.get());
  if (code == ErrorCode::io && number != 0) {
    throw SqliteFailure{system_error(operation, file_, number)};
  }
  throw SqliteFailure{{code, std::string(operation),
                       file_ + " (SQLite: " + sqlite3_errmsg(connection_.get()) + ')'}};
}

}  // namespace p2psync::storage
