"""``rayyarn config``: what every setting is, and who said so."""

from __future__ import annotations

from typing import Any

import click

from rayyarn_cli import options, output


@click.command("config")
@options.cluster_name()
@click.option("--file", "file", metavar="FILE", help="Read settings from FILE instead of ./rayyarn.yaml.")
@options.all_settings
@output.options
def command(out: output.Output, name: str | None, file: str | None, **given: Any) -> None:
    """Show every setting, its value and where it comes from.

    Takes what `rayyarn up` takes, so that a line can be tried before it is run.
    """
    from rayyarn import settings

    chosen = settings.resolve({"name": name, **given}, file=file, spoken="flag")
    rows = [
        (key, setting.show(chosen.value(key)), str(chosen.origins[key]))
        for key, setting in settings.ALL_SETTINGS.items()
    ]
    out.result(chosen, table=output.Table(["SETTING", "VALUE", "ORIGIN"], rows))
