# The images of fedwatt (docs/compose.md):
#
#   docker build --target coordinator -t fedwatt-coordinator .   the coordinator, without LibTorch
#   docker build --target client -t fedwatt-client .             a device's client and its trainer
#   docker build --target simulation -t fedwatt-simulation .     the client with Fashion-MNIST and
#                                                                the scripts of docker-compose.yml
#
# PROGRAMS   folder of the build context with the programs, made by deploy/image/pack-programs.sh on
#            the Debian release of the images. Without it they are compiled here, from the sources,
#            which takes half an hour on 2 cores.
# DEBIAN     base image
# VERSION    goes into a label
ARG DEBIAN=debian:bookworm-slim

FROM ${DEBIAN} AS programs
ARG PROGRAMS=
WORKDIR /src
COPY deploy/packages.txt deploy/
COPY deploy/image deploy/image
RUN [ -n "$PROGRAMS" ] || deploy/image/install-build-packages.sh
COPY . .
RUN if [ -n "$PROGRAMS" ]; then cp -R "$PROGRAMS" /programs; else deploy/image/compile.sh /programs; fi

# A user without privileges. Volumes that are mounted on these folders for the first time take over
# their owner.
FROM ${DEBIAN} AS runtime
RUN useradd --system --uid 10001 --user-group --no-create-home --home-dir /var/lib/fedwatt \
      --shell /usr/sbin/nologin fedwatt \
    && install -d -o fedwatt -g fedwatt -m 700 /var/lib/fedwatt /etc/fedwatt/tls
WORKDIR /var/lib/fedwatt
ENV FEDWATT_TLS_DIR=/etc/fedwatt/tls

FROM runtime AS coordinator
COPY --from=programs /programs/coordinator.packages /usr/share/fedwatt/
RUN apt-get update -q \
    && xargs apt-get install -y -q --no-install-recommends ca-certificates \
         < /usr/share/fedwatt/coordinator.packages \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin
COPY --from=programs /programs/bin/fedwatt-coordinator /programs/bin/fedwatt /usr/bin/
ARG VERSION=unknown
LABEL org.opencontainers.image.title="fedwatt-coordinator" \
      org.opencontainers.image.description="Schedules federated rounds and books their joules" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
ENV FEDWATT_LISTEN=0.0.0.0:7443 FEDWATT_DATA_DIR=/var/lib/fedwatt
USER fedwatt
EXPOSE 7443
# With its own certificate: the operator's key has no business here.
HEALTHCHECK --interval=5s --timeout=10s --start-period=30s --retries=3 \
  CMD ["sh", "-c", "exec fedwatt health --server localhost:${FEDWATT_LISTEN##*:} --as coordinator"]
ENTRYPOINT ["fedwatt-coordinator"]

FROM runtime AS client
COPY --from=programs /programs/client.packages /usr/share/fedwatt/
# With the reference BLAS training would be 1.6 to 1.9 times slower.
RUN apt-get update -q \
    && xargs apt-get install -y -q --no-install-recommends libopenblas0-pthread \
         < /usr/share/fedwatt/client.packages \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin
COPY --from=programs /programs/bin/fedwatt-client /programs/bin/fedwatt-torch \
     /programs/bin/fedwatt /usr/bin/
ARG VERSION=unknown
LABEL org.opencontainers.image.title="fedwatt-client" \
      org.opencontainers.image.description="Trains models on this device's data, which never leave it" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
USER fedwatt
# Whether this device reaches its coordinator, with its own certificate (FEDWATT_IDENTITY, NAME of
# NAME.pem).
HEALTHCHECK --interval=15s --timeout=10s --start-period=30s --retries=4 \
  CMD ["sh", "-c", "exec fedwatt health --as \"${FEDWATT_IDENTITY:-client}\""]
ENTRYPOINT ["fedwatt-client"]

FROM client AS simulation
USER root
RUN apt-get update -q \
    && apt-get install -y -q --no-install-recommends dataset-fashion-mnist \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin
RUN install -d -o fedwatt -g fedwatt -m 700 /results \
      /certs/authority /certs/coordinator /certs/operator /certs/devices
COPY deploy/compose/certs.sh deploy/compose/device.sh deploy/compose/job.sh \
     deploy/compose/job.toml /usr/share/fedwatt/
LABEL org.opencontainers.image.title="fedwatt-simulation" \
      org.opencontainers.image.description="Simulated devices for docker-compose.yml"
USER fedwatt
HEALTHCHECK NONE
ENTRYPOINT ["sh"]
