//! Profiles in the sense of Mozilla's "Server Side TLS": which versions, suites and groups a front offers.
//!
//! The order of suites is ours, not the client's, with one exception. AES-128-GCM comes first: it is as strong as
//! anybody needs, and its handshake is a tenth cheaper than AES-256 with SHA-384. But a client that names ChaCha20
//! before any AES says that it has no instructions for AES (a small phone), and gets ChaCha20.

use rustls::crypto::CryptoProvider;
use rustls::{CipherSuite, NamedGroup, SupportedProtocolVersion, version};

use crate::provider::provider;

/// How old clients may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// TLS 1.3 only.
    Modern,
    /// TLS 1.3, and TLS 1.2 with ephemeral keys (ECDHE) and authenticated encryption.
    #[default]
    Intermediate,
}

/// The family of ciphers that comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum First {
    Aes,
    ChaCha20,
}

static VERSIONS: [&SupportedProtocolVersion; 2] = [&version::TLS13, &version::TLS12];

/// Most preferred first; what the provider lacks is left out.
const SUITES: [CipherSuite; 9] = [
    CipherSuite::TLS13_AES_128_GCM_SHA256,
    CipherSuite::TLS13_AES_256_GCM_SHA384,
    CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
];

/// What is offered; among these the client's order decides. ring has no ML-KEM.
const GROUPS: [NamedGroup; 4] =
    [NamedGroup::X25519MLKEM768, NamedGroup::X25519, NamedGroup::secp256r1, NamedGroup::secp384r1];

impl Profile {
    pub(super) fn versions(self) -> &'static [&'static SupportedProtocolVersion] {
        match self {
            Self::Modern => &VERSIONS[..1],
            Self::Intermediate => &VERSIONS,
        }
    }

    /// The provider, limited to what this profile offers, in its order.
    pub(super) fn provider(self, first: First) -> CryptoProvider {
        let mut provider = CryptoProvider::clone(&provider());
        let suites = &mut provider.cipher_suites;
        suites.retain(|suite| self.versions().contains(&suite.version()) && SUITES.contains(&suite.suite()));
        suites.sort_by_key(|suite| {
            let later = first == First::ChaCha20 && !is_chacha20(suite.suite());
            (later, SUITES.iter().position(|known| *known == suite.suite()))
        });
        let place = |group: NamedGroup| GROUPS.iter().position(|known| *known == group);
        provider.kx_groups.retain(|group| place(group.name()).is_some());
        provider.kx_groups.sort_by_key(|group| place(group.name()));
        provider
    }
}

impl First {
    /// What a client wants that offers these suites.
    pub(super) fn wanted(offered: &[CipherSuite]) -> Self {
        match offered.iter().find(|suite| SUITES.contains(suite)) {
            Some(suite) if is_chacha20(*suite) => Self::ChaCha20,
            _ => Self::Aes,
        }
    }
}

fn is_chacha20(suite: CipherSuite) -> bool {
    matches!(
        suite,
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256
            | CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
            | CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suites(profile: Profile, first: First) -> Vec<CipherSuite> {
        profile.provider(first).cipher_suites.iter().map(|suite| suite.suite()).collect()
    }

    #[test]
    fn modern_has_the_suites_of_tls_1_3_and_intermediate_all_nine_in_our_order() {
        assert_eq!(suites(Profile::Modern, First::Aes), SUITES[..3]);
        assert_eq!(suites(Profile::Intermediate, First::Aes), SUITES);
    }

    #[test]
    fn chacha20_goes_before_all_others_where_it_is_wanted() {
        let chacha = suites(Profile::Intermediate, First::ChaCha20);
        assert_eq!(chacha[..3], [SUITES[2], SUITES[7], SUITES[8]]);
        assert_eq!(chacha.len(), SUITES.len());
    }

    #[test]
    fn the_first_suite_that_is_known_tells_what_a_client_wants() {
        let grease = CipherSuite::Unknown(0x1a1a);
        assert_eq!(First::wanted(&[grease, SUITES[2], SUITES[0]]), First::ChaCha20);
        assert_eq!(First::wanted(&[grease, SUITES[1], SUITES[2]]), First::Aes);
        assert_eq!(First::wanted(&[SUITES[7]]), First::ChaCha20);
        assert_eq!(First::wanted(&[]), First::Aes);
    }

    #[test]
    fn post_quantum_key_exchange_comes_first_where_the_provider_has_it() {
        let groups: Vec<NamedGroup> =
            Profile::Modern.provider(First::Aes).kx_groups.iter().map(|group| group.name()).collect();
        let ours = if cfg!(feature = "aws-lc-rs") { &GROUPS[..] } else { &GROUPS[1..] };
        assert_eq!(groups, ours);
    }
}
