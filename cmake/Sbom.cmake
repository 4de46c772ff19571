# The bill of materials: what the program is made of, as CycloneDX 1.5 (JSON), written next to it by each build.
#
#   cmake -DOUT=FILE -DVERSION=V -P cmake/Sbom.cmake
#
# The same build gives the same bytes, so there is no time and no serial number in it. Versions are those of the Debian
# packages that are installed; a system without dpkg leaves them out.

# name, Debian package, licence (SPDX)
set(components
    "Asio|libasio-dev|BSL-1.0"
    "cereal|libcereal-dev|BSD-3-Clause"
    "xxHash|libxxhash-dev|BSD-2-Clause"
    "toml++|libtomlplusplus-dev|MIT"
    "CLI11|libcli11-dev|BSD-3-Clause"
    "fmt|libfmt9|MIT"
    "spdlog|libspdlog1.10|MIT"
    "OpenSSL|libssl3|Apache-2.0"
    "SQLite|libsqlite3-0|blessing"
    "libmicrohttpd|libmicrohttpd12|LGPL-2.1-or-later"
    "GnuTLS|libgnutls30|LGPL-2.1-or-later"
    "p11-kit|libp11-kit0|BSD-3-Clause"
    "libidn2|libidn2-0|LGPL-3.0-or-later OR GPL-2.0-or-later"
    "libunistring|libunistring2|LGPL-3.0-or-later OR GPL-2.0-or-later"
    "libtasn1|libtasn1-6|LGPL-2.1-or-later"
    "Nettle|libnettle8|LGPL-3.0-or-later OR GPL-2.0-or-later"
    "Hogweed|libhogweed6|LGPL-3.0-or-later OR GPL-2.0-or-later"
    "GMP|libgmp10|LGPL-3.0-or-later OR GPL-2.0-or-later"
    "libffi|libffi8|MIT"
    "libstdc++|libstdc++6|GPL-3.0-or-later WITH GCC-exception-3.1"
    "libgcc|libgcc-s1|GPL-3.0-or-later WITH GCC-exception-3.1"
    "GNU C library|libc6|LGPL-2.1-or-later")

set(entries)
set(references)
foreach(component IN LISTS components)
  string(REPLACE "|" ";" component "${component}")
  list(GET component 0 name)
  list(GET component 1 package)
  list(GET component 2 licence)
  execute_process(COMMAND dpkg-query -W -f=\${Version} ${package}
                  OUTPUT_VARIABLE version ERROR_QUIET RESULT_VARIABLE failed)
  set(identity "\"bom-ref\": \"${package}\"")
  if(failed EQUAL 0 AND version)
    string(REPLACE "+" "%2B" escaped "${version}")
    string(REPLACE ":" "%3A" escaped "${escaped}")
    string(REPLACE "+" "%2B" escaped_package "${package}")
    string(APPEND identity ",\n      \"version\": \"${version}\",\n      \"purl\": \"pkg:deb/debian/${escaped_package}@${escaped}\"")
  endif()
  list(APPEND entries "    {
      \"type\": \"library\",
      \"name\": \"${name}\",
      ${identity},
      \"licenses\": [{\"expression\": \"${licence}\"}]
    }")
  list(APPEND references "\"${package}\"")
endforeach()
list(JOIN entries ",\n" entries)
list(JOIN references ", " references)

file(WRITE ${OUT} "{
  \"bomFormat\": \"CycloneDX\",
  \"specVersion\": \"1.5\",
  \"version\": 1,
  \"metadata\": {
    \"component\": {
      \"type\": \"application\",
      \"name\": \"p2psync\",
      \"bom-ref\": \"p2psync\",
      \"version\": \"${VERSION}\"
    }
  },
  \"components\": [
${entries}
  ],
  \"dependencies\": [
    {\"ref\": \"p2psync\", \"dependsOn\": [${references}]}
  ]
}
")
