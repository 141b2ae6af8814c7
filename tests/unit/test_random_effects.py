"""The variance of a crossed mean: by hand and beside statsmodels."""

import numpy as np
import pytest
from scipy import special

from attention_audit.statistics.random_effects import (
    by_cluster,
    detectable,
    fit_prior,
    moments,
    variance_of_mean,
)
from tests.unit.samples import simulated

# --- by hand and beside other libraries -------------------------------------------


def test_balanced_mean_squares_are_those_of_the_textbook():
    values = np.random.default_rng(0).normal(size=(7, 4)) + np.arange(7)[:, None]
    values += np.arange(4)
    m = moments(values)
    grand, rows, columns = values.mean(), values.mean(1), values.mean(0)
    residual = values - rows[:, None] - columns + grand
    squares = [
        4 * ((rows - grand) ** 2).sum() / 6,
        7 * ((columns - grand) ** 2).sum() / 3,
        (residual**2).sum() / 18,
    ]
    np.testing.assert_allclose(m.squares, squares)
    assert m.df.tolist() == [6, 3, 18]
    variance, df = variance_of_mean(m)
    one, two, three = squares
    assert two > three
    assert variance == pytest.approx((one + two - three) / 28)
    assert df == pytest.approx(
        (one + two - three) ** 2 / (one**2 / 6 + two**2 / 3 + three**2 / 18)
    )


def test_without_holes_or_with_them_mean_squares_are_those_of_least_squares():
    import pandas as pd
    import statsmodels.formula.api as smf
    from statsmodels.stats.anova import anova_lm

    random = np.random.default_rng(1)
    values = random.normal(size=(9, 4)) + random.normal(size=(9, 1))
    values[random.random(values.shape) < 0.3] = np.nan
    rows, columns = np.nonzero(~np.isnan(values))
    frame = pd.DataFrame({"y": values[rows, columns], "i": rows, "s": columns})
    fit = smf.ols("y ~ C(i) + C(s)", frame).fit()
    table = anova_lm(fit, typ=2)
    m = moments(values)
    expected = (table["sum_sq"] / table["df"]).loc[["C(i)", "C(s)", "Residual"]]
    np.testing.assert_allclose(m.squares, expected)
    np.testing.assert_allclose(m.df, table["df"].loc[expected.index])


@pytest.mark.parametrize("holes", [0.0, 0.25])
def test_the_variance_is_that_of_a_linear_mixed_model(holes):
    import pandas as pd
    import statsmodels.formula.api as smf

    random = np.random.default_rng(3)
    values = 2 + simulated(random, (), 12, 6, 0.3, holes=holes)
    rows, columns = np.nonzero(~np.isnan(values))
    frame = pd.DataFrame({"y": values[rows, columns], "i": rows, "s": columns})
    # Crossed effects are variance components within a single group.
    model = smf.mixedlm(
        "y ~ 1",
        frame.assign(group=0),
        groups="group",
        vc_formula={"i": "0 + C(i)", "s": "0 + C(s)"},
    )
    fit = model.fit(reml=True)
    m = moments(values)
    variance, _ = variance_of_mean(m)
    if holes:
        # It weighs values by their precision, where ours is the plain mean.
        assert np.sqrt(variance) == pytest.approx(fit.bse["Intercept"], rel=0.05)
        assert m.mean == pytest.approx(fit.params["Intercept"], abs=0.02)
    else:
        assert np.sqrt(variance) == pytest.approx(fit.bse["Intercept"], rel=1e-3)
        assert m.mean == pytest.approx(fit.params["Intercept"])


@pytest.mark.parametrize("holes", [0.0, 0.4])
def test_the_variance_is_without_bias(holes):
    random = np.random.default_rng(4)
    m = moments(simulated(random, (4000,), 12, 4, 0.2, holes=holes))
    variance, _ = variance_of_mean(m)
    assert variance.mean() == pytest.approx(m.mean.var(), rel=0.08)


def test_leading_dimensions_are_so_many_matrices():
    values = simulated(np.random.default_rng(5), (2, 3), 8, 4, 0.1, holes=0.2)
    together = variance_of_mean(moments(values))
    for place in np.ndindex(2, 3):
        alone = variance_of_mean(moments(values[place]))
        np.testing.assert_allclose([a[place] for a in together], alone)


def test_no_instance_with_two_seeds_leaves_the_means_of_seeds():
    random = np.random.default_rng(6)
    values = np.full((30, 3), np.nan)
    values[np.arange(30), np.arange(30) % 3] = random.normal(size=30)
    variance, df = variance_of_mean(moments(values))
    by_seed = np.nanmean(values, axis=0)
    assert variance == pytest.approx(by_seed.var(ddof=1) / 3)
    assert df == 2


def test_the_prior_has_the_moments_of_the_log_variances():
    # Smyth 2004, section 6.2
    variances = np.array([1.2, 0.7, 3.1, 0.4, 2.2, 0.9, 5.0, 0.3])
    df = np.full(8, 2.0)
    logs = np.log(variances) - special.digamma(1) + np.log(1)
    spread = logs.var(ddof=1) - special.polygamma(1, 1)
    assert spread < 0
    # they spread no more than chance has it: one variance for all
    prior_df, prior = fit_prior(variances, df, np.ones(8, dtype=bool))
    assert np.isinf(prior_df) and prior == pytest.approx(variances.mean())
    # with more degrees of freedom each, the same numbers do differ
    df = np.full(8, 20.0)
    prior_df, prior = fit_prior(variances, df, np.ones(8, dtype=bool))
    logs = np.log(variances) - special.digamma(10) + np.log(10)
    spread = logs.var(ddof=1) - special.polygamma(1, 10)
    assert special.polygamma(1, prior_df / 2) == pytest.approx(spread)
    centre = logs.mean() + special.digamma(prior_df / 2) - np.log(prior_df / 2)
    assert prior == pytest.approx(np.exp(centre))
    # cells that take no part change nothing
    more = fit_prior(np.append(variances, 1e9), np.full(9, 20.0), np.arange(9) < 8)
    np.testing.assert_allclose(more, (prior_df, prior))


def test_the_prior_is_found_again():
    random = np.random.default_rng(7)
    true = 0.5 * 8 / random.chisquare(8, 20_000)
    variances = true * random.chisquare(3, 20_000) / 3
    prior_df, prior = fit_prior(
        variances, np.full(20_000, 3.0), np.ones(20_000, dtype=bool)
    )
    assert prior_df == pytest.approx(8, rel=0.15)
    assert prior == pytest.approx(0.5, rel=0.03)


# --- clusters ---------------------------------------------------------------------


def test_clusters_of_one_size_count_by_their_means():
    values = np.random.default_rng(0).normal(size=(12, 3))
    clusters = np.tile([7, 3, 5, 9], 3)
    means = [values[clusters == c].mean(0) for c in (3, 5, 7, 9)]
    np.testing.assert_allclose(by_cluster(values, clusters), means)


def test_clusters_keep_the_mean_of_all_instances():
    random = np.random.default_rng(1)
    values = random.normal(size=(50, 4))
    values[random.random(values.shape) < 0.3] = np.nan
    clusters = random.integers(0, 9, 50)
    pooled = by_cluster(values, clusters)
    assert pooled.shape == (9, 4)
    assert moments(pooled).mean == pytest.approx(np.nanmean(values))
    # the larger count for more: not the mean of the means of clusters
    assert np.nanmean(pooled) != pytest.approx(
        np.mean([np.nanmean(values[clusters == c]) for c in range(9)])
    )


def test_instances_that_stand_alone_stay_as_they_are():
    values = np.random.default_rng(2).normal(size=(6, 2))
    assert by_cluster(values, np.array([4, 2, 0, 1, 3, 5])) is values


def test_a_cluster_without_any_value_of_a_seed_has_none():
    values = np.array([[1.0, np.nan], [3.0, np.nan], [5.0, 7.0]])
    pooled = by_cluster(values, np.array([0, 0, 1]))
    # four values of mean 4, in three cells
    assert pooled.tolist()[1] == [4 + 1 * 3 / 4, 4 + 3 * 3 / 4]
    assert pooled[0, 0] == 4 - 4 * 3 / 4 and np.isnan(pooled[0, 1])


def test_degrees_of_freedom_are_those_of_a_part_where_parts_nearly_cancel():
    # seeds that agree better than chance: the residual's part is taken off the others
    random = np.random.default_rng(0)
    values = random.normal(size=(4000, 20, 3))
    variance, df = variance_of_mean(moments(values))
    assert (variance > 0).all() and df.min() >= 2
    found = detectable(variance, df, 0.95)
    assert np.isfinite(found).all()
