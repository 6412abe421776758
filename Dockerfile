# An image for each process of Stage1: `docker build --target dataset .` and so on; docker-compose.yml
# builds them all. They share every layer but the last. EXTRA=gpu takes XGBoost with CUDA.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
WORKDIR /build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 UV_NO_CACHE=1 UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1
COPY requirements requirements
RUN python -m venv tools \
 && tools/bin/pip install --no-cache-dir --require-hashes -r requirements/uv.txt \
 && python -m venv --without-pip /opt/stage1
ARG EXTRA=cpu
RUN tools/bin/uv pip install --python /opt/stage1/bin/python --require-hashes -r requirements/${EXTRA}.txt
COPY pyproject.toml README.md LICENSE ./
COPY services services
COPY gateway gateway
COPY protos/gen protos/gen
RUN tools/bin/uv pip install --python /opt/stage1/bin/python --no-deps \
    --build-constraints requirements/dev.txt .

FROM ${PYTHON_IMAGE} AS runtime
RUN useradd --system --uid 10001 --user-group --home-dir /data --shell /usr/sbin/nologin stage1 \
 && install --directory --owner=stage1 --group=stage1 --mode=0700 /data /scratch
COPY --from=build /opt/stage1 /opt/stage1
# The allocator's settings are those of services/shared/malloc.py: they must be there before a process starts.
ENV PATH=/opt/stage1/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    NUMBA_CACHE_DIR=/tmp/numba \
    MALLOC_ARENA_MAX=1 \
    MALLOC_MMAP_THRESHOLD_=1073741824 \
    MALLOC_TRIM_THRESHOLD_=17179869184 \
    STAGE1_LOG_FORMAT=json \
    STAGE1_DATA_DIR=/data
WORKDIR /data
USER 10001:10001

FROM runtime AS provision
CMD ["python", "-m", "services.shared.provision"]

FROM runtime AS dataset
EXPOSE 7401
CMD ["python", "-m", "services.dataset"]

FROM runtime AS runs
EXPOSE 7402
CMD ["python", "-m", "services.runs"]

FROM runtime AS trainer
EXPOSE 7403
CMD ["python", "-m", "services.trainer"]

FROM runtime AS simulator
EXPOSE 7404
CMD ["python", "-m", "services.simulator"]

FROM runtime AS gateway
EXPOSE 7400
CMD ["python", "-m", "gateway.http"]
