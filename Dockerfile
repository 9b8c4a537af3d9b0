# The official PostgreSQL image with pg_backup preloaded.
#
#   docker build -t pg_backup .
#   docker run -e POSTGRES_PASSWORD=… -v backups:/var/lib/pg_backup pg_backup
#   then: CREATE EXTENSION pg_backup; SELECT backup_create();

ARG RUST_VERSION=1.95
FROM rust:${RUST_VERSION}-slim-bookworm AS rust

# Same base as the runtime stage: built against the server that it will run in.
FROM postgres:15-bookworm AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends \
        gcc libc6-dev libclang-dev "postgresql-server-dev-$PG_MAJOR" \
    && rm -rf /var/lib/apt/lists/*
COPY --from=rust /usr/local/cargo /usr/local/cargo
COPY --from=rust /usr/local/rustup /usr/local/rustup
ENV CARGO_HOME=/usr/local/cargo RUSTUP_HOME=/usr/local/rustup \
    PATH=/usr/local/cargo/bin:$PATH
WORKDIR /build
COPY . .
RUN cargo xtask install --release --destdir /out

FROM postgres:15-bookworm
COPY --from=build /out/ /
# A new volume takes its owner and mode from the directory in the image.
RUN install -d -o postgres -g postgres -m 0700 /var/lib/pg_backup
ENV BACKUP_DIR=/var/lib/pg_backup
VOLUME /var/lib/pg_backup
CMD ["postgres", "-c", "shared_preload_libraries=pg_backup"]
