//! Numbers in sentences.

use std::fmt::Display;

/// `1 server`, `2 servers`; 0 are several.
pub fn counted<N: Display + PartialEq + From<u8>>(n: N, what: &str) -> String {
    let s = if n == N::from(1) { "" } else { "s" };
    format!("{n} {what}{s}")
}

#[cfg(test)]
mod tests {
    use super::counted;

    #[test]
    fn one_of_a_thing_is_not_several() {
        assert_eq!(counted(0, "server"), "0 servers");
        assert_eq!(counted(1_usize, "server"), "1 server");
        assert_eq!(counted(2_u64, "server"), "2 servers");
    }
}
