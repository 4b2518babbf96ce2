# The pipeline and its packages: docs/docker.md says how to build and run it.
FROM python:3.11-slim AS packages
COPY requirements.txt .
RUN python -m venv /venv && /venv/bin/python -m pip install --quiet --no-cache-dir --requirement requirements.txt

FROM python:3.11-slim
RUN useradd --create-home --uid 1000 user && install --directory --owner user /project /project/.dvc
COPY --from=packages /venv /venv
ENV PATH=/venv/bin:$PATH
USER user
WORKDIR /project
COPY --chown=user .dvc/config .dvc/config
COPY --chown=user .dvcignore dvc.yaml dvc.lock params.yaml ./
COPY --chown=user stages stages
# The image has no git. DVC keeps pickles in its site cache: see SECURITY.md.
RUN dvc config --local core.no_scm true \
    && install --directory --mode 700 .dvc/tmp/site \
    && dvc config --local core.site_cache_dir "$PWD/.dvc/tmp/site"
CMD ["dvc", "repro"]
