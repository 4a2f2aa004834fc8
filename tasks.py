"""The tasks, as a table of contents: each topic is a module of `infra/`."""

from __future__ import annotations

from invoke import Collection

from infra import app, around, certs, deploy, dev, doctor, monitor, scale, secrets, setup
from infra.collections import topic

namespace = Collection(
    setup.setup,
    deploy.deploy,
    deploy.rollback,
    app.status,
    app.releases,
    app.logs,
    app.open_app,
    app.ips,
    app.destroy,
    doctor.doctor,
    dev.serve,
    dev.test,
    dev.check,
    dev.generate,
    dev.bench,
    dev.failover,
    dev.soak,
    # A topic's plain name is its first task.
    topic("secrets", secrets.rotate, secrets.list_secrets, secrets.check_secrets, secrets.remove_secret),
    topic("tokens", None, secrets.new_token),
    topic("certs", certs.list_certs, certs.add, certs.check, certs.remove),
    topic("scale", scale.show, scale.count, scale.vm, scale.move, scale.auto),
    topic("monitor", monitor.show, monitor.check, around.setup_monitoring),
    topic("infra", None, around.plan, around.apply, around.variables),
)
