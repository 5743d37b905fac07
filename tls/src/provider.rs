//! The one provider of cryptography: aws-lc-rs, or ring where that alone is built in.
//!
//! Everything names it: nothing depends on a default of the process.

use std::sync::{Arc, LazyLock};

use rustls::crypto::CryptoProvider;

#[cfg(feature = "aws-lc-rs")]
use rustls::crypto::aws_lc_rs as chosen;
#[cfg(all(feature = "ring", not(feature = "aws-lc-rs")))]
use rustls::crypto::ring as chosen;

/// The provider's own primitives, for what rustls has no face for. Both spell what we use alike.
#[cfg(feature = "aws-lc-rs")]
pub(crate) use aws_lc_rs as primitives;
#[cfg(all(feature = "ring", not(feature = "aws-lc-rs")))]
pub(crate) use ring as primitives;

#[cfg(not(any(feature = "aws-lc-rs", feature = "ring")))]
compile_error!("TLS needs a provider of cryptography: build with the feature aws-lc-rs or ring");

static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| Arc::new(chosen::default_provider()));

/// The provider, with all that it can do. What a front offers of it is its profile's affair.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::clone(&PROVIDER)
}
