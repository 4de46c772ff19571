#pragma once
// A thin layer over SQLite: one database and its statements.
//
// Used by one thread. The database is held exclusively from the first access on. Its directory is
// reached through a descriptor, not a path: SQLite's own limit is 512 bytes of path, and a
// directory that is renamed or exchanged stays the right one. Statements must go before their
// database. Errors: every function throws SqliteFailure, for the one room that includes this to
// catch at its border; a transaction is a dozen calls that all fail the same way.
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "engine/error.h"
#include "storage/descriptor.h"

struct sqlite3;
struct sqlite3_stmt;

namespace p2psync::storage {

using Blob = std::span<const std::uint8_t>;

struct SqliteFailure {
  Error error;
};

/// A prepared statement. Bind all parameters (from 1), step until false, read columns (from 0) in
/// between; what is bound must live until then.
class SqliteStatement {
 public:
  SqliteStatement(const class SqliteDatabase& database, const char* sql);

  SqliteStatement& bind(int at, Blob value);
  SqliteStatement& bind(int at, std::uint64_t value);
  SqliteStatement& bind(int at, std::string_view value);
  /// True: there is a row. False: done, and ready to be bound anew; so after a failure.
  [[nodiscard]] bool step();
  /// Steps a statement that gives no rows.
  void run();

  /// Good until the next step.
  [[nodiscard]] Blob blob(int column) const;
  [[nodiscard]] std::uint64_t number(int column) const;
  [[nodiscard]] std::string_view text(int column) const;

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };
  const SqliteDatabase& database_;
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

class SqliteDatabase {
 public:
  /// Opens or creates. `file` is a path; its directory must exist.
  explicit SqliteDatabase(std::string file);

  /// Runs statements that have no parameters and whose rows do not matter.
  void execute(const char* sql);
  /// The first column of the only row.
  [[nodiscard]] std::uint64_t number(const char* sql) const;
  /// Runs `work` as one transaction, which is given up if it throws.
  template <class Work>
  void transaction(const Work& work) {
    execute("BEGIN IMMEDIATE");
    try {
      work();
      execute("COMMIT");
    } catch (...) {
      rollback();
      throw;
    }
  }

  [[nodiscard]] const std::string& file() const { return file_; }
  [[nodiscard]] sqlite3* connection() const { return connection_.get(); }
  /// Throws what SQLite says of the last call.
  [[noreturn]] void fail(std::string_view operation) const;

 private:
  struct Close {
    void operator()(sqlite3* connection) const;
  };
  void rollback();

  std::string file_;
  Descriptor directory_;
  std::unique_ptr<sqlite3, Close> connection_;
};

}  // namespace p2psync::storage
