# Tags, not digests: a digest pins today's unpatched base image for ever, and what runs in it is pinned by hash anyway.
FROM python:3.13-bookworm AS builder

WORKDIR /srv
COPY requirements.txt /tmp/
# Debug symbols are a third of what the wheels bring.
RUN python -m venv --without-pip /opt/venv \
    && python -m pip --python /opt/venv/bin/python install --no-cache-dir --no-compile --no-deps --require-hashes -r /tmp/requirements.txt \
    && find /opt/venv -name '*.so' -exec strip --strip-debug {} +
COPY openapi.yaml ./
COPY service ./service
# Compiled here, because the service may not write beside its code; hashes unchecked, because nothing changes in an image.
RUN /opt/venv/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/venv/lib service


FROM python:3.13-slim-bookworm

ARG VERSION=unreleased
ARG COMMIT=unknown
LABEL org.opencontainers.image.title="poe-proxy" \
      org.opencontainers.image.description="One accountable OpenAI-compatible API in front of a pool of Poe keys" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${COMMIT}"

WORKDIR /srv
RUN python -m pip uninstall --yes pip \
    && rm -rf /usr/local/lib/python3.13/ensurepip \
    && install --directory --owner=10001 --group=10001 data
COPY --from=builder /opt/venv /opt/venv
COPY --from=builder /srv /srv

ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 10001:10001
EXPOSE 8080 9091
HEALTHCHECK --interval=30s --timeout=3s --start-period=5s \
    CMD ["python", "-I", "-c", "import http.client, os, sys; probe = http.client.HTTPConnection('127.0.0.1', int(os.environ.get('PORT') or 8080), timeout=2); probe.request('GET', '/health'); sys.exit(probe.getresponse().status != 200)"]
CMD ["python", "-m", "service"]
