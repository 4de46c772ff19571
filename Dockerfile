# p2psync in two stages: one builds, the other holds the program and the libraries that it needs.

# Both stand on this image. A digest is its registry's, so an engine that has the image from elsewhere knows none: whoever has
# a registry gives it, and then no tag that moves is believed:
#   docker build --build-arg BASE=debian:bookworm-slim@sha256:... .
ARG BASE=debian:bookworm-slim

FROM ${BASE} AS build
WORKDIR /src
COPY tests/install-packages tests/install-packages
RUN tests/install-packages build && rm -rf /var/lib/apt/lists/*
COPY CMakeLists.txt CMakePresets.json ./
COPY cmake cmake
COPY engine engine
COPY storage storage
COPY net net
COPY apps apps
# Nothing that only a debugger reads: it would be stripped, and takes a tenth of the time.
RUN cmake --preset release -DP2PSYNC_TESTS=OFF -DP2PSYNC_PCH=ON -DCMAKE_CXX_FLAGS_RELEASE=-O2 \
    && cmake --build --preset release --target p2psync \
    && strip build/release/p2psync

FROM ${BASE}
RUN apt-get update -qq \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
       libfmt9 libmicrohttpd12 libspdlog1.10 libsqlite3-0 libssl3 \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /src/build/release/p2psync /usr/local/bin/p2psync
COPY --from=build /src/build/release/p2psync.cdx.json /usr/local/share/p2psync/
# The demo's seed files. /node is where a node of the demo has its volume, /nodes is for the service that
# fills the volumes; a new volume takes the owner of the directory that it is mounted on.
COPY examples/demo /usr/local/share/p2psync/demo
RUN chmod -R a+rX /usr/local/share/p2psync \
    && mkdir -p /node /nodes/keys /nodes/node1 /nodes/node2 /nodes/node3 /nodes/node4 \
    && chown -R 65532:65532 /node /nodes
USER 65532:65532
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=5s --start-period=10s --retries=3 CMD ["p2psync", "status"]
ENTRYPOINT ["p2psync"]
CMD ["run"]
