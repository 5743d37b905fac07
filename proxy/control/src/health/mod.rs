//! Which servers are alive: what they are asked, and what follows from their answers.

pub mod probe;
