"""docs/study.md says of every key of a study file that it is there, and its default."""

import re
from pathlib import Path
from typing import get_args

import yaml
from pydantic_core import PydanticUndefined

from sciml.study.schema import Model, Study
from sciml.study.section import Section
from sciml.study.sources_section import (
    AdaptiveSection,
    AxisSection,
    ClassificationSection,
    CollocationSection,
    EnergyForcesSection,
    FedSection,
    ResidualSection,
    SupervisedSection,
)
from sciml.study.symmetries_section import SymmetriesSection
from sciml.study.training_section import EMASection, PhaseSection, PushforwardSection, Training

PAGE = (Path(__file__).parents[2] / "docs" / "study.md").read_text()


def section_of(annotation):
    """The section, of one that may be left away too."""
    among = [annotation, *get_args(annotation)]
    return next((a for a in among if isinstance(a, type) and issubclass(a, Section)), None)


CHAPTERS = {
    name: section
    for name, field in Study.model_fields.items()
    if (section := section_of(field.annotation))
}
#: Sections within a chapter that have tables of their own, by the line before it.
WITHIN = {
    "`ema`:": EMASection,
    "`augment` and `model.symmetrize`:": SymmetriesSection,
    "`pushforward`:": PushforwardSection,
    "`phases`, a list of:": PhaseSection,
    "`kind: stream` or `data`:": FedSection,
    "`kind: collocation`, points where a residual is asked for:": CollocationSection,
    "`adaptive`:": AdaptiveSection,
    "A side of the `domain`:": AxisSection,
    "`kind: supervised`, on a stream or data:": SupervisedSection,
    "`kind: energy_forces`, of particles:": EnergyForcesSection,
    "`kind: classification`, of targets with categories:": ClassificationSection,
    "`kind: residual`, of an equation, on collocation points; the task has `history: 0`, and "
    "`time: true` unless it is steady:": ResidualSection,
}
#: Defaults that depend on others, or are said in words.
IN_WORDS = {(CHAPTERS["buffer"], "watermark"), (Training, "phases")}


def keys(section):
    """Keys with their defaults; those of a section without a table of its own in dots."""
    found = {}
    for name, field in section.model_fields.items():
        if section is Study and name in CHAPTERS:
            continue
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            found |= {f"{name}.{inner}": value for inner, value in keys(field.annotation).items()}
        else:
            found[name] = field.get_default(call_default_factory=True)
    return found


def tables():
    """Each table of the page: the section that it describes, and its defaults by key."""
    head, *rest = re.split(r"^## `(\w+)`.*$", PAGE, flags=re.MULTILINE)
    chapters = zip(
        [Study, *(CHAPTERS[name] for name in rest[::2])], [head, *rest[1::2]], strict=True
    )
    for section, text in chapters:
        for before, table in re.findall(r"([^\n]*)\n\n((?:\|[^\n]*\n)+)", text):
            rows = [row.strip("|").split(" |") for row in table.splitlines()[2:]]
            yield WITHIN.get(before, section), {r[0].strip("` "): r[1].strip("` ") for r in rows}


def test_every_key_and_its_default_are_there():
    described = dict(tables())
    assert {*described} == {Study, *CHAPTERS.values(), *WITHIN.values()}
    for section, said in described.items():
        wanted = keys(section)
        assert {*said} == {*wanted}, section
        for key, default in wanted.items():
            if default is PydanticUndefined:
                assert said[key] == "", (section, key)
            elif (section, key) not in IN_WORDS:
                value = "" if default == "" else yaml.safe_load(said[key])
                assert (value, type(value)) == (default, type(default)), (section, key)


def test_its_words_are_true():
    [phase] = Training().phases
    assert (phase.steps, phase.schedule) == (1000, "cosine")
    assert Model.model_validate("fno").name == "fno"
    assert CHAPTERS["buffer"].model_validate({"capacity": 50}).watermark == 5
