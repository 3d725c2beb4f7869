"""Commands of operation: up, webhook."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Annotated

import typer

from flows.commands.shared import app, report_errors
from flows.configuration import load_settings, require_prefect_file
from schemas.errors import ConfigurationError

log = logging.getLogger(__name__)

PrefectFile = Annotated[Path, typer.Option("--prefect-file", metavar="FILE", help="Deployments to register.")]


@app.command()
def up(
    ctx: typer.Context,
    prefect_file: PrefectFile = Path("prefect.yaml"),
    ui_port: Annotated[int, typer.Option("--ui-port", min=0, max=65535, help="Of the Prefect UI.")] = 4200,
    port: Annotated[
        int | None, typer.Option("--port", min=0, max=65535, help="Of the receiver [default: as configured].")
    ] = None,
    drain: Annotated[
        float, typer.Option("--drain", min=0, metavar="SECONDS", help="What runs get to end by themselves.")
    ] = 60.0,
) -> None:
    """Start everything on this machine: database, Prefect, worker, receiver, schedules. Ctrl-C ends it."""
    from flows.service.supervising import Addresses, UpOptions, run_up, stop_on_signals

    def announce(found: Addresses) -> None:
        print(f"Prefect UI  {found.ui}")
        print(f"Receiver    {found.receiver}  (its API: {found.receiver}/openapi.json)")
        print(f"Commands    export PREFECT_API_URL={found.api}")
        print(f"Logs        {found.logs}")
        print("Ready. Ctrl-C ends it.", flush=True)

    with report_errors(False):
        stop = stop_on_signals()
        options = UpOptions(prefect_file, ui_port, port, drain, ctx.obj)
        print("Starting database, Prefect server, worker and receiver ...", flush=True)
        try:
            run_up(load_settings(ctx.obj), options, stop=stop, announce=announce)
        except Exception as exc:
            if not stop.is_set():
                raise
            log.info("what was being started was ended: %s: %s", type(exc).__name__, exc)
        print("Stopped.")


@app.command()
def deploy(ctx: typer.Context, prefect_file: PrefectFile = Path("prefect.yaml")) -> None:
    """Register work pools and deployments at the Prefect server that PREFECT_API_URL names."""
    from flows.service.deploying import deploy as register

    with report_errors(False):
        require_prefect_file(prefect_file)
        if not os.environ.get("PREFECT_API_URL"):
            raise ConfigurationError(
                "PREFECT_API_URL is not set.", advice="Set it to the server's address, or use `revector up`."
            )
        register(prefect_file)


@app.command()
def webhook(
    ctx: typer.Context,
    host: Annotated[
        str | None, typer.Option("--host", help="Address to listen on [default: as configured].")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option("--port", min=0, max=65535, help="Port to listen on [default: as configured]."),
    ] = None,
) -> None:
    """Receive events and uploads by HTTP; ask Prefect for a run when some are due."""
    from flows.service.serving import serve

    with report_errors(False):
        serve(load_settings(ctx.obj), host=host, port=port)
