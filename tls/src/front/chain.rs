//! The order of a chain: the server's certificate, its issuer, the issuer's issuer (RFC 8446 section 4.4.2).

use x509_parser::prelude::X509Certificate;

/// A chain put in order.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Order {
    /// Places in the file, in the order to send.
    pub places: Vec<usize>,
    /// How many of them, from the first, each issued the one before. What comes after is not part of the chain.
    pub linked: usize,
}

/// Follows issuers from the certificate at `leaf`. Nothing is left out: what is not in the chain comes last, as it stood.
pub(super) fn order(certificates: &[X509Certificate<'_>], leaf: usize) -> Order {
    let mut places = vec![leaf];
    let mut last = leaf;
    while let Some(next) = (0..certificates.len()).find(|next| {
        !places.contains(next)
            && certificates[*next].subject().as_raw() == certificates[last].issuer().as_raw()
    }) {
        places.push(next);
        last = next;
    }
    let linked = places.len();
    let others: Vec<_> = (0..certificates.len()).filter(|place| !places.contains(place)).collect();
    places.extend(others);
    Order { places, linked }
}
