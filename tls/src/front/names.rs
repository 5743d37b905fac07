//! Which pair a client gets: by the name it asks for (SNI, RFC 6066 section 3), then by what it can verify.
//!
//! An exact name goes before a wildcard, which stands for one label. Where several pairs have the name, ECDSA and
//! Ed25519 go before RSA, which costs ten times as much to sign with, unless the client cannot verify them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::certificate::{KeyKind, Name};
use super::error::Warning;
use super::pair::Pair;

/// What becomes of clients that ask for a name that no certificate has, or for none.
///
/// Who asks for none knows an address only: addresses do not stand in SNI. So the first pair that is for an address
/// serves these, if there is one, whatever is said here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownName {
    /// They get the first pair, and make of it what they like.
    #[default]
    FirstPair,
    /// They are refused.
    Refuse,
}

/// Why a client is not served. Its alert is `unrecognized_name`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It asks for a name that no certificate has.
    UnknownName,
    /// It asks for no name.
    NoName,
}

/// Pairs for one name, the preferred first. Never empty.
type Group = Vec<Arc<CertifiedKey>>;

/// The map from names to pairs.
#[derive(Debug)]
pub(super) struct Names {
    exact: BTreeMap<String, Group>,
    /// By what comes after `*.`.
    wildcard: BTreeMap<String, Group>,
    unknown: Option<Group>,
    none: Option<Group>,
}

impl Names {
    /// The map of these pairs, of which there is at least one.
    pub(super) fn new(pairs: &[Pair], unknown: UnknownName) -> (Self, Vec<Warning>) {
        let mut sorted: Vec<_> = pairs.iter().collect();
        sorted.sort_by_key(|pair| is_rsa(pair));
        let mut warnings = Vec::new();
        let (mut exact, mut wildcard) = (BTreeMap::<_, Vec<&Pair>>::new(), BTreeMap::<_, Vec<&Pair>>::new());
        for pair in &sorted {
            for name in pair.names() {
                let Name::Dns(name) = name else { continue };
                let group = match name.strip_prefix("*.") {
                    Some(parent) => wildcard.entry(parent.to_owned()).or_default(),
                    None => exact.entry(name.clone()).or_default(),
                };
                if let Some(other) = group.iter().find(|other| same_kind(other, pair)) {
                    warnings.push(Warning::Shadowed {
                        file: pair.file().to_owned(),
                        name: name.clone(),
                        other: other.file().to_owned(),
                    });
                }
                group.push(pair);
            }
        }
        let like = |one: &Pair| {
            let alike: Vec<_> = sorted.iter().copied().filter(|pair| same_names(pair, one)).collect();
            keys(&alike)
        };
        let first = (unknown == UnknownName::FirstPair).then(|| &pairs[0]);
        let for_address =
            pairs.iter().find(|pair| pair.names().iter().any(|name| matches!(name, Name::Ip(_))));
        let (unknown, none) = (first.map(like), for_address.or(first).map(like));
        (Self { exact: all_keys(exact), wildcard: all_keys(wildcard), unknown, none }, warnings)
    }

    /// The pairs for a client that asks for this name.
    pub(super) fn find(&self, asked: Option<&str>) -> Result<&Group, Refused> {
        let Some(asked) = asked else { return self.none.as_ref().ok_or(Refused::NoName) };
        let asked = asked.strip_suffix('.').unwrap_or(asked);
        let asked = match asked.bytes().any(|byte| byte.is_ascii_uppercase()) {
            true => Cow::Owned(asked.to_ascii_lowercase()),
            false => Cow::Borrowed(asked),
        };
        let wildcard = || asked.split_once('.').and_then(|(_, parent)| self.wildcard.get(parent));
        self.exact.get(&*asked).or_else(wildcard).or(self.unknown.as_ref()).ok_or(Refused::UnknownName)
    }
}

impl ResolvesServerCert for Names {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let group = self.find(hello.server_name()).ok()?;
        // rustls has left only the schemes that go with the suites in common. With none that fits, it is the first
        // pair's affair to fail, with the right alert.
        let fits = |pair: &&Arc<CertifiedKey>| pair.key.choose_scheme(hello.signature_schemes()).is_some();
        group.iter().find(fits).or_else(|| group.first()).cloned()
    }
}

fn same_names(one: &Pair, other: &Pair) -> bool {
    one.names().iter().all(|name| other.names().contains(name))
        && other.names().iter().all(|name| one.names().contains(name))
}

/// Whether no client would take the second that does not take the first.
fn same_kind(one: &Pair, other: &Pair) -> bool {
    one.kind() == other.kind() || is_rsa(one) && is_rsa(other)
}

fn is_rsa(pair: &Pair) -> bool {
    matches!(pair.kind(), KeyKind::Rsa(_))
}

fn all_keys(names: BTreeMap<String, Vec<&Pair>>) -> BTreeMap<String, Group> {
    names.into_iter().map(|(name, pairs)| (name, keys(&pairs))).collect()
}

fn keys(pairs: &[&Pair]) -> Group {
    pairs.iter().map(|pair| Arc::clone(&pair.certified)).collect()
}
