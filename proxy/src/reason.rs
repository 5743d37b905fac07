//! Errors in one line.

/// The error and its causes, without those that the text before them tells already.
pub(crate) fn reason(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text += ": ";
            text += &cause;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::reason;

    #[test]
    fn no_cause_is_told_twice() {
        let error = anyhow!("no such file").context("cannot open x").context("it failed (cannot open x)");
        assert_eq!(reason(&error), "it failed (cannot open x): no such file");
    }
}
