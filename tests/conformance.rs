//! What a kernel's IPVS printed, ulvs prints: a representative fifth of the scenarios in `conformance/`. The rest is for
//! `make conformance`.

use std::path::Path;
use std::process::Command;

use crate::support::{binary, printed};

#[test]
fn scenarios_print_what_they_print_on_a_kernel() {
    let replay = Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance/replay.sh");
    let mut command = Command::new(replay);
    command.arg("--quick").env("ULVS_BIN", binary()).env("PEER_BIN", env!("CARGO_BIN_EXE_peer"));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", printed(&output));
}
