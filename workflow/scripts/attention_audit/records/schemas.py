"""The contract between stages: the schema of every Parquet table of the pipeline.

A job depends on the schemas of the tables that it reads and writes, by name, and not
on this module as a whole: see `provenance.code_digest`. What they hold is told in
`meanings`.
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
_strings = pa.list_(pa.string())
_ids = pa.list_(pa.int32())
# of a token of the source and one of the target, from 0
_links = pa.list_(pa.struct([("source", pa.int32()), ("target", pa.int32())]))
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

_TESTS = [
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
]

_LINK_COUNTS = [
    # how links are made of weights; of a ranking none are, and there are no counts
    ("links", pa.string()),
    ("threshold", pa.float64(), _NULLABLE),
    # what the same came to on the dev pairs; null where nobody aligned any
    ("on_dev", pa.float64(), _NULLABLE),
    ("found", pa.int64(), _NULLABLE),
    ("sure", pa.int64(), _NULLABLE),
    ("found_sure", pa.int64(), _NULLABLE),
    ("found_possible", pa.int64(), _NULLABLE),
    ("average_precision", pa.float64(), _NULLABLE),
]

# What corpus figures of alignment are of.
_ALIGNED = [
    ("dataset", pa.string()),
    # null of floors
    ("encoder", pa.string(), _NULLABLE),
    ("scorer", pa.string(), _NULLABLE),
    ("normalizer", pa.string(), _NULLABLE),
    ("subject", pa.string()),
    # null where it is no head, and all layers of means
    ("layer", pa.int32(), _NULLABLE),
    ("head", pa.int32(), _NULLABLE),
    # null of floors, which are the same of both
    ("step", pa.string(), _NULLABLE),
    ("links", pa.string()),
    ("measure", pa.string()),
]

# What scores of reactions are of.
_REACTED = [
    ("dataset", pa.string()),
    # null of floors
    ("encoder", pa.string(), _NULLABLE),
    ("scorer", pa.string(), _NULLABLE),
    ("normalizer", pa.string(), _NULLABLE),
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
        ("rationale", pa.list_(pa.list_(pa.int32())), _NULLABLE),
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
        ("gold", pa.list_(pa.bool_()), _NULLABLE),
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
        ("height", pa.int32()),
        ("width", pa.int32()),
        # the side of a patch in pixels
        ("patch", pa.int32()),
        ("mean", pa.float64()),
        ("sd", pa.float64()),
        # a value a pixel
        ("mean_picture", _floats),
        run=False,
    ),
    # fetch: sentence pairs of the hub, as they came
    "parallel_texts": _schema(
        ("split", pa.string()),
        ("source", pa.string()),
        ("target", pa.string()),
        ("alignment", pa.string(), _NULLABLE),
        ("group", pa.string(), _NULLABLE),
        run=False,
    ),
    # a row a sentence pair; a token is a word or a piece of one
    "sentence_pairs": _schema(
        ("dataset", pa.string()),
        ("instance_id", pa.string()),
        ("cluster_id", pa.string()),
        ("source_tokens", _strings),
        ("target_tokens", _strings),
        ("source_ids", _ids),
        ("target_ids", _ids),
        ("source_length", pa.int32()),
        ("target_length", pa.int32()),
        # null where nobody aligned the pair
        ("sure", _links, _NULLABLE),
        ("possible", _links, _NULLABLE),
        # a value a source token; null where the source tells of none
        ("source_classes", _strings, _NULLABLE),
        ("group", pa.string(), _NULLABLE),
        ("origin", pa.string()),
        run=False,
    ),
    # a row a side
    "pair_vocabulary": _schema(
        ("dataset", pa.string()),
        ("side", pa.string()),
        # by id, from 0, and how often the training pairs have them
        ("tokens", _strings),
        ("counts", pa.list_(pa.int64())),
        # what cuts words into pieces; null where tokens are words
        ("pieces_model", pa.binary(), _NULLABLE),
        run=False,
    ),
    # a row a recording; its moments and seconds are in order
    "recordings": _schema(
        ("dataset", pa.string()),
        ("instance_id", pa.string()),
        ("cluster_id", pa.string()),
        ("recording", pa.string()),
        ("group", pa.string(), _NULLABLE),
        # a value a moment of the grid: whether its features are known
        ("known", pa.list_(pa.bool_())),
        # a list a stream, in the order of the reading: moments x values of the stream
        ("streams", pa.list_(_floats)),
        # a value a decision: the second of the recording
        ("seconds", _ids),
        # seconds x reactions: as a model is to predict them, and as the source has them
        ("targets", _floats),
        ("reactions", _floats),
        # seconds x reactions; null where reactions are no events
        ("events", pa.list_(pa.bool_()), _NULLABLE),
        ("origin", pa.string()),
        run=False,
    ),
    # a row a stream or reaction
    "recording_reading": _schema(
        ("dataset", pa.string()),
        # "stream" or "reaction"
        ("kind", pa.string()),
        ("name", pa.string()),
        ("size", pa.int32()),
        # of the training recordings: what is taken from each value, and what it is then
        # divided by
        ("center", _floats),
        ("scale", _floats),
        # how moments are sampled for a decision
        ("rate", pa.float64()),
        ("span", pa.float64()),
        ("side", pa.string()),
        # one second in so many is a decision: to learn from, and of an audited recording
        ("train_every", pa.int32()),
        ("audit_every", pa.int32()),
        run=False,
    ),
    # train
    "history": _schema(
        ("epoch", pa.int32()),
        ("train_loss", pa.float64()),
        ("dev_loss", pa.float64()),
        # of classes; null of scores, and the other way round
        ("dev_accuracy", pa.float64(), _NULLABLE),
        ("dev_macro_f1", pa.float64(), _NULLABLE),
        ("dev_pearson", pa.float64(), _NULLABLE),
        ("dev_concordance", pa.float64(), _NULLABLE),
        # every learned alpha after the epoch, in the order of model.learned_alphas,
        # which metrics.json names; null where none is learned
        ("alpha", pa.list_(pa.float64()), _NULLABLE),
        ("best", pa.bool_()),
    ),
    # attribute: a row an instance, lists as long as the input or, of hidden states, as
    # there are of these
    "attention": _schema(
        ("instance_id", pa.string()),
        ("length", pa.int32()),
        # null of scores, which are no classes
        ("label", pa.int32(), _NULLABLE),
        ("predicted", pa.int32(), _NULLABLE),
        # of scores what they are to be; null of classes
        ("targets", _floats, _NULLABLE),
        ("probabilities", _floats),
        # what the normalizer makes the attention of
        ("scores", _floats),
        ("attention", _floats),
        ("support", pa.int32()),
        # null where no position has any weight
        ("entropy", pa.float32(), _NULLABLE),
        # a value an input: the hidden state in whose cell it lies, null where state i
        # stands at input i; whether it is marked, and how much a guess would have it
        # matter, null where nobody marks or guesses
        ("cell", pa.list_(pa.int32()), _NULLABLE),
        ("gold", pa.list_(pa.bool_()), _NULLABLE),
        ("guess", _floats, _NULLABLE),
        # a value an input, in seconds from the decision; null where inputs have no times
        ("times", _floats, _NULLABLE),
    ),
    "importance": _schema(
        ("method", pa.string()),
        ("instance_id", pa.string()),
        ("length", pa.int32()),
        ("importance", _floats),
        # null of a method that promises no sum
        ("completeness_error", pa.float64(), _NULLABLE),
    ),
    "influence": _schema(
        ("instance_id", pa.string()),
        ("length", pa.int32()),
        # one value a hidden state
        ("dispersion", _floats),
        ("coindexed_share", _floats),
        ("coindexed_rank", pa.list_(pa.int32())),
        # null where inputs lie on no grid
        ("distance", _floats, _NULLABLE),
        # (hidden state, input) norms; kept for a few instances only
        ("matrix", pa.list_(_floats), _NULLABLE),
        # standard errors, null where norms are exact
        ("dispersion_error", _floats, _NULLABLE),
        ("coindexed_share_error", _floats, _NULLABLE),
        ("distance_error", _floats, _NULLABLE),
        ("matrix_error", pa.list_(_floats), _NULLABLE),
    ),
    # a row an (instance, kind of attention, layer, head); see attribution.heads. Null
    # where no query has a distribution
    "heads": _schema(
        ("instance_id", pa.string()),
        ("length", pa.int32()),
        # of attention: "encoder", "decoder" or "cross"
        ("kind", pa.string()),
        ("layer", pa.int32()),
        ("head", pa.int32()),
        ("sparsity", pa.float64()),
        ("support", pa.float64()),
        ("null", pa.float64()),
        ("entropy", pa.float64(), _NULLABLE),
        ("divergence", pa.float64(), _NULLABLE),
    ),
    # a row a (sentence pair, kind of attention, layer, head, class of words)
    "null_queries": _schema(
        ("instance_id", pa.string()),
        ("kind", pa.string()),
        ("layer", pa.int32()),
        ("head", pa.int32()),
        ("word_class", pa.string()),
        ("queries", pa.int64()),
        ("null", pa.int64()),
    ),
    # a row an (instance, merging) of a pyramid that samples where learned offsets point;
    # see models.merging
    "offsets": _schema(
        ("instance_id", pa.string()),
        ("length", pa.int32()),
        ("merging", pa.int32()),
        # of the grid that is merged
        ("rows", pa.int32()),
        ("columns", pa.int32()),
        # a value a sampling point, four a cell, in tokens of that grid
        ("down", _floats),
        ("right", _floats),
    ),
    # a row a (sentence pair, subject, step, way to make links) that somebody aligned
    "alignment": _schema(
        ("instance_id", pa.string()),
        ("subject", pa.string()),
        # null of what is no head of another layer than that of the audits
        ("layer", pa.int32(), _NULLABLE),
        ("head", pa.int32(), _NULLABLE),
        ("step", pa.string()),
        *_LINK_COUNTS,
    ),
    # the same of what has seen no model
    "alignment_floors": _schema(
        ("dataset", pa.string()),
        ("instance_id", pa.string()),
        ("subject", pa.string()),
        *_LINK_COUNTS,
        run=False,
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
    # importance beside that of the same model with parameters drawn anew
    "randomized": _schema(
        ("instance_id", pa.string()),
        # positions that are ranked
        ("length", pa.int32()),
        # what ranks them: attention or a method
        ("subject", pa.string()),
        # down to where parameters are random
        ("stage", pa.string()),
        # null where either importance is constant
        ("tau_b", pa.float64(), _NULLABLE),
    ),
    # two runs side by side: seeds, or frozen uniform weights
    "pairs": _schema(
        ("instance_id", pa.string()),
        ("other_normalizer", pa.string()),
        ("other_seed", pa.int64()),
        ("jsd", pa.float64(), _NULLABLE),
        ("tvd", pa.float64()),
        # 1 where this run alone is right, -1 where the other is, else 0; null of scores
        ("gain", pa.float64(), _NULLABLE),
    ),
    # models trained to match the outputs of a run, away from its attention
    "adversaries": _schema(
        # of the divergence in the loss: lambda
        ("weight", pa.float64()),
        ("paper_weight", pa.float64(), _NULLABLE),
        ("trained_on", pa.string()),
        ("instance_id", pa.string()),
        # null of scores
        ("correct", pa.bool_(), _NULLABLE),
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
        ("value", pa.float64(), _NULLABLE),
    ),
    # scores of runs on shares of their training texts, and on all of them
    "learning_curve": _schema(
        ("share", pa.float64()),
        ("n_train", pa.int64()),
        ("split", pa.string()),
        ("metric", pa.string()),
        ("value", pa.float64(), _NULLABLE),
    ),
    # what a run's model costs: what it does, which the same files always give
    "sizes": _schema(
        ("parameters", pa.int64()),
        ("trainable_parameters", pa.int64()),
        ("multiply_adds", pa.float64()),
        ("n_instances", pa.int64()),
    ),
    # and how fast it does it. It is measured, and so differs from one time to the next and
    # between machines: nothing is made of it but what shows it, a figure and the report
    "speed": _schema(
        ("decisions_per_second", pa.float64()),
        ("slowest", pa.float64()),
        ("fastest", pa.float64()),
        ("n_rounds", pa.int64()),
        ("n_instances", pa.int64()),
    ),
    # translators: how fast they learn and translate, measured as "speed" is
    "translation_speed": _schema(
        # training or decoding
        ("of", pa.string()),
        ("words_per_second", pa.float64()),
        ("slowest", pa.float64()),
        ("fastest", pa.float64()),
        # to the run with the reference normalizer; null without one
        ("ratio", pa.float64(), _NULLABLE),
        ("n_rounds", pa.int64()),
        ("n_words", pa.int64()),
    ),
    # translate: a row a sentence pair of the test split and beam
    "translations": _schema(
        ("instance_id", pa.string()),
        ("origin", pa.string()),
        # words between spaces, as they were prepared
        ("source", pa.string()),
        ("reference", pa.string()),
        # 1 for greedy search
        ("beam", pa.int32()),
        ("hypothesis", pa.string()),
        ("length", pa.int32()),
        ("log_probability", pa.float64()),
        ("score", pa.float64()),
        ("ended", pa.bool_()),
    ),
    "translation_scores": _schema(
        ("beam", pa.int32()),
        ("metric", pa.string()),
        ("value", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        # sacrebleu's, of how the score was computed
        ("signature", pa.string()),
        ("n_instances", pa.int64()),
        ("n_resamples", pa.int64()),
    ),
    # react: a row a second of each recording of the test split, a value a reaction
    "reaction_predictions": _schema(
        ("instance_id", pa.string()),
        ("recording", pa.string()),
        ("second", pa.int32()),
        ("outputs", _floats),
        ("targets", _floats),
        # null where reactions are no events
        ("events", pa.list_(pa.bool_()), _NULLABLE),
        # a value a moment; null but of the first recordings
        ("attention", _floats, _NULLABLE),
        ("times", _floats, _NULLABLE),
    ),
    # a row a (recording, reaction, metric and what it is of); null where undefined
    "reaction_scores": _schema(
        *_REACTED,
        ("seed", pa.int64(), _NULLABLE),
        # "model", or a floor: "base_rate" or "last_seconds"
        ("subject", pa.string()),
        ("recording", pa.string()),
        ("reaction", pa.string()),
        ("metric", pa.string()),
        ("value", pa.float64(), _NULLABLE),
        run=False,
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
    # compare: a row a picture, run and subject, with the picture
    "picture_examples": _schema(
        ("instance_id", pa.string()),
        ("label", pa.string()),
        ("predicted", pa.string()),
        ("subject", pa.string()),
        # of the grid of patches
        ("rows", pa.int32()),
        ("columns", pa.int32()),
        # a value a patch, row by row, not normalized
        ("weights", _floats),
        ("gold", pa.list_(pa.bool_()), _NULLABLE),
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("channels", pa.int32()),
        ("pixels", pa.list_(pa.uint8())),
    ),
    # compare: a row a sentence pair, run and subject
    "alignment_examples": _schema(
        ("instance_id", pa.string()),
        ("subject", pa.string()),
        ("source_tokens", _strings),
        ("target_tokens", _strings),
        # a value a target and source token, the source tokens of a target token together
        ("weights", _floats),
        ("sure", pa.list_(pa.bool_())),
        ("possible", pa.list_(pa.bool_())),
    ),
    "head_summary": _schema(
        ("dataset", pa.string()),
        ("encoder", pa.string()),
        ("scorer", pa.string()),
        ("normalizer", pa.string()),
        ("kind", pa.string()),
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
    # over sentence pairs and seeds, the queries of all heads of a layer together
    "null_summary": _schema(
        ("dataset", pa.string()),
        ("encoder", pa.string()),
        ("scorer", pa.string()),
        ("normalizer", pa.string()),
        ("kind", pa.string()),
        # null for all
        ("layer", pa.int32(), _NULLABLE),
        ("word_class", pa.string(), _NULLABLE),
        ("mean", pa.float64(), _NULLABLE),
        *_INTERVAL,
        ("sd_seeds", pa.float64(), _NULLABLE),
        ("n_queries", pa.int64()),
        ("n_instances", pa.int64()),
        ("n_seeds", pa.int64()),
        ("n_undefined", pa.int64()),
        ("note", pa.string(), _NULLABLE),
        run=False,
    ),
    # over the pictures of a run; null where there is one
    "offset_summary": _schema(
        ("merging", pa.int32()),
        ("rows", pa.int32()),
        ("columns", pa.int32()),
        ("cell", pa.int32()),
        ("point", pa.int32()),
        # where the point lies at rest
        ("row", pa.int32()),
        ("column", pa.int32()),
        ("down", pa.float64()),
        ("right", pa.float64()),
        ("distance", pa.float64()),
        ("sd_down", pa.float64(), _NULLABLE),
        ("sd_right", pa.float64(), _NULLABLE),
        ("sd_distance", pa.float64(), _NULLABLE),
        ("n_instances", pa.int64()),
    ),
    # of all sentence pairs together; null where undefined
    "alignment_summary": _schema(
        *_ALIGNED,
        ("mean", pa.float64(), _NULLABLE),
        *_INTERVAL,
        ("sd_seeds", pa.float64(), _NULLABLE),
        ("n_instances", pa.int64()),
        ("n_seeds", pa.int64()),
        ("n_undefined", pa.int64()),
        ("note", pa.string(), _NULLABLE),
        run=False,
    ),
    "alignment_comparison": _schema(
        ("dataset", pa.string()),
        ("encoder", pa.string()),
        ("scorer", pa.string()),
        ("normalizer", pa.string()),
        ("baseline", pa.string()),
        ("subject", pa.string()),
        ("step", pa.string()),
        ("links", pa.string()),
        ("measure", pa.string()),
        ("difference", pa.float64(), _NULLABLE),
        *_INTERVAL,
        ("seed_low", pa.float64(), _NULLABLE),
        ("seed_high", pa.float64(), _NULLABLE),
        ("seed_signs", pa.string(), _NULLABLE),
        *_TESTS,
        ("n_instances", pa.int64()),
        ("n_seeds", pa.int64()),
        ("note", pa.string(), _NULLABLE),
        run=False,
    ),
    # over recordings, their reactions and seeds; null where undefined
    "reaction_summary": _schema(
        *_REACTED,
        ("subject", pa.string()),
        ("metric", pa.string()),
        # how moments are sampled for a decision, and how many at most
        ("rate", pa.float64()),
        ("span", pa.float64()),
        ("side", pa.string()),
        ("moments", pa.int64()),
        ("mean", pa.float64(), _NULLABLE),
        *_INTERVAL,
        ("sd_seeds", pa.float64(), _NULLABLE),
        ("n_recordings", pa.int64()),
        ("n_seeds", pa.int64()),
        ("n_undefined", pa.int64()),
        ("note", pa.string(), _NULLABLE),
        run=False,
    ),
    "reaction_comparison": _schema(
        ("dataset", pa.string()),
        ("encoder", pa.string()),
        ("scorer", pa.string()),
        ("normalizer", pa.string()),
        ("baseline", pa.string()),
        ("contrast", pa.string()),
        ("metric", pa.string()),
        ("difference", pa.float64(), _NULLABLE),
        *_INTERVAL,
        ("seed_low", pa.float64(), _NULLABLE),
        ("seed_high", pa.float64(), _NULLABLE),
        ("seed_signs", pa.string(), _NULLABLE),
        *_TESTS,
        ("n_recordings", pa.int64()),
        ("n_seeds", pa.int64()),
        ("note", pa.string(), _NULLABLE),
        run=False,
    ),
    # compare: a row a second, reaction and run of the first seed, of the recordings shown
    "reaction_episodes": _schema(
        ("recording", pa.string()),
        ("second", pa.int32()),
        ("reaction", pa.string()),
        ("target", pa.float32()),
        ("output", pa.float32()),
        # null where reactions are no events
        ("event", pa.bool_(), _NULLABLE),
        # a value a moment
        ("attention", _floats),
        ("times", _floats),
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
        *_TESTS,
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
        # null of scores
        ("predicted", pa.int32(), _NULLABLE),
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
    # report: a row an item that can be browsed, a row of an audited split; null of what its
    # modality has not
    "explorer_items": _schema(
        ("dataset", pa.string()),
        ("item", pa.string()),
        ("modality", pa.string()),
        ("name", pa.string(), _NULLABLE),
        # a value an input
        ("units", _strings, _NULLABLE),
        ("answers", _strings, _NULLABLE),
        # of the grid of patches
        ("rows", pa.int32(), _NULLABLE),
        ("columns", pa.int32(), _NULLABLE),
        ("height", pa.int32(), _NULLABLE),
        ("width", pa.int32(), _NULLABLE),
        ("channels", pa.int32(), _NULLABLE),
        ("pixels", pa.list_(pa.uint8()), _NULLABLE),
        run=False,
    ),
    # a row a run, decision and subject
    "explorer": _schema(
        ("item", pa.string()),
        ("instance_id", pa.string()),
        # attention, a method, "cut", "adversarial_{constraint}" or "influence"
        ("subject", pa.string()),
        ("weights", _floats),
        # of methods, with attention and with the cut
        ("agreement", pa.float64(), _NULLABLE),
        ("cut_agreement", pa.float64(), _NULLABLE),
        # of adversaries
        ("divergence", pa.float64(), _NULLABLE),
        # of attention, as is all that follows
        ("label", pa.string(), _NULLABLE),
        ("predicted", pa.string(), _NULLABLE),
        ("probability", pa.float32(), _NULLABLE),
        ("targets", _floats, _NULLABLE),
        ("outputs", _floats, _NULLABLE),
        ("support", pa.int32(), _NULLABLE),
        ("cell", pa.list_(pa.int32()), _NULLABLE),
        ("gold", pa.list_(pa.bool_()), _NULLABLE),
        ("times", _floats, _NULLABLE),
        ("removed", pa.int32(), _NULLABLE),
        ("never", pa.bool_(), _NULLABLE),
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
