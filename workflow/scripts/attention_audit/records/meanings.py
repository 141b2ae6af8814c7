"""What the tables and their columns hold, in words; the page of terms shows them."""

# What the tables are: where each stands below the results, and what a row is about. The
# page of terms is made from these and from COLUMNS.
TABLES: dict[str, tuple[str, str]] = {
    "documents": ("raw/hub/{dataset}", "a text of the hub, as it came"),
    "examples": ("data/{dataset}/{split}", "a text"),
    "vocabulary": ("data/{dataset}/reading", "a word of the training texts"),
    "encoded_pictures": ("raw/hub/{dataset}", "a picture of the hub, as it came"),
    "pictures": ("data/{dataset}/{split}", "a picture"),
    "channels": (
        "data/{dataset}/reading",
        "a colour channel of the training pictures",
    ),
    "parallel_texts": ("raw/hub/{dataset}", "a sentence pair of the hub, as it came"),
    "sentence_pairs": ("data/{dataset}/{split}", "a sentence pair"),
    "pair_vocabulary": ("data/{dataset}/reading", "a side of the sentence pairs"),
    "recordings": ("data/{dataset}/{split}", "a recording"),
    "recording_reading": (
        "data/{dataset}/reading",
        "a stream of features, or a reaction, of the recordings",
    ),
    "history": ("models/{run}/history", "an epoch"),
    "attention": ("attributions/{run}/attention", "an audited instance"),
    "importance": ("attributions/{run}/importance/{method}", "an audited instance"),
    "influence": ("attributions/{run}/influence", "an instance of the sample"),
    "heads": (
        "attributions/{run}/heads",
        "an instance, kind of attention, layer and head",
    ),
    "null_queries": (
        "attributions/{run}/null_queries",
        "a sentence pair, kind of attention, layer, head and class of words",
    ),
    "offsets": ("attributions/{run}/offsets", "a picture and merging"),
    "alignment": (
        "attributions/{run}/alignment",
        "a sentence pair, subject, step and way to make links",
    ),
    "alignment_floors": (
        "data/{dataset}/alignment_floors",
        "a sentence pair, floor and way to make links",
    ),
    "permutation": (
        "explanations/{run}/permutation",
        "an instance and kind of shuffle",
    ),
    "adversarial": ("explanations/{run}/adversarial", "an instance and constraint"),
    "flips": ("explanations/{run}/flips", "an instance, order of removal and draw"),
    "erasure": (
        "explanations/{run}/erasure and controls/{run}/erasure_{control}",
        "an instance and ranking",
    ),
    "randomized": (
        "explanations/{run}/randomized",
        "an instance, subject and stage of randomization",
    ),
    "pairs": (
        "explanations/{run}/seed_variance and explanations/{run}/uniform",
        "an instance and another run",
    ),
    "adversaries": (
        "adversaries/{run}/{divergence}/lambda{weight}/divergence",
        "an instance and adversary",
    ),
    "translations": (
        "translations/{run}",
        "a sentence pair of the test split and beam",
    ),
    "translation_scores": (
        "statistics/translation_scores",
        "a run, beam and metric, over the test split",
    ),
    "reaction_predictions": (
        "reactions/{run}",
        "a second of a recording of the test split",
    ),
    "reaction_scores": (
        "statistics/reaction_scores",
        "a run or floor, recording of the test split, reaction and metric",
    ),
    "measures": (
        "measures/{run} and explanations/{run}/measures and controls/{run}/{control} and "
        "controls/{run}/explanation_{control}",
        "an instance and measure",
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
    "alignment_summary": (
        "statistics/alignment_summary",
        "a cell or data set, subject, step, way to make links and measure, over all "
        "sentence pairs",
    ),
    "alignment_comparison": (
        "statistics/alignment_comparison",
        "a difference of two normalizers in one of these",
    ),
    "reaction_summary": (
        "statistics/reaction_summary",
        "a cell or floor and metric, over recordings, their reactions and seeds",
    ),
    "reaction_comparison": (
        "statistics/reaction_comparison",
        "a normalizer less the reference, or a cell less a floor, and a metric",
    ),
    "reaction_episodes": (
        "statistics/reaction_episodes",
        "a run of the first seed, a second of a recording that is shown, and a reaction",
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
    "picture_examples": (
        "statistics/picture_examples",
        "a run, a picture and what is laid over it",
    ),
    "alignment_examples": (
        "statistics/alignment_examples",
        "a run, a sentence pair and what weighs its words",
    ),
    "explorer_items": (
        "report/explorer_items",
        "an audited text, picture, sentence pair or recording that the report shows",
    ),
    "explorer": (
        "report/explorer",
        "a run, a decision on one of these, and what weighs its inputs",
    ),
    "head_summary": (
        "statistics/head_summary",
        "a cell, kind of attention, layer, head and measure",
    ),
    "null_summary": (
        "statistics/null_summary",
        "a cell, kind of attention, layer and class of words",
    ),
    "offset_summary": (
        "statistics/offset_summary",
        "a run, merging and sampling point, over its pictures",
    ),
    "explanation_summary": ("statistics/explanation_summary", "as in summary"),
    "explanation_comparison": ("statistics/explanation_comparison", "as in comparison"),
    "explanation_points": (
        "statistics/explanation_points",
        "an instance, run and measure, for the figures that show instances",
    ),
    "diagnostics": ("statistics/diagnostics", "a guided model and metric"),
    "learning_curve": (
        "statistics/learning_curve",
        "a run with the reference normalizer, share of its training examples and metric",
    ),
    "sizes": (
        "statistics/sizes",
        "a run: how large its model is, and what a decision takes",
    ),
    "speed": (
        "statistics/speed",
        "a run: how fast its model decides, on one thread; with translation_speed the one "
        "table that another time gives other numbers",
    ),
    "translation_speed": (
        "statistics/translation_speed",
        "a run of the first seed and what its translator does, on one thread",
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
    "instance_id": "hash of the whole text or picture, the same in every set that holds it",
    "cluster_id": "what instances share that are not independent, which statistics sample "
    "together; the instance itself where it stands alone",
    "length": "inputs: tokens of the text, after the cut, or patches of the picture",
    "label": "the class, as its place in `label_names` of the card; null where outputs are "
    "scores",
    "predicted": "the class that the model predicts; null where outputs are scores",
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
    "metric": "the score: accuracy, macro_f1, pearson, loss, ...",
    "mean": "over all defined values of instances and seeds",
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
    "sd_instances": "standard deviation over instances of their means over seeds",
    "sd_seeds": "standard deviation over seeds of their means over instances; null of pairs of "
    "seeds",
    "n_instances": "instances with a value",
    "n_clusters": "of these, that are independent: clusters, which sample as one",
    "n_seeds": "seeds with a value",
    "n_undefined": "pairs of instance and seed without a value",
    "note": "what has to be known to read the row; null where nothing has",
    "by_construction": "why the row is in part a matter of arithmetic; null where not",
    "layer": "of its kind of attention, from 0; of a pyramid through all stages that attend",
    "head": "in its layer, from 0",
    "method": "name of the method",
    "path": "folder of the run below that of a stage",
    "weight": "of the divergence in the loss, lambda",
    "tvd": "total variation distance of the outputs; of scores mean absolute difference",
    "jsd": "Jensen-Shannon divergence of the attention; null without any weight",
    "kind": "what changes place: all weights; those of the support among each other, or with zeros (border), at equal mass; null_support and null_border, the same of weights placed at random",
    "difference": "of the means, the normalizer less the baseline",
    "documents.split": "ours: train, dev, test, or all for what is in none yet",
    "documents.text": "the text; null where the source has none",
    "documents.label": "the label as the source has it; null where it has none",
    "documents.rationale": "what somebody marked, spans of characters, the end not within; null where nothing",
    "examples.tokens": "the tokens that a model reads",
    "examples.token_ids": "their places in the vocabulary",
    "examples.text": "the whole text, as it was read",
    "examples.gold": "whether somebody marked a token; null where nobody marked one of them",
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
    "channels.height": "of every picture, in pixels",
    "channels.width": "of every picture, in pixels",
    "channels.patch": "the side of a patch, in pixels",
    "channels.mean": "over all pixels of the training pictures, 255 being 1",
    "channels.sd": "over all pixels of the training pictures, 255 being 1",
    "channels.mean_picture": "mean over the training pictures, a value a pixel, row by row",
    "parallel_texts.split": "ours: train, dev, test, or all for what is in none yet",
    "parallel_texts.source": "the sentence that is translated",
    "parallel_texts.target": "its translation",
    "parallel_texts.alignment": "links of their words as text; null where nobody aligned",
    "parallel_texts.group": "what the pair shares with others; null where nobody says",
    "sentence_pairs.instance_id": "hash of the words of both sides, the same in every "
    "set that holds them",
    "sentence_pairs.cluster_id": "the sentence pair: its next words are decisions of "
    "one cluster",
    "sentence_pairs.source_tokens": "words, or pieces of them, of the sentence that is "
    "translated",
    "sentence_pairs.target_tokens": "words, or pieces of them, of its translation",
    "sentence_pairs.source_ids": "the source tokens' places in the source's vocabulary",
    "sentence_pairs.target_ids": "the target tokens' places in the target's vocabulary",
    "sentence_pairs.source_length": "source tokens",
    "sentence_pairs.target_length": "target tokens",
    "sentence_pairs.sure": "links that people are sure of: places of a source and a "
    "target token, from 0; null where nobody aligned the pair",
    "sentence_pairs.possible": "links that are possible and not sure; null where "
    "nobody aligned the pair",
    "sentence_pairs.source_classes": "the word class of each source token; null where "
    "the source tells of none",
    "sentence_pairs.group": "what pairs share that stay in one split, such as a "
    "chapter; null where each stands alone",
    "sentence_pairs.origin": "where the pair stands in its source",
    "pair_vocabulary.side": "source or target",
    "pair_vocabulary.tokens": "tokens by id: 0 is padding, 1 what is unknown, 2 and 3 the "
    "start and the end of a sentence",
    "pair_vocabulary.counts": "how often the training pairs have each token",
    "pair_vocabulary.pieces_model": "sentencepiece's model that cuts words into pieces; "
    "null where tokens are words",
    "recordings.instance_id": "hash of the recording's name",
    "recordings.cluster_id": "the recording: its seconds are decisions of one cluster",
    "recordings.recording": "the name that the source gives it",
    "recordings.group": "what recordings share, such as a season; null where nothing",
    "recordings.known": "whether the features of each moment are known; moments are as "
    "many a second as the sampling needs, one of them the middle of each second",
    "recordings.streams": "features of each stream, moment by moment, as they were measured",
    "recordings.seconds": "the seconds whose reactions are known, 0 for that from 0 to 1",
    "recordings.targets": "reactions of each second, smoothed, on the scale of the training "
    "recordings, from 0 to 1",
    "recordings.reactions": "reactions of each second as the source has them",
    "recordings.events": "whether a reaction happened in the second; null where reactions "
    "are no events",
    "recordings.origin": "where the recording stands in its source",
    "recording_reading.kind": "stream or reaction",
    "recording_reading.name": "of the stream or the reaction",
    "recording_reading.size": "values of a moment; 1 of a reaction",
    "recording_reading.center": "what is taken from each value: the mean of the training "
    "recordings' moments; 0 of a reaction",
    "recording_reading.scale": "what each value is then divided by: the standard deviation "
    "of these, or the largest smoothed reaction of the training recordings",
    "recording_reading.rate": "moments a second that a decision is made by",
    "recording_reading.span": "from the first to the last of them, in seconds",
    "recording_reading.side": "past, where none is after the decision's, or both",
    "recording_reading.train_every": "of a training or dev recording, every so many of its "
    "seconds with a known reaction are learned from, or stopped by",
    "recording_reading.audit_every": "of an audited recording, every so many of its seconds "
    "with a known reaction are audited",
    "history.epoch": "from 1",
    "history.train_loss": "mean loss over the epoch: cross-entropy, or what scores are learned "
    "by",
    "history.dev_loss": "the same on dev",
    "history.dev_accuracy": "accuracy on dev; null where outputs are scores",
    "history.dev_macro_f1": "mean over classes of F1 on dev; null where outputs are scores",
    "history.dev_pearson": "correlation with the true scores on dev, mean over recordings; null "
    "of classes",
    "history.dev_concordance": "Lin's concordance with the same; null of classes",
    "history.alpha": "every learned alpha after the epoch, in the order of metrics.json",
    "history.best": "whether this epoch is kept",
    "attention.probabilities": "the outputs: one a class, or a score each",
    "attention.targets": "what scores are to be; null of classes",
    "attention.cell": "the hidden state in whose cell an input lies, from 0, a value an "
    "input; null where state i stands at input i, as in texts",
    "attention.gold": "whether an input is marked as what matters; null where nobody says",
    "attention.guess": "how much somebody would guess an input to matter without a look, "
    "as the middle of a picture; null where nobody would",
    "attention.times": "seconds from the decision to an input, negative before it; null where "
    "inputs have no times",
    "importance.importance": "one value an input, or a hidden state where it is of these; "
    "not negative, not normalized",
    "importance.completeness_error": "how far the sum of the attributions is from the change "
    "of the output that they are to come to, the largest over outputs; null of a method that "
    "promises no sum",
    "influence.dispersion": "of the inputs' influence, summed over the cells of states, one "
    "value a hidden state",
    "influence.coindexed_share": "of the own input, or those of the own cell, one value a "
    "hidden state",
    "influence.coindexed_rank": "of the own input, or cell, from 1, one value a hidden state",
    "influence.distance": "how many inputs lie between the middle of the own cell and the "
    "centroid of the inputs' influence, one value a hidden state; null where inputs lie on "
    "no grid, as in texts",
    "influence.matrix": "norms by hidden state and input; kept for a few instances",
    "influence.dispersion_error": "standard error of `dispersion` where norms are estimated by "
    "probes, one value a hidden state; null where they are exact",
    "influence.coindexed_share_error": "standard error of `coindexed_share`, likewise",
    "influence.distance_error": "standard error of `distance`, likewise",
    "influence.matrix_error": "standard errors of `matrix`, likewise, by hidden state and input",
    "heads.instance_id": "as in attention; of a sentence pair its first step",
    "heads.kind": "of attention: encoder or decoder, of a sequence to itself, or cross, of the "
    "decoder to the encoder, whose last layer is the attention of the audits",
    "heads.sparsity": "share of pairs of query and key with a weight of exactly 0, where the "
    "query may attend to the key",
    "heads.support": "mean number of keys with weight; in a pyramid a layer has the keys of its stage",
    "heads.null": "share of queries without any weight",
    "heads.entropy": "mean over queries, in nats; null without any weight",
    "heads.divergence": "mean KL divergence, in nats, from the mean of the heads",
    "merging": "of a pyramid's stages, from 0, that of the patches",
    "offsets.rows": "of the grid of tokens that is merged",
    "offsets.columns": "of the grid of tokens that is merged",
    "offsets.down": "by how many tokens of that grid a sampling point moves, a value a point: "
    "cell by cell, of each the upper left and right, the lower left and right",
    "offsets.right": "the same, to the right",
    "offset_summary.rows": "of the grid of tokens that is merged",
    "offset_summary.columns": "of the grid of tokens that is merged",
    "offset_summary.cell": "the merged token, row by row, from 0",
    "offset_summary.point": "of the cell: upper left and right, lower left and right, from 0",
    "offset_summary.row": "of the point at rest, from 0; where a side is odd that of the last "
    "cells is beyond the grid",
    "offset_summary.column": "the same",
    "offset_summary.down": "by how many tokens the point moves, mean over pictures",
    "offset_summary.right": "the same, to the right",
    "offset_summary.distance": "how many tokens away it comes to lie, mean over pictures",
    "offset_summary.sd_down": "standard deviation over pictures; null of one",
    "offset_summary.sd_right": "standard deviation over pictures; null of one",
    "offset_summary.sd_distance": "standard deviation over pictures; null of one",
    "offset_summary.n_instances": "pictures",
    "alignment.instance_id": "the sentence pair",
    "alignment.subject": "attention, a method, or head: one of cross-attention in another "
    "layer. Weights are scaled to sum to one a step first",
    "alignment.layer": "of the decoder, from 0; null where the subject is no head",
    "alignment.head": "in its layer, from 0; null where the subject is no head",
    "step": "whose weights stand for a target word: predicts, of the step that predicts it, "
    "or reads, of the next, which reads it",
    "links": "how they are made of weights: argmax, the largest of a target word and those "
    "that equal it; support, all above 0; threshold, those that reach it. ranking: none are "
    "made, weights rank the source words",
    "threshold": "that with the least error rate on the dev pairs; null of other links, and "
    "where nothing there has weight",
    "on_dev": "error rate of the same links of all dev pairs together, or mean average "
    "precision; null where nobody aligned them",
    "found": "links that are made; null of a ranking",
    "sure": "links that people are sure of; null of a ranking",
    "found_sure": "links made that are sure; null of a ranking",
    "found_possible": "links made that are sure or possible; null of a ranking",
    "average_precision": "with which weights rank the sure links of the pair first; null of "
    "links, and where the pair has no sure link",
    "alignment_floors.instance_id": "the sentence pair",
    "alignment_floors.subject": "diagonal: one less the distance of the places of both words "
    "in their sentences; uniform; ibm_model_1: posterior of Brown et al. 1993 after 4 "
    "iterations over all splits, none for words that the empty word is likelier to give; "
    "diagonal_model_2, an aligner of reference: the same with the prior of Dyer et al. 2013 "
    "for words at the same place",
    "alignment_summary.encoder": "name of the encoder; null of floors",
    "alignment_summary.scorer": "name of the scorer; null of floors",
    "alignment_summary.normalizer": "name of the normalizer; null of floors",
    "alignment_summary.subject": "attention, a method, a head, mean_head (the mean of the "
    "figures of heads, of a layer or all), best_head (of each seed that with the best figure "
    "on dev) or a floor",
    "alignment_summary.layer": "of a head or a mean of its layer, from 0; else null",
    "alignment_summary.head": "in its layer, from 0; null where the subject is no head",
    "alignment_summary.step": "as in alignment; null of floors, which have no steps",
    "alignment_summary.measure": "error_rate (Och & Ney 2003), precision, recall or f1 of the "
    "links of all sentence pairs together, or average_precision, a mean over them",
    "alignment_summary.mean": "over seeds",
    "alignment_summary.sd_seeds": "standard deviation over seeds",
    "alignment_summary.n_instances": "sentence pairs",
    "alignment_summary.n_undefined": "pairs of sentence pair and seed without a value",
    "alignment_comparison.subject": "as in alignment_summary",
    "alignment_comparison.baseline": "the reference normalizer",
    "alignment_comparison.measure": "as in alignment_summary",
    "alignment_comparison.n_instances": "sentence pairs",
    "recording": "the name that the source gives it",
    "second": "of the recording, 0 for that from 0 to 1",
    "reaction": "its name",
    "reaction_predictions.instance_id": "that of the decision: the recording and the second",
    "reaction_predictions.outputs": "what the model predicts of each reaction, from 0 to 1",
    "reaction_predictions.targets": "what it is to predict: smoothed reactions, on the scale of "
    "the training recordings",
    "reaction_predictions.events": "whether each reaction happened in the second; null where "
    "reactions are no events",
    "reaction_predictions.attention": "a weight a moment that is sampled; null but of the "
    "first recordings, see `reactions.shown`",
    "reaction_predictions.times": "when these moments are, in seconds from the decision; null as "
    "attention",
    "reaction_scores.encoder": "name of the encoder; null of floors",
    "reaction_scores.scorer": "name of the scorer; null of floors",
    "reaction_scores.normalizer": "name of the normalizer; null of floors",
    "reaction_scores.seed": "seed of the run; null of floors",
    "reaction_scores.subject": "model; base_rate, a floor: what the training recordings have at "
    "that time after their start, smoothed; or last_seconds, a floor: the mean of the true "
    "reaction in the last seconds before the decision's",
    "reaction_scores.metric": "pearson, concordance (Lin 1989), or average_precision of finding "
    "the seconds in which the reaction happened",
    "reaction_scores.value": "0 where what is scored is constant; null where the truth is",
    "reaction_summary.encoder": "name of the encoder; null of floors",
    "reaction_summary.scorer": "name of the scorer; null of floors",
    "reaction_summary.normalizer": "name of the normalizer; null of floors",
    "reaction_summary.subject": "as in reaction_scores",
    "reaction_summary.metric": "as in reaction_scores",
    "reaction_summary.rate": "moments a second that a decision is made by",
    "reaction_summary.span": "from the first to the last of them, in seconds",
    "reaction_summary.side": "past, where none is after the decision's, or both",
    "reaction_summary.moments": "inputs of a decision, where the recording has them all",
    "reaction_summary.mean": "of each recording and reaction, then over these and seeds",
    "reaction_summary.sd_seeds": "standard deviation over seeds",
    "reaction_summary.n_undefined": "recordings, reactions and seeds without a value",
    "n_recordings": "recordings with a value, which sample as one with all their reactions",
    "reaction_comparison.baseline": "the reference normalizer, or a floor",
    "reaction_comparison.contrast": "normalizer, less the reference one; or floor, the model less "
    "a floor",
    "reaction_comparison.metric": "as in reaction_scores",
    "reaction_comparison.difference": "of the means, the model less the baseline",
    "reaction_episodes.target": "what the model is to predict",
    "reaction_episodes.output": "what it predicts",
    "reaction_episodes.event": "whether the reaction happened in the second; null where "
    "reactions are no events",
    "reaction_episodes.attention": "a weight a moment that is sampled",
    "reaction_episodes.times": "when these moments are, in seconds from the decision",
    "permutation.length": "hidden states, of a text as many as tokens",
    "permutation.moved_mass": "share of the weight that stands elsewhere, mean over draws",
    "permutation.difference": "median change of the output; null where nothing moves",
    "adversarial.length": "hidden states, of a text as many as tokens",
    "adversarial.constraint": "none, or support: no larger than the model's own",
    "adversarial.found": "whether other weights with the same output were found",
    "adversarial.divergence": "the largest found, in nats; by enumeration where the support is small; null without any weight",
    "adversarial.output_difference": "of the class probabilities or scores, summed",
    "adversarial.attention": "the farthest weights, or the model's own",
    "flips.length": "hidden states, of a text as many as tokens",
    "flips.order": "of removal: attention, attention_gradient or random",
    "flips.draw": "of a random order, from 0; 0 for the others",
    "flips.removed": "weights until the decision flips; null where it never does",
    "flips.never": "whether the decision stands as long as any weight is left; null where fewer than two positions have weight",
    "erasure.length": "hidden states, of a text as many as tokens; of a state with several "
    "inputs these are taken out together",
    "erasure.subject": "what ranks the tokens: attention, a method, random",
    "erasure.support": "positions with attention, which ranks no more tokens than that: "
    "what a share of more of them takes besides is drawn at random",
    "erasure.shares": "shares of the inputs",
    "erasure.comprehensiveness": "a value a share of tokens",
    "erasure.sufficiency": "a value a share of tokens",
    "erasure.comprehensiveness_at_support": "of as many tokens as the support; null where that is none or all",
    "erasure.sufficiency_at_support": "of as many tokens as the support; null where that is none or all",
    "randomized.length": "positions that are ranked: inputs, or of attention and importance "
    "of hidden states these",
    "randomized.subject": "what ranks them: attention or a method",
    "randomized.stage": "down to where parameters are drawn anew, from the output: output, "
    "pooling, encoder (of a translator decoder too), whole (embeddings too)",
    "randomized.tau_b": "Kendall's tau-b with the trained model's; null where either is "
    "constant",
    "pairs.other_normalizer": "that of the other run",
    "pairs.other_seed": "that of the other run",
    "pairs.gain": "1 where this run alone is right, -1 where the other is, else 0; null of "
    "scores",
    "adversaries.paper_weight": "lambda on the scale of Wiegreffe & Pinter 2019, half of ours; null with more than two classes, and of scores",
    "adversaries.trained_on": "the divergence in the loss: jsd, kl_run_adversary or kl_adversary_run",
    "adversaries.correct": "whether the adversary predicts the label; null of scores",
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
    "claims.n_instances": "instances with a value; over all cells, of the cell with fewest; null of "
    "scores",
    "claims.n_seeds": "seeds with a value; over all cells, of the cell with fewest",
    "claims.evidence": "the table that the estimate is from",
    "claims.figure": "the figure that shows its rows",
    "picture_examples.instance_id": "hash of the picture's pixels as the source has them",
    "picture_examples.label": "the class",
    "picture_examples.subject": "attention, or a method",
    "picture_examples.rows": "of the grid of patches",
    "picture_examples.columns": "of the grid of patches",
    "picture_examples.weights": "a value a patch, row by row; what hidden states have is "
    "spread evenly over their patches",
    "picture_examples.gold": "whether a patch is marked; null where nobody says",
    "picture_examples.height": "in pixels",
    "picture_examples.width": "in pixels",
    "picture_examples.channels": "values a pixel",
    "picture_examples.pixels": "0 to 255, row by row",
    "alignment_examples.instance_id": "the sentence pair",
    "alignment_examples.subject": "attention, or a method",
    "alignment_examples.source_tokens": "words, or pieces of them, of the sentence that is "
    "translated",
    "alignment_examples.target_tokens": "words, or pieces of them, of its translation",
    "alignment_examples.weights": "of the source tokens, for each target token in turn, in "
    "the step that predicts it; scaled to sum to one a step",
    "alignment_examples.sure": "whether a link of the two is sure, in the same order",
    "alignment_examples.possible": "whether a link of the two is possible and not sure",
    "item": "the instance_id of its row in the audited split",
    "modality": "what the data set is of: text, images, translation, reactions, or one's own",
    "explorer_items.name": "what its source calls it; null of texts and pictures",
    "explorer_items.units": "what its inputs are: words, in order; null where they have no "
    "words",
    "explorer_items.answers": "words of the translation, or names of the reactions; null of "
    "texts and pictures",
    "explorer_items.rows": "of the grid of patches; null of what is no picture",
    "explorer_items.columns": "of the grid of patches; null of what is no picture",
    "explorer_items.height": "in pixels; null of what is no picture",
    "explorer_items.width": "in pixels; null of what is no picture",
    "explorer_items.channels": "values a pixel; null of what is no picture",
    "explorer_items.pixels": "0 to 255, row by row; null of what is no picture",
    "explorer.instance_id": "that of the decision, as in attention",
    "explorer.subject": "attention; a method; cut, the reference's attention in as many places "
    "as the run's own; adversarial_none and adversarial_support, the farthest weights with the "
    "same output, by constraint; or influence",
    "explorer.weights": "a value an input or hidden state, as it stands in the run's tables; of "
    "influence, of every input for each hidden state in turn",
    "explorer.agreement": "of a method: Kendall's tau-b of attention with it, null where it is "
    "undefined; null of all else",
    "explorer.cut_agreement": "of a method: Kendall's tau-b of the cut control with it; null "
    "where there is no such control, or it is undefined, and of all else",
    "explorer.divergence": "of an adversary, in nats; null of all else, and without any weight",
    "explorer.label": "the name of the class, or the next word; null of scores, and of all but "
    "attention, as is what follows",
    "explorer.predicted": "the name of the class, or word, that the model predicts",
    "explorer.probability": "what the model gives that class",
    "explorer.targets": "what scores are to be; null of classes",
    "explorer.outputs": "the scores; null of classes",
    "explorer.support": "positions with weight; null of all but attention",
    "explorer.cell": "as in attention",
    "explorer.gold": "as in attention",
    "explorer.times": "as in attention",
    "explorer.removed": "largest weights taken away until the decision flips; null where it "
    "never does, and where nobody asked",
    "explorer.never": "whether the decision stands as long as any weight is left; null where "
    "nobody asked",
    "head_summary.kind": "of attention, as in heads",
    "null_queries.instance_id": "the sentence pair",
    "null_queries.kind": "of attention, as in heads",
    "word_class": "of a source word that asks; of a target word that a step predicts, that of "
    "the first source word that people are sure it is linked to, unaligned without one, and "
    "end where the step predicts the end",
    "queries": "words of the class that ask",
    "null": "of these, that attend to nothing",
    "null_summary.kind": "of attention, as in heads",
    "null_summary.layer": "of its kind, from 0; null for all layers",
    "null_summary.word_class": "as in null_queries; null for all words",
    "null_summary.mean": "share of queries that attend to nothing, over all heads "
    "and all sentence pairs together, a mean over seeds",
    "null_summary.sd_seeds": "standard deviation over seeds",
    "n_queries": "queries of all heads, of a seed",
    "null_summary.n_instances": "sentence pairs with such words",
    "null_summary.n_undefined": "pairs of sentence pair and seed without a value",
    "head_summary.measure": "a column of the table heads",
    "head_summary.head": "in its layer, from 0; null for the layer as a whole",
    "learning_curve.share": "of the training examples; 1 for the run itself",
    "learning_curve.n_train": "how many examples that is, of scores recordings",
    "parameters": "numbers that the model has, frozen word vectors among them",
    "trainable_parameters": "of these, that training may change",
    "multiply_adds": "of a decision in matrix products and convolutions: the mean over the "
    "audited instances, each read by itself, next words of a translation with the others of "
    "their sentence, without padding",
    "sizes.n_instances": "audited instances, which the mean is over",
    "decisions_per_second": "forward passes over the audited instances as the audits read "
    "them, 32 at once, on one thread: per second of processor time, the median of the rounds",
    "slowest": "the same of the slowest round",
    "fastest": "the same of the fastest round",
    "n_rounds": "rounds after a first one that does not count; in each, all runs take "
    "their turn",
    "of": "training: loss, gradients and a step of the optimizer, over the audited sentence "
    "pairs as the audits read them; or decoding: greedy search for translations of them, as "
    "long as those in the data",
    "words_per_second": "target words, with the end of a sentence, per second of processor "
    "time, the median of the rounds",
    "ratio": "words per second over those of the run with the reference normalizer in the "
    "same round, the median of the rounds; null without such a run",
    "n_words": "target words of a round",
    "speed.n_instances": "audited instances, which each round reads once",
    "beam": "hypotheses that a sentence has at a time while it is translated; 1 is greedy "
    "search",
    "translations.instance_id": "that of the sentence pair",
    "translations.origin": "where the pair stands in its source",
    "translations.source": "the sentence that is translated: words between spaces, as they "
    "were prepared, pieces of words joined",
    "translations.reference": "its translation in the data, likewise",
    "translations.hypothesis": "its translation by the model, likewise",
    "translations.length": "of the hypothesis in tokens, the end of the sentence not counted",
    "translations.log_probability": "of the hypothesis and its end, by the model, in nats",
    "translations.score": "that over the penalty for the length, by which hypotheses are "
    "compared",
    "translations.ended": "whether the model ended the sentence; false where its length did, "
    "see `translation.max_ratio`",
    "translation_scores.metric": "bleu or chrf, over the split as a whole",
    "translation_scores.value": "0 to 100",
    "translation_scores.low": "lower end of the interval, of a bootstrap over sentence pairs",
    "translation_scores.high": "upper end of that interval",
    "signature": "sacrebleu's: references a sentence, case, smoothing, tokenization (none: "
    "words as they were prepared), version",
    "translation_scores.n_instances": "sentence pairs",
    "n_resamples": "of the bootstrap, the same for all runs on a data set",
    "diagnostics.guide": "whose weights: learned, uniform, attention, adversary",
}


def meaning(table: str, column: str) -> str:
    """What a column of a table holds; empty where nobody says."""
    same = {
        "alignment_comparison": "comparison",
        "reaction_comparison": "comparison",
        "explanation_comparison": "comparison",
        "explanation_summary": "summary",
    }
    for named in (f"{table}.{column}", f"{same.get(table)}.{column}", column):
        if named in COLUMNS:
            return COLUMNS[named]
    return ""
