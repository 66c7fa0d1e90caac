"""A rollout as a short animation: truth, prediction and their difference, a frame a time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from sciml.errors import InputError
from sciml.report.cases import Case, map_of, offset_of, scale_of
from sciml.report.sheet import Sheet, time_words, units_of, with_units
from sciml.samples.seams import spread

#: Frames of an animation, evenly spread over those of the rollout where there are more.
FRAMES = 50
#: Milliseconds a frame; the last one stays longer.
EACH, LAST = 80, 1000
#: Inches of a map: its width, and the least and largest height.
WIDTH, LOW, HIGH = 6.0, 1.3, 4.0
DPI = 80


def write_film(case: Case, title: str, path: Path) -> None:
    """Write the worst field of a rollout as a GIF.

    Colours are those of the truth over all times, so that what decays is seen to.

    Raises:
        InputError: maps, whose frames are no march in time; fields that are no maps in two dimensions
            or more, nor on a mesh.
    """
    draw = map_of(case)
    if case.about.kind != "rollout" or case.layout.time is None or draw is None:
        raise InputError(
            "an animation of what is no rollout in two dimensions or more; expected png, pdf or svg"
        )
    name, time = case.targets[0], case.layout.time
    shown = (*case.pair(name), case.difference(name))
    scale = scale_of(shown[0])
    scales = (scale, scale, offset_of(shown[2], case.is_vector(name)))
    sheet = Sheet(WIDTH, 1.0)
    sheet.set_dpi(DPI)
    panels, marks = sheet.subplots(3, 1, sharex=True, squeeze=False)[:, 0], []
    words = ("solver", "surrogate", "difference")
    label = with_units(case.symbol(name), units_of(shown[0]))
    for axes, values, colors, what in zip(panels, shown, scales, words, strict=True):
        marks.append(draw(axes, values.isel({time: 0}), colors, case))
        sheet.colorbar(marks[-1], ax=axes, label=label if what != "difference" else "", aspect=12)
        axes.set_ylabel(f"{what}\n{axes.get_ylabel()}".strip(), fontsize="small")
    for axes in panels[:-1]:
        axes.set_xlabel("")
    (left, right), (low, high) = panels[0].get_xlim(), panels[0].get_ylim()
    tall = 0.8 * WIDTH * (high - low) / (right - left)
    sheet.set_size_inches(WIDTH, 3 * min(max(tall, LOW), HIGH) + 1.0)
    frames = []
    for place in [0, *spread(range(1, case.ds.sizes[time]), FRAMES - 1)]:
        for mark, values in zip(marks, shown, strict=True):
            _recolor(mark, draw, values.isel({time: place}), case)
        when = time_words(case.ds[time], place) if time in case.ds.coords else f"frame {place}"
        sheet.suptitle(f"{title.splitlines()[0]}\n{when}", fontsize="small")
        sheet.canvas.draw()
        if not frames:  # the places of axes and bars stay
            sheet.set_layout_engine("none")
        picture = Image.fromarray(np.asarray(sheet.canvas.buffer_rgba())[..., :3].copy())
        frames.append(picture.quantize(128, dither=Image.Dither.NONE))
    times = [EACH] * (len(frames) - 1) + [LAST]
    frames[0].save(
        path, format="GIF", save_all=True, append_images=frames[1:], duration=times, loop=0
    )


def _recolor(mark: object, draw: object, values: object, case: Case) -> None:
    """Give a map the values of another time, as it draws them."""
    axes = Sheet(1.0, 1.0).subplots()
    again = draw(axes, values, (*mark.get_clim(), mark.get_cmap()), case)
    mark.set_array(again.get_array())
