//! What a kernel's IPVS printed, ulvs prints: a representative fifth of the scenarios in `conformance/`. The rest is for
//! `make conformance`.

use std::path::Path;
use std::process::Command;

use lab::topo::{NatLab, NatOptions};

use crate::support::{Engine, binary, printed};

#[test]
fn scenarios_print_what_they_print_on_a_kernel() {
    let replay = Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance/replay.sh");
    let mut command = Command::new(replay);
    command.arg("--quick").env("ULVS_BIN", binary()).env("PEER_BIN", env!("CARGO_BIN_EXE_peer"));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", printed(&output));
}

/// The scenario `restore-ours` has a stock ipvsadm restore it.
#[test]
fn the_save_that_a_stock_ipvsadm_restores_is_ours() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance/fixtures/restore-ours.txt");
    let lab = NatLab::new(&NatOptions::default()).unwrap();
    let engine = Engine::start(&lab, &["--workers", "1"]);
    let mut restore = lab.director.command(binary());
    restore.args(["ipvsadm", "-R"]).stdin(std::fs::File::open(&fixture).unwrap());
    let output = restore.output().unwrap();
    assert!(output.status.success(), "{}", printed(&output));
    assert_eq!(engine.ulvs("ipvsadm -Sn"), std::fs::read_to_string(&fixture).unwrap());
    engine.stop();
}
