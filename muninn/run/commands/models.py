"""The models that detection uses: which there are, and bringing one back."""

from typing import Annotated

import typer

from muninn.home import reached
from muninn.run.commands import Json

app = typer.Typer()
models_app = typer.Typer(help="The multivariate models: list them, bring one back.", no_args_is_help=True)
app.add_typer(models_app, name="models")


@models_app.command("list")
def show(json: Json = False) -> None:
    """List the models, newest first, and why each is in use or not."""
    from muninn.model.window import as_datetime
    from muninn.store import models
    from muninn.store.database import Database

    with Database(reached().require_database_url(), pool_size=1) as database:
        found = models.kept(database)
    if json:
        import orjson

        print(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode())
        return
    if not found:
        print(
            "There is no model yet: the Dagster job `train_models` makes one each night, once there is a day of data."
        )
    for each in found:
        figures = ", ".join(f"{name} {value:.4g}" for name, value in each.figures.items())
        print(f"{each.model_id:5d}  {as_datetime(each.trained_us):%Y-%m-%d %H:%M}  {each.status:9s}  {each.reason}")
        print(f"       {figures}")


@models_app.command()
def promote(model_id: Annotated[int, typer.Argument(help="the id that `muninn models list` shows")]) -> None:
    """Use a model from now on: a candidate, or an earlier one.

    The detector takes it up within a minute.
    """
    from muninn.store import models
    from muninn.store.database import Database

    with Database(reached().require_database_url(), pool_size=1) as database:
        models.promote(database, model_id, "somebody chose it")
    print(f"Model {model_id} is in use.")
