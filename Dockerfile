# podinit alone, to be taken into an image of yours:
#   docker build -t podinit .
#   COPY --from=podinit /podinit /usr/local/bin/podinit
FROM rust:1.95.0-bookworm AS build
# The image's toolchain as it is: rust-toolchain.toml asks for components that only developers need.
ENV RUSTUP_TOOLCHAIN=1.95.0
WORKDIR /src
COPY . .
# .cargo/config.toml links statically, for an explicit target; hence the directory in between.
RUN cargo build --release --locked && cp target/*/release/podinit /podinit

FROM scratch
COPY --from=build /podinit /podinit
ENTRYPOINT ["/podinit"]
