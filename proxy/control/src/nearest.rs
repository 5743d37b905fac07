//! Typing mistakes.

/// The candidate that a typing mistake would explain, one of case among them.
pub fn nearest<'c>(typed: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let plain = typed.to_lowercase();
    let distance = |c: &str| strsim::damerau_levenshtein(&plain, &c.to_lowercase());
    let near = |c: &&str| distance(c) <= 1 + c.chars().count() / 4;
    candidates.into_iter().filter(near).min_by_key(|c| distance(c))
}

/// Asks whether that was meant, behind the words that it is not there; nothing if no mistake explains it.
pub fn meant<'c>(typed: &str, candidates: impl IntoIterator<Item = &'c str>) -> String {
    nearest(typed, candidates).map(|best| format!("; did you mean `{best}`?")).unwrap_or_default()
}

/// What there is, and what of it a typing mistake would explain.
pub fn choice(typed: &str, known: &[&str]) -> String {
    let list = known.join(", ");
    nearest(typed, known.iter().copied())
        .map_or_else(|| format!("known: {list}"), |best| format!("did you mean `{best}`? known: {list}"))
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_letter_or_two_may_be_wrong_and_all_of_them_large() {
        let known = ["TCP_CHECK", "weight", "retry"];
        assert_eq!(nearest("tcp_check", known), Some("TCP_CHECK"));
        assert_eq!(nearest("Wieght", known), Some("weight"));
        assert_eq!(nearest("weight", known), Some("weight"));
        assert_eq!(nearest("delay", known), None);
    }
}
