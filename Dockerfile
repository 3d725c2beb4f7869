# syntax=docker/dockerfile:1
# One image for all services of docker-compose.yml: receiver, workers, Prefect server, set-up, backup.
# It was not built where it was written: there was no engine. tests/architecture/test_compose.py holds what can be held
# without one.

FROM python:3.12-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONDONTWRITEBYTECODE=1
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
WORKDIR /build
COPY constraints.txt pyproject.toml README.md LICENSE ./
COPY schemas schemas
COPY registry registry
COPY tasks tasks
COPY flows flows
COPY models models
# torch for CPUs alone is 4 GB smaller: name an index of its wheels in --build-arg PIP_ARGS
ARG PIP_ARGS=""
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --constraint constraints.txt $PIP_ARGS '.[s3]'

FROM python:3.12-slim-bookworm
COPY scripts/install-debian.sh /tmp/install-debian.sh
# tesseract with Korean and English, a Korean font; libgomp for torch and numba
RUN bash /tmp/install-debian.sh \
    && apt-get install --yes --no-install-recommends libgomp1 tzdata \
    && rm -rf /var/lib/apt/lists/* /tmp/install-debian.sh
# a volume takes the owner of the folder that it covers first
RUN groupadd --gid 10001 revector \
    && useradd --uid 10001 --gid 10001 --home-dir /var/lib/revector --create-home revector \
    && install -d -o 10001 -g 10001 /var/lib/revector/home /var/lib/revector/home/inbox /var/lib/revector/models \
        /backups
COPY --from=build /opt/venv /opt/venv
WORKDIR /app
COPY prefect.yaml ./
COPY samples samples
COPY scripts scripts
COPY --chmod=755 deploy deploy
# what libraries would write beside their code, or under a home that is read-only, goes to /tmp;
# nothing is told to anybody
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    REVECTOR_HOME=/var/lib/revector/home \
    HF_HOME=/var/lib/revector/models \
    PREFECT_HOME=/tmp/prefect NUMBA_CACHE_DIR=/tmp/numba MPLCONFIGDIR=/tmp/matplotlib XDG_CACHE_HOME=/tmp/cache \
    DO_NOT_TRACK=1 PREFECT_SERVER_ANALYTICS_ENABLED=false
USER 10001:10001
# exec form, and the script ends with exec: signals reach the command. Run it with an init (`init: true`): parsers are
# processes of their own, and what a killed one leaves must be collected.
ENTRYPOINT ["/app/deploy/entrypoint.sh"]
CMD ["revector", "webhook"]
# of the receiver; other services have their own in docker-compose.yml
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8321/health', timeout=4)"]
