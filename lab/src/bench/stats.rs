//! Medians and their spread.

/// The middle of them; between the two in the middle, where there is none.
pub(super) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        len if len % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

/// Median, least and most.
pub(super) fn spread(values: &[f64]) -> Option<[f64; 3]> {
    let least = values.iter().copied().reduce(f64::min)?;
    let most = values.iter().copied().reduce(f64::max)?;
    Some([median(values.to_vec())?, least, most])
}

/// For people.
pub(super) fn shown(value: Option<[f64; 3]>, with_spread: bool) -> String {
    match value {
        None => "-".to_owned(),
        Some([median, least, most]) if with_spread && least < most => {
            format!("{} ({}-{})", number(median), number(least), number(most))
        }
        Some([median, ..]) => number(median),
    }
}

/// As many digits as say something.
pub(super) fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.1 || size == 0.0 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_their_spread() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0]), Some(2.5));
        assert_eq!(spread(&[]), None);
        assert_eq!(spread(&[3.0, 1.0, 2.0]), Some([2.0, 1.0, 3.0]));
        assert_eq!(shown(spread(&[0.5, 12.34, 0.05]), true), "0.50 (0.0500-12.3)");
        assert_eq!(shown(spread(&[0.5, 0.5]), true), "0.50");
        assert_eq!(shown(None, true), "-");
    }
}
