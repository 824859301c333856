# The first stage builds the package and its dependencies, the second only runs them.
FROM python:3.13-slim AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY engine engine
COPY docs docs
COPY plugins plugins
COPY rules rules
RUN python -m venv /opt/ringback && /opt/ringback/bin/pip install --no-cache-dir .

FROM python:3.13-slim
RUN useradd --uid 10001 --user-group --home-dir /project --no-create-home ringback \
    && install -d -o 10001 -g 10001 -m 0700 /data
COPY --from=build /opt/ringback /opt/ringback
# The project of the image itself. Mount your own folder over /project, read-only if you like.
COPY ringback.toml /project/
COPY plugins /project/plugins
COPY rules /project/rules
ENV PATH=/opt/ringback/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    RINGBACK_HOST=0.0.0.0 \
    RINGBACK_DATA=/data
WORKDIR /project
USER 10001:10001
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=15s CMD ["ringback", "-C", "/project", "healthcheck"]
CMD ["ringback", "serve", "/project"]
