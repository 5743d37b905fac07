//! Who gets a flow: ours and a plain model of each algorithm against the kernel's recorded answers, and then against
//! each other.

#![allow(clippy::unwrap_used)]

mod director;
mod models;
mod random;
mod replay;

#[test]
fn the_models_choose_as_the_kernel_did() {
    replay::replay_all::<models::Plain>();
}

#[test]
fn ours_choose_as_the_kernel_did() {
    replay::replay_all::<director::Ours>();
}
