"""The page of translation, of the files that `translation.KEPT` names.

See `published_page`.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from attention_audit.figures.published import CELL
from attention_audit.figures.published_page import (
    Row,
    by_cell,
    called,
    cell_table,
    counted,
    ends,
    interval,
    listed,
    number,
    read,
    rendered,
    table,
    tests_table,
)
from attention_audit.figures.translation import KEPT
from attention_audit.statistics.verdicts import NOT_TESTED, VERDICTS

SUPPORTED, CONTRADICTED, UNDECIDED = VERDICTS

# Which claims are about both halves of the question of the page.
ALIGNED, AGREES = "aligned_attention", "aligned_agreement"
# What both come to in a cell, by their verdicts.
BOTH = {
    (SUPPORTED, SUPPORTED): "better in both",
    (CONTRADICTED, CONTRADICTED): "worse in both",
    (SUPPORTED, CONTRADICTED): "aligns better, agrees worse",
    (CONTRADICTED, SUPPORTED): "aligns worse, agrees better",
}
_OVERALL = {
    (SUPPORTED, SUPPORTED): "is the better explanation in both senses",
    (CONTRADICTED, CONTRADICTED): "is the worse explanation in both senses",
    (SUPPORTED, CONTRADICTED): "looks right more often, and is right less often",
    (CONTRADICTED, SUPPORTED): "looks right less often, and is right more often",
}

# Floors and an aligner of reference, in the order of what they know.
_FLOORS = {
    "uniform": "all with all",
    "diagonal": "the diagonal",
    "ibm_model_1": "IBM model 1",
    "diagonal_model_2": "IBM model 2, diagonal",
}
_METRICS = {"bleu": "BLEU", "chrf": "chrF"}
# The tests of attention as explanation, and those that are told of several.
_TESTS = {
    "permutation_difference": "change when shuffled",
    "jsd": "divergence",
    "decision_stands": "stands without half",
    "comprehensiveness": "comprehensiveness",
    "gain": "gain over uniform",
}
_OF_SEVERAL = {
    "jsd": "reference",
    "decision_stands": "subject",
    "comprehensiveness": "subject",
}


def _shown(key: tuple) -> list[str]:
    """A cell without its scorer."""
    return [name for axis, name in zip(CELL, key, strict=True) if axis != "scorer"]


def _search(beam: int) -> str:
    return "greedy" if beam == 1 else f"beam {beam}"


def _columns(
    rows: Sequence[Row], heads: Mapping[str, Mapping[str, str | int | None]]
) -> dict[str, dict[tuple, Row]]:
    """Rows by cell under each head: those with its values, where there are any."""
    found = {}
    for head, values in heads.items():
        of = [r for r in rows if all(r[name] == v for name, v in values.items())]
        if of:
            found[head] = by_cell(of)
    return found


def _intervals(columns: Mapping[str, Mapping[tuple, Row]]) -> dict[str, dict]:
    return {
        head: {key: interval(row, "mean") for key, row in column.items()}
        for head, column in columns.items()
    }


# --- what was run, and scores -----------------------------------------------------


def data_table(data: Sequence[Row]) -> str:
    """Sizes of the data sets, and of their vocabularies."""
    head = ["data set", "train", "dev", "test", "dev is", "test is", "side"]
    head += ["words a sentence", "vocabulary", "unknown words of test"]
    return table(
        head,
        (
            [
                row["dataset"],
                *(f"{row[f'n_{split}']:,}" for split in ("train", "dev", "test")),
                *(row[f"held_out_{split}"] or "drawn" for split in ("dev", "test")),
                side,
                f"{row[f'words_{side}']:.1f}",
                f"{row[f'n_vocabulary_{side}']:,}",
                f"{row[f'unknown_{side}']:.1%}",
            ]
            for row in data
            for side in ("source", "target")
        ),
    )


def model_table(
    cells: Sequence[Row],
    models: Sequence[Row],
    scores: Sequence[Row],
    translations: Sequence[Row],
) -> str:
    """Sizes of models, and their scores on test: the mean, lowest and highest seed."""
    columns: dict[str, dict[tuple, str]] = {
        "parameters": {k: f"{r['n_parameters']:,}" for k, r in by_cell(models).items()},
        "epochs": {k: f"{r['epochs']:.0f}" for k, r in by_cell(models).items()},
    }
    for head, metric in (("loss", "loss"), ("next word", "accuracy")):
        of = by_cell(row for row in scores if row["metric"] == metric)
        columns[head] = {key: ends(row, 3) for key, row in of.items()}
    for name, rows in _of_searches(translations).items():
        columns[name] = {key: ends(row, 1) for key, row in by_cell(rows).items()}
    return cell_table(cells, columns)


def _of_searches(translations: Sequence[Row]) -> dict[str, list[Row]]:
    """Rows of BLEU and chrF by metric and beam, in words."""
    found: dict[str, list[Row]] = {}
    for row in sorted(translations, key=lambda row: (row["metric"], row["beam"])):
        head = f"{_METRICS[row['metric']]}, {_search(row['beam'])}"
        found.setdefault(head, []).append(row)
    return found


def signatures(translations: Sequence[Row]) -> list[str]:
    """sacrebleu's signatures, each with its metric."""
    found = {(row["metric"], row["signature"]): None for row in translations}
    return [f"{_METRICS[metric]}: `{text}`" for metric, text in sorted(found)]


def top_k_table(
    cells: Sequence[Row],
    top_k: Sequence[Row],
    scores: Sequence[Row],
    translations: Sequence[Row],
    alignment: Sequence[Row],
    reference: str,
) -> str:
    """Scores and alignment over k, and of the reference, which keeps all."""
    ks = {row["normalizer"]: row["k"] for row in top_k}
    loss = by_cell(row for row in scores if row["metric"] == "loss")
    bleu = [row for row in translations if row["metric"] == "bleu"]
    of_search = {head: by_cell(rows) for head, rows in _of_searches(bleu).items()}
    errors = _errors(alignment)
    ran = by_cell(cell for cell in cells if cell["seeds"])
    models = dict.fromkeys(key[:-1] for key in ran if key[-1] in ks)
    keys = [
        ((*model, name), k)
        for model in models
        for name, k in [*ks.items(), (reference, "all")]
        if (*model, name) in ran
    ]
    return table(
        ["data set", "encoder", "k", "loss", *of_search]
        + [f"error rate, {step}" for step in errors],
        (
            [
                *_shown(key)[:2],
                k,
                number(loss[key]["mean"]),
                *(f"{one[key]['mean']:.1f}" for one in of_search.values()),
                *(interval(one[key], "mean") for one in errors.values()),
            ]
            for key, k in keys
        ),
    )


def _errors(
    alignment: Sequence[Row], subject: str = "attention"
) -> dict[str, dict[tuple, Row]]:
    """Error rates of links by argmax, by step and cell."""
    heads = {
        step: {"subject": subject, "links": "argmax", "step": step}
        for step in ("predicts", "reads")
    }
    return _columns(alignment, heads)


# --- alignment --------------------------------------------------------------------


def _place(row: Row) -> tuple[str, int]:
    """Where a row is among the floors of its data set."""
    places = [*_FLOORS]
    subject = row["subject"]
    known = subject in places
    return row["dataset"], places.index(subject) if known else len(places)


def attention_table(cells: Sequence[Row], alignment: Sequence[Row], step: str) -> str:
    """Attention of a step against gold, by normalizer, and below it the floors."""
    links = ("argmax", "support", "threshold")
    head = [f"error, {name}" for name in links]
    head += ["precision", "recall", "F1", "average precision"]

    def values(rows: Sequence[Row]) -> list[str]:
        by_links = {row["links"]: row for row in rows}
        found = [
            interval(by_links[name], "mean") if name in by_links else "–"
            for name in (*links, "ranking")
        ]
        of_links = by_links.get("argmax", {})
        more = [number(of_links.get(name)) for name in ("precision", "recall", "f1")]
        return [*found[:-1], *more, found[-1]]

    def lines() -> Iterator[list[str]]:
        attention = [
            row
            for row in alignment
            if row["subject"] == "attention" and row["step"] == step
        ]
        for key in by_cell(cell for cell in cells if cell["seeds"]):
            own = [row for row in attention if tuple(row[a] for a in CELL) == key]
            if own:
                yield [*_shown(key), *values(own)]
        floors: dict[tuple[str, str], list[Row]] = {}
        for row in sorted(alignment, key=_place):
            if row["normalizer"] is None:
                floors.setdefault((row["dataset"], row["subject"]), []).append(row)
        for (dataset, floor), rows in floors.items():
            yield [dataset, "–", _FLOORS.get(floor, called(floor)), *values(rows)]

    return table(["data set", "encoder", "normalizer", *head], lines())


def beside_floors(alignment: Sequence[Row], step: str) -> str:
    """In how many models attention is below each floor, by error of argmax, in words."""
    errors = list(_errors(alignment)[step].values())
    said = []
    several = len({row["dataset"] for row in errors}) > 1
    for row in sorted(alignment, key=_place):
        if row["normalizer"] is None and row["links"] == "argmax":
            floor = row["mean"]
            own = [one for one in errors if one["dataset"] == row["dataset"]]
            below = sum(one["mean"] < floor for one in own)
            surely = sum(one["high"] is not None and one["high"] < floor for one in own)
            name = _FLOORS.get(row["subject"], called(row["subject"]))
            of = f" of {row['dataset']}" if several else ""
            said.append(
                f"below that of {name} in {below} of {counted(len(own), 'model')}{of} "
                f"(with the whole interval in {surely})"
            )
    return listed(said)


def _subjects(alignment: Sequence[Row]) -> list[str]:
    """Attention, then every importance."""
    named = {row["subject"] for row in alignment if row["normalizer"] is not None}
    return ["attention", *sorted(named - {"attention", "best_head"})]


def importance_table(cells: Sequence[Row], alignment: Sequence[Row], links: str) -> str:
    """Attention and importances of the step that predicts against gold, by ``links``."""
    heads = {
        called(name): {"subject": name, "links": links, "step": "predicts"}
        for name in _subjects(alignment)
    }
    return cell_table(cells, _intervals(_columns(alignment, heads)))


def best_subjects(alignment: Sequence[Row]) -> str:
    """In how many models each subject aligns best, by the mean alone, in words."""
    of_step = [
        r for r in alignment if r["links"] == "argmax" and r["step"] == "predicts"
    ]
    means: dict[tuple, dict[str, float]] = {}
    for name in _subjects(alignment):
        for key, row in by_cell(r for r in of_step if r["subject"] == name).items():
            if row["mean"] is not None:
                means.setdefault(key, {})[name] = row["mean"]
    first = [min(found, key=found.__getitem__) for found in means.values()]
    counts = sorted(
        ((first.count(name), name) for name in set(first)),
        key=lambda pair: (-pair[0], pair[1]),
    )
    return listed(f"{called(name)} in {n} of {len(first)}" for n, name in counts)


def head_table(
    cells: Sequence[Row], heads: Sequence[Row], alignment: Sequence[Row]
) -> str:
    """Error rates of layers below the attention of the audits, beside its own.

    The mean over the heads of a layer with their lowest, and that of the head that was
    best on dev.
    """
    attention, best = _errors(alignment), _errors(alignment, "best_head")

    def lines() -> Iterator[list[str]]:
        for key in by_cell(cell for cell in cells if cell["seeds"]):
            own = [row for row in heads if tuple(row[axis] for axis in CELL) == key]
            for step in attention:
                of_step = [row for row in own if row["step"] == step]
                layers = sorted({r["layer"] for r in of_step if r["layer"] is not None})
                said = [_of_layer(of_step, layer) for layer in layers]
                if said:
                    yield [
                        *_shown(key),
                        step,
                        "; ".join(said),
                        interval(best[step][key], "mean"),
                        interval(attention[step][key], "mean"),
                    ]

    head = [
        "data set",
        "encoder",
        "normalizer",
        "step",
        "mean of a layer (lowest head)",
    ]
    return table([*head, "best head on dev", "last layer: attention"], lines())


def _of_layer(rows: Sequence[Row], layer: int) -> str:
    own = [row for row in rows if row["layer"] == layer]
    lowest = min(row["mean"] for row in own if row["subject"] == "head")
    (mean,) = (row["mean"] for row in own if row["subject"] == "mean_head")
    return f"layer {layer:.0f}: {number(mean)} ({number(lowest)})"


def layer_table(cells: Sequence[Row], layers: Sequence[Row]) -> str:
    """Sparsity, null rate and diversity of heads, a row a cell, kind and layer."""
    columns = {"sparsity": "zero weights", "null": "queries without weight"}
    columns |= {"divergence": "divergence of heads, nats"}
    found: dict[tuple, dict[str, Row]] = {}
    for row in layers:
        place = (*(row[axis] for axis in CELL), row["kind"], row["layer"])
        found.setdefault(place, {})[row["measure"]] = row
    order = list(by_cell(cell for cell in cells if cell["seeds"]))
    return table(
        ["data set", "encoder", "normalizer", "attention", "layer", *columns.values()],
        (
            [
                *_shown(place[:-2]),
                place[-2],
                f"{place[-1]:.0f}",
                *(interval(own[m], "mean") if m in own else "–" for m in columns),
            ]
            for place, own in sorted(
                found.items(), key=lambda one: (order.index(one[0][:-2]), *one[0][-2:])
            )
        ),
    )


# --- does what aligns better agree better? ----------------------------------------


def decided(claims: Sequence[Row]) -> str:
    """Whether the normalizer that aligns better also agrees better, of two claims."""
    verdicts = {row["claim"]: row["verdict"] for row in claims}
    aligned, agrees = (verdicts.get(name, NOT_TESTED) for name in (ALIGNED, AGREES))
    halves = (
        f"that sparse attention aligns better than softmax attention is {aligned}, and "
        f"that it agrees better with importance is {agrees}"
    )
    if NOT_TESTED in (aligned, agrees):
        return f"**{NOT_TESTED}**: {halves}"
    if UNDECIDED in (aligned, agrees):
        return f"**{UNDECIDED}**: {halves}"
    verdict = SUPPORTED if aligned == agrees else CONTRADICTED
    return f"**{verdict}**: {halves}. Sparse attention {_OVERALL[aligned, agrees]}"


def joined_cells(cells: Sequence[Row]) -> list[tuple[Row, Row]]:
    """Claim cells of alignment, each with those of agreement of the same model."""
    agrees = [cell for cell in cells if cell["claim"] == AGREES]
    return [
        (one, other)
        for one in cells
        if one["claim"] == ALIGNED
        for other in agrees
        if all(one[axis] == other[axis] for axis in CELL)
    ]


def joined_table(cells: Sequence[Row]) -> str:
    """Error rate and agreement less those of the reference, side by side."""
    head = ["data set", "encoder", "normalizer", "error rate", "verdict", "importance"]
    return table(
        [*head, "tau-b", "verdict", "together"],
        (
            [
                *(one[axis] for axis in ("dataset", "encoder", "normalizer")),
                interval(one),
                one["verdict"],
                called(other["reference"]),
                interval(other),
                other["verdict"],
                BOTH.get((one["verdict"], other["verdict"]), UNDECIDED),
            ]
            for one, other in joined_cells(cells)
        ),
    )


def joined_counts(cells: Sequence[Row]) -> str:
    """How many of the rows of `joined_table` came to what, in words."""
    pairs = [BOTH.get((a["verdict"], b["verdict"])) for a, b in joined_cells(cells)]
    counts = [f"{pairs.count(said)} {said}" for said in BOTH.values()]
    left = f"{pairs.count(None)} {UNDECIDED} in one or the other"
    return f"Of {counted(len(pairs), 'row')}: {'; '.join([*counts, left])}"


def order_table(alignment: Sequence[Row], summary: Sequence[Row]) -> str:
    """Over pairs of normalizers of a model: does the lower error go with more agreement?

    Of pairs that differ in both.
    """
    errors = _errors(alignment).get("predicts", {})
    found: dict[tuple, list[tuple[float, float]]] = {}
    for row in summary:
        key = tuple(row[axis] for axis in CELL)
        if row["measure"] == "kendall_tau_b" and key in errors:
            point = errors[key]["mean"], row["mean"]
            if None not in point:
                found.setdefault((*key[:-1], row["reference"]), []).append(point)

    def lines() -> Iterator[list[str]]:
        for (dataset, encoder, _, method), points in found.items():
            orders = [
                (a[0] - b[0]) * (a[1] - b[1])
                for a, b in itertools.combinations(points, 2)
            ]
            same = sum(order < 0 for order in orders)
            of = f"{same} of {sum(order != 0 for order in orders)}"
            yield [dataset, encoder, called(method), str(len(points)), of]

    head = ["data set", "encoder", "importance", "normalizers"]
    return table([*head, "pairs in which the lower error agrees better"], lines())


# --- who attends to nothing -------------------------------------------------------


def null_table(null: Sequence[Row], kind: str) -> str:
    """Shares of queries without weight by class of words, a column a model.

    Empty of a kind of attention in which none is without.
    """
    rows = [row for row in null if row["kind"] == kind]
    columns: dict[tuple, dict[str | None, Row]] = {}
    for row in rows:
        key = tuple(row[axis] for axis in CELL)
        columns.setdefault(key, {})[row["word_class"]] = row
    if not columns:
        return ""
    # of what is no class of words last
    classes = sorted(
        {row["word_class"] for row in rows} - {None},
        key=lambda name: (name in ("unaligned", "end"), name),
    )
    several = len({key[0] for key in columns}) > 1
    names = [", ".join(_shown(key)[0 if several else 1 :]) for key in columns]
    return table(
        ["queries", *names],
        (
            [
                "all" if name is None else name,
                *(
                    interval(own[name], "mean") if name in own else "–"
                    for own in columns.values()
                ),
            ]
            for name in (None, *classes)
        ),
    )


# --- beside the papers ------------------------------------------------------------


def published_table(
    published: Sequence[Row], measure: str, ours: Sequence[tuple[str, str, Row]]
) -> str:
    """Numbers of the papers and ours, a column a normalizer.

    ``ours`` are what a row tells, its encoder, and texts by normalizer.
    """
    rows = [row for row in published if row["measure"] == measure]
    lines: dict[tuple[str, str], dict[str, str]] = {}
    for row in rows:
        told = f"{row['value']:g}"
        lines.setdefault((row["source"], row["of"]), {})[row["normalizer"]] = told
    own = {(f"here, {encoder}", of): texts for of, encoder, texts in ours}
    named = [name for texts in (*own.values(), *lines.values()) for name in texts]
    names = list(dict.fromkeys(named))
    return table(
        ["numbers of", "what", *names],
        (
            [source, of, *(texts.get(name, "–") for name in names)]
            for (source, of), texts in (lines | own).items()
        ),
    )


def _texts(
    columns: Mapping[str, Mapping[tuple, Row]], column: str, digits: int
) -> list[tuple[str, str, Row]]:
    """Ours for `published_table`, of rows by cell."""
    found: dict[tuple[str, str], Row] = {}
    for of, own in columns.items():
        for (dataset, encoder, _, normalizer), row in own.items():
            if row[column] is not None:
                told = f"{row[column]:.{digits}f}"
                found.setdefault((f"{dataset}, {of}", encoder), {})[normalizer] = told
    return [(of, encoder, texts) for (of, encoder), texts in found.items()]


def bleu_beside(published: Sequence[Row], translations: Sequence[Row]) -> str:
    bleu = [row for row in translations if row["metric"] == "bleu"]
    columns = {
        _search(beam): by_cell(row for row in bleu if row["beam"] == beam)
        for beam in sorted({row["beam"] for row in bleu})
    }
    return published_table(published, "bleu", _texts(columns, "mean", 1))


def errors_beside(published: Sequence[Row], alignment: Sequence[Row]) -> str:
    columns = {
        f"{step}, {told}": rows
        for subject, told in (("attention", "last layer"), ("best_head", "best below"))
        for step, rows in _errors(alignment, subject).items()
    }
    return published_table(published, "error_rate", _texts(columns, "mean", 2))


def speed_beside(published: Sequence[Row], speed: Sequence[Row]) -> str:
    columns = {
        of: by_cell(row for row in speed if row["of"] == of)
        for of in ("training", "decoding")
    }
    return published_table(published, "speed", _texts(columns, "ratio", 2))


def page(folder: str | Path, template_path: str | Path) -> str:
    """The page as Markdown; links and pictures are relative to the folder's parent."""
    files = read(folder)
    return rendered(
        template_path,
        files,
        KEPT.roles,
        tables=files.tables,
        data_table=data_table,
        model_table=model_table,
        signatures=signatures,
        top_k_table=top_k_table,
        attention_table=attention_table,
        importance_table=importance_table,
        beside_floors=beside_floors,
        best_subjects=best_subjects,
        head_table=head_table,
        layer_table=layer_table,
        decided=decided,
        joined_table=joined_table,
        joined_counts=joined_counts,
        order_table=order_table,
        null_table=null_table,
        explanation_table=partial(tests_table, tests=_TESTS, of_several=_OF_SEVERAL),
        bleu_beside=bleu_beside,
        errors_beside=errors_beside,
        speed_beside=speed_beside,
    )
