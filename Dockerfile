# The official PostgreSQL image with pg_backup preloaded.
#
#   docker build -t pg_backup .                            (PostgreSQL 15)
#   docker build -t pg_backup --build-arg PG_MAJOR=18 .    (15 to 18)
#   docker run -e POSTGRES_PASSWORD=… -v backups:/var/lib/pg_backup pg_backup
#   then: CREATE EXTENSION pg_backup; SELECT backup_create();
#
# `make test-docker` runs these steps without a registry. compose.yml is an example to start from.

ARG PG_MAJOR=15
ARG DEBIAN=bookworm
ARG RUST_VERSION=1.95
# Another image to run in: one with Debian's directories for PG_MAJOR and a user postgres.
ARG BASE=postgres:${PG_MAJOR}-${DEBIAN}

FROM rust:${RUST_VERSION}-slim-${DEBIAN} AS rust

# Built against the headers of the server that it will run in.
FROM postgres:${PG_MAJOR}-${DEBIAN} AS build
ARG PG_MAJOR
RUN apt-get update \
    && apt-get install -y --no-install-recommends \
        ca-certificates gcc libc6-dev libclang-dev "postgresql-server-dev-$PG_MAJOR" \
    && rm -rf /var/lib/apt/lists/*
COPY --from=rust /usr/local/cargo /usr/local/cargo
COPY --from=rust /usr/local/rustup /usr/local/rustup
ENV CARGO_HOME=/usr/local/cargo RUSTUP_HOME=/usr/local/rustup \
    PGRX_PG_CONFIG_PATH=/usr/lib/postgresql/${PG_MAJOR}/bin/pg_config \
    PATH=/usr/local/cargo/bin:$PATH
# The image has the smallest toolchain; what writes the bindings to the server wants this too.
RUN rustup component add rustfmt
WORKDIR /build
COPY . .
RUN cargo xtask install --release --destdir /out

FROM ${BASE}
USER root
COPY --from=build /out/ /
# A new volume takes its owner and mode from the directory in the image.
RUN install -d -o postgres -g postgres -m 0700 /var/lib/pg_backup
ENV BACKUP_DIR=/var/lib/pg_backup
VOLUME /var/lib/pg_backup
# The official image begins as root and gives that up; others begin as postgres.
ARG RUN_AS=root
USER ${RUN_AS}
CMD ["postgres", "-c", "shared_preload_libraries=pg_backup"]
