//! Ratios and how sure they are.

/// Two-sided 95 % quantiles of Student's t for 1, 2, ... degrees of freedom.
const STUDENT: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
];

/// The same for any more.
const NORMAL: f64 = 1.96;

/// A ratio with its 95 % interval, and the standard error of its logarithm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Estimate {
    /// Geometric mean.
    pub(crate) ratio: f64,
    /// Lower end.
    pub(crate) low: f64,
    /// Upper end.
    pub(crate) high: f64,
    /// Standard error of the logarithm.
    pub(crate) error: f64,
}

impl Estimate {
    /// From ratios of rounds, which are above zero: Student's t on their logarithms, since a ratio and its inverse are to weigh the same. Of one ratio
    /// nothing is known but itself, and the interval is from 0 to as much as the largest number that is written down.
    #[must_use]
    pub(crate) fn of(ratios: &[f64]) -> Self {
        let logs: Vec<f64> = ratios.iter().map(|ratio| ratio.ln()).collect();
        let count = logs.len() as f64;
        let mean = logs.iter().sum::<f64>() / count.max(1.0);
        let Some(freedom) = logs.len().checked_sub(2) else {
            return Self { ratio: mean.exp(), low: 0.0, high: f64::MAX, error: f64::MAX };
        };
        let squares: f64 = logs.iter().map(|log| (log - mean).powi(2)).sum();
        let error = (squares / (count - 1.0) / count).sqrt();
        Self::around(mean, error, STUDENT.get(freedom).copied().unwrap_or(NORMAL))
    }

    /// The geometric mean of independent estimates.
    #[must_use]
    pub(crate) fn mean(estimates: &[Self]) -> Self {
        let count = (estimates.len() as f64).max(1.0);
        let mean = estimates.iter().map(|estimate| estimate.ratio.ln()).sum::<f64>() / count;
        let squares: f64 = estimates.iter().map(|estimate| estimate.error.powi(2)).sum();
        Self::around(mean, squares.sqrt() / count, NORMAL)
    }

    fn around(mean: f64, error: f64, quantile: f64) -> Self {
        let reach = quantile * error;
        Self { ratio: mean.exp(), low: (mean - reach).exp(), high: (mean + reach).exp().min(f64::MAX), error }
    }
}

/// A median and how far it may be off.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Spread {
    /// Of the values of rounds; nothing is assumed of how they are distributed. From eight values on `low` and `high` are the second from either end, between
    /// which the median of all rounds there could be lies with 93 % (eight) or more; of fewer they are the ends. `None` of no values.
    pub(crate) fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let within = usize::from(sorted.len() >= 8);
        let (low, high) = (*sorted.get(within)?, *sorted.get(sorted.len() - 1 - within)?);
        let (lower, upper) = (sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
        Some(Self { median: f64::midpoint(lower, upper), low, high })
    }
}

/// Of sorted values the one that so great a share of them does not exceed; 0 of none.
pub(crate) fn quantile(sorted: &[u32], share: f64) -> u32 {
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0)
}

/// Geometric mean of numbers above zero.
#[must_use]
pub(crate) fn geometric_mean(values: &[f64]) -> f64 {
    let logs: f64 = values.iter().map(|value| value.ln()).sum();
    (logs / (values.len() as f64).max(1.0)).exp()
}

/// Jain's index of fairness: 1 where all have the same, 1/n where one has everything.
#[must_use]
pub(crate) fn jain(shares: &[f64]) -> f64 {
    let sum: f64 = shares.iter().sum();
    let squares: f64 = shares.iter().map(|share| share * share).sum();
    if squares > 0.0 { sum * sum / (shares.len() as f64 * squares) } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-3
    }

    #[test]
    fn a_ratio_and_its_inverse_make_one() {
        let estimate = Estimate::of(&[2.0, 0.5]);
        assert!(near(estimate.ratio, 1.0), "{estimate:?}");
        assert!(near(estimate.low * estimate.high, 1.0) && estimate.high > 1000.0, "{estimate:?}");
    }

    #[test]
    fn the_interval_is_that_of_student() {
        // Logarithms of mean 0.2 and standard deviation 0.1 over five rounds: 2.776 * 0.1 / sqrt(5) either way.
        let logs = [0.2 - 0.126_491, 0.2 - 0.063_246, 0.2, 0.2 + 0.063_246, 0.2 + 0.126_491];
        let ratios: Vec<f64> = logs.iter().map(|log: &f64| log.exp()).collect();
        let estimate = Estimate::of(&ratios);
        assert!(near(estimate.ratio.ln(), 0.2), "{estimate:?}");
        assert!(near(estimate.low.ln(), 0.2 - 0.124_15), "{estimate:?}");
        assert!(near(estimate.high.ln(), 0.2 + 0.124_15), "{estimate:?}");
    }

    #[test]
    fn one_round_says_nothing_of_the_next() {
        let estimate = Estimate::of(&[0.9]);
        assert!(near(estimate.ratio, 0.9));
        assert_eq!((estimate.low, estimate.high), (0.0, f64::MAX));
    }

    #[test]
    fn means_of_many_are_surer_than_each() {
        let one = Estimate::of(&[0.9, 1.0, 1.1]);
        let all = Estimate::mean(&[one; 16]);
        assert!(near(all.ratio, one.ratio));
        assert!(near(all.error, one.error / 4.0));
        assert!(near(geometric_mean(&[1.0, 4.0]), 2.0));
    }

    #[test]
    fn a_median_is_bounded_by_its_neighbours() {
        let spread = Spread::of(&[5.0, 1.0, 3.0, 9.0]).expect("values");
        assert_eq!((spread.median, spread.low, spread.high), (4.0, 1.0, 9.0));
        let eight: Vec<f64> = (1..=8).map(f64::from).collect();
        let spread = Spread::of(&eight).expect("values");
        assert_eq!((spread.median, spread.low, spread.high), (4.5, 2.0, 7.0));
        assert_eq!(Spread::of(&[7.0]), Some(Spread { median: 7.0, low: 7.0, high: 7.0 }));
        assert_eq!(Spread::of(&[]), None);
    }

    #[test]
    fn a_quantile_is_one_of_the_values() {
        let sorted: Vec<u32> = (1..=1000).collect();
        assert_eq!(
            (quantile(&sorted, 0.5), quantile(&sorted, 0.99), quantile(&sorted, 0.999)),
            (500, 990, 999)
        );
        assert_eq!((quantile(&[7], 0.5), quantile(&[7], 0.999), quantile(&[], 0.5)), (7, 7, 0));
    }

    #[test]
    fn fairness_is_one_over_the_number_where_one_has_all() {
        assert!(near(jain(&[5.0; 16]), 1.0));
        assert!(near(jain(&[0.0, 0.0, 0.0, 3.0]), 0.25));
        assert!(near(jain(&[0.0; 4]), 1.0));
    }
}
