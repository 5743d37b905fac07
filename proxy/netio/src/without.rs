//! For tests of what happens without a capability: they run themselves a second time, in a process that has it not.

use std::env;
use std::process::{Command, Stdio};

const SECOND: &str = "ULVS_TEST_WITHOUT";

/// Whether this is the second time that the test runs.
pub(crate) fn is_second() -> bool {
    env::var_os(SECOND).is_some()
}

/// Runs the test of this path a second time without this capability, in the network of this thread, while `meanwhile`
/// happens. Then the second one's standard input ends.
pub(crate) fn run_second(capability: &str, test: &str, meanwhile: impl FnOnce()) {
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set", &format!("-{capability}"), "--"]).arg(env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).env(SECOND, "1");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    meanwhile();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "{output:?}");
}
