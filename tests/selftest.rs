//! The phases of the kernel's own test of IPVS, with `ipvsadm` on PATH and nothing else: see `selftest/phases.sh`.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use crate::support::{binary, printed};

#[test]
fn dr_nat_and_tunnel_with_ipvsadm_alone() {
    let programs = tempfile::tempdir().unwrap();
    for name in ["ulvs", "ipvsadm"] {
        std::os::unix::fs::symlink(binary(), programs.path().join(name)).unwrap();
    }
    let mut path = OsString::from(programs.path());
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("selftest/phases.sh");
    let output = Command::new(script).env("PATH", path).output().unwrap();
    let text = printed(&output);
    assert!(output.status.success() && text.ends_with("phases: PASS\n"), "{text}");
}
