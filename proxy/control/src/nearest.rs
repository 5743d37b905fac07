//! Typing mistakes.

/// The candidate that a typing mistake would explain.
pub fn nearest<'c>(typed: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let distance = |c: &str| strsim::damerau_levenshtein(typed, c);
    candidates.into_iter().filter(|c| distance(c) <= 1 + c.chars().count() / 4).min_by_key(|c| distance(c))
}
