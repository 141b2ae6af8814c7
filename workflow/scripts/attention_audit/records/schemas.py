"""The contract between stages: the schema of every Parquet table of the pipeline.

A job depends on the schemas of the tables that it reads and writes, by name, and not
on this module as a whole: see `provenance.code_digest`.
"""

import pyarrow as pa

# The identity of a run, carried by every table that belongs to one.
RUN_COLUMNS = ("dataset", "encoder", "scorer", "normalizer", "seed")

_RUN_FIELDS = [
    pa.field("dataset", pa.string(), nullable=False),
    pa.field("encoder", pa.string(), nullable=False),
    pa.field("scorer", pa.string(), nullable=False),
    pa.field("normalizer", pa.string(), nullable=False),
    pa.field("seed", pa.int64(), nullable=False),
]


def _schema(*fields: tuple, run: bool = True) -> pa.Schema:
    """A schema from (name, type[, nullable]) triples, after the run's identity."""
    own = [
        pa.field(name, type_, nullable=bool(nullable))
        for name, type_, *nullable in fields
    ]
    return pa.schema((_RUN_FIELDS if run else []) + own)


_floats = pa.list_(pa.float32())
_NULLABLE = True

_INTERVAL = [
    ("low", pa.float64(), _NULLABLE),
    ("high", pa.float64(), _NULLABLE),
    # what was sampled, and where the variance comes from; null without an interval
    ("interval_over", pa.string(), _NULLABLE),
    ("interval_method", pa.string(), _NULLABLE),
    # of the estimate, by the model of the interval
    ("standard_error", pa.float64(), _NULLABLE),
    ("df", pa.float64(), _NULLABLE),
]

_REMARKS = [
    # what has to be known to read the row; null where nothing has
    ("note", pa.string(), _NULLABLE),
    # why the row is in part a matter of arithmetic; null where it is a finding
    ("by_construction", pa.string(), _NULLABLE),
]

SCHEMAS: dict[str, pa.Schema] = {
    # fetch: what a hub data set looked like at the pinned revision
    "documents": _schema(
        ("split", pa.string()),
        ("text", pa.string(), _NULLABLE),
        ("label", pa.string(), _NULLABLE),
        run=False,
    ),
    "encoded_pictures": _schema(
        ("split", pa.string()),
        ("origin", pa.string()),
        ("label", pa.string(), _NULLABLE),
        ("encoded", pa.binary()),
        run=False,
    ),
    # prepare
    "examples": _schema(
        ("dataset", pa.string()),
        ("instance_id", pa.string()),
        ("cluster_id", pa.string()),
        ("tokens", pa.list_(pa.string())),
        ("token_ids", pa.list_(pa.int32())),
        ("label", pa.int32()),
        ("length", pa.int32()),
        # as it stands in the source
        ("text", pa.string()),
        run=False,
    ),
    "vocabulary": _schema(
        ("dataset", pa.string()),
        ("token_id", pa.int32()),
        ("token", pa.string()),
        ("count", pa.int64()),
        # the pretrained vector; null without one
        ("vector", _floats, _NULLABLE),
        run=False,
    ),
    # a row a picture, its pixels row by row, the channels of a pixel together. A list of
    # no fixed size, because that belongs to a data set and is in three columns
    "pictures": _schema(
        ("dataset", pa.string()),
        ("instance_id", pa.string()),
        ("cluster_id", pa.string()),
        # as a model's input is before it is normalized: exact, and a quarter of float32
        ("pixels", pa.list_(pa.uint8())),
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("channels", pa.int32()),
        ("label", pa.int32()),
        # a value a pixel; null where nobody says, or all pixels are alike
        ("gold", pa.list_(pa.bool_()), _NULLABLE),
        ("origin", pa.string()),
        run=False,
    ),
    # of the training pictures, on a scale from 0 to 1
    "channels": _schema(
        ("dataset", pa.string()),
        ("channel", pa.int32()),
        ("mean", pa.float64()),
        ("sd", pa.float64()),
        # a value a pixel
        ("mean_picture", _floats),
        run=False,
    ),
    # train
    "history": _schema(
        ("epoch", pa.int32()),
        ("train_loss", pa.float64()),
        ("dev_loss", pa.float64()),
        ("dev_accuracy", pa.float64()),
        ("dev_macro_f1", pa.float64()),
        # every learned alpha after the epoch, in the order of model.learned_alphas,
        # which metrics.json names; null where none is learned
        ("alpha", pa.list_(pa.float64()), _NULLABLE),
        ("best", pa.bool_()),
    ),
    # attribute: a row an instance, lists as long as the input
    "attention": _schema(
        ("instance_id", pa.string()),
        ("length", pa.int32()),
        ("label", pa.int32()),
        ("predicted", pa.int32()),
        ("probabilities", _floats),
        # what the normalizer makes the attention of
        ("scores", _floats),
        ("attention", _floats),
        ("support", pa.int32()),
        # null where no position has any weight
        ("entropy", pa.float32(), _NULLABLE),
    ),
    "importance": _schema(
        ("method", pa.string()),
        ("instance_id", pa.string()),
        ("length", pa.int32()),
        ("importance", _floats),
    ),
    "influence": _schema(
        ("instance_id", pa.string()),
        ("length", pa.int32()),
        # one value a hidden state
        ("dispersion", _floats),
        ("coindexed_share", _floats),
        ("coindexed_rank", pa.list_(pa.int32())),
        # (hidden state, input) norms; kept for a few instances only
        ("matrix", pa.list_(_floats), _NULLABLE),
    ),
    # a row an (instance, layer, head) of self-attention; see attribution.heads. Null
    # where no query has a distribution
    "heads": _schema(
        ("instance_id", pa.string()),
        ("length", pa.int32()),
        ("layer", pa.int32()),
        ("head", pa.int32()),
        ("sparsity", pa.float64()),
        ("support", pa.float64()),
        ("null", pa.float64()),
        ("entropy", pa.float64(), _NULLABLE),
        ("divergence", pa.float64(), _NULLABLE),
    ),
    # explain: experiments that intervene, a row an instance and variant of it; null
    # where the experiment cannot be made
    "permutation": _schema(
        ("instance_id", pa.string()),
        ("length", pa.int32()),
        ("support", pa.int32()),
        # which positions exchange their weights
        ("kind", pa.string()),
        ("difference", pa.float64(), _NULLABLE),
        ("moved_mass", pa.float64(), _NULLABLE),
    ),
    "adversarial": _schema(
        ("instance_id", pa.string()),
        ("length", pa.int32()),
        ("support", pa.int32()),
        ("constraint", pa.string()),
        ("found", pa.bool_()),
        ("divergence", pa.float64(), _NULLABLE),
        ("output_difference", pa.float64()),
        # the farthest weights, or the model's own where none were found
        ("attention", _floats),
    ),
    "flips": _schema(
        ("instance_id", pa.string()),
        ("length", pa.int32()),
        ("support", pa.int32()),
        ("order", pa.string()),
        # of a random order, from 0
        ("draw", pa.int32()),
        # weights removed when the decision flips; null where it never does, and where
        # fewer than two positions have weight
        ("removed", pa.int32(), _NULLABLE),
        ("never", pa.bool_(), _NULLABLE),
    ),
    "erasure": _schema(
        ("instance_id", pa.string()),
        ("length", pa.int32()),
        ("support", pa.int32()),
        # what ranks the tokens
        ("subject", pa.string()),
        ("shares", pa.list_(pa.float64())),
        # one value a share of tokens
        ("comprehensiveness", _floats),
        ("sufficiency", _floats),
        # of as many tokens as have weight; null where that is none or all of them
        ("comprehensiveness_at_support", pa.float64(), _NULLABLE),
        ("sufficiency_at_support", pa.float64(), _NULLABLE),
    ),
    # two runs side by side: seeds, or frozen uniform weights
    "pairs": _schema(
        ("instance_id", pa.string()),
        ("other_normalizer", pa.string()),
        ("other_seed", pa.int64()),
        ("jsd", pa.float64(), _NULLABLE),
        ("tvd", pa.float64()),
        # 1 where this run alone is right, -1 where the other is, else 0
        ("gain", pa.float64()),
    ),
    # models trained to match the outputs of a run, away from its attention
    "adversaries": _schema(
        # of the divergence in the loss: lambda
        ("weight", pa.float64()),
        ("paper_weight", pa.float64(), _NULLABLE),
        ("trained_on", pa.string()),
        ("instance_id", pa.string()),
        ("correct", pa.bool_()),
        ("tvd", pa.float64()),
        ("jsd", pa.float64()),
        # null where infinite
        ("kl_run_adversary", pa.float64(), _NULLABLE),
        ("kl_adversary_run", pa.float64(), _NULLABLE),
    ),
    # scores of models without context that were given weights
    "diagnostics": _schema(
        ("guide", pa.string()),
        ("split", pa.string()),
        ("metric", pa.string()),
        ("value", pa.float64()),
    ),
    # scores of runs on shares of their training texts, and on all of them
    "learning_curve": _schema(
        ("share", pa.float64()),
        ("n_train", pa.int64()),
        ("split", pa.string()),
        ("metric", pa.string()),
        ("value", pa.float64()),
    ),
    # measure: a row an (instance, measure); null where the measure is undefined
    "measures": _schema(
        ("instance_id", pa.string()),
        ("measure", pa.string()),
        ("subject", pa.string()),
        ("reference", pa.string(), _NULLABLE),
        ("value", pa.float64(), _NULLABLE),
    ),
    # compare: the runs of the present grid, for files of earlier grids stay; a path is
    # the run's folder below that of a stage
    "runs": _schema(("path", pa.string())),
    # over instances and seeds; null where undefined
    "summary": _schema(
        ("dataset", pa.string()),
        ("encoder", pa.string()),
        ("scorer", pa.string()),
        ("normalizer", pa.string()),
        ("measure", pa.string()),
        ("subject", pa.string()),
        ("reference", pa.string(), _NULLABLE),
        ("mean", pa.float64(), _NULLABLE),
        *_INTERVAL,
        ("sd_instances", pa.float64(), _NULLABLE),
        ("sd_seeds", pa.float64(), _NULLABLE),
        ("n_instances", pa.int64()),
        ("n_clusters", pa.int64()),
        ("n_seeds", pa.int64()),
        ("n_undefined", pa.int64()),
        *_REMARKS,
        run=False,
    ),
    # numbers of papers beside ours, with the interval of the difference
    "recorded": _schema(
        ("source", pa.string()),
        ("dataset", pa.string()),
        ("encoder", pa.string()),
        ("scorer", pa.string()),
        ("normalizer", pa.string()),
        ("measure", pa.string()),
        ("subject", pa.string()),
        ("reference", pa.string(), _NULLABLE),
        ("recorded", pa.float64()),
        ("mean", pa.float64()),
        ("difference", pa.float64()),
        *_INTERVAL,
        # whether the interval leaves out the recorded number
        ("beyond", pa.bool_(), _NULLABLE),
        ("n_instances", pa.int64()),
        ("n_seeds", pa.int64()),
        run=False,
    ),
    # the texts at either end of a cell's agreement of attention with each importance, a
    # row a seed; see `examples`
    "agreement_examples": _schema(
        ("reference", pa.string()),
        # "worst" or "best", and the place there, from 1
        ("extreme", pa.string()),
        ("rank", pa.int32()),
        # Kendall's tau-b: over the seeds, which chose the text, and of this one
        ("mean", pa.float64()),
        ("value", pa.float64(), _NULLABLE),
        ("instance_id", pa.string()),
        ("tokens", pa.list_(pa.string())),
        # names of classes
        ("label", pa.string()),
        ("predicted", pa.string()),
        # the tokens with the largest attention and importance, largest first
        ("attended", pa.list_(pa.string())),
        ("important", pa.list_(pa.string())),
    ),
    "head_summary": _schema(
        ("dataset", pa.string()),
        ("encoder", pa.string()),
        ("scorer", pa.string()),
        ("normalizer", pa.string()),
        ("layer", pa.int32()),
        # null for the layer as a whole
        ("head", pa.int32(), _NULLABLE),
        ("measure", pa.string()),
        ("mean", pa.float64(), _NULLABLE),
        *_INTERVAL,
        ("sd_instances", pa.float64(), _NULLABLE),
        ("sd_seeds", pa.float64(), _NULLABLE),
        ("n_instances", pa.int64()),
        ("n_clusters", pa.int64()),
        ("n_seeds", pa.int64()),
        ("n_undefined", pa.int64()),
        # what has to be known to read the row; null where nothing has
        ("note", pa.string(), _NULLABLE),
        run=False,
    ),
    "comparison": _schema(
        ("dataset", pa.string()),
        ("encoder", pa.string()),
        ("scorer", pa.string()),
        ("normalizer", pa.string()),
        ("baseline", pa.string()),
        ("contrast", pa.string()),
        ("measure", pa.string()),
        ("subject", pa.string()),
        ("reference", pa.string(), _NULLABLE),
        ("difference", pa.float64(), _NULLABLE),
        *_INTERVAL,
        ("seed_low", pa.float64(), _NULLABLE),
        ("seed_high", pa.float64(), _NULLABLE),
        ("seed_signs", pa.string(), _NULLABLE),
        # null with fewer than three seeds, as is all that a test gives
        ("p", pa.float64(), _NULLABLE),
        ("p_corrected", pa.float64(), _NULLABLE),
        ("smallest_effect", pa.float64(), _NULLABLE),
        ("p_equivalence", pa.float64(), _NULLABLE),
        ("p_equivalence_corrected", pa.float64(), _NULLABLE),
        ("verdict", pa.string(), _NULLABLE),
        ("detectable", pa.float64(), _NULLABLE),
        ("correction", pa.string()),
        ("family", pa.string()),
        ("family_size", pa.int64()),
        ("rank_biserial", pa.float64(), _NULLABLE),
        ("cohens_d", pa.float64(), _NULLABLE),
        ("n_instances", pa.int64()),
        ("n_clusters", pa.int64()),
        ("n_seeds", pa.int64()),
        *_REMARKS,
        run=False,
    ),
    # the declared claims: a row over all cells, and one a cell behind it
    "claims": _schema(
        ("claim", pa.string()),
        ("source", pa.string()),
        ("text", pa.string()),
        ("rule", pa.string()),
        ("side", pa.string()),
        ("bound", pa.float64()),
        ("holds", pa.string()),
        # null over all cells, as is what these do not have in common
        ("dataset", pa.string(), _NULLABLE),
        ("encoder", pa.string(), _NULLABLE),
        ("scorer", pa.string(), _NULLABLE),
        ("normalizer", pa.string(), _NULLABLE),
        ("measure", pa.string(), _NULLABLE),
        ("subject", pa.string(), _NULLABLE),
        ("reference", pa.string(), _NULLABLE),
        ("less", pa.string(), _NULLABLE),
        ("estimate", pa.float64(), _NULLABLE),
        *_INTERVAL,
        # null with fewer than three seeds
        ("p", pa.float64(), _NULLABLE),
        ("p_corrected", pa.float64(), _NULLABLE),
        ("verdict", pa.string()),
        # null for a cell
        ("n_cells", pa.int64(), _NULLABLE),
        ("n_supported", pa.int64(), _NULLABLE),
        ("n_contradicted", pa.int64(), _NULLABLE),
        ("n_undecided", pa.int64(), _NULLABLE),
        ("n_instances", pa.int64(), _NULLABLE),
        ("n_seeds", pa.int64(), _NULLABLE),
        ("note", pa.string(), _NULLABLE),
        # below the results, and the name of a figure
        ("evidence", pa.string()),
        ("figure", pa.string()),
        run=False,
    ),
    # explain: the instances of all runs, for figures that show them
    "explanation_points": _schema(
        ("instance_id", pa.string()),
        ("predicted", pa.int32()),
        ("max_attention", pa.float64()),
        ("measure", pa.string()),
        ("subject", pa.string()),
        ("reference", pa.string(), _NULLABLE),
        ("value", pa.float64(), _NULLABLE),
    ),
    # one's own texts: a row a token and what weighs it, attention or a method
    "explained": _schema(
        ("number", pa.int32()),
        ("instance_id", pa.string()),
        ("prediction", pa.string()),
        ("position", pa.int32()),
        ("token", pa.string()),
        ("subject", pa.string()),
        ("weight", pa.float32()),
    ),
    "task": _schema(
        # null for what belongs to the run as a whole
        ("split", pa.string(), _NULLABLE),
        ("metric", pa.string()),
        ("value", pa.float64(), _NULLABLE),
    ),
}

# Statistics over the experiments have the form of those over the measures.
SCHEMAS["explanation_summary"] = SCHEMAS["summary"]
SCHEMAS["explanation_comparison"] = SCHEMAS["comparison"]

# What the tables are: where each stands below the results, and what a row is about. The
# page of terms is made from these and from COLUMNS.
TABLES: dict[str, tuple[str, str]] = {
    "documents": ("raw/hub/{dataset}", "a text of the hub, as it came"),
    "examples": ("data/{dataset}/{split}", "a text"),
    "vocabulary": ("data/{dataset}/vocabulary", "a word of the training texts"),
    "encoded_pictures": ("raw/hub/{dataset}", "a picture of the hub, as it came"),
    "pictures": ("data/{dataset}/{split}", "a picture"),
    "channels": (
        "data/{dataset}/channels",
        "a colour channel of the training pictures",
    ),
    "history": ("models/{run}/history", "an epoch"),
    "attention": ("attributions/{run}/attention", "an audited text"),
    "importance": ("attributions/{run}/importance/{method}", "an audited text"),
    "influence": ("attributions/{run}/influence", "a text of the sample"),
    "heads": ("attributions/{run}/heads", "a text, layer and head"),
    "permutation": ("explanations/{run}/permutation", "a text and kind of shuffle"),
    "adversarial": ("explanations/{run}/adversarial", "a text and constraint"),
    "flips": ("explanations/{run}/flips", "a text, order of removal and draw"),
    "erasure": (
        "explanations/{run}/erasure and controls/{run}/erasure_{control}",
        "a text and ranking",
    ),
    "pairs": (
        "explanations/{run}/seed_variance and explanations/{run}/uniform",
        "a text and another run",
    ),
    "adversaries": (
        "adversaries/{run}/{divergence}/lambda{weight}/divergence",
        "a text and adversary",
    ),
    "measures": (
        "measures/{run} and explanations/{run}/measures and controls/{run}/{control} and "
        "controls/{run}/explanation_{control}",
        "a text and measure",
    ),
    "runs": ("statistics/runs", "a run of the grid"),
    "task": ("statistics/task", "a run and metric"),
    "summary": (
        "statistics/summary",
        "a cell of the grid, or control, and measure, over its runs",
    ),
    "comparison": (
        "statistics/comparison",
        "a difference of two cells, or controls, and a measure",
    ),
    "claims": ("statistics/claims", "a claim over all cells, or in one"),
    "recorded": (
        "statistics/recorded",
        "a number of a paper that the grid has one for",
    ),
    "agreement_examples": (
        "statistics/examples",
        "a text at either end of agreement with a method, in a cell, and a seed",
    ),
    "explained": (
        "explained/{run}/{name}",
        "a text, what is shown of it, and a position",
    ),
    "head_summary": ("statistics/head_summary", "a cell, layer, head and measure"),
    "explanation_summary": ("statistics/explanation_summary", "as in summary"),
    "explanation_comparison": ("statistics/explanation_comparison", "as in comparison"),
    "explanation_points": (
        "statistics/explanation_points",
        "a text, run and measure, for the figures that show texts",
    ),
    "diagnostics": ("statistics/diagnostics", "a guided model and metric"),
    "learning_curve": (
        "statistics/learning_curve",
        "a run with the reference normalizer, share of its training texts and metric",
    ),
}

# What a column holds, by its name; with its table before a dot where that is another
# thing than elsewhere.
COLUMNS: dict[str, str] = {
    "dataset": "name of the data set",
    "encoder": "name of the encoder",
    "scorer": "name of the scorer",
    "normalizer": "name of the normalizer, or of what stands in its place as a control",
    "seed": "seed of the run",
    "instance_id": "hash of the whole text, the same in every set that holds it",
    "cluster_id": "what texts share that are not independent, which statistics sample "
    "together; the instance itself where it stands alone",
    "length": "tokens of the text, after the cut",
    "label": "the class, as its place in `label_names` of the card",
    "predicted": "the class that the model predicts",
    "split": "train, dev or test; null for what belongs to a run as a whole",
    "support": "positions with weight",
    "entropy": "of the weights, in nats; null without any weight",
    "scores": "a score a position, before the normalizer",
    "attention": "a weight a position",
    "max_attention": "the largest weight",
    "measure": "what is measured, see above",
    "subject": "what it is measured of: attention, a method, ...",
    "reference": "what that is held against: a method, an experiment; null where nothing",
    "value": "the value; null where it is undefined",
    "metric": "the score: accuracy, macro_f1, loss, ...",
    "mean": "over all defined values of texts and seeds",
    "low": "lower end of the interval",
    "high": "upper end of the interval",
    "interval_over": '"instances and seeds", "instances and pairs of seeds", or "instances" '
    "with one seed or pair",
    "interval_method": "moderated, random_effects, jackknife, seed_means or one_sample, see "
    "[statistics.md](statistics.md)",
    "standard_error": "of the mean, the difference or the estimate, by the model of the interval",
    "df": "degrees of freedom of the interval; infinite where nothing varies",
    "recorded": "the number in the paper",
    "recorded.source": "the paper, and the place in it",
    "recorded.low": "lower end of the interval of the difference",
    "recorded.high": "upper end of the interval of the difference",
    "recorded.difference": "ours less the recorded one",
    "beyond": "whether that interval leaves out 0",
    "sd_instances": "standard deviation over texts of their means over seeds",
    "sd_seeds": "standard deviation over seeds of their means over texts; null of pairs of "
    "seeds",
    "n_instances": "texts with a value",
    "n_clusters": "of these, that are independent: clusters, which sample as one",
    "n_seeds": "seeds with a value",
    "n_undefined": "pairs of text and seed without a value",
    "note": "what has to be known to read the row; null where nothing has",
    "by_construction": "why the row is in part a matter of arithmetic; null where not",
    "layer": "of self-attention, from 0",
    "head": "in its layer, from 0",
    "method": "name of the method",
    "path": "folder of the run below that of a stage",
    "weight": "of the divergence in the loss, lambda",
    "tvd": "total variation distance of the outputs",
    "jsd": "Jensen-Shannon divergence of the attention; null without any weight",
    "kind": "what changes place: all weights; those of the support among each other, or with zeros (border), at equal mass; null_support and null_border, the same of weights placed at random",
    "difference": "of the means, the normalizer less the baseline",
    "documents.split": "ours: train, dev, test, or all for what is in none yet",
    "documents.text": "the text; null where the source has none",
    "documents.label": "the label as the source has it; null where it has none",
    "examples.tokens": "the tokens that a model reads",
    "examples.token_ids": "their places in the vocabulary",
    "examples.text": "the whole text, as it was read",
    "vocabulary.token_id": "its place; 0 is padding, 1 what is unknown",
    "vocabulary.token": "the word",
    "vocabulary.count": "how often the training texts have it",
    "vocabulary.vector": "its pretrained vector; null without one",
    "origin": "where the picture stands in its source: its file, or its place in one",
    "encoded_pictures.split": "ours: train, dev, test, or all for what is in none yet",
    "encoded_pictures.label": "the label as the source has it; null where it has none",
    "encoded_pictures.encoded": "the bytes of its file",
    "pictures.instance_id": "hash of the picture's pixels as the source has them, the same "
    "in every set that holds it",
    "pictures.cluster_id": "the instance itself: each picture stands alone",
    "pictures.pixels": "0 to 255, as a model reads them before they are normalized: row by "
    "row, the channels of a pixel together",
    "pictures.height": "in pixels",
    "pictures.width": "in pixels",
    "pictures.channels": "values a pixel: 1 of grey, 3 of red, green and blue",
    "pictures.gold": "whether a pixel belongs to what matters, row by row; null where "
    "nobody says, or all pixels are alike",
    "channels.channel": "grey, or red, green and blue, from 0",
    "channels.mean": "over all pixels of the training pictures, 255 being 1",
    "channels.sd": "over all pixels of the training pictures, 255 being 1",
    "channels.mean_picture": "mean over the training pictures, a value a pixel, row by row",
    "history.epoch": "from 1",
    "history.train_loss": "mean cross-entropy over the epoch",
    "history.dev_loss": "cross-entropy on dev",
    "history.dev_accuracy": "accuracy on dev",
    "history.dev_macro_f1": "mean over classes of F1 on dev",
    "history.alpha": "every learned alpha after the epoch, in the order of metrics.json",
    "history.best": "whether this epoch is kept",
    "attention.probabilities": "one a class",
    "importance.importance": "one value a position, not negative, not normalized",
    "influence.dispersion": "of the inputs' influence, one value a hidden state",
    "influence.coindexed_share": "of the own input, one value a hidden state",
    "influence.coindexed_rank": "of the own input, from 1, one value a hidden state",
    "influence.matrix": "norms by hidden state and input; kept for a few texts",
    "heads.sparsity": "share of pairs of query and key with a weight of exactly 0",
    "heads.support": "mean number of keys with weight",
    "heads.null": "share of queries without any weight",
    "heads.entropy": "mean over queries, in nats; null without any weight",
    "heads.divergence": "mean KL divergence, in nats, from the mean of the heads",
    "permutation.moved_mass": "share of the weight that stands elsewhere, mean over draws",
    "permutation.difference": "median change of the output; null where nothing moves",
    "adversarial.constraint": "none, or support: no larger than the model's own",
    "adversarial.found": "whether other weights with the same output were found",
    "adversarial.divergence": "the largest found, in nats; by enumeration where the support is small; null without any weight",
    "adversarial.output_difference": "of the class probabilities, summed",
    "adversarial.attention": "the farthest weights, or the model's own",
    "flips.order": "of removal: attention, attention_gradient or random",
    "flips.draw": "of a random order, from 0; 0 for the others",
    "flips.removed": "weights until the decision flips; null where it never does",
    "flips.never": "whether the decision stands as long as any weight is left; null where fewer than two positions have weight",
    "erasure.subject": "what ranks the tokens: attention, a method, random",
    "erasure.support": "positions with attention, which ranks no more tokens than that: "
    "what a share of more of them takes besides is drawn at random",
    "erasure.shares": "shares of the tokens of the text",
    "erasure.comprehensiveness": "a value a share of tokens",
    "erasure.sufficiency": "a value a share of tokens",
    "erasure.comprehensiveness_at_support": "of as many tokens as the support; null where that is none or all",
    "erasure.sufficiency_at_support": "of as many tokens as the support; null where that is none or all",
    "pairs.other_normalizer": "that of the other run",
    "pairs.other_seed": "that of the other run",
    "pairs.gain": "1 where this run alone is right, -1 where the other is, else 0",
    "adversaries.paper_weight": "lambda on the scale of Wiegreffe & Pinter 2019, half of ours; null with more than two classes",
    "adversaries.trained_on": "the divergence in the loss: jsd, kl_run_adversary or kl_adversary_run",
    "adversaries.correct": "whether the adversary predicts the label",
    "adversaries.kl_run_adversary": "KL(run ‖ adversary), of the run's attention from the adversary's; null where infinite",
    "adversaries.kl_adversary_run": "KL(adversary ‖ run), of the adversary's attention from the run's, the paper's; null where infinite",
    "agreement_examples.extreme": "worst, where they agree least, or best",
    "agreement_examples.rank": "place there, from 1",
    "agreement_examples.mean": "Kendall's tau-b over seeds, by which the text is chosen",
    "agreement_examples.value": "that of this seed; null where undefined",
    "agreement_examples.tokens": "the tokens that a model reads",
    "agreement_examples.label": "name of the class",
    "agreement_examples.predicted": "name of the class that the model predicts",
    "agreement_examples.attended": "tokens with the largest weights, largest first",
    "agreement_examples.important": "tokens with the largest importance, largest first",
    "explained.number": "the text's place among those that were given, from 0",
    "explained.prediction": "name of the class",
    "explained.position": "of the token, from 0",
    "explained.token": "what stands there",
    "explained.subject": "attention, or a method",
    "explained.weight": "its weight, or importance, not normalized",
    "comparison.baseline": "what it is compared with: the reference normalizer, or a control",
    "comparison.contrast": "normalizer, less the reference one; cut: the control cut to a "
    "normalizer, less the reference; beyond_cut: the normalizer less that control; scores: the "
    "control under softmax, less the reference; zeros: the normalizer less that control",
    "comparison.seed_low": "the smallest difference of a single seed",
    "comparison.seed_high": "the largest difference of a single seed",
    "comparison.seed_signs": "sign of the difference of each seed, in their order",
    "comparison.p": "of no difference, by the model of the interval; null with fewer than "
    "three seeds",
    "comparison.p_corrected": "for the family",
    "comparison.smallest_effect": "the smallest difference of interest, of the config",
    "comparison.p_equivalence": "of a difference as large as that or larger (TOST); null as p",
    "comparison.p_equivalence_corrected": "for the family",
    "comparison.verdict": "different, equivalent, negligible (both) or undecided, by corrected "
    "p values; null as p",
    "comparison.detectable": "the smallest difference that an uncorrected test finds with a "
    "power of .8; null as p",
    "comparison.correction": "by which method",
    "comparison.family": "what the comparisons that are corrected together have in common",
    "comparison.family_size": "how many of them have a p value",
    "comparison.rank_biserial": "matched-pairs rank-biserial correlation, -1 to 1",
    "comparison.cohens_d": "mean over standard deviation of the differences",
    "claims.claim": "name of the entry in workflow/claims.yaml",
    "claims.source": "the paper and its section",
    "claims.text": "the claim in a sentence",
    "claims.rule": "what has to hold of the estimate",
    "claims.side": "below or above the bound, within it of 0, or outside of it",
    "claims.bound": "in the unit of the measure",
    "claims.holds": "on_average over the cells, or somewhere, in one at least",
    "claims.less": "what is taken off: a reference normalizer, or other names of the same cell; "
    "null where nothing is",
    "claims.estimate": "the mean or the difference that decides; over all cells their mean, "
    "each of one weight",
    "claims.interval_over": 'as in the table of the estimate, or "seeds" of a score',
    "claims.interval_method": "as in the table of the estimate; pooled over cells, see "
    "[statistics.md](statistics.md)",
    "claims.p": "of the nearer side of the bound, doubled; null with fewer than three seeds",
    "claims.p_corrected": "over the cells of the claim; over all cells, where there is one "
    "question, as p",
    "claims.verdict": "supported, contradicted or undecided; not tested where the grid has no "
    "row for it",
    "claims.n_cells": "rows of the claim that are not by construction; null for a cell",
    "claims.n_supported": "cells that support it; null for a cell",
    "claims.n_contradicted": "cells that contradict it; null for a cell",
    "claims.n_undecided": "the others; null for a cell",
    "claims.n_instances": "texts with a value; over all cells, of the cell with fewest; null of "
    "scores",
    "claims.n_seeds": "seeds with a value; over all cells, of the cell with fewest",
    "claims.evidence": "the table that the estimate is from",
    "claims.figure": "the figure that shows its rows",
    "head_summary.measure": "a column of the table heads",
    "head_summary.head": "in its layer, from 0; null for the layer as a whole",
    "learning_curve.share": "of the training texts; 1 for the run itself",
    "learning_curve.n_train": "how many texts that is",
    "diagnostics.guide": "whose weights: learned, uniform, attention, adversary",
}


def meaning(table: str, column: str) -> str:
    """What a column of a table holds; empty where nobody says."""
    same = {"explanation_comparison": "comparison", "explanation_summary": "summary"}
    named = f"{same.get(table, table)}.{column}"
    return COLUMNS.get(named, COLUMNS.get(column, ""))
