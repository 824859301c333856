"""The command `simulator`: the simulated Twilio, alone."""

from pathlib import Path

import click

from ringback.errors import RingbackError
from ringback.simulator.main import Start, run


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=0, show_default=True, help="Port to listen on; 0 takes a free one.")
@click.option("--seed", type=int, help="Seed of every SID, token, delay and fault.  [default: 1]")
@click.option("--session", default="", help="Mixed into the SIDs, not into account and numbers.")
@click.option("--plan", type=click.Path(path_type=Path), help="Fault plan, YAML or JSON.")
@click.option("--fault", multiple=True, help="One more fault: 'messages.create error rate=0.1'.")
@click.option("--speed", type=float, help="Virtual seconds per real second.  [default: 1]")
@click.option("--stepped", is_flag=True, help="Time moves only by POST /_sim/clock.")
@click.option(
    "--ahead", default=0.0, help="Seconds that its time is ahead of the clock; negative: behind."
)
@click.option("--ledger", type=click.Path(path_type=Path), help="Also write the ledger to a file.")
@click.option("--cert", type=click.Path(path_type=Path), help="Certificate, to serve https.")
@click.option("--key", type=click.Path(path_type=Path), help="Private key of the certificate.")
@click.option("--hook-url", default="", help="Address of a node: every number calls its routes.")
def simulator(
    host: str,
    port: int,
    seed: int | None,
    session: str,
    plan: Path | None,
    fault: tuple[str, ...],
    speed: float | None,
    stepped: bool,
    ahead: float,
    ledger: Path | None,
    cert: Path | None,
    key: Path | None,
    hook_url: str,
) -> None:
    """Run a simulated Twilio: REST API, Maton gateway, phones and webhooks, without an account.

    The first line of output is JSON: base_url, maton_url, control_url, account_sid, auth_token,
    maton_api_key, connection_id, numbers. Phones are played by the control API under /_sim/.
    """
    if speed is not None and speed <= 0:
        raise click.UsageError("--speed must be greater than 0")
    start = Start(
        host,
        port,
        seed,
        session,
        speed,
        stepped,
        plan,
        ledger,
        hook_url,
        fault,
        cert,
        key,
        ahead,
    )
    try:
        run(start, lambda line: click.echo(line))
    except RingbackError as error:
        click.echo(f"simulator: {error}", err=True)
        raise SystemExit(error.exit_code) from None
