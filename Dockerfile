# One image for every role; the command says which: store, coordinator, worker or embedded.

FROM python:3.11-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /build
RUN python -m venv /opt/crescendo
# The dependencies first: their layer stays while only the code changes.
COPY requirements/runtime.txt requirements/runtime.txt
RUN /opt/crescendo/bin/pip install --require-hashes --only-binary :all: -r requirements/runtime.txt
COPY pyproject.toml README.md CHANGELOG.md LICENSE ./
COPY protos protos
COPY services services
COPY crescendo crescendo
RUN /opt/crescendo/bin/pip install --no-deps .

FROM python:3.11-slim-bookworm
# LightGBM's wheel takes OpenMP from the system, in whatever version the base image's Debian has.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/*
RUN groupadd --gid 10001 crescendo \
    && useradd --uid 10001 --gid crescendo --create-home crescendo \
    && install -d -o crescendo -g crescendo /var/cache/crescendo /var/lib/crescendo
COPY --from=build /opt/crescendo /opt/crescendo
COPY deploy/entrypoint.sh deploy/health_probe.py /usr/local/lib/crescendo/
# Inside a container every address is reachable only as far as its network and published ports say.
ENV PATH=/opt/crescendo/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    CRESCENDO_STORE_LISTEN=0.0.0.0:50052 \
    CRESCENDO_STORE_INTERNAL_LISTEN=0.0.0.0:50053 \
    CRESCENDO_COORDINATOR_LISTEN=0.0.0.0:50051 \
    CRESCENDO_WORKER_CACHE_DIR=/var/cache/crescendo \
    CRESCENDO_DATA_DIR=/var/lib/crescendo
USER 10001:10001
WORKDIR /home/crescendo
VOLUME ["/var/cache/crescendo", "/var/lib/crescendo"]
EXPOSE 50051 50052 50053
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["python", "/usr/local/lib/crescendo/health_probe.py"]
ENTRYPOINT ["sh", "/usr/local/lib/crescendo/entrypoint.sh"]
CMD ["embedded"]
