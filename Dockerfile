# CAAS: one program for the embedded set-up and for a node of a cluster. `docker build -t caas .`
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
COPY requirements-cluster.txt ./
RUN python -m venv /opt/caas \
 && /opt/caas/bin/pip install --no-cache-dir --require-hashes -r requirements-cluster.txt
COPY . .
RUN /opt/caas/bin/pip install --no-cache-dir "hatchling>=1.27" \
 && /opt/caas/bin/pip install --no-cache-dir --no-deps --no-build-isolation . \
 && /opt/caas/bin/pip uninstall --yes hatchling

FROM python:3.11-slim-bookworm
RUN useradd --uid 10001 --create-home --home-dir /data caas && chmod 700 /data
COPY --from=build /opt/caas /opt/caas
ENV PATH=/opt/caas/bin:$PATH CAAS_HOST=0.0.0.0 CAAS_DATA=/data
USER caas
VOLUME /data
EXPOSE 3000
# A node drains on SIGTERM: give it longer than CAAS_DRAIN_S, 20 s, before it is killed.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:3000/ready', timeout=2)"]
CMD ["caas", "serve"]
