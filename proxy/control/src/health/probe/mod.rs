//! What a question comes to.

use std::time::Duration;

use sched::Weight;

/// What a question has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Success, or why not, in words.
    pub result: Result<Success, String>,
    /// How long it took.
    pub took: Duration,
}

/// It was a success.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Success {
    /// What it says about the server's weight.
    pub weight: Option<Weighting>,
}

/// What a success says about the server's weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weighting {
    /// It is this.
    Absolute(Weight),
    /// It is the configured one and this.
    Add(i32),
}
