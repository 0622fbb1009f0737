# Every image of Triptych, a target for each: docs/containers.md says how to build, run and shrink them.
#
# A machine behind a proxy or a mirror gives its settings to the build, and none of them gets into an image:
#   --secret id=pip.conf,src=FILE    pip's settings
#   --secret id=apt.conf,src=FILE    apt's settings, which only builders need
#   --secret id=ca.crt,src=FILE      the certificates to trust, all of them in one file
#   --build-arg PYTHON_IMAGE=NAME    the base image, from elsewhere
# Who builds says of which commit, last of all so that another one costs nothing:
#   --label org.opencontainers.image.revision=$(git rev-parse HEAD)
ARG PYTHON_IMAGE=docker.io/library/python:3.11-slim-bookworm

# What builds, with all that the base image brings.
FROM ${PYTHON_IMAGE} AS full
# /tmp is what can be written to when the root is read-only.
ENV HOME=/tmp \
    LC_ALL=C.UTF-8 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONPATH=/app
WORKDIR /app

# What runs, with no more of it than Python needs: Perl, apt, pip and their like are weight, and tools for intruders.
# Modules that are compiled at each start cost more than the start: the official base image comes with none compiled.
FROM full AS least
# hadolint ignore=DL3003
RUN stdlib="$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" \
    && cd "$stdlib" && rm -rf ensurepip idlelib lib2to3 pydoc_data test tkinter turtledemo \
    && python -m compileall -q -x '/(site-packages|dist-packages)/' "$stdlib" \
    && rm -rf /usr/local/bin/pip* /usr/local/lib/python3*/site-packages/* /usr/lib/python3/dist-packages/* \
        /usr/bin/perl* /usr/lib/*/perl* /usr/share/perl* \
        /usr/bin/apt* /usr/lib/apt /usr/lib/*/libapt-* /etc/apt /var/lib/apt /var/cache/* /var/log/* \
        /usr/lib/*/gconv /usr/share/doc /usr/share/info /usr/share/locale /usr/share/man /usr/share/python-wheels

FROM scratch AS base
ARG VERSION=0.1.0
LABEL org.opencontainers.image.vendor="Triptych" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
# One layer is what makes the rest be gone.
# hadolint ignore=DL3067
COPY --from=least / /
ENV HOME=/tmp \
    LC_ALL=C.UTF-8 \
    PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONPATH=/app
WORKDIR /app
STOPSIGNAL SIGTERM

# What every process has in common; gRPC, metrics and links have the same ports in all of them.
# Of several name servers the next one is asked after a second: one that is silent hides replicas for five otherwise.
FROM base AS process
ENV PATH=/opt/venv/bin:$PATH \
    RES_OPTIONS="timeout:1 attempts:3" \
    TRIPTYCH_HOST=0.0.0.0 \
    TRIPTYCH_PORT=8081 \
    TRIPTYCH_METRICS_PORT=9464
EXPOSE 8081 9464
HEALTHCHECK --interval=5s --timeout=3s --start-period=60s --retries=3 CMD ["python", "-m", "servicekit.probe", "/readyz"]

FROM process AS service
ENV TRIPTYCH_LINK_PORT=8082 \
    TRIPTYCH_MODEL_REPOSITORY=/models
EXPOSE 8082


# --- Builders: nothing of them is shipped but what an image copies. ----------------------------------------------------

# The environment that is shipped has no pip of its own: this one installs into it.
FROM full AS tools
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PIP_QUIET=1
WORKDIR /build
# hadolint ignore=DL3008,DL3009
RUN --mount=type=secret,id=apt.conf,target=/etc/apt/apt.conf \
    --mount=type=secret,id=ca.crt,target=/etc/ssl/certs/ca-certificates.crt \
    apt-get update -qq && apt-get install -y -qq --no-install-recommends binutils busybox-static
COPY constraints.txt ./
RUN --mount=type=cache,target=/tmp/.cache/pip \
    --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    --mount=type=secret,id=ca.crt,target=/etc/ssl/certs/ca-certificates.crt \
    python -m venv /opt/tools \
    && /opt/tools/bin/pip install --constraint constraints.txt pip \
    && python -m venv --without-pip /opt/venv
COPY pyproject.toml tools/containers/install.py ./

FROM tools AS preprocess-venv
RUN --mount=type=cache,target=/tmp/.cache/pip \
    --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    --mount=type=secret,id=ca.crt,target=/etc/ssl/certs/ca-certificates.crt \
    python install.py preprocess

FROM tools AS inference-venv
RUN --mount=type=cache,target=/tmp/.cache/pip \
    --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    --mount=type=secret,id=ca.crt,target=/etc/ssl/certs/ca-certificates.crt \
    python install.py inference

FROM tools AS postprocess-venv
RUN --mount=type=cache,target=/tmp/.cache/pip \
    --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    --mount=type=secret,id=ca.crt,target=/etc/ssl/certs/ca-certificates.crt \
    python install.py postprocess

FROM tools AS experiments-venv
RUN --mount=type=cache,target=/tmp/.cache/pip \
    --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    --mount=type=secret,id=ca.crt,target=/etc/ssl/certs/ca-certificates.crt \
    python install.py experiments

FROM tools AS gateway-venv
RUN --mount=type=cache,target=/tmp/.cache/pip \
    --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    --mount=type=secret,id=ca.crt,target=/etc/ssl/certs/ca-certificates.crt \
    python install.py gateway

# PyTorch comes for CUDA unless an index with its CPU builds is named.
FROM tools AS modelkit-venv
ARG TORCH_INDEX=
RUN --mount=type=cache,target=/tmp/.cache/pip \
    --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    --mount=type=secret,id=ca.crt,target=/etc/ssl/certs/ca-certificates.crt \
    python install.py modelkit ${TORCH_INDEX:+--extra-index-url "${TORCH_INDEX}"}

# The real Triton, as `triptych up` installs it.
FROM tools AS triton
COPY localcluster/__init__.py localcluster/triton_runtime.py localcluster/triton_backend.py localcluster/wheels.py localcluster/*-requirements.txt /app/localcluster/
COPY triton_backends /app/triton_backends
RUN --mount=type=cache,target=/tmp/.cache/pip \
    --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    --mount=type=secret,id=ca.crt,target=/etc/ssl/certs/ca-certificates.crt \
    /opt/tools/bin/python -c "from pathlib import Path; from localcluster.triton_runtime import ensure_runtime; ensure_runtime(Path('/opt/triton'))"

# Our code: installed once, then a folder for each image with what it needs of it.
FROM tools AS code
COPY README.md LICENSE ./
COPY triptych triptych
COPY servicekit servicekit
COPY services services
COPY gateway gateway
COPY colocated colocated
COPY modelkit modelkit
COPY localcluster localcluster
COPY triton_backends /code/triton-cpu/triton_backends
RUN --mount=type=cache,target=/tmp/.cache/pip \
    --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    --mount=type=secret,id=ca.crt,target=/etc/ssl/certs/ca-certificates.crt \
    /opt/tools/bin/pip install --no-deps --no-compile --target /code/modelkit . \
    && python -m compileall -q --invalidation-mode unchecked-hash /code/modelkit
WORKDIR /code
RUN for image in preprocess inference postprocess experiments gateway; do \
        mkdir $image && cp -r modelkit/triptych modelkit/triptych-*.dist-info modelkit/servicekit $image \
        && rm -r $image/triptych/cli || exit 1; \
    done \
    && for service in preprocess inference postprocess experiments; do \
        mkdir $service/services && cp modelkit/services/__init__.py $service/services/ \
        && cp -r modelkit/services/$service $service/services/ || exit 1; \
    done \
    && cp -r modelkit/gateway gateway/ \
    && cp -r modelkit/localcluster triton-cpu/

# What an init container needs to copy the models.
FROM tools AS busybox
RUN mkdir -p /out/bin && cp /bin/busybox /out/bin/ && ln -s busybox /out/bin/cp && ln -s busybox /out/bin/sh


# --- Images. -----------------------------------------------------------------------------------------------------------

FROM service AS preprocess
LABEL org.opencontainers.image.title="triptych/preprocess" \
      org.opencontainers.image.description="Decodes images and makes tensors of them"
COPY --from=preprocess-venv /opt/venv /opt/venv
COPY --from=code /code/preprocess /app
USER 10001:10001
ENTRYPOINT ["python", "-m", "services.preprocess"]

FROM service AS inference
LABEL org.opencontainers.image.title="triptych/inference" \
      org.opencontainers.image.description="Fronts the Triton servers: versions, deadlines, sanity of tensors"
COPY --from=inference-venv /opt/venv /opt/venv
COPY --from=code /code/inference /app
USER 10001:10001
ENTRYPOINT ["python", "-m", "services.inference"]

FROM service AS postprocess
LABEL org.opencontainers.image.title="triptych/postprocess" \
      org.opencontainers.image.description="Makes ranked labels of logits"
COPY --from=postprocess-venv /opt/venv /opt/venv
COPY --from=code /code/postprocess /app
USER 10001:10001
ENTRYPOINT ["python", "-m", "services.postprocess"]

# A new volume takes over owner and mode of the folder that it is mounted on; nobody else reads what people said.
FROM process AS experiments
LABEL org.opencontainers.image.title="triptych/experiments" \
      org.opencontainers.image.description="Keeps experiments, what was answered and what was right, and judges"
ENV TRIPTYCH_DATA_DIR=/data
COPY --from=experiments-venv /opt/venv /opt/venv
COPY --from=code /code/experiments /app
RUN install --directory --owner=10001 --group=10001 --mode=0700 /data
VOLUME /data
USER 10001:10001
ENTRYPOINT ["python", "-m", "services.experiments"]

FROM process AS gateway
LABEL org.opencontainers.image.title="triptych/gateway" \
      org.opencontainers.image.description="Answers gRPC and HTTP, and chains the services"
ENV TRIPTYCH_HTTP_PORT=8080
EXPOSE 8080
COPY --from=gateway-venv /opt/venv /opt/venv
COPY --from=code /code/gateway /app
USER 10001:10001
ENTRYPOINT ["python", "-m", "gateway"]

# Arguments go to Triton: --load-model=NAME instead of every model of /models, --trace-config=... and so on.
FROM base AS triton-cpu
LABEL org.opencontainers.image.title="triptych/triton-cpu" \
      org.opencontainers.image.description="NVIDIA Triton Inference Server with OpenVINO, for CPUs"
EXPOSE 8001 8002
COPY --from=triton /opt/triton /opt/triton
COPY --from=code /code/triton-cpu /app
USER 10001:10001
HEALTHCHECK --interval=5s --timeout=3s --start-period=120s --retries=3 CMD ["python", "-m", "localcluster.triton_container", "--check"]
ENTRYPOINT ["python", "-m", "localcluster.triton_container"]

# For who makes models: `docker run --volume ./triton_models:/models triptych/modelkit:0.1.0 import --help`
FROM base AS modelkit
LABEL org.opencontainers.image.title="triptych/modelkit" \
      org.opencontainers.image.description="Imports, quantises and publishes models"
ENV PATH=/opt/venv/bin:$PATH
COPY --from=modelkit-venv /opt/venv /opt/venv
COPY --from=code /code/modelkit /app
USER 10001:10001
ENTRYPOINT ["python", "-m", "triptych.cli", "model"]
CMD ["--help"]

# The models alone: an OCI image volume, or an init container that copies them (`cp -r /models/. TARGET`).
FROM scratch AS models
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="triptych/models" \
      org.opencontainers.image.description="The model repository, under /models" \
      org.opencontainers.image.vendor="Triptych" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
COPY --from=busybox /out /
COPY triton_models /models
USER 10001:10001
ENTRYPOINT ["/bin/cp", "-r", "/models/."]
CMD ["/target"]
