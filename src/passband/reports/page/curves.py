"""The curves of training as an SVG whose text and axes have the page's colours."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from markupsafe import Markup

from passband.axes import MAIN_AXES
from passband.figures import style
from passband.grid import Condition
from passband.mixtures import is_mixture
from passband.reports.page.data import Data, compressed
from passband.reports.page.job_files import History
from passband.reports.page.pictures import inline

#: Above this number of networks, quantiles are drawn in place of single curves.
MOST_CURVES = 64
#: Number of networks with the lowest Dice that are named.
WORST = 10


def curves_svg(histories: Sequence[History]) -> Markup:
    """Return Dice on the validation structures over epochs, of all networks, as an SVG element.

    Up to :data:`MOST_CURVES` networks have a curve each, with one colour for each value of an axis.
    More networks are drawn as the median and as bands with the middle 50%, 90% and 100%.

    Args:
        histories: At least one history.
    """
    figure, ((ax,),) = style.panels(1, 1, style.PAGE_CM, 7)
    title = (_curves if len(histories) <= MOST_CURVES else _bands)(ax, histories)
    lowest = min(np.nanmin(h.dice, initial=1.0) for h in histories)
    last = max(h.epoch.max() for h in histories) + 1
    ax.set(xlim=(1, max(last, 2)), ylim=(max(0.0, np.floor(10 * lowest) / 10) - 0.02, 1.02))
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.set(xlabel="epoch", ylabel="Dice on validation structures")
    figure.legend(title=title, loc="outside right center")
    return inline(figure, "curves")


def _curves(ax, histories: Sequence[History]) -> str:
    """Draw a curve for each network, and return the title of the legend."""
    mixed = [h for h in histories if is_mixture(h.network.condition)]
    for history in mixed:
        label = "mixture" if history is mixed[0] else None
        ax.plot(history.epoch + 1, history.dice, color=style.NEUTRAL, lw=1.1, ls="--", label=label)
    histories = [h for h in histories if not is_mixture(h.network.condition)]
    if not histories:
        return ""
    conditions = [Condition.parse(h.network.condition) for h in histories]
    # The dose comes first, since it changes Dice the most in all studies so far.
    order = ["dose_e_per_A2", *(a for a in MAIN_AXES if a != "dose_e_per_A2")]
    varied = [a for a in order if len({getattr(c, a) for c in conditions}) > 1]
    axis = MAIN_AXES[(varied or order)[0]]
    values = sorted({getattr(c, axis.name) for c in conditions})
    colours = style.levels(max(len(values), 2))
    shown = set()
    pairs = sorted(
        zip(histories, conditions, strict=True), key=lambda pair: getattr(pair[1], axis.name)
    )
    for history, condition in pairs:
        value = getattr(condition, axis.name)
        label = None if value in shown else style.number(value)
        shown.add(value)
        ax.plot(
            history.epoch + 1,
            history.dice,
            color=colours[values.index(value)],
            lw=1.1,
            alpha=0.8,
            label=label,
            marker="o" if len(history.epoch) == 1 else None,
        )
    return f"trained at\n{axis.title}"


def _bands(ax, histories: Sequence[History]) -> str:
    """Draw the median and bands of quantiles, and return the title of the legend."""
    last = int(max(h.epoch.max() for h in histories)) + 1
    dice = np.full((len(histories), last), np.nan)
    for row, history in zip(dice, histories, strict=True):
        row[history.epoch.astype(int)] = history.dice
    kept = np.isfinite(dice).any(0)
    epochs, dice = np.arange(1, last + 1)[kept], dice[:, kept]
    for share, alpha in ((1.0, 0.15), (0.9, 0.25), (0.5, 0.4)):
        low, high = np.nanquantile(dice, [(1 - share) / 2, (1 + share) / 2], axis=0)
        label = "all networks" if share == 1 else f"middle {share:.0%}"
        ax.fill_between(epochs, low, high, color=style.TRANSFER, alpha=alpha, lw=0, label=label)
    ax.plot(epochs, np.nanmedian(dice, 0), color=style.TRANSFER, lw=1.8, label="median")
    return f"{len(histories):,} networks"


def worst(histories: Sequence[History], most: int = WORST) -> list[History]:
    """Return the networks with the lowest Dice on the validation structures, the lowest first."""
    finite = [h for h in histories if np.isfinite(h.final)]
    return sorted(finite, key=lambda h: h.final)[:most]


def data(histories: Sequence[History]) -> Data:
    """Return the histories as CSV, with a row for each network and epoch."""
    parts = (
        {"network": str(h.network), "epoch": h.epoch, "val_dice": h.dice, "val_loss": h.loss}
        for h in histories
    )
    return compressed("training.csv", pd.concat(map(pd.DataFrame, parts)))
