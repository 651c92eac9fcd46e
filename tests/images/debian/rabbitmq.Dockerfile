# image: rabbitmq:4.2-management
# In truth Debian's 3.10. It takes RABBITMQ_DEFAULT_USER and RABBITMQ_DEFAULT_PASS as the official image does.
FROM debian:bookworm
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends rabbitmq-server \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/lib/rabbitmq/* /var/lib/rabbitmq/.erlang.cookie \
 && echo '[rabbitmq_management,rabbitmq_prometheus].' >/etc/rabbitmq/enabled_plugins
ENV LANG=C.UTF-8 RABBITMQ_LOGS=-
USER rabbitmq
VOLUME /var/lib/rabbitmq
ENTRYPOINT ["/usr/lib/rabbitmq/bin/rabbitmq-server"]
