# The server as an image: docker build -t faultlined --build-arg REVISION=$(git describe --always --dirty) .
# Two stages: the first one compiles, the second one has the program and the libraries that it needs. docs/deploy.md says how
# it is run, and deploy/compose.yaml does it.
ARG BASE=debian:12-slim

FROM ${BASE} AS build
# The part of deploy/packages.txt that the server is built with.
RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
      g++-12 cmake ninja-build pkg-config \
      libabsl-dev libboost-context-dev libcivetweb-dev libcli11-dev libgrpc++-dev libprotobuf-dev libspdlog-dev \
      liburcu-dev nlohmann-json3-dev prometheus-cpp-dev protobuf-compiler protobuf-compiler-grpc \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
# What --version says; there is no git in here.
ARG REVISION=unknown
ARG JOBS=
RUN cmake --preset release -D FAULTLINE_BUILD_TESTS=OFF -D FAULTLINE_BUILD_CLIENT=OFF \
         -D FAULTLINE_REVISION=${REVISION} \
    && cmake --build --preset release --target faultlined --parallel ${JOBS} \
    && cmake --install build/release --component server --prefix /opt/faultline --strip

FROM ${BASE}
RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
      libabsl20220623 libboost-context1.74.0 libcivetweb1 libfmt9 libgrpc++1.51 libprometheus-cpp-core1.0 libprotobuf32 \
      libspdlog1.10 liburcu8 \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/faultline/bin/faultlined /usr/local/bin/faultlined
# Fails if a library is missing.
RUN ["/usr/local/bin/faultlined", "--version"]
# A number, so that who runs it can see that it is not root.
USER 10001:10001
# By variables and not by arguments, so that the health check asks where the server listens. As everywhere, loopback is the
# default: whoever wants the port to be reached says so, with FAULTLINED_LISTEN and FAULTLINED_INSECURE (deploy/compose.yaml).
ENV FAULTLINED_LOG_FORMAT=json
EXPOSE 50051 9464
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 \
  CMD ["/usr/local/bin/faultlined", "--health-check"]
ENTRYPOINT ["/usr/local/bin/faultlined"]
