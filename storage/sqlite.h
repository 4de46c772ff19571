#pragma once
// A thin layer over SQLite: one database and its statements.
//
// Used by one thread. Its files are those of an Fs (storage/sqlite_vfs.h), which must outlive it;
// there is one connection, and nothing keeps a second one away. Statements must go before their
// database. Errors: every function throws SqliteFailure, for the one room that includes this to
// catch at its border; a transaction is a dozen calls that all fail the same way. What the Fs
// itself throws comes out as it is, except while the database closes: a destructor drops it.
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "engine/error.h"
#include "storage/sqlite_vfs.h"

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
  /// Opens or creates. `file` is a path below the root; its directory must exist. For `seed` see
  /// SqliteVfs.
  SqliteDatabase(Fs& fs, std::string file, std::optional<std::uint64_t> seed);

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
  /// Its header says so, whatever the disk allows.
  [[nodiscard]] bool read_only() const;
  [[nodiscard]] sqlite3* connection() const { return connection_.get(); }
  /// Runs `work`, a call of SQLite's that may reach the disk, and returns its number.
  template <class Work>
  int call(const Work& work) const {
    vfs_->begin();
    const int code = work();
    vfs_->rethrow();
    return code;
  }
  /// What the disk refused during the last call, whatever SQLite made of it.
  [[nodiscard]] const std::optional<Error>& failure() const { return vfs_->failure(); }
  /// Throws what SQLite says of the last call, or the disk, where it was the disk.
  [[noreturn]] void fail(std::string_view operation) const;

 private:
  struct Close {
    void operator()(sqlite3* connection) const;
  };
  void rollback();

  std::string file_;
  std::unique_ptr<SqliteVfs> vfs_;
  std::unique_ptr<sqlite3, Close> connection_;  ///< after its VFS, so that it goes before it
};

}  // namespace p2psync::storage
