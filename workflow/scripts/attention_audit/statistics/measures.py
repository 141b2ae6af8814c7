"""What is measured of an instance: names, ranges, formulas, and where undefined.

Weights need not sum to one: those of rectified linear attention sum to anything, or
to nothing. Entropy, dispersion and divergence are about how weight is shared out and
scale it to sum to one first, because the context is normalized after it in such a
model and the total has no effect of its own; without any weight there is nothing to
share out, and they are undefined. `mass` and `null` tell such instances apart.
Support, sparsity and ranks do not depend on the total.
"""

from typing import TypedDict


class Measure(TypedDict):
    """What a measure is called, its range, its formula, and where it is undefined.

    ``high`` is None where no upper bound holds for all inputs, and ``undefined`` is
    empty where the measure has a value for every instance. The page of terms is made
    from these; they are plain values, so that a word more reruns nothing.
    """

    label: str
    unit: str
    low: float
    high: float | None
    formula: str
    undefined: str


# What alignment with gold is measured by, over all sentence pairs together.
ALIGNMENT_MEASURES = ("error_rate", "precision", "recall", "f1", "average_precision")

# What predicted reactions are held against the true ones by, over each recording.
REACTION_METRICS = ("pearson", "concordance", "average_precision")

# p: attention, with p̄ = p / Σp; q: another subject; n: how many hidden states they are
# over, in a text its length; y: outputs, class probabilities or scores.
MEASURES: dict[str, Measure] = {
    "support": {
        "label": "Support",
        "unit": "positions",
        "low": 0,
        "high": None,
        "formula": "#{t : p_t > 0}",
        "undefined": "",
    },
    "support_share": {
        "label": "Share of inputs attended",
        "unit": "share",
        "low": 0,
        "high": 1,
        "formula": "support / n",
        "undefined": "",
    },
    "sparsity": {
        "label": "Sparsity",
        "unit": "share",
        "low": 0,
        "high": 1,
        "formula": "1 - support / n, the share of weights that are exactly 0",
        "undefined": "",
    },
    "entropy": {
        "label": "Entropy",
        "unit": "nats",
        "low": 0,
        "high": None,
        "formula": "-Σ_t p̄_t ln p̄_t",
        "undefined": "all weights are 0",
    },
    "dispersion": {
        "label": "Dispersion",
        "unit": "share",
        "low": 0,
        "high": 1,
        "formula": "entropy / ln n: 0 is one-hot, 1 uniform; also of each importance",
        "undefined": "one position, or all 0",
    },
    "mass": {
        "label": "Mass",
        "unit": "weight",
        "low": 0,
        "high": None,
        "formula": "Σ_t p_t, which is 1 for mappings to the simplex",
        "undefined": "",
    },
    "null": {
        "label": "Null attention",
        "unit": "share",
        "low": 0,
        "high": 1,
        "formula": "1 where all p_t = 0, else 0; its mean is the null rate of Zhang et al. 2021",
        "undefined": "",
    },
    "max": {
        "label": "Largest weight",
        "unit": "weight",
        "low": 0,
        "high": None,
        "formula": "max_t p_t",
        "undefined": "",
    },
    "largest_effect": {
        "label": "Largest effect",
        "unit": "probability",
        "low": 0,
        "high": None,
        "formula": "max_t mean_k |Δ_t y_k|, what leaving out one position changes at most; for gradients to first order",
        "undefined": "",
    },
    "completeness_error": {
        "label": "Completeness error",
        "unit": "probability",
        "low": 0,
        "high": None,
        "formula": "max_k |Σ_t a_kt - (y_k(x) - y_k(baseline))|, a the attributions whose "
        "sizes an importance sums; of one class's log-probability in nats",
        "undefined": "no row of a method that promises no sum",
    },
    "correct": {
        "label": "Accuracy",
        "unit": "share",
        "low": 0,
        "high": 1,
        "formula": "1 where argmax_k y_k is the label, else 0",
        "undefined": "no row of scores",
    },
    "absolute_error": {
        "label": "Absolute error",
        "unit": "score",
        "low": 0,
        "high": 1,
        "formula": "mean_k |y_k - t_k|, t the true scores; in place of accuracy where outputs are scores",
        "undefined": "",
    },
    "kendall_tau_b": {
        "label": "Kendall's tau-b",
        "unit": "correlation",
        "low": -1,
        "high": 1,
        "formula": "(P - Q) / √((N - T_p)(N - T_q)), with P concordant and Q discordant of N = n(n - 1)/2 pairs of positions, T tied in one",
        "undefined": "either is constant, or one position",
    },
    "kendall_p": {
        "label": "p value of tau-b",
        "unit": "probability",
        "low": 0,
        "high": 1,
        "formula": "two-sided, of P - Q as normal with the variance that ties leave (Kendall 1970)",
        "undefined": "as tau-b",
    },
    "kendall_significant": {
        "label": "Share of instances with p < 0.05",
        "unit": "share",
        "low": 0,
        "high": 1,
        "formula": "1 where kendall_p < 0.05, else 0; in the statistics alone",
        "undefined": "as tau-b",
    },
    "tie_cap": {
        "label": "largest tau-b that the ties of attention leave",
        "unit": "correlation",
        "low": 0.0,
        "high": 1.0,
        "formula": "√(1 - T_p / N): tau-b with an importance that has no ties",
        "undefined": "as tau-b",
    },
    "gamma": {
        "label": "Goodman and Kruskal's gamma",
        "unit": "correlation",
        "low": -1.0,
        "high": 1.0,
        "formula": "(P - Q) / (P + Q): of the pairs that neither ties",
        "undefined": "as tau-b, or each pair is tied in one",
    },
    "spearman": {
        "label": "Spearman's rho",
        "unit": "correlation",
        "low": -1.0,
        "high": 1.0,
        "formula": "Pearson's correlation of the ranks, of which positions that tie share the "
        "mean (Spearman 1904)",
        "undefined": "as tau-b",
    },
    "top_overlap": {
        "label": "overlap of the top",
        "unit": "share",
        "low": 0.0,
        "high": 1.0,
        "formula": "|A ∩ B| / k, with A and B the k = ⌈n / 10⌉ positions that are highest by "
        "either (feature agreement, Krishna et al. 2022); ties for the last places by "
        "chance, of each apart; about k / n where the two have nothing to do with each other",
        "undefined": "as tau-b",
    },
    "weighted_tau": {
        "label": "weighted tau",
        "unit": "correlation",
        "low": -1.0,
        "high": 1.0,
        "formula": "tau in which a pair weighs 1/(r + 1) + 1/(s + 1), by the ranks r, s of "
        "its positions from 0, mean over ranks by either (Vigna 2015)",
        "undefined": "as tau-b",
    },
    "top_tau_b": {
        "label": "tau-b over the top",
        "unit": "correlation",
        "low": -1.0,
        "high": 1.0,
        "formula": "tau-b over the positions among the k largest of either, k the support; "
        "for k = n it is tau-b",
        "undefined": "as tau-b, among these",
    },
    "support_precision": {
        "label": "precision at the support",
        "unit": "share",
        "low": 0.0,
        "high": 1.0,
        "formula": "share of the k most important positions that have weight, k the support; "
        "ties for the last place by chance",
        "undefined": "all positions have weight, or none",
    },
    "support_average_precision": {
        "label": "average precision of the support",
        "unit": "share",
        "low": 0.0,
        "high": 1.0,
        "formula": "Σ (R_k - R_{k-1}) P_k of finding the support by importance",
        "undefined": "all positions have weight, or none",
    },
    "influence_dispersion": {
        "label": "Dispersion of influence",
        "unit": "share",
        "low": 0,
        "high": 1,
        "formula": "mean_i of the dispersion of ‖∂h_i/∂x_j‖ over j, summed over cells",
        "undefined": "one position",
    },
    "coindexed_share": {
        "label": "Influence of the own input",
        "unit": "share",
        "low": 0,
        "high": 1,
        "formula": "mean_i ‖∂h_i/∂x_i‖ / Σ_j ‖∂h_i/∂x_j‖; of a state with several inputs, Σ over those of its cell / Σ_j",
        "undefined": "no hidden state is influenced",
    },
    "coindexed_top": {
        "label": "Own input is the most influential",
        "unit": "share",
        "low": 0,
        "high": 1,
        "formula": "share of i for which no j has a larger ‖∂h_i/∂x_j‖ than i",
        "undefined": "",
    },
    "coindexed_rank": {
        "label": "Relative rank of the own input",
        "unit": "share",
        "low": 0,
        "high": 1,
        "formula": "mean_i (rank of i among j - 1) / (n - 1): 0 is the most influential",
        "undefined": "one position",
    },
    "influence_distance": {
        "label": "Distance of influence from the own cell",
        "unit": "patches",
        "low": 0,
        "high": None,
        "formula": "mean_i of the distance between the middle of the cell of i and "
        "Σ_j ‖∂h_i/∂x_j‖ q_j / Σ_j ‖∂h_i/∂x_j‖, q_j the place of j on the grid",
        "undefined": "no hidden state is influenced; no row where inputs lie on no grid",
    },
    "gold_average_precision": {
        "label": "average precision of finding what is marked",
        "unit": "share",
        "low": 0.0,
        "high": 1.0,
        "formula": "Σ (R_k - R_{k-1}) P_k of finding the marked inputs by attention, spread "
        "evenly over the inputs of a state, by an importance, or by a guess",
        "undefined": "all inputs are marked, or none; no row where nobody marks any",
    },
    "gold_iou": {
        "label": "overlap with what is marked",
        "unit": "share",
        "low": 0.0,
        "high": 1.0,
        "formula": "|A ∩ B| / |A ∪ B|, with A the k marked inputs and B the k first by the same; "
        "ties for the last place by chance",
        "undefined": "all inputs are marked, or none; no row where nobody marks any",
    },
    "gold_f1": {
        "label": "F1 of finding what is marked",
        "unit": "share",
        "low": 0.0,
        "high": 1.0,
        "formula": "|A ∩ B| / k, with A and B as for gold_iou: token F1 (DeYoung et al. 2020), "
        "k the number that is marked in the instance, where theirs is the mean of the data set",
        "undefined": "all inputs are marked, or none; no row where nobody marks any",
    },
    "gold_reciprocal_rank": {
        "label": "reciprocal rank of what is marked",
        "unit": "share",
        "low": 0.0,
        "high": 1.0,
        "formula": "1 / rank of the first marked input by the same (Voorhees 1999); ties by chance",
        "undefined": "all inputs are marked, or none; no row where nobody marks any",
    },
    "valence_tau_b": {
        "label": "Agreement with valence",
        "unit": "tau-b",
        "low": -1,
        "high": 1,
        "formula": "Kendall's tau-b of attention, or of an importance, with |r_t|, r_t the rating "
        "of word t by itself in the lexicon, 0 without one; no rationale",
        "undefined": "fewer than two words, or all have the same weight or rating; no row of a "
        "text without a rated word, or where no lexicon is named",
    },
    "valence_share": {
        "label": "Weight on rated words",
        "unit": "share",
        "low": 0,
        "high": 1,
        "formula": "Σ_t p_t over the words with a rating other than 0 / Σ_t p_t; also of each "
        "importance, and of equal weights (uniform), the share of these words",
        "undefined": "all weights are 0; no row of a text without a rated word, or where no "
        "lexicon is named",
    },
    "lookback": {
        "label": "Look-back",
        "unit": "seconds",
        "low": 0,
        "high": None,
        "formula": "Σ_t p̄_t |s_t|, s_t the seconds from the decision to t; also of each "
        "importance, and of equal weights (uniform), as a guess has them",
        "undefined": "all weights are 0; no row where inputs have no times",
    },
    "permutation_difference": {
        "label": "Output under shuffled attention",
        "unit": "probability",
        "low": 0,
        "high": 1,
        "formula": "median over shuffles of mean_k |y_k(shuffled) - y_k|, of a vocabulary "
        "half the sum over its words",
        "undefined": "nothing can change places",
    },
    "permutation_mass": {
        "label": "Weight that a shuffle moves",
        "unit": "share",
        "low": 0,
        "high": 1,
        "formula": "mean over shuffles of Σ_t |p'_t - p_t| / 2Σ_t p_t; the same within the support and across its border",
        "undefined": "nothing can change places",
    },
    "permutation_within": {
        "label": "Part of shuffles within the support",
        "unit": "share",
        "low": 0,
        "high": 1,
        "formula": "d_support / (d_support + d_border), d the permutation_difference at equal mass; to be held against its value for weights placed at random (shuffled_null)",
        "undefined": "no border, fewer than two weights or only equal ones, or no change at all",
    },
    "adversarial_found": {
        "label": "Adversary found",
        "unit": "share",
        "low": 0,
        "high": 1,
        "formula": "1 where other weights with the same output were found, else 0",
        "undefined": "all weights are 0",
    },
    "jsd": {
        "label": "Jensen-Shannon divergence",
        "unit": "nats",
        "low": 0,
        "high": 0.6931471805599453,
        "formula": "KL(p̄ ‖ m)/2 + KL(q̄ ‖ m)/2 with m = (p̄ + q̄)/2; at most ln 2",
        "undefined": "either is all 0",
    },
    "kl_run_adversary": {
        "label": "KL(run ‖ adversary)",
        "unit": "nats",
        "low": 0,
        "high": None,
        "formula": "Σ_t p̄_t ln(p̄_t / q̄_t), p of the run and q of an adversary",
        "undefined": "infinite, for zeros of q under weight of p",
    },
    "kl_adversary_run": {
        "label": "KL(adversary ‖ run)",
        "unit": "nats",
        "low": 0,
        "high": None,
        "formula": "Σ_t q̄_t ln(q̄_t / p̄_t), the direction of Wiegreffe & Pinter 2019",
        "undefined": "infinite, for zeros of p under weight of q",
    },
    "tvd": {
        "label": "Total variation distance",
        "unit": "probability",
        "low": 0,
        "high": 1,
        "formula": "Σ_k |y_k - y'_k| / 2, between the outputs of two models; of scores mean_k |y_k - y'_k|",
        "undefined": "",
    },
    "gain": {
        "label": "Gain in accuracy",
        "unit": "share",
        "low": -1,
        "high": 1,
        "formula": "1 where this run alone is right, -1 where the other is, else 0",
        "undefined": "no row of scores",
    },
    "flip_never": {
        "label": "Decisions that never flip",
        "unit": "share",
        "low": 0,
        "high": 1,
        "formula": "1 where argmax_k y_k stays as long as any weight is left, in an order of setting them to 0, else 0; over the draws of random orders their share. Scores stay while mean_k |Δy_k| is at most flip_threshold",
        "undefined": "fewer than two weights",
    },
    "flip_share": {
        "label": "Positions removed until the decision flips",
        "unit": "share",
        "low": 0,
        "high": 1,
        "formula": "weights set to 0, in an order, until argmax_k y_k changes, / n; of decisions that flip alone",
        "undefined": "the decision never flips, or fewer than two weights",
    },
    "flip_support_share": {
        "label": "Weights removed until the decision flips",
        "unit": "share",
        "low": 0,
        "high": 1,
        "formula": "the same / support",
        "undefined": "the decision never flips, or fewer than two weights",
    },
    "decision_stands": {
        "label": "Decisions that stand",
        "unit": "share",
        "low": 0,
        "high": 1,
        "formula": "1 where argmax_k y_k has not changed without the first ⌊a · support⌋ weights of an order, else 0, with a the reference: a survival curve, which ends at flip_never",
        "undefined": "fewer than two weights",
    },
    "comprehensiveness": {
        "label": "Comprehensiveness",
        "unit": "probability",
        "low": -1,
        "high": 1,
        "formula": "y_c(x) - y_c(x without its top k inputs), c the predicted class, of scores mean_c |y_c(x) - y_c(x without them)|: mean over shares a of k = ⌈a · n⌉, or with the reference one share (share_a), or k = support (at_support)",
        "undefined": "at_support where the support is 0 or n",
    },
    "sufficiency": {
        "label": "Sufficiency",
        "unit": "probability",
        "low": -1,
        "high": 1,
        "formula": "y_c(x) - y_c(the top k inputs alone), with the same k and c",
        "undefined": "at_support where the support is 0 or n",
    },
}
