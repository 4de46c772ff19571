# Every library is a Debian package. A missing one is named together with the package that brings it.
find_package(PkgConfig QUIET)
find_package(Threads REQUIRED)

function(p2psync_missing what package)
  message(FATAL_ERROR "${what} not found. Debian package: ${package}. tests/install-packages installs them all.")
endfunction()

function(p2psync_header_library name header package)
  find_path(${name}_INCLUDE ${header})
  if(NOT ${name}_INCLUDE)
    p2psync_missing(${header} ${package})
  endif()
  add_library(p2psync_${name}_headers INTERFACE)
  target_include_directories(p2psync_${name}_headers SYSTEM INTERFACE ${${name}_INCLUDE})
  add_library(p2psync::${name} ALIAS p2psync_${name}_headers)
endfunction()

function(p2psync_package name package config target)
  find_package(${config} QUIET)
  if(NOT TARGET ${target})
    p2psync_missing(${config} ${package})
  endif()
  add_library(p2psync_${name}_package INTERFACE)
  target_link_libraries(p2psync_${name}_package INTERFACE ${target})
  add_library(p2psync::${name} ALIAS p2psync_${name}_package)
endfunction()

p2psync_header_library(xxhash xxhash.h libxxhash-dev)
target_compile_definitions(p2psync_xxhash_headers INTERFACE XXH_INLINE_ALL)
p2psync_header_library(cereal cereal/cereal.hpp libcereal-dev)
p2psync_header_library(asio asio.hpp libasio-dev)
# Asio 1.22 does not recognise clang's coroutines by itself. Its frame recycling breaks with nested awaits
# across threads and saves nothing here.
# It also finds out whether std::aligned_alloc exists from what happens to be included before it: said here,
# or one file allocates with it and another frees with operator delete.
target_compile_definitions(p2psync_asio_headers INTERFACE ASIO_STANDALONE ASIO_HAS_CO_AWAIT=1
                           ASIO_HAS_STD_COROUTINE=1 ASIO_HAS_STD_ALIGNED_ALLOC=1 ASIO_NO_DEPRECATED)
target_link_libraries(p2psync_asio_headers INTERFACE Threads::Threads)
p2psync_header_library(tomlplusplus toml++/toml.h libtomlplusplus-dev)
p2psync_header_library(doctest doctest/doctest.h doctest-dev)

p2psync_package(fmt libfmt-dev fmt fmt::fmt)
p2psync_package(spdlog libspdlog-dev spdlog spdlog::spdlog)
p2psync_package(cli11 libcli11-dev CLI11 CLI11::CLI11)
p2psync_package(crypto libssl-dev OpenSSL OpenSSL::Crypto)
p2psync_package(tls libssl-dev OpenSSL OpenSSL::SSL)
p2psync_package(sqlite libsqlite3-dev SQLite3 SQLite::SQLite3)

find_library(microhttpd_LIBRARY microhttpd)
if(NOT microhttpd_LIBRARY)
  p2psync_missing(libmicrohttpd libmicrohttpd-dev)
endif()
p2psync_header_library(microhttpd microhttpd.h libmicrohttpd-dev)
target_link_libraries(p2psync_microhttpd_headers INTERFACE ${microhttpd_LIBRARY})
