# podinit as an image. Two targets:
#   docker build -t podinit .                            the static binary alone, to be taken into an image of yours:
#                                                        COPY --from=podinit /podinit /usr/local/bin/podinit
#   docker build -t podinit-debian --target debian .     Debian with podinit as its entrypoint
#
# A binary that was built before can take the place of the Rust build, which then needs no Rust:
#   docker build --build-arg RUST_IMAGE=debian:bookworm-slim --build-arg PREBUILT=podinit .      (a path in this directory)
ARG RUST_IMAGE=rust:1.95.0-bookworm
FROM ${RUST_IMAGE} AS build
ARG PREBUILT=
# The image's toolchain as it is: rust-toolchain.toml asks for components that only developers need.
ENV RUSTUP_TOOLCHAIN=1.95.0
WORKDIR /src
COPY . .
# .cargo/config.toml links statically, for an explicit target; hence the directory in between.
RUN if [ -n "$PREBUILT" ]; then cp "$PREBUILT" /podinit; \
    else cargo build --release --locked && cp target/*/release/podinit /podinit; fi; \
    chmod 755 /podinit && /podinit version

FROM debian:bookworm-slim AS debian
COPY --from=build /podinit /usr/local/bin/podinit
LABEL org.opencontainers.image.title="podinit-debian" \
      org.opencontainers.image.description="Debian with podinit as its entrypoint" \
      org.opencontainers.image.source="https://github.com/podinit/podinit" \
      org.opencontainers.image.licenses="Apache-2.0"
USER 65534:65534
STOPSIGNAL SIGTERM
ENTRYPOINT ["podinit"]

# The last one is what is built without --target.
FROM scratch AS podinit
COPY --from=build /podinit /podinit
LABEL org.opencontainers.image.title="podinit" \
      org.opencontainers.image.description="PID 1 for Kubernetes pods that run more than one process" \
      org.opencontainers.image.source="https://github.com/podinit/podinit" \
      org.opencontainers.image.licenses="Apache-2.0"
USER 65534:65534
STOPSIGNAL SIGTERM
ENTRYPOINT ["/podinit"]
