#include "storage/sqlite.h"

#include <sqlite3.h>

#include <utility>

namespace p2psync::storage {
namespace {

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
    default: return ErrorCode::io;
  }
}

/// A call of the VFS has failed. A file that ends too early is a damaged one.
bool is_of_the_disk(int extended_code) {
  const int code = extended_code & 0xff;
  return (code == SQLITE_IOERR && extended_code != SQLITE_IOERR_SHORT_READ) ||
         code == SQLITE_FULL || code == SQLITE_CANTOPEN;
}

}  // namespace

// --- Statements

void SqliteStatement::Finalize::operator()(sqlite3_stmt* statement) const {
  sqlite3_finalize(statement);
}

SqliteStatement::SqliteStatement(const SqliteDatabase& database, const char* sql)
    : database_(database) {
  sqlite3_stmt* made = nullptr;
  const int code = database.call([&] {
    const int prepared = sqlite3_prepare_v3(database.connection(), sql, -1,
                                            SQLITE_PREPARE_PERSISTENT, &made, nullptr);
    statement_.reset(made);
    return prepared;
  });
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
  const int code = database_.call([&] {
    const int stepped = sqlite3_step(statement_.get());
    if (stepped != SQLITE_ROW) {
      // After a failure this says the same again, so the error is still there afterwards.
      sqlite3_reset(statement_.get());
    }
    return stepped;
  });
  if (code == SQLITE_ROW || code == SQLITE_DONE) {
    return code == SQLITE_ROW;
  }
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

SqliteDatabase::SqliteDatabase(Fs& fs, std::string file, std::optional<std::uint64_t> seed)
    : file_(std::move(file)), vfs_(std::make_unique<SqliteVfs>(fs, seed)) {
  sqlite3* connection = nullptr;
  const int code = call([&] {
    const int opened = sqlite3_open_v2(
        file_.c_str(), &connection,
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
        vfs_->name());
    connection_.reset(connection);
    return opened;
  });
  if (code != SQLITE_OK) {
    fail("open");
  }
  // With the exclusive mode set before the first access, the WAL's index is on the heap.
  execute(
      "PRAGMA locking_mode = EXCLUSIVE; PRAGMA mmap_size = 0; PRAGMA cell_size_check = ON;"
      "PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF");
}

void SqliteDatabase::execute(const char* sql) {
  if (call([&] { return sqlite3_exec(connection_.get(), sql, nullptr, nullptr, nullptr); }) !=
      SQLITE_OK) {
    fail("write");
  }
}

std::uint64_t SqliteDatabase::number(const char* sql) const {
  SqliteStatement statement(*this, sql);
  invariant(statement.step(), "SQLite: no row where there is always one");
  return statement.number(0);
}

bool SqliteDatabase::read_only() const {
  return sqlite3_db_readonly(connection_.get(), "main") == 1;
}

void SqliteDatabase::rollback() {
  if (sqlite3_get_autocommit(connection_.get()) == 0) {
    // A failure means that SQLite has rolled back by itself. This runs while an error is on its
    // way, so nothing is thrown here.
    sqlite3_exec(connection_.get(), "ROLLBACK", nullptr, nullptr, nullptr);
  }
}

void SqliteDatabase::fail(std::string_view operation) const {
  const int number = sqlite3_extended_errcode(connection_.get());
  if (is_of_the_disk(number) && failure()) {
    throw SqliteFailure{*failure()};
  }
  throw SqliteFailure{{code_of(number), std::string(operation),
                       file_ + " (SQLite: " + sqlite3_errmsg(connection_.get()) + ')'}};
}

}  // namespace p2psync::storage
