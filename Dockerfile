# The action's image: Python, the package with its locked dependencies, and the docker command.
# A release pins both bases by digest; a local stand-in serves where no hub can be reached.
ARG PYTHON_IMAGE=python:3.13-slim
ARG DOCKER_IMAGE=docker:cli

FROM ${DOCKER_IMAGE} AS docker

FROM ${PYTHON_IMAGE} AS build
WORKDIR /build
COPY requirements-build.txt ./
RUN python -m pip install --no-cache-dir --require-hashes --requirement requirements-build.txt
COPY pyproject.toml uv.lock README.md LICENSE ./
ENV UV_PROJECT_ENVIRONMENT=/opt/ghcr-push \
    UV_PYTHON_DOWNLOADS=never \
    UV_LINK_MODE=copy \
    UV_NO_CACHE=1 \
    UV_SYSTEM_CERTS=1
# the dependencies first: they change less often than the package
RUN uv sync --locked --no-dev --extra action --no-install-project --compile-bytecode
COPY src ./src
RUN uv sync --locked --no-dev --extra action --no-editable --compile-bytecode \
    && rm -rf /opt/ghcr-push/lib/python3*/site-packages/tests

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="ghcr-push-action" \
      org.opencontainers.image.description="Pushes container images to GitHub Container Registry, reliably" \
      org.opencontainers.image.licenses="MIT"
COPY --from=docker /usr/local/bin/docker /usr/local/bin/docker
COPY --from=build /opt/ghcr-push /opt/ghcr-push
COPY entrypoint.py /entrypoint.py
# -I: nothing of the workspace or the job's environment is imported; -u: the log appears as it happens
ENTRYPOINT ["/opt/ghcr-push/bin/python", "-I", "-u", "/entrypoint.py"]
